"""The one denoising loop: walk the rows of a continuity matrix."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from farm.errors import Interrupted
from farm.models.matrix import Levels, Row


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
    skip: int = 0,
    stopped: Callable[[], bool] = lambda: False,
) -> Tensor:
    """Denoise one window and return its latents, float32 [1, z, f, h, w] like `noise`.

    `given` ([1, z, g, h, w], clean) fills the first g columns, which no row may update; at every
    step it is held at its row's level with `context_noise(step)` (same shape; clean without it).
    A segment that is not begun as noise skips steps: `noise` is then what it is begun from, at the level
    of row `skip`.
    Given columns never enter the solver: its state belongs to the columns it updates, which all
    follow one schedule.
    Guidance is classifier-free (Ho and Salimans, 2022), the prompt first, then the negative. There is none,
    and a step costs half, where all that is updated stands at or below the level `guide_above`, of 1000: what
    guidance decides is settled by then (Kynkäänniemi et al., 2024, arXiv:2404.07724).

    Raises:
        Interrupted: within one step of `stopped()` turning true.
        FloatingPointError: when the network's answer is not finite.
    """
    first = 0 if given is None else given.shape[2]
    solver = copy.deepcopy(scheduler)
    latents = noise.clone()
    if given is not None:
        latents[:, :, :first] = given
    for index, row in enumerate(rows[skip:], skip):
        if stopped():
            raise Interrupted("stopped between two denoising steps")
        if any(row.update[:first]) or not all(row.update[first:]):
            raise ValueError("the rows must update just the columns that are not given")
        window = latents.clone()
        if given is not None and context_noise is not None:
            held = torch.tensor(row.sigma[:first], device=latents.device).view(1, 1, -1, 1, 1)
            window[:, :, :first] = (1 - held) * given + held * context_noise(index)
        timesteps = torch.tensor([row.timestep], device=latents.device)
        velocity = network(window, timesteps, prompt)
        if guidance > 1 and max(row.sigma[first:]) * 1000 > guide_above:
            without = network(window, timesteps, negative)
            velocity = without + guidance * (velocity - without)
        if not torch.isfinite(velocity).all():
            raise FloatingPointError(f"the network's answer at step {index + 1} is not finite")
        latents[:, :, first:] = solver.step(
            velocity[:, :, first:],
            solver.timesteps[index],
            latents[:, :, first:],
            return_dict=False,
        )[0]
    return latents


def begin_from(draft: Tensor, noise: Tensor, rows: Sequence[Row], level: int) -> tuple[Tensor, int]:
    """Begin a segment from a preview of it, noised to the highest level of the rows up to `level` of 1000.

    `draft` holds the latents the segment owns, the last columns of `noise` [1, z, f, h, w]. Returns what
    to begin with, and how many rows to skip. What the preview settled above that level stays as it was
    (Meng et al., 2022, "SDEdit", arXiv:2108.01073).
    """
    skip = next((index for index, row in enumerate(rows) if row.sigma[-1] * 1000 <= level), len(rows) - 1)
    sigma = rows[skip].sigma[-1]
    owned = draft.shape[2]
    begun = noise.clone()
    begun[:, :, -owned:] = (1 - sigma) * draft + sigma * noise[:, :, -owned:]
    return begun, skip
