"""Frames to encoded shots, encoded shots to a film, and what there is to look at."""
