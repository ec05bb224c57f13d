"""Long series of figures in little room: two bytes for each, as text that JSON can hold.

A shot of ten minutes has a hundred thousand figures, and a film's commits are all in memory at once.
"""

from __future__ import annotations

import sys
from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from typing import Any

_MOST = 2**15 - 1


def pack(values: Iterable[float], unit: float) -> dict[str, Any]:
    """Write figures as whole numbers of a unit; those beyond 32,767 of it are cut off there."""
    whole = array("h", (max(-_MOST, min(_MOST, round(value / unit))) for value in values))
    return {"unit": unit, "base64": b64encode(_little(whole).tobytes()).decode()}


def unpack(packed: Mapping[str, Any]) -> list[float]:
    """Read what `pack` wrote: the figures, each off by at most half a unit."""
    whole = array("h", b64decode(packed["base64"]))
    unit = packed["unit"]
    return [value * unit for value in _little(whole)]


def _little(whole: array[int]) -> array[int]:
    """The same numbers, their bytes in the order they are kept in on every machine."""
    if sys.byteorder == "big":
        whole.byteswap()
    return whole
