"""Takes of a shot: every rendering that was asked for is kept, and one of them is circled.

The first take is the shot as the script has it. A retake has a seed of its own and may have words of its
own; it may be of a span of the shot, and is then all else as another take has it. Any take can be circled
again, and what it needs is still there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from farm.errors import BadInput, StoreError
from farm.script.choice import MAX_TAKES
from farm.script.model import Patch, Shot, ShotList
from farm.timebase import nearest_frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """How a take differs from the script: its seed, and its words in place of the script's.

    One with a `span`, seconds [start, stop) of the shot, has those within it alone, and differs so from
    take number `of`.
    """

    seed: int | None = None
    prompt: str | None = None
    span: tuple[Fraction, Fraction] | None = None
    of: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Takes:
    """A shot's takes, the first as the script has it, and the number (from 1) of the circled one."""

    made: tuple[Take, ...] = (Take(),)
    circled: int = 1

    @property
    def current(self) -> Take:
        return self.made[self.circled - 1]


FilmTakes = Mapping[str, Takes]
"""The takes of a film's shots, by shot id; a shot that was never made again is not in it."""


def add(takes: FilmTakes, shot: str, take: Take) -> FilmTakes:
    """Circle a new take of a shot; one that was made before is circled again.

    Raises:
        BadInput: when the shot has MAX_TAKES takes already.
    """
    before = takes.get(shot, Takes())
    made = before.made if take in before.made else (*before.made, take)
    if len(made) > MAX_TAKES:
        raise BadInput(f"shot {shot} has {MAX_TAKES} takes already: circle one of them with --take K")
    return {**takes, shot: Takes(made=made, circled=made.index(take) + 1)}


def circle(takes: FilmTakes, shot: str, number: int) -> FilmTakes:
    """Circle one of a shot's takes. Raises BadInput when it has no such take."""
    before = takes.get(shot, Takes())
    if not 1 <= number <= len(before.made):
        there = "only take 1" if len(before.made) == 1 else f"takes 1 to {len(before.made)}"
        raise BadInput(f"--take {number}: shot {shot} has {there}; without --take a new one is made")
    return {**takes, shot: replace(before, circled=number)}


def apply(shots: ShotList, takes: FilmTakes, rate: Fraction) -> ShotList:
    """Put the circled takes in the place of the script's shots, at the film's rate."""
    return replace(shots, shots=tuple(_current(shot, takes, rate) for shot in shots.shots))


def whole(takes: Takes) -> Take:
    """The take of the whole shot that the circled one is, or that its spans are of."""
    take = takes.current
    while take.of is not None:
        take = takes.made[take.of - 1]
    return take


def _current(shot: Shot, takes: FilmTakes, rate: Fraction) -> Shot:
    if shot.id not in takes:
        return shot
    found = takes[shot.id]
    return _taken(shot, found.made, found.circled, rate)


def _taken(shot: Shot, made: tuple[Take, ...], number: int, rate: Fraction) -> Shot:
    """A shot as its take `number` has it. A span behind its end, since it was made shorter, is left out."""
    take = made[number - 1]
    if take.span is not None and take.of is not None and take.seed is not None:
        before = _taken(shot, made, take.of, rate)
        start, stop = (nearest_frame(seconds, rate) for seconds in take.span)
        stop = min(max(start + 1, stop), shot.frames)
        if start >= stop:
            return before
        patch = Patch(start=start, stop=stop, seed=take.seed, prompt=take.prompt or before.prompt)
        return replace(before, patches=(*before.patches, patch))
    return replace(
        shot,
        seed=shot.seed if take.seed is None else take.seed,
        prompt=shot.prompt if take.prompt is None else take.prompt,
    )


def encode(takes: FilmTakes) -> dict[str, object]:
    """Write takes as plain data, for JSON."""
    return {
        shot: {"made": [_plain(take) for take in found.made], "circled": found.circled}
        for shot, found in sorted(takes.items())
    }


def _plain(take: Take) -> dict[str, object]:
    plain: dict[str, object] = {"seed": take.seed, "prompt": take.prompt}
    if take.span is not None:
        plain |= {"span": [str(seconds) for seconds in take.span], "of": take.of}
    return plain


def decode(data: bytes, where: str) -> FilmTakes:
    """Read takes back. Raises StoreError, naming `where`, for anything else."""
    try:
        found = {
            str(shot): Takes(made=tuple(_read(take) for take in item["made"]), circled=item["circled"])
            for shot, item in json.loads(data).items()
        }
        if not all(1 <= item.circled <= len(item.made) for item in found.values()):
            raise ValueError("no take is circled")
        for item in found.values():
            for number, take in enumerate(item.made, 1):
                _check_span(take, number)
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise StoreError(f"{where} cannot be understood: it should hold the film's takes") from error
    return found


def _read(take: dict[str, Any]) -> Take:
    if (span := take.get("span")) is None:
        return Take(**take)
    start, stop = span
    return Take(**{**take, "span": (Fraction(start), Fraction(stop))})


def _check_span(take: Take, number: int) -> None:
    if take.span is None and take.of is None:
        return
    earlier = isinstance(take.of, int) and 1 <= take.of < number
    if not earlier or take.span is None or take.seed is None or not 0 <= take.span[0] < take.span[1]:
        raise ValueError("a span is of no take")
