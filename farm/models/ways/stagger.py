"""`stagger`: levels rise along the frames, so that each is made from cleaner ones before it."""

from __future__ import annotations

from farm.models.matrix import Levels, Row


def stagger(levels: Levels, columns: int, given: int, context_level: int, lag: int) -> tuple[Row, ...]:
    """Every latent frame is `lag` steps behind the one before it, after `given` ones of the neighbour's.

    Before its turn a frame stands at the first level, and after its last step it is clean. With a lag there
    are (columns - given - 1) * lag rows more than levels. It is diffusion forcing's asynchronous mode (Chen
    et al., 2024, arXiv:2407.01392), in the order of SkyReels-V2 (`ar_step`, blocks of one latent frame).
    """
    held, steps = context_level / 1000, len(levels.sigmas)
    sigmas, timesteps = (*levels.sigmas, 0.0), (*levels.timesteps, 0)
    rest, lag = columns - given, min(lag, steps)  # a frame's turn comes when the one before it is done
    rows = []
    for number in range(steps + lag * (rest - 1)):
        turns = [number - lag * place for place in range(rest)]
        done = [min(max(turn, 0), steps) for turn in turns]
        rows.append(
            Row(
                (held,) * given + tuple(sigmas[step] for step in done),
                (float(context_level),) * given + tuple(float(timesteps[step]) for step in done),
                (False,) * given + tuple(0 <= turn < steps for turn in turns),
            )
        )
    return tuple(rows)
