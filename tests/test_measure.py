"""What is measured of a shot while it is encoded, on pictures of which it is known what they show."""

from __future__ import annotations

import json
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from clips import HEIGHT, WIDTH, blurred, clip, texture
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.media import measure
from farm.media.measure import Measurer
from farm.series import pack, unpack

RATE = Fraction(16)


def facts(frames: Iterable[np.ndarray], rate: Fraction = RATE, source: Fraction = RATE) -> dict[str, Any]:
    taken = list(frames)
    measurer = Measurer(len(taken), rate, source)
    for frame in taken:
        measurer.add(frame)
    found = measurer.facts()
    assert json.loads(json.dumps(found)) == found, "facts go into a commit"
    return found


def series(found: dict[str, Any], name: str) -> np.ndarray:
    return np.array(unpack(found["series"][name]))


figures = st.lists(st.floats(-60, 60), max_size=50)


@given(figures, st.sampled_from([0.002, 0.01, 1.0]))
def test_a_series_is_read_as_it_was_written(values: list[float], unit: float) -> None:
    packed = json.loads(json.dumps(pack(values, unit)))
    assert unpack(packed) == pytest.approx(values, abs=unit / 2 + 1e-9)


def test_what_is_too_large_for_a_series_is_cut_off() -> None:
    assert unpack(pack([1e9, -1e9], 0.5)) == [16383.5, -16383.5]


@settings(max_examples=30)
@given(st.floats(-6, 6), st.floats(-6, 6))
def test_a_displacement_is_found_between_the_pixels(across: float, down: float) -> None:
    greys = (texture(*place)[..., 1].astype(np.float32) for place in ((0, 0), (across, down)))
    found = measure.displacement(*map(measure.spectrum_of, greys), (HEIGHT, WIDTH))
    assert np.array(found) * WIDTH / 100 == pytest.approx((across, down), abs=0.25)


def test_where_nothing_stands_out_there_is_no_displacement() -> None:
    noise = np.random.default_rng(0).normal(128, 40, (2, HEIGHT, WIDTH)).astype(np.float32)
    blank = np.full((HEIGHT, WIDTH), 90, np.float32)
    for before, now in (noise, (blank, blank), (blank, noise[0])):
        spectra = measure.spectrum_of(before), measure.spectrum_of(now)
        assert measure.displacement(*spectra, (HEIGHT, WIDTH)) == (0, 0)


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((3, 3, 3), (0.82, 0, 0)),
    ],
)
def test_colours_are_those_of_cie_lab(rgb: tuple[int, ...], lab: tuple[float, ...]) -> None:
    assert measure.lab(np.array([[rgb]], np.uint8))[0, 0] == pytest.approx(lab, abs=0.06)


def test_every_step_and_every_frame_has_its_figures() -> None:
    found = facts(clip(20, speed=3))
    assert len(found["differences"]) == 19
    lengths = {name: len(unpack(packed)) for name, packed in found["series"].items()}
    assert lengths == {
        **dict.fromkeys(("across", "down", "ssim"), 19),
        **dict.fromkeys(("ssim_4", "ssim_8", "lightness", "green_red", "blue_yellow", "sharpness"), 20),
    }
    assert series(found, "across") == pytest.approx(300 / WIDTH, abs=0.1)
    assert series(found, "down") == pytest.approx(0, abs=0.1)
    alike = [series(found, name)[8:].mean() for name in ("ssim", "ssim_4", "ssim_8")]
    assert 1 > alike[0] > alike[1] > alike[2]


def test_a_still_picture_is_like_itself() -> None:
    found = facts([texture(0, 0)] * 12)
    assert set(found["differences"]) == {0}
    for name in ("ssim", "ssim_4", "ssim_8"):
        assert series(found, name) == pytest.approx(1)
    assert found["motion"] == 0
    assert found["drift"] == {"colour": 0, "histogram": 0, "sharpness": 1, "saturation": 1}


