"""The Media of a worker: encoding, stitching and the sheet behind one object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from farm.media import subtitles
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

    def stitch(
        self, recipe: Recipe, shots: Sequence[Path], folder: Path
    ) -> tuple[dict[str, Path], dict[str, Any]]:
        rate = Fraction(recipe["encoding"]["rate"])
        made = {"film": folder / "film.mp4", "sheet": folder / "sheet.png"}
        frames = stitch(recipe, shots, made["film"])
        check_film(made["film"], recipe["frames"], rate)
        rows = [(shot["id"], shot["label"], shot["start"], shot["frames"]) for shot in recipe["shots"]]
        draw_sheet(made["film"], rows, made["sheet"])
        shown = subtitles.cues(recipe["lines"])
        for name, write in (("srt", subtitles.srt), ("vtt", subtitles.vtt)) if shown else ():
            made[name] = folder / f"film.{name}"
            made[name].write_text(write(shown, rate), encoding="utf-8", newline="\n")
        return made, {"frames": frames}
