"""The one denoising loop: walk the rows of a continuity matrix."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from farm.errors import Interrupted
from farm.models.matrix import Levels, Pane, Row, columns_in_step, given_columns


class Solver(Protocol):
    """One step of a sampler; diffusers' schedulers are such."""

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor, return_dict: bool) -> Any: ...


Network = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(latents [1, z, f, h, w], timesteps [1, f], text [1, tokens, width]) -> velocity like the latents."""


def levels_of(scheduler: Any, steps: int) -> Levels:
    """Set a diffusers scheduler to `steps` steps and read its schedule off it."""
    scheduler.set_timesteps(steps)
    sigmas = scheduler.sigmas[: len(scheduler.timesteps)]
    return Levels([float(sigma) for sigma in sigmas], [int(timestep) for timestep in scheduler.timesteps])


def denoise(
    network: Network,
    scheduler: Any,
    rows: Sequence[Row],
    noise: Tensor,
    *,
    prompt: Tensor,
    negative: Tensor,
    guidance: float,
    guide_above: int = 0,
    given: Tensor | None = None,
    context_noise: Callable[[int], Tensor] | None = None,
    overwrites: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> Tensor:
    """Denoise one window and return its latents, float32 [1, z, f, h, w] like `noise`.

    `noise` is what the columns begin as, at the level they first stand at. `given` ([1, z, g, h, w], clean)
    fills, in their order, the g columns that no row updates; at every step they are held at their row's
    level with `context_noise(step)` (same shape; clean without it).
    Given columns never enter a solver: its state belongs to the columns it updates, and there is one for
    each run of columns that are updated in step. A solver keeps the first sample it is handed, to correct its
    second step by; the published SkyReels pipeline has overwritten it by then with the first step's result,
    and `overwrites` does the same, for a family that is to equal it.
    Guidance is classifier-free (Ho and Salimans, 2022), the prompt first, then the negative. There is none,
    and a step costs half, where all that is updated stands at or below the level `guide_above`, of 1000: what
    guidance decides is settled by then (Kynkäänniemi et al., 2024, arXiv:2404.07724).

    Raises:
        Interrupted: within one step of `stopped()` turning true.
        FloatingPointError: when the network's answer is not finite.
        ValueError: when `given` does not fill just the columns that no row updates.
    """
    held = given_columns(rows)
    if len(held) != (0 if given is None else given.shape[2]) or len(rows[0].update) != noise.shape[2]:
        raise ValueError("the rows must update just the columns that are not given")
    solvers = [(columns, copy.deepcopy(scheduler)) for columns in columns_in_step(rows)]
    latents = noise.clone()
    if given is not None:
        latents[:, :, held] = given
    for index, row in enumerate(rows):
        window = latents.clone()
        if given is not None and context_noise is not None:
            level = torch.tensor([row.sigma[column] for column in held], device=latents.device)
            level = level.view(1, 1, -1, 1, 1)
            window[:, :, held] = (1 - level) * given + level * context_noise(index)
        timesteps = torch.tensor([row.timestep], device=latents.device)
        highest = max(sigma for sigma, update in zip(row.sigma, row.update, strict=True) if update)
        guided = guidance > 1 and highest * 1000 > guide_above

        def predict(window: Tensor, timesteps: Tensor, guided: bool = guided) -> Tensor:
            velocity = network(window, timesteps, prompt)
            if guided:
                without = network(window, timesteps, negative)
                velocity = without + guidance * (velocity - without)
            return velocity

        velocity = _look(predict, window, timesteps, row.panes, stopped)
        if not torch.isfinite(velocity).all():
            raise FloatingPointError(f"the network's answer at step {index + 1} is not finite")
        for columns, solver in solvers:
            if row.update[columns.start]:
                sample = latents[:, :, columns]
                latents[:, :, columns] = solver.step(
                    velocity[:, :, columns],
                    timesteps[0, columns.start].long(),
                    sample if overwrites else sample.clone(),
                    return_dict=False,
                )[0]
    return latents


def _look(
    predict: Callable[[Tensor, Tensor], Tensor],
    window: Tensor,
    timesteps: Tensor,
    panes: Sequence[Pane],
    stopped: Callable[[], bool],
) -> Tensor:
    """The velocity of a window: asked at once, or pane by pane and fused by their weights."""
    if stopped():
        raise Interrupted("stopped between two denoising steps")
    if not panes:
        return predict(window, timesteps)
    fused = torch.zeros_like(window)
    for pane in panes:
        if stopped():
            raise Interrupted("stopped between two windows of a denoising step")
        seen = slice(pane.start, pane.stop)
        weight = torch.tensor(pane.weight, device=window.device).view(1, 1, -1, 1, 1)
        fused[:, :, seen] += weight * predict(window[:, :, seen], timesteps[:, seen])
    return fused


def begin_from(draft: Tensor, noise: Tensor, level: float) -> Tensor:
    """Begin a segment from a preview of it, noised to a level (0 to 1).

    `draft` holds the latents the segment owns, the last columns of `noise` [1, z, f, h, w]. What the preview
    settled above that level stays as it was (Meng et al., 2022, "SDEdit", arXiv:2108.01073).
    """
    owned = draft.shape[2]
    begun = noise.clone()
    begun[:, :, -owned:] = (1 - level) * draft + level * noise[:, :, -owned:]
    return begun
