"""The continuity matrix: a noise level for every latent frame at every step.

Each way of continuing a shot is a small pure function that builds the rows; one loop walks them
(`farm.models.denoise`). A row says, for each latent frame, the level σ it stands at, the timestep the
network is told (UniPC tells a truncated integer, so the two differ), and whether it is updated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One step: `sigma`, `timestep` and `update` hold one entry a latent frame."""

    sigma: tuple[float, ...]
    timestep: tuple[float, ...]
    update: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Levels:
    """A sampler's own schedule: the levels and the timesteps it tells, from noise to nearly clean."""

    sigmas: Sequence[float]
    timesteps: Sequence[int]


def cut(levels: Levels, columns: int) -> tuple[Row, ...]:
    """All latent frames stand at the same level: a window on its own."""
    return tuple(
        Row((sigma,) * columns, (float(timestep),) * columns, (True,) * columns)
        for sigma, timestep in zip(levels.sigmas, levels.timesteps, strict=True)
    )


def chain(levels: Levels, columns: int, given: int, context_level: int) -> tuple[Row, ...]:
    """The first `given` latent frames are the neighbour's clean tail, held at a small level.

    `context_level` of 1000 is what the network is told of them, and how much noise they are held
    with (SkyReels-V2 calls it `addnoise_condition`); they are never updated.
    """
    held = context_level / 1000
    rest = columns - given
    return tuple(
        Row(
            (held,) * given + (sigma,) * rest,
            (float(context_level),) * given + (float(timestep),) * rest,
            (False,) * given + (True,) * rest,
        )
        for sigma, timestep in zip(levels.sigmas, levels.timesteps, strict=True)
    )
