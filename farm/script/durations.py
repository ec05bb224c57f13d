"""How long a shot lasts: as the script says, or by the length of what happens and what is said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from farm.errors import BadInput
from farm.script.model import MAX_SHOT_SECONDS, Line, Source
from farm.timebase import nearest_frame

_SECONDS = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(s|sec|secs|second|seconds|min|m|minutes)")

# A page of a screenplay is a minute: about 180 words of action, read at the pace it is seen.
SECONDS_A_WORD = Fraction(1, 3)
SHORTEST, LONGEST = Fraction(3), Fraction(12)
# Speech on film runs at about 150 words a minute.
SECONDS_A_SPOKEN_WORD = Fraction(2, 5)


def parse_seconds(text: str, source: Source) -> Fraction | None:
    """Read "8s", "2.5 s" or "1 min"; None if the text is no duration at all.

    Raises:
        BadInput: when it is one, but not more than nothing and at most MAX_SHOT_SECONDS.
    """
    match = _SECONDS.fullmatch(text.strip().lower())
    if match is None:
        return None
    seconds = Fraction(match[1]) * (60 if match[2].startswith("m") else 1)
    check_seconds(seconds, source)
    return seconds


def parse_span(text: str, frames: int, rate: Fraction) -> tuple[Fraction, Fraction]:
    """Read "2s-4.5s", a part of a shot of `frames` frames, in seconds.

    Raises:
        BadInput: when it is no part of the shot.
    """
    matches = [_SECONDS.fullmatch(side.strip().lower()) for side in text.split("-")]
    if len(matches) != 2 or matches[0] is None or matches[1] is None:
        raise BadInput(f"{text!r} is no span of a shot: give one such as 2s-4.5s")
    start, stop = (Fraction(match[1]) * (60 if match[2].startswith("m") else 1) for match in matches if match)
    if not 0 <= nearest_frame(start, rate) < nearest_frame(stop, rate) <= frames:
        raise BadInput(
            f"there is no {text} in a shot of {float(frames / rate):g} seconds: "
            "begin before it ends, and end no later than the shot"
        )
    return start, stop


def time_lines(said: Sequence[tuple[str, str]], frames: int, rate: Fraction) -> tuple[Line, ...]:
    """Time what is said in a shot of `frames` frames: (character, words) in order, one after another.

    The lines begin half a second in where there is room; where there is too little, they share it out.
    """
    lengths = [speech_seconds(words) * rate for _, words in said]
    whole = sum(lengths, Fraction(0))
    room = max(Fraction(0), frames - whole)
    at = min(rate / 2, room / 2)
    pace = min(Fraction(1), frames / whole) if whole else Fraction(1)
    lines = []
    for (character, words), length in zip(said, lengths, strict=True):
        start, at = at, at + length * pace
        first, last = int(start), max(int(start) + 1, int(at))
        lines.append(
            Line(character=character, text=words, start=min(first, frames - 1), stop=min(last, frames))
        )
    return tuple(lines)


def check_seconds(seconds: Fraction, source: Source) -> None:
    if not 0 < seconds <= MAX_SHOT_SECONDS:
        raise BadInput(
            f"{source}: a shot of {float(seconds):g} seconds cannot be made: "
            f"give more than 0 and at most {MAX_SHOT_SECONDS} seconds"
        )


def action_seconds(text: str) -> Fraction:
    """Guess how long a passage of action lasts."""
    return min(LONGEST, max(SHORTEST, len(text.split()) * SECONDS_A_WORD))


def speech_seconds(text: str) -> Fraction:
    """Guess how long it takes to say something, with a breath after it."""
    return len(text.split()) * SECONDS_A_SPOKEN_WORD + Fraction(1, 2)
