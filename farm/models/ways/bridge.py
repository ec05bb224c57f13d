"""`bridge`: what lies between is made, what is at its ends is given."""

from __future__ import annotations

from farm.models.matrix import Levels, Row


def bridge(levels: Levels, columns: int, before: int, after: int, context_level: int) -> tuple[Row, ...]:
    """The first `before` and the last `after` latent frames are given, held at a small level.

    `context_level` of 1000 is what the network is told of them, and how much noise they are held
    with (SkyReels-V2 calls it `addnoise_condition`); they are never updated.

    Raises:
        ValueError: when nothing is left to be made between them.
    """
    rest = columns - before - after
    if rest < 1:
        raise ValueError(f"of {columns} latent frames {before} and {after} are given: none is left between")
    held = context_level / 1000
    return tuple(
        Row(
            (held,) * before + (sigma,) * rest + (held,) * after,
            (float(context_level),) * before + (float(timestep),) * rest + (float(context_level),) * after,
            (False,) * before + (True,) * rest + (False,) * after,
        )
        for sigma, timestep in zip(levels.sigmas, levels.timesteps, strict=True)
    )
