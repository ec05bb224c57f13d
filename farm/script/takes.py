"""Takes of a shot: every rendering that was asked for is kept, and one of them is circled.

The first take is the shot as the script has it. A retake has a seed of its own and may have words of its
own; it may be of a span of the shot, and is then all else as another take has it. Any take can be circled
again, and what it needs is still there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from farm.errors import BadInput, StoreError
from farm.script.choice import MAX_TAKES
from farm.script.model import Patch, Shot, ShotList


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """How a take differs from the script: its seed, and its words in place of the script's.

    One with a `span`, frames [start, stop) of the shot, has those within it alone, and differs so from
    take number `of`.
    """

    seed: int | None = None
    prompt: str | None = None
    span: tuple[int, int] | None = None
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


def apply(shots: ShotList, takes: FilmTakes) -> ShotList:
    """Put the circled takes in the place of the script's shots."""
    return replace(shots, shots=tuple(_current(shot, takes) for shot in shots.shots))


def _current(shot: Shot, takes: FilmTakes) -> Shot:
    if shot.id not in takes:
        return shot
    found = takes[shot.id]
    return _taken(shot, found.made, found.circled)


def _taken(shot: Shot, made: tuple[Take, ...], number: int) -> Shot:
    """A shot as its take `number` has it."""
    take = made[number - 1]
    if take.span is not None and take.of is not None and take.seed is not None:
        whole = _taken(shot, made, take.of)
        start, stop = take.span
        patch = Patch(start=start, stop=stop, seed=take.seed, prompt=take.prompt or whole.prompt)
        return replace(whole, patches=(*whole.patches, patch))
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
    whole = asdict(take)
    return whole if take.span else {name: whole[name] for name in ("seed", "prompt")}


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
                if take.span and not (
                    take.seed is not None
                    and 1 <= (take.of or 0) < number
                    and 0 <= take.span[0] < take.span[1]
                ):
                    raise ValueError("a span is of no take")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{where} cannot be understood: it should hold the film's takes") from error
    return found


def _read(take: dict[str, Any]) -> Take:
    span = take.get("span")
    return Take(**{**take, "span": None if span is None else (int(span[0]), int(span[1]))})
