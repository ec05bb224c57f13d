"""From a segment's recipe to its rows."""

from __future__ import annotations

from farm.models.matrix import Levels, Row
from farm.models.ways.bridge import bridge
from farm.models.ways.chain import chain
from farm.models.ways.cut import cut
from farm.models.ways.stagger import stagger
from farm.models.ways.weave import weave
from farm.ports import Recipe


def build_rows(levels: Levels, columns: int, given: int, recipe: Recipe) -> tuple[Row, ...]:
    """The rows of a DENOISE recipe's way. Raises ValueError for a way that nobody knows."""
    match recipe["way"]:
        case "cut":
            return cut(levels, columns)
        case "chain":
            return chain(levels, columns, given, recipe["context_level"])
        case "bridge":
            return bridge(levels, columns, given, recipe["after"], recipe["context_level"])
        case "stagger":
            return stagger(levels, columns, given, recipe["context_level"], recipe["lag"])
        case "weave":
            return weave(levels, columns, recipe["panes"], given, recipe["context_level"], recipe["settled"])
        case way:
            raise ValueError(f"there is no way {way!r} of continuing a shot")