def test_frames_are_held_against_what_the_decoder_made_before_them() -> None:
    """At a film's rate frames are repeated or left out; so many before means so many of the decoder's."""
    made = list(clip(40, speed=1))
    shown = [made[index] for index in np.arange(60) * 2 // 3]  # not quite the nearest, but as many times each
    there = series(facts(made), "ssim_4")
    faster = facts([made[-(-(2 * index - 1) // 3)] for index in range(59)], Fraction(24), RATE)
    assert series(faster, "ssim_4")[20:] == pytest.approx(there[20], abs=0.02)
    wrong = facts(shown, Fraction(24), Fraction(24))
    assert series(wrong, "ssim_4")[20:].mean() > there[20] + 0.02, "four of the film's frames are fewer"


def test_a_blur_is_seen_at_the_size_of_the_frame() -> None:
    small = texture(0, 0)
    for frame in (small, np.tile(small, (4, 4, 1))):
        before, after = measure.sharpness(frame), measure.sharpness(blurred(frame, 1))
        assert after < 0.7 * before
    assert measure.sharpness(np.full((9, 9, 3), 7, np.uint8)) == 1


def test_the_drift_is_that_from_the_first_second_to_the_last() -> None:
    def fading(number: int) -> np.ndarray:
        frame = texture(0, 0).astype(float)
        grey = frame.mean(axis=-1, keepdims=True)
        share = min(1, max(0, (number - 16) / 32))
        return (grey + (frame - grey) * (1 - share / 2)).round().astype(np.uint8)

    found = facts(fading(number) for number in range(64))["drift"]
    assert found["saturation"] == pytest.approx(0.53, abs=0.04)
    assert 0.02 < found["histogram"] < 0.5
    lighter = facts(
        [*[np.full((48, 64, 3), 100, np.uint8)] * 20, *[np.full((48, 64, 3), 130, np.uint8)] * 20]
    )
    assert lighter["drift"]["colour"] == pytest.approx(11.9, abs=0.3)
    assert lighter["drift"]["histogram"] == pytest.approx(1 / 3, abs=0.01), "of lightness, and of no other"


@pytest.mark.parametrize("count", [1, 2, 3, 15])
def test_the_shortest_shots_can_be_measured(count: int) -> None:
    found = facts(clip(count, speed=2))
    assert (found["drift"] is None) == (found["motion"] is None) == (count == 1)


@pytest.mark.parametrize("size", [(8, 8), (16, 16), (5, 300), (300, 8), (64, 2000)])
def test_odd_sizes_can_be_measured(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (3, *size, 3), dtype=np.uint8)
    facts(noise)


def noisy(frames: Iterable[np.ndarray], amount: float) -> Iterable[np.ndarray]:
    source = np.random.default_rng(3)
    for frame in frames:
        yield (frame + source.normal(0, amount, frame.shape)).clip(0, 255).astype(np.uint8)


def test_a_frozen_film_does_not_move_whatever_else_it_does() -> None:
    still = [texture(0, 0)] * 60
    moving = facts(clip(60, speed=1))["motion"]
    assert moving > 5
    assert facts(noisy(still, 1.5))["motion"] < 0.05
    assert facts(clip(60, speed=0, pulse=4))["motion"] < 0.05, "a decoder that pulses"
    lighter = [
        (frame * (1 + number / 600)).clip(0, 255).astype(np.uint8) for number, frame in enumerate(still)
    ]
    assert facts(lighter)["motion"] < 0.05, "it only gets lighter"
    jump = [texture(0, 0)] * 30 + [texture(20, 0)] * 30
    assert facts(jump)["motion"] < 0.05, "one jump is no motion"
    assert min(facts(noisy(still, 1.5))["differences"]) > 1, "which frame differences alone cannot tell"


def test_a_small_thing_that_moves_is_motion() -> None:
    def frame(number: int) -> np.ndarray:
        picture = texture(0, 0)
        picture[30:50, 2 * number : 2 * number + 16] = (220, 40, 40)
        return picture

    assert facts(frame(number) for number in range(48))["motion"] > 0.5


def test_ten_minutes_fit_into_a_commit() -> None:
    frames = 600
    found = facts(noisy([texture(0, 0)] * frames, 2))
    assert len(json.dumps(found)) / frames < 36, "half a megabyte for ten minutes at 24 frames a second"
