"""What is said in a film as subtitles: SRT and WebVTT files, and packets for the film's own track."""

from __future__ import annotations

import struct
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

# Two lines of 42 characters are what viewers are used to, and what players leave room for.
WIDTH, ROWS = 42, 2
# What a mov_text track says of how its text looks; its encoder takes it in this form.
STYLE = (
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize, PrimaryColour, "
    b"SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, "
    b"Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\n"
    b"Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0\n\n"
    b"[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
)


@dataclass(frozen=True, slots=True)
class Cue:
    """A piece of text on the screen for frames [start, stop) of the film."""

    start: int
    stop: int
    speaker: str
    text: str


def cues(lines: Sequence[tuple[int, int, str, str]]) -> list[Cue]:
    """Break lines (start, stop, speaker, words) into cues of two rows at most, in the order of time.

    A long line's time is shared out by the length of its parts. No cue reaches into the next one.
    """
    found: list[Cue] = []
    for start, stop, speaker, words in sorted(lines):
        rows = textwrap.wrap(words, WIDTH) or [""]
        parts = ["\n".join(rows[index : index + ROWS]) for index in range(0, len(rows), ROWS)]
        parts = parts[: stop - start]  # at least a frame each
        whole, done = sum(map(len, parts)) or 1, 0
        for part in parts:
            first = start + (stop - start) * done // whole
            done += len(part)
            found.append(Cue(first, start + (stop - start) * done // whole, speaker, part))
    kept = [cue for cue in found if cue.start < cue.stop]
    return [
        Cue(cue.start, min(cue.stop, after), cue.speaker, cue.text)
        for cue, after in zip(kept, [*(cue.start for cue in kept[1:]), 1 << 62], strict=False)
        if cue.start < after
    ]


def milliseconds(frame: int, rate: Fraction) -> int:
    """When a frame begins, to the nearest millisecond."""
    return int(frame / rate * 1000 + Fraction(1, 2))


def _clock(frame: int, rate: Fraction, mark: str) -> str:
    seconds, thousandths = divmod(milliseconds(frame, rate), 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{mark}{thousandths:03}"


def srt(shown: Sequence[Cue], rate: Fraction) -> str:
    """Write cues as SubRip."""
    return "\n".join(
        f"{number}\n{_clock(cue.start, rate, ',')} --> {_clock(cue.stop, rate, ',')}\n{cue.text}\n"
        for number, cue in enumerate(shown, start=1)
    )


def vtt(shown: Sequence[Cue], rate: Fraction) -> str:
    """Write cues as WebVTT, with who speaks."""

    def safe(text: str) -> str:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    def voice(cue: Cue) -> str:
        return f"<v {safe(cue.speaker)}>" if cue.speaker else ""

    return "WEBVTT\n" + "".join(
        f"\n{_clock(cue.start, rate, '.')} --> {_clock(cue.stop, rate, '.')}\n{voice(cue)}{safe(cue.text)}\n"
        for cue in shown
    )


def packets(shown: Sequence[Cue], rate: Fraction) -> Iterator[tuple[int, int, bytes]]:
    """The cues as mov_text samples: (start, duration) in milliseconds, and the sample.

    A sample is the text's length in two bytes and the text (3GPP TS 26.245, 5.17).
    """
    for cue in shown:
        start, stop = milliseconds(cue.start, rate), milliseconds(cue.stop, rate)
        text = cue.text.encode()
        yield start, max(1, stop - start), struct.pack(">H", len(text)) + text
