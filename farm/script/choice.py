"""Some of a film's shots: by their ids, by their scenes, and in several takes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from farm.errors import BadInput, suggest
from farm.script.model import Shot, ShotList

MAX_TAKES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What to render of a script: `shots` such as "3,5-7", `scenes` such as "2,4A", and how many takes."""

    shots: str | None = None
    scenes: str | None = None
    takes: int = 1

    @property
    def whole(self) -> bool:
        return self.shots is None and self.scenes is None and self.takes == 1

    @property
    def slug(self) -> str:
        """Names the choice, so that its film never replaces the whole one."""
        words = [("shots", self.shots), ("scene", self.scenes), ("takes", None)]
        words[2] = ("takes", str(self.takes) if self.takes > 1 else None)
        text = "-".join(f"{name}-{value}" for name, value in words if value)
        slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
        return slug if len(slug) <= 24 else f"some-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def choose(shots: ShotList, choice: Choice) -> ShotList:
    """Return the chosen shots in the film's order, each in as many takes as asked.

    Raises:
        BadInput: for an id or a scene that is not there, or a range that runs backwards.
    """
    if not 1 <= choice.takes <= MAX_TAKES:
        raise BadInput(f"--takes {choice.takes}: give 1 to {MAX_TAKES}")
    kept = set(range(len(shots.shots)))
    if choice.shots is not None:
        kept &= _positions(choice.shots, "--shots", [shot.id for shot in shots.shots])
    if choice.scenes is not None:
        kept &= _positions(choice.scenes, "--scene", [shot.scene for shot in shots.shots])
    if not kept:
        raise BadInput("no shot is both among --shots and in --scene")
    chosen: list[Shot] = []
    for index in sorted(kept):
        shot = shots.shots[index]
        shares = shot.enter is not None and shot.enter.colour is None
        if shares and (index - 1 not in kept or choice.takes > 1):
            shot = replace(shot, enter=None)  # the shot it came out of is not beside it
        chosen += [replace(shot, take=take) for take in range(1, choice.takes + 1)]
    return replace(shots, shots=tuple(chosen))


def _positions(text: str, option: str, names: Sequence[str]) -> set[int]:
    """The positions that a list of names and ranges of names ("3,5-7") means."""
    known = {name.upper(): name for name in names}

    def find(word: str) -> str | None:
        return known.get(word.strip().upper())

    found: set[int] = set()
    for part in text.split(","):
        name = find(part)
        if name is not None:
            found |= {index for index, other in enumerate(names) if other == name}
            continue
        # Ids may hold dashes themselves (12-2), so every dash is tried as the range's.
        ends = [(find(part[: m.start()]), find(part[m.end() :])) for m in re.finditer("-", part)]
        span = next(((first, last) for first, last in ends if first and last), None)
        if span is None:
            what = "shot" if option == "--shots" else "scene"
            raise BadInput(
                f"{option} {text}: there is no {what} {part.strip()!r}: {suggest(part.strip(), names)}"
            )
        start, stop = names.index(span[0] or ""), len(names) - 1 - list(reversed(names)).index(span[1] or "")
        if stop < start:
            raise BadInput(f"{option} {text}: {part.strip()} runs backwards")
        found |= set(range(start, stop + 1))
    return found
