"""Shots to segments: windows of latent frames that overlap as asked and cover the shot exactly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from farm.timebase import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One window of a shot's latent frames.

    The first `given` columns belong to the window before it: given to the network (`chain`), or
    denoised and discarded (`cut`, where they only keep column 0 from being kept). The rest it owns.
    """

    span: Span
    given: int

    @property
    def owned(self) -> Span:
        return Span(self.span.start + self.given, self.span.stop)


@lru_cache(maxsize=4096)
def split_windows(latents: int, window: int, overlap: int) -> tuple[Window, ...]:
    """Split `latents` latent frames into as few windows as possible, all of nearly one length.

    Every window but the first overlaps the one before it by exactly `overlap`; none is longer than
    `window`. With overlap <= (window + 1) // 3 every window owns at least `overlap` columns, so a
    window's context always comes from one neighbour.
    """
    if latents <= window:
        return (Window(span=Span(0, latents), given=0),)
    fresh = latents - overlap
    pieces = -(-fresh // (window - overlap))
    edges = [overlap + fresh * index // pieces for index in range(pieces + 1)]
    return tuple(
        Window(span=Span(start - overlap, stop), given=overlap if index else 0)
        for index, (start, stop) in enumerate(pairwise(edges))
    )
