from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.errors import BadInput
from farm.timebase import (
    Span,
    first_showing,
    frames_in,
    frames_of,
    latents_for,
    parse_rate,
    source_frame,
)

rates = st.fractions(min_value=1, max_value=120, max_denominator=1001)


@given(st.integers(1, 100_000), st.integers(1, 8))
def test_latents_hold_their_frames_and_no_latent_is_spare(frames: int, stride: int) -> None:
    latents = latents_for(frames, stride)
    assert frames_of(latents - 1, stride) < frames <= frames_of(latents, stride)


@given(st.integers(0, 10_000), rates, rates)
def test_a_shown_frame_is_the_nearest(index: int, source: Fraction, target: Fraction) -> None:
    exact = Fraction(index) * source / target
    shown = source_frame(index, source, target)
    assert abs(shown - exact) <= Fraction(1, 2)
    assert source_frame(index, source, source) == index


@given(st.integers(0, 5_000), rates, rates)
def test_first_showing_is_the_inverse(index: int, source: Fraction, target: Fraction) -> None:
    first = first_showing(index, source, target)
    assert source_frame(first, source, target) >= index
    assert first == 0 or source_frame(first - 1, source, target) < index


def test_rates_are_read_as_fractions() -> None:
    assert parse_rate("24000/1001") == Fraction(24000, 1001)
    assert parse_rate("23.976") == Fraction(24000, 1001)
    assert parse_rate("16") == 16
    for wrong in ("", "0", "abc", "1/0", "-24", "1e9", "99999", "24/", "nan"):
        with pytest.raises(BadInput, match="frame rate"):
            parse_rate(wrong)


def test_a_length_of_time_is_rounded_to_frames() -> None:
    assert frames_in(Fraction(8), Fraction(24000, 1001)) == 192
    assert frames_in(Fraction(1, 100), Fraction(16)) == 1


def test_an_empty_or_backward_span_is_refused() -> None:
    for start, stop in ((0, 0), (3, 2), (-1, 1)):
        with pytest.raises(ValueError, match="not a span"):
            Span(start, stop)
