"""`cut`: a window on its own."""

from __future__ import annotations

from farm.models.matrix import Levels, Row


def cut(levels: Levels, columns: int) -> tuple[Row, ...]:
    """All latent frames stand at the same level."""
    return tuple(
        Row((sigma,) * columns, (float(timestep),) * columns, (True,) * columns)
        for sigma, timestep in zip(levels.sigmas, levels.timesteps, strict=True)
    )
