"""`chain`: a window goes on from its neighbour's clean tail."""

from __future__ import annotations

from farm.models.matrix import Levels, Row
from farm.models.ways.bridge import bridge


def chain(levels: Levels, columns: int, given: int, context_level: int) -> tuple[Row, ...]:
    """The first `given` latent frames are the neighbour's: a bridge whose other end is open."""
    return bridge(levels, columns, given, 0, context_level)
