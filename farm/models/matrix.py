"""The continuity matrix: a noise level for every latent frame at every step.

Each way of continuing a shot is a small pure function that builds the rows (`farm/models/ways/`); one
loop walks them (`farm.models.denoise`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True, slots=True)
class Pane:
    """Latent frames [start, stop) that the network is shown at once, and the weight of what it says of each.

    Where panes overlap their weights add up to one.
    """

    start: int
    stop: int
    weight: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One step: `sigma`, `timestep` and `update` hold one entry a latent frame.

    `sigma` is the level it stands at; `timestep` is what the network is told of that (UniPC tells a
    truncated integer, so the two differ); `update` says whether it is stepped. The network is shown the
    `panes`, or all at once where there are none.
    """

    sigma: tuple[float, ...]
    timestep: tuple[float, ...]
    update: tuple[bool, ...]
    panes: tuple[Pane, ...] = ()


@dataclass(frozen=True, slots=True)
class Levels:
    """A sampler's own schedule: the levels and the timesteps it tells, from noise to nearly clean."""

    sigmas: Sequence[float]
    timesteps: Sequence[int]

    def below(self, level: int) -> Levels:
        """The rest of the schedule: from its highest level up to `level` of 1000 on, or its last step."""
        last = len(self.sigmas) - 1
        first = next((index for index, sigma in enumerate(self.sigmas) if sigma * 1000 <= level), last)
        return Levels(self.sigmas[first:], self.timesteps[first:])


def given_columns(rows: Sequence[Row]) -> list[int]:
    """The columns that no row updates: they are given."""
    return [
        column
        for column, steps in enumerate(zip(*(row.update for row in rows), strict=True))
        if not any(steps)
    ]


def columns_in_step(rows: Sequence[Row]) -> list[slice]:
    """Neighbouring columns that are updated at the same steps, those together that one solver can step."""
    courses = [
        tuple((row.update[column], row.timestep[column]) for row in rows)
        for column in range(len(rows[0].update))
    ]
    runs, start = [], 0
    for course, columns in groupby(courses):
        stop = start + len(list(columns))
        if any(updated for updated, _ in course):
            runs.append(slice(start, stop))
        start = stop
    return runs
