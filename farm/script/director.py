"""The director: a screenplay to shots, always the same way.

A paragraph of action is a shot; speech makes the shot it falls in longer; a scene's shots share a
prompt prefix (its place and time), which is half of its common look.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import count

from farm.errors import BadInput
from farm.script.cues import camera_move, is_cut, split_setups
from farm.script.durations import action_seconds, check_seconds, speech_seconds
from farm.script.headings import read_heading
from farm.script.model import (
    MAX_SHOT_SECONDS,
    Action,
    Scene,
    Screenplay,
    Shot,
    ShotList,
    Source,
    Speech,
    Unfilmed,
    make_shot_list,
)
from farm.timebase import frames_in

_NUMBER = re.compile(r"[0-9A-Z][0-9A-Z.-]{0,15}")


@dataclass(slots=True)
class _Draft:
    text: str
    seconds: Fraction
    source: Source
    spoken: Fraction = Fraction(0)
    fixed: bool = False

    def total(self) -> Fraction:
        """Speech fits into a shot whose length the script fixes; otherwise it makes room for itself."""
        if self.fixed:
            return self.seconds
        return min(Fraction(MAX_SHOT_SECONDS), max(self.seconds, self.spoken + 1))


def _drafts(scene: Scene) -> tuple[list[_Draft], list[Unfilmed]]:
    drafts: list[_Draft] = []
    unfilmed: list[Unfilmed] = []
    for element in scene.elements:
        if isinstance(element, Action):
            texts = split_setups(element.text)
            words = sum(len(text.split()) for text in texts)
            for text in texts:
                if element.seconds is None:
                    drafts.append(_Draft(text, action_seconds(text), element.source))
                else:  # a noted duration is shared out by length
                    share = element.seconds * Fraction(len(text.split()), words)
                    drafts.append(_Draft(text, share, element.source, fixed=True))
        elif isinstance(element, Speech):
            if not drafts:
                text = f"{element.character.title() or 'Somebody'} speaks."
                drafts.append(_Draft(text, Fraction(2), element.source))
            draft = drafts[-1]
            draft.spoken += speech_seconds(element.text)
            said = f"{element.character}: {element.text}"
            why = "speech is given its time, but is not heard"
            unfilmed.append(Unfilmed(text=said, why=why, source=element.source))
            draft.source = Source(
                file=draft.source.file,
                first=draft.source.first,
                last=max(draft.source.last, element.source.last),
            )
        elif not is_cut(element.text):
            unfilmed.append(Unfilmed(text=element.text, why="it is played as a cut", source=element.source))
    return drafts, unfilmed


def number_scenes(scenes: tuple[Scene, ...]) -> list[str]:
    """Give every scene an id: its locked number, else the next one free.

    Scenes without a number are counted 1, 2, 3 …; behind a locked one they take its number and the
    next letter (12, 12A, 12B), so that an inserted scene moves nobody else's id.

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
    unfilmed = list(screenplay.unfilmed)
    time: str | None = None
    for scene, scene_id in zip(screenplay.scenes, number_scenes(screenplay.scenes), strict=True):
        place, scene_time = read_heading(scene.heading, time) if scene.heading else ("", time)
        time = scene_time or time
        prefix = ", ".join(part for part in (place, scene_time) if part)
        drafts, lost = _drafts(scene)
        unfilmed += lost
        if not drafts and scene.heading:
            unfilmed.append(
                Unfilmed(text=scene.heading, why="nothing happens in this scene", source=scene.source)
            )
        for index, draft in enumerate(drafts):
            seconds = draft.total()
            check_seconds(seconds, draft.source)
            shots.append(
                Shot(
                    id=scene_id if index == 0 else f"{scene_id}-{index + 1}",
                    scene=scene_id,
                    prompt=f"{prefix.capitalize()}. {draft.text}" if prefix else draft.text,
                    frames=frames_in(seconds, rate),
                    source=draft.source,
                    camera=camera_move(draft.text),
                )
            )
    unfilmed.sort(key=lambda passage: passage.source.first)
    return make_shot_list(screenplay.title, tuple(shots), tuple(unfilmed))
