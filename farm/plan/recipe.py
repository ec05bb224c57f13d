"""Recipe keys: SHA-256 over canonical JSON of all that changes a task's output, and nothing else."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

# One number a kind of task, raised when its code changes what comes out of the same recipe.
ALGORITHM = {"embed": 1, "denoise": 1, "finish": 2, "stitch": 2}

_SCALARS = (str, int, bool, type(None))
# One encoder for all: json.dumps with these options would make a new one at each call.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _plain(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{where}: {value} cannot be part of a recipe")
        return value
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise TypeError(f"{where}: the keys of a recipe are strings")
        return {
            name: item if type(item) in _SCALARS else _plain(item, f"{where}.{name}")
            for name, item in value.items()
        }
    raise TypeError(f"{where}: a {type(value).__name__} cannot be part of a recipe")


def canonical(value: Mapping[str, Any]) -> str:
    """Write a recipe as canonical JSON: sorted keys, no white space, fractions as "n/d".

    Raises:
        TypeError: for any value it does not know, rather than hashing what it cannot hash safely.
    """
    return _ENCODER.encode(_plain(value, "recipe"))


def key_of(kind: str, parts: Sequence[str], needs: Sequence[bytes]) -> bytes:
    """Return a task's key (32 bytes) from the canonical parts of its recipe and its needs' keys, in order."""
    # Keys are of one length, and canonical JSON holds no line end: this can be read in one way only.
    digest = hashlib.sha256(f"{kind} {ALGORITHM[kind]} {len(needs)}\n".encode())
    digest.update(b"".join(needs))
    for part in parts:
        digest.update(b"\n")
        digest.update(part.encode())
    return digest.digest()


def join_recipe(parts: Sequence[str]) -> str:
    """Join the parts of a recipe, none of them empty, into one JSON object."""
    return f"{{{','.join(part[1:-1] for part in parts)}}}"
