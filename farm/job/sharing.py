"""Which of a night's films gets a worker that has become free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

STARVING_S = 600.0
FEED_EVERY = 4  # leases, one of which may go to a film that starves


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A film that has something for the worker to do.

    `warm` says that the worker has its model loaded; `waits` is how many seconds it has been without workers.
    """

    film: str
    priority: int
    warm: bool
    waits: float


def choose(candidates: Sequence[Candidate], *, feed: bool) -> Candidate | None:
    """Choose among films, given in the night's order.

    The higher priority first; then one whose model is loaded, for that takes minutes; then the night's order,
    so that films are finished one after another rather than all at the end. But where `feed` says that it
    is time to, the one that has waited longest gets this one, if that is ten minutes: none starves behind
    a long film before it. Who calls says so every few times, or many films would only take turns.
    """
    if not candidates:
        return None
    hungriest = max(candidates, key=lambda film: film.waits)
    if feed and hungriest.waits >= STARVING_S:
        return hungriest
    return min(candidates, key=lambda film: (-film.priority, not film.warm))
