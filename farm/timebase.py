"""Time in integers: frame counts, half-open spans, and rates as fractions. No float seconds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from farm.errors import BadInput

_RATE = re.compile(r"[0-9]{1,6}(?:/[0-9]{1,6}|\.[0-9]{1,3})?")
# The decimal names of NTSC rates stand for fractions over 1001.
_NTSC = {
    "23.976": Fraction(24000, 1001),
    "23.98": Fraction(24000, 1001),
    "29.97": Fraction(30000, 1001),
    "59.94": Fraction(60000, 1001),
}


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """The half-open interval [start, stop) of whole frames."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError(f"not a span: [{self.start}, {self.stop})")

    def __len__(self) -> int:
        return self.stop - self.start


def parse_rate(text: str) -> Fraction:
    """Read a frame rate such as "24", "24000/1001" or "23.976".

    Raises:
        BadInput: when it is not a rate between 1 and 240 frames a second.
    """
    word = text.strip()
    rate = _NTSC.get(word)
    if rate is None and _RATE.fullmatch(word) and not word.endswith("/0"):
        try:
            rate = Fraction(word)
        except ZeroDivisionError:
            rate = None
    if rate is None or not 1 <= rate <= 240:
        raise BadInput(f"{text!r} is not a frame rate: give one such as 24, 25 or 24000/1001")
    return rate


def rate_text(rate: Fraction) -> str:
    """Write a rate as "16/1" or "24000/1001"."""
    return f"{rate.numerator}/{rate.denominator}"


def frames_in(seconds: Fraction, rate: Fraction) -> int:
    """Return the whole number of frames nearest to a length of time, halves up, at least one."""
    return max(1, nearest_frame(seconds, rate))


def nearest_frame(seconds: Fraction, rate: Fraction) -> int:
    """Return the number of the frame at a moment: the nearest, halves up."""
    return int(seconds * rate + Fraction(1, 2))


def source_frame(index: int, source: Fraction, target: Fraction) -> int:
    """Return which frame at rate `source` is shown as frame `index` at rate `target`: the nearest.

    Integer arithmetic throughout; never decreasing in `index`, and the identity at equal rates.
    """
    numerator = 2 * index * source.numerator * target.denominator
    denominator = source.denominator * target.numerator
    return (numerator + denominator) // (2 * denominator)


def latents_for(frames: int, stride: int) -> int:
    """Return how many latent frames hold `frames` frames: the first holds one, the others `stride`."""
    return 1 + -(-(frames - 1) // stride)


def frames_of(latents: int, stride: int) -> int:
    """Return how many frames the first `latents` latent frames decode to (none for none)."""
    return 0 if latents == 0 else 1 + (latents - 1) * stride


def first_showing(source_index: int, source: Fraction, target: Fraction) -> int:
    """Return the first frame at rate `target` that shows source frame `source_index` or a later one."""
    if source_index <= 0:
        return 0
    numerator = source.denominator * target.numerator * (2 * source_index - 1)
    return -(-numerator // (2 * source.numerator * target.denominator))
