"""How a film is laid out: which of its frames each shot has, and what lies between and around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import groupby
from typing import Any

from farm.script.model import Fade, Shot, ShotList
from farm.timebase import Span, frames_in

CARD_SECONDS = Fraction(3)


def spans(shots: Sequence[Shot], start: int) -> Iterator[Span]:
    """Yield each shot's frames of the film; a dissolve makes a shot begin before the last one ends."""
    for shot in shots:
        shared = shot.enter.frames if shot.enter and shot.enter.colour is None else 0
        begin = start - shared
        start = begin + shot.frames
        yield Span(begin, start)


def tail(shot: Shot, following: Shot | None) -> int:
    """How many of a shot's last frames lie under a change of picture."""
    if shot.leave is not None:
        return shot.leave.frames
    if following is not None and following.enter is not None and following.enter.colour is None:
        return following.enter.frames
    return 0


def key_frames(shot: Shot, following: Shot | None) -> tuple[int, ...]:
    """The frames of a shot that must begin a group of pictures, so that what lies between is copied."""
    edges = (shot.enter.frames if shot.enter else 0, shot.frames - tail(shot, following))
    return tuple(sorted({edge for edge in edges if 0 < edge < shot.frames}))


def cards(shots: ShotList, rate: Fraction, wanted: bool) -> tuple[dict[str, Any] | None, ...]:
    """The title card and the end card, where they are wanted and the script has a title."""
    if not wanted or not shots.title:
        return None, None
    frames = frames_in(CARD_SECONDS, rate)
    title = {"title": shots.title, "lines": shots.credits, "frames": frames}
    return title, {"title": "The End", "lines": (), "frames": frames}


def chapters(shots: Sequence[tuple[Shot, Span]], frames: int) -> list[dict[str, Any]]:
    """A chapter for each run of shots of one scene; together they cover the film's frames."""
    scenes = [next(group) for _, group in groupby(shots, key=lambda item: item[0].scene)]
    starts = [0, *(span.start for _, span in scenes[1:]), frames]
    return [
        {"title": shot.heading or f"Scene {shot.scene}", "start": start, "stop": stop}
        for (shot, _), start, stop in zip(scenes, starts, starts[1:], strict=False)
    ]


def lines(shots: Sequence[tuple[Shot, Span]]) -> list[tuple[int, int, str, str]]:
    """What is said in the film: (first frame, frame after the last, speaker, words)."""
    return [
        (span.start + line.start, span.start + line.stop, line.character, line.text)
        for shot, span in shots
        for line in shot.lines
    ]


def fade(change: Fade | None) -> dict[str, Any] | None:
    """A change of picture as plain data."""
    return None if change is None else {"frames": change.frames, "colour": change.colour}
