"""The Media of a worker: encoding, stitching and the sheet behind one object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from farm.media.encode import encode_shot
from farm.media.sheet import draw_sheet
from farm.media.stitch import check_film, stitch
from farm.ports import Recipe


class Studio:
    """A Media over PyAV and Pillow."""

    def encode_shot(
        self, recipe: Recipe, frames: Iterator[NDArray[np.uint8]], target: Path
    ) -> dict[str, Any]:
        return encode_shot(recipe, frames, target)

    def stitch(self, recipe: Recipe, shots: Sequence[Path], film: Path, sheet: Path) -> dict[str, Any]:
        rate = Fraction(recipe["rate"])
        counts = [shot["frames"] for shot in recipe["shots"]]
        stitch(shots, counts, rate, film)
        check_film(film, sum(counts), rate)
        starts = accumulate(counts[:-1], initial=0)
        rows = [
            (shot["id"], shot["label"], start, shot["frames"])
            for shot, start in zip(recipe["shots"], starts, strict=True)
        ]
        draw_sheet(film, rows, sheet)
        return {"frames": sum(counts)}
