"""Longtake: a render farm for long-form AI video."""

__version__ = "0.1.0"
