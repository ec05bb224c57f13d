"""Hydra configuration groups, packaged as `farm.conf`."""
