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
def split_windows(latents: int, window: int, overlap: int, opening: int = 0) -> tuple[Window, ...]:
    """Split `latents` latent frames into as few windows as possible, all of nearly one length.

    Every window but the first overlaps the one before it by exactly `overlap`; none is longer than
    `window`. With overlap <= (window + 1) // 3 every window owns at least `overlap` columns, so a
    window's context always comes from one neighbour. With an `opening` (at most `overlap`) the first
    so many latent frames are a short window of their own, and are given to the next one.
    """
    stops = [latents]
    if latents > window:
        fresh = latents - overlap
        pieces = -(-fresh // (window - overlap))
        stops = [overlap + fresh * piece // pieces for piece in range(1, pieces + 1)]
    first = [Window(span=Span(0, stops[0]), given=0)]
    if 0 < opening < latents:
        first = [Window(span=Span(0, opening), given=0), Window(span=Span(0, stops[0]), given=opening)]
    following = (Window(span=Span(before - overlap, stop), given=overlap) for before, stop in pairwise(stops))
    return (*first, *following)
