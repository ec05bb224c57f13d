"""The director: a screenplay to shots, always the same way.

A paragraph of action is a shot; speech is timed in the shot it falls in, and makes it longer; a
scene's shots share a prompt prefix (its place and time), which is half of its common look.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import count

from farm.errors import BadInput
from farm.script.cast import collect
from farm.script.cues import (
    Way,
    camera_move,
    is_bare_transition,
    is_known_transition,
    read_transition,
    split_setups,
)
from farm.script.durations import action_seconds, check_seconds, speech_seconds, time_lines
from farm.script.headings import read_heading
from farm.script.model import (
    MAX_SHOT_SECONDS,
    Action,
    Fade,
    Scene,
    Screenplay,
    Shot,
    ShotList,
    Source,
    Transition,
    Unfilmed,
    check_shots,
)
from farm.timebase import frames_in

_NUMBER = re.compile(r"[0-9A-Z][0-9A-Z.-]{0,15}")


FADE_SECONDS = Fraction(1)


@dataclass(slots=True)
class _Draft:
    text: str
    seconds: Fraction
    source: Source
    said: list[tuple[str, str]] = field(default_factory=list)
    fixed: bool = False
    enter: Way | None = None
    leave: Way | None = None

    def total(self) -> Fraction:
        """Speech fits into a shot whose length the script fixes; otherwise it makes room for itself."""
        if self.fixed:
            return self.seconds
        spoken = sum((speech_seconds(words) for _, words in self.said), Fraction(0))
        return min(Fraction(MAX_SHOT_SECONDS), max(self.seconds, spoken + 1))


class _Drafts:
    """Takes a film's scenes in order; transitions reach across them."""

    def __init__(self) -> None:
        self.unfilmed: list[Unfilmed] = []
        self.last: _Draft | None = None
        self.coming: Way | None = None

    def of(self, scene: Scene) -> list[_Draft]:
        drafts: list[_Draft] = []
        for element in scene.elements:
            if isinstance(element, Transition):
                self.transition(element)
            elif isinstance(element, Action) and is_bare_transition(element.text):
                self.transition(Transition(text=element.text, source=element.source))
            elif isinstance(element, Action):
                drafts += self.action(element)
            else:
                if not drafts:
                    text = f"{element.character.title() or 'Somebody'} speaks."
                    drafts.append(self.begin(_Draft(text, Fraction(2), element.source)))
                draft = drafts[-1]
                draft.said.append((element.character, element.text))
                draft.source = replace(draft.source, last=max(draft.source.last, element.source.last))
        return drafts

    def begin(self, draft: _Draft) -> _Draft:
        draft.enter, self.coming, self.last = self.coming, None, draft
        return draft

    def action(self, element: Action) -> list[_Draft]:
        texts = split_setups(element.text)
        words = sum(len(text.split()) for text in texts)
        drafts = []
        for text in texts:
            if element.seconds is None:
                draft = _Draft(text, action_seconds(text), element.source)
            else:  # a noted duration is shared out by length
                share = element.seconds * Fraction(len(text.split()), words)
                draft = _Draft(text, share, element.source, fixed=True)
            drafts.append(self.begin(draft))
        return drafts

    def transition(self, element: Transition) -> None:
        if not is_known_transition(element.text):
            self.unfilmed.append(
                Unfilmed(text=element.text, why="it is played as a cut", source=element.source)
            )
        leave, self.coming = read_transition(element.text)
        if self.last is not None and leave is not None:
            self.last.leave = leave


