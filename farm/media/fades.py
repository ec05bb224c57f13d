"""Fades and dissolves: the frames where one picture becomes another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
COLOURS = {"black": 0, "white": 255}


def shares(frames: int) -> list[float]:
    """How much of the picture that comes is in each of `frames` frames: never none, never all."""
    return [(index + 1) / (frames + 1) for index in range(frames)]


def mix(going: Frame, coming: Frame, share: float) -> Frame:
    """One frame between two, uint8 [height, width, 3]."""
    mixed = going.astype(np.float32) * (1 - share) + coming.astype(np.float32) * share
    return np.rint(mixed).astype(np.uint8)


def dissolve(going: Iterable[Frame], coming: Iterable[Frame], frames: int) -> Iterator[Frame]:
    """Let one shot's last frames become the next one's first."""
    for before, after, share in zip(going, coming, shares(frames), strict=True):
        yield mix(before, after, share)


def fade_in(coming: Iterable[Frame], colour: str, frames: int) -> Iterator[Frame]:
    """Let frames come out of a plain colour."""
    for frame, share in zip(coming, shares(frames), strict=True):
        yield mix(np.full_like(frame, COLOURS[colour]), frame, share)


def fade_out(going: Iterable[Frame], colour: str, frames: int) -> Iterator[Frame]:
    """Let frames go into a plain colour."""
    for frame, share in zip(going, shares(frames), strict=True):
        yield mix(frame, np.full_like(frame, COLOURS[colour]), share)
