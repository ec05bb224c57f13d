"""How alike two encodings of one shot are: a preview and its final, a take and one with a span made again."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

SIZE = (64, 36)  # what is looked at is composition and motion, not grain
STILL = 1.0  # grey levels: a shot that moves less has no motion that could be compared


def alike(first: Path, second: Path) -> dict[str, float | None]:
    """Compare two shots frame by frame, small and in grey.

    Returns {"picture", "motion"}: the mean correlation of their frames, and the correlation of what
    changes from frame to frame (None where neither moves). 1 is the same; 0 has nothing in common.
    """
    pairs = list(zip(_frames(first), _frames(second), strict=False))
    picture = float(np.mean([_correlation(a, b) for a, b in pairs]))
    before, after = np.stack([a for a, _ in pairs]), np.stack([b for _, b in pairs])
    changes = [np.stack([later - earlier for earlier, later in pairwise(shot)]) for shot in (before, after)]
    moves = max(float(np.abs(change).max()) for change in changes) if len(pairs) > 1 else 0.0
    motion = round(_correlation(*changes), 3) if moves > STILL else None
    return {"picture": round(picture, 3), "motion": motion}


def differences(first: Path, second: Path) -> list[float]:
    """How much each frame of two shots differs, small and in grey: a mean in levels of 255."""
    pairs = zip(_frames(first), _frames(second), strict=False)
    return [float(np.abs(a - b).mean()) for a, b in pairs]


def _frames(path: Path) -> Iterator[NDArray[np.float32]]:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.reformat(*SIZE, format="gray").to_ndarray().astype(np.float32)


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Pearson's, of all values; 1 for two that are both flat."""
    a, b = first - first.mean(), second - second.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum() / size) if size else float(np.array_equal(first, second))
