"""What a plan goes by: how a shot is continued, what steps come to, which seed a take has."""

from __future__ import annotations

import hashlib

from farm.errors import BadInput
from farm.plan.spec import Sampling, Settings
from farm.script.model import Continuity


def choose_continuity(asked: Continuity, latents: int, settings: Settings) -> Continuity:
    """Resolve `auto`: chain where a shot needs several windows and the family can, else cut.

    Raises:
        BadInput: when the family cannot do what was asked.
    """
    family = settings.family
    if asked == "chain" and not family.levels_per_frame:
        raise BadInput(
            f"continuity=chain needs a noise level per latent frame, which {family.name} does not take: "
            "use continuity=cut"
        )
    if asked == "auto":
        return "chain" if family.levels_per_frame and latents > (family.opening or family.window) else "cut"
    return asked


def evaluations(steps: int, level: int | None, guide_above: int, sampling: Sampling) -> int:
    """How often the network is asked in so many steps, those from a level of 1000 on (None is from noise)."""
    share = steps_below(level, sampling.shift)
    guided = share - min(share, steps_below(guide_above, sampling.shift))
    return round(steps * share) + (round(steps * guided) if sampling.guidance > 1 else 0)


def steps_below(level: int | None, shift: float) -> float:
    """The share of a schedule's steps that lies below a noise level of 1000 (all of them for None).

    The levels of flow matching are shifted: σ = s·u / (1 + (s − 1)·u) for a step's share u (Esser et al.,
    2024, "Scaling rectified flow transformers", section 5.3.2).
    """
    if level is None:
        return 1.0
    sigma = level / 1000
    return sigma / (shift - (shift - 1) * sigma)


def take_seed(seed: int, take: int) -> int:
    """The seed of a shot's take: the first has the shot's own, every other one a number of its own."""
    if take == 1:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed}/{take}".encode()).digest()[:8]) >> 1
