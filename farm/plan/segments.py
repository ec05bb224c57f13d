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
    denoised and discarded (`cut`, where they only keep column 0 from being kept). The last `after` ones
    belong to what is behind it, and are given too (`bridge`). The rest it owns.
    """

    span: Span
    given: int
    after: int = 0

    @property
    def owned(self) -> Span:
        return Span(self.span.start + self.given, self.span.stop - self.after)


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


def bridge_windows(span: Span, latents: int, window: int, overlap: int) -> tuple[Window, ...]:
    """Windows that make latent frames `span` of a shot of `latents` again, between those around them.

    The last one is given up to `overlap` latent frames at both ends, so that it leads to what follows; what
    does not fit in it is made in windows before it, each given the tail of the one before.
    """
    before = min(overlap, span.start)
    after = min(overlap, latents - span.stop, window - before - 1)
    last = min(len(span), window - before - after)
    lead = len(span) - last
    pieces = -(-lead // (window - before))
    starts = [span.start + lead * piece // max(1, pieces) for piece in range(pieces)]
    stops = [*starts[1:], span.start + lead] if pieces else []
    leading = (
        Window(span=Span(start - before, stop), given=before)
        for start, stop in zip(starts, stops, strict=True)
    )
    closing = Window(span=Span(span.start + lead - before, span.stop + after), given=before, after=after)
    return (*leading, closing)
