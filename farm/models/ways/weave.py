"""`weave`: overlapping windows of one take are made in step, and agree on what they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from farm.models.matrix import Levels, Pane, Row
from farm.models.ways.chain import chain


def weave(
    levels: Levels,
    columns: int,
    windows: Sequence[tuple[int, int]],
    given: int,
    context_level: int,
    settled: int,
) -> tuple[Row, ...]:
    """All columns in step, after `given` ones, each seen in every window [start, stop) that holds it.

    Where two windows overlap, what the network says in each is faded from one to the other while noise is
    high (co-denoising: Wang et al., 2023, "Gen-L-Video", arXiv:2305.18264), the first column of the later
    one never counting: a causal autoencoder's first latent is of another kind. At the level `settled`, of
    1000, and below a window alone decides what lies behind its overlap, since means blur what is fine.

    Raises:
        ValueError: unless the windows cover the columns and each overlaps only its neighbours.
    """
    neighbours = all(
        start < start_after <= stop < stop_after
        for (start, stop), (start_after, stop_after) in pairwise(windows)
    )
    apart = all(stop <= start for (_, stop), (start, _) in zip(windows, windows[2:], strict=False))
    if not (neighbours and apart and windows[0][0] == 0 and windows[-1][1] == columns):
        raise ValueError(
            f"the windows {list(windows)} do not cover {columns} latent frames one after another"
        )
    fading = tuple(_pane(windows, number, fades=True) for number in range(len(windows)))
    owning = tuple(_pane(windows, number, fades=False) for number in range(len(windows)))
    return tuple(
        replace(row, panes=fading if row.sigma[-1] * 1000 > settled else owning)
        for row in chain(levels, columns, given, context_level)
    )


def _pane(windows: Sequence[tuple[int, int]], number: int, *, fades: bool) -> Pane:
    start, stop = windows[number]
    ours = windows[number - 1][1] if number else start  # where it no longer overlaps the one before
    theirs = windows[number + 1][0] if number + 1 < len(windows) else stop

    def weight(column: int) -> float:
        if column < ours:
            return (column - start) / (ours - start) if fades else 0.0
        if column >= theirs:
            return 1 - (column - theirs) / (stop - theirs) if fades else 1.0
        return 1.0

    return Pane(start, stop, tuple(weight(column) for column in range(start, stop)))