def number_scenes(scenes: tuple[Scene, ...]) -> list[str]:
    """Give every scene an id: its locked number, else the next one free.

    Scenes without a number are counted 1, 2, 3 …; behind a locked one they take its number and the
    next letter (12, 12A, 12B), so that an inserted scene moves nobody else's id. What stands before
    the first heading counts as a scene only if something happens in it.

    Raises:
        BadInput: when a number is used twice.
    """
    taken: dict[str, Source] = {}
    for scene in scenes:
        if scene.number is None:
            continue
        number = scene.number.strip().upper()
        if not _NUMBER.fullmatch(number):
            raise BadInput(f"{scene.source}: {scene.number!r} is no scene number: write one like #12A#")
        if number in taken:
            raise BadInput(
                f"{scene.source}: scene number {number} is already that of line {taken[number].first}"
            )
        taken[number] = scene.source
    ids: list[str] = []
    locked: str | None = None
    used = set(taken)
    counters: dict[str | None, Iterator[int]] = defaultdict(lambda: count(1))
    for scene in scenes:
        if scene.number is not None:
            locked = scene.number.strip().upper()
            ids.append(locked)
            continue
        if not scene.heading and all(isinstance(element, Transition) for element in scene.elements):
            ids.append("")
            continue
        stem = locked.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ") if locked else None
        for step in counters[stem]:
            name = f"{stem}{_letters(step)}" if stem else str(step)
            if name not in used:
                used.add(name)
                ids.append(name)
                break
    return ids


def _letters(number: int) -> str:
    """Count as shooting scripts do: A, B … Z, AA, AB …"""
    letters = ""
    while number:
        number, digit = divmod(number - 1, 26)
        letters = chr(65 + digit) + letters
    return letters


def direct(screenplay: Screenplay, rate: Fraction) -> ShotList:
    """Break a screenplay into shots at a frame rate.

    A scene's first shot has the scene's id, the others add a count: 12, 12-2, 12-3.

    Raises:
        BadInput: for a number used twice, a shot or a film that is too long.
    """
    shots: list[Shot] = []
    drafter = _Drafts()
    drafter.unfilmed += screenplay.unfilmed
    time: str | None = None
    made: list[tuple[str, str, str, str, _Draft]] = []
    for scene, scene_id in zip(screenplay.scenes, number_scenes(screenplay.scenes), strict=True):
        place, scene_time = read_heading(scene.heading, time) if scene.heading else ("", time)
        time = scene_time or time
        prefix = ", ".join(part for part in (place, scene_time) if part)
        drafts = drafter.of(scene)
        if not drafts and scene.heading:
            drafter.unfilmed.append(
                Unfilmed(text=scene.heading, why="nothing happens in this scene", source=scene.source)
            )
        for index, draft in enumerate(drafts):
            shot_id = scene_id if index == 0 else f"{scene_id}-{index + 1}"
            made.append((shot_id, scene_id, scene.heading, prefix, draft))
    for shot_id, scene_id, heading, prefix, draft in made:
        seconds = draft.total()
        check_seconds(seconds, draft.source)
        frames = frames_in(seconds, rate)
        enter, before = draft.enter, frames
        if enter == "dissolve":  # needs a picture to come from
            enter = enter if shots and shots[-1].leave is None else None
            before = shots[-1].frames if enter else frames
        shots.append(
            Shot(
                id=shot_id,
                scene=scene_id,
                prompt=f"{prefix.capitalize()}. {draft.text}" if prefix else draft.text,
                frames=frames,
                source=draft.source,
                camera=camera_move(draft.text),
                heading=heading,
                lines=time_lines(draft.said, frames, rate),
                enter=_fade(enter, min(before, frames), rate),
                leave=_fade(draft.leave, frames, rate),
            )
        )
    drafter.unfilmed.sort(key=lambda passage: passage.source.first)
    return check_shots(
        ShotList(
            title=screenplay.title,
            shots=tuple(shots),
            unfilmed=tuple(drafter.unfilmed),
            credits=screenplay.credits,
            cast=collect(screenplay),
        )
    )


def _fade(way: Way | None, frames: int, rate: Fraction) -> Fade | None:
    """A fade of the usual length, but never more than a third of the shot; None where none fits."""
    length = min(frames_in(FADE_SECONDS, rate), frames // 3)
    if way is None or length < 2:
        return None
    return Fade(frames=length, colour=None if way == "dissolve" else way)
