"""What a plan goes by: how a shot is continued, what steps come to, which seed a take has."""

from __future__ import annotations

import hashlib
from typing import Literal

from farm.errors import BadInput
from farm.plan.segments import Window
from farm.plan.spec import FamilySpec, Sampling, Settings
from farm.script.model import Continuity

Way = Continuity | Literal["bridge"]
"""How a segment is made: as its shot is continued, or between what is there."""


def choose_continuity(asked: Continuity, latents: int, settings: Settings) -> Continuity:
    """Resolve `auto`: for a shot of several windows chain where the family can, else weave; for others cut.

    Nothing of the moment has a say: a film is resumed as it was begun.

    Raises:
        BadInput: when the family cannot do what was asked.
    """
    family = settings.family
    if asked in ("chain", "stagger") and not family.levels_per_frame:
        raise BadInput(
            f"continuity={asked} needs a noise level per latent frame, which {family.name} does not take: "
            "use continuity=weave, or cut"
        )
    if asked == "weave" and family.overlap < 2:
        raise BadInput(
            "continuity=weave fades from one window to the next over what they share: "
            "give continuity.overlap=2 or more"
        )
    if asked == "auto":
        several = latents > (family.opening or family.window)
        asked = "chain" if family.levels_per_frame else "weave" if family.overlap > 1 else "cut"
        return asked if several else "cut"
    return asked


def segment_way(way: Way, window: Window, family: FamilySpec, *, follows: bool) -> Way:
    """How one segment of a shot is made: on its own where it is an opening, or has none to be chained to."""
    if (way == "chain" and not follows) or (way != "bridge" and len(window.span) <= family.opening):
        return "cut"
    return way


def calls(way: Way, window: Window, panes: int, sampling: Sampling, steps: int, asked: int) -> int:
    """How often the network is asked for a segment, where it is `asked` so often for `steps` of one window.

    Of a woven segment it is shown `panes` windows at each step; a staggered one has steps more.
    """
    if way == "weave":
        return asked * panes
    if way == "stagger":
        more = min(sampling.lag, steps) * (len(window.span) - window.given - 1)
        return asked + more * (2 if sampling.guidance > 1 else 1)
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
