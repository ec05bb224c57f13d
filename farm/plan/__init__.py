"""Shots to segments, tasks, recipe keys and an estimate. Pure."""
