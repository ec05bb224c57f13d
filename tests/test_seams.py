"""Seams: what is planted at a join is found and named, and what is continuous passes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from clips import blurred, clip, texture
from conftest import make_settings
from helpers import FakeClock, FakeModel, FakePool, make_driver, shot, shots
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st
from pyarrow import parquet

from farm.media.measure import Measurer
from farm.media.studio import Studio
from farm.plan.plan import make_plan
from farm.plan.spec import Settings
from farm.ports import Recipe
from farm.renderlog import encode_rows, render_rows
from farm.report import film_report, unsteady
from farm.seams import BARS, DRIFTS, LEVELS, figures
from farm.store.memory import MemoryStore
from farm.timebase import source_frame
from farm.worker import Worker

SOURCE = Fraction(16)
RATES = (SOURCE, Fraction(24), Fraction(24000, 1001), Fraction(30), Fraction(10))
JOIN = 25  # of a shot of four seconds, the other is at 45
Frames = list[np.ndarray]


def judged(
    made: Sequence[np.ndarray], rate: Fraction = SOURCE, settings: Settings | None = None
) -> dict[str, Any]:
    """What is said of a shot of four seconds that consists of these frames of a decoder, at a film's rate."""
    count = int(4 * rate)
    plan = make_plan("film", shots(shot("1", count)), settings or make_settings(out=rate))
    measurer = Measurer(count, rate, SOURCE)
    for index in range(count):
        measurer.add(made[source_frame(index, SOURCE, rate)])
    return figures(plan.shots[0], plan.settings, {"frames": count, **measurer.facts()})


def at(found: dict[str, Any], frame: int) -> dict[str, Any]:
    return next(join for join in found["joins"] if join["frame"] == frame)


def after(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Frames], Frames]:
    """Change all frames from the join on."""
    return lambda frames: [*frames[:JOIN], *map(change, frames[JOIN:])]


def warmer(frame: np.ndarray) -> np.ndarray:
    return (frame + np.array([4.0, 0, -4])).clip(0, 255).astype(np.uint8)


def repeated(frames: Frames) -> Frames:
    return [*frames[:JOIN], frames[JOIN - 1], *frames[JOIN + 1 :]]


def frozen(frames: Frames) -> Frames:
    return [*frames[:JOIN], *[frames[JOIN - 1]] * 6, *frames[JOIN:]]


PLANTED: dict[str, Callable[[Frames], Frames]] = {
    "shift": after(lambda frame: np.roll(frame, 3, axis=1)),
    "ssim": after(lambda frame: np.flip(frame, axis=1)),
    "difference": after(lambda frame: 255 - frame),
    "colour": after(warmer),
    "sharpness": after(lambda frame: blurred(frame, 0.9)),
    "repeated": repeated,
    "frozen": frozen,
}


@pytest.mark.parametrize("pulse", [0.0, 4.0])
@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_planted_at_a_join_is_found_and_named(planted: str, pulse: float) -> None:
    frames = list(clip(80, speed=1, pulse=pulse))
    found = judged(PLANTED[planted](frames))
    join = at(found, JOIN)
    assert planted in join["shows"]
    if planted in BARS:
        assert join["measures"][planted]["ratio"] == pytest.approx(
            join["measures"][planted]["value"] / join["measures"][planted]["usual"], rel=0.02
        )
        assert join["worst"]["measure"] in join["shows"]
    assert all(not other["shows"] for other in found["joins"] if abs(other["frame"] - JOIN) > 8)
    assert (found["repeated"] == [JOIN]) == (planted == "repeated")
    assert (found["frozen"] == [[JOIN, JOIN + 6]]) == (planted == "frozen")


@pytest.mark.parametrize("pulse", [0.0, 4.0])
def test_a_join_that_the_decoder_spreads_over_a_latent_frame_is_found(pulse: float) -> None:
    """The place turns into another one within four frames, while a block goes on as before."""
    shares = [*[0.0] * JOIN, 0.25, 0.5, 0.75, *[1.0] * 80]
    here, there = clip(80, speed=0, pulse=pulse), clip(80, speed=0, pulse=pulse, seed=5)
    made = [
        (a * (1 - share) + b * share).astype(np.uint8)
        for a, b, share in zip(here, there, shares, strict=False)
    ]
    for number, frame in enumerate(made):
        frame[30:60, number : number + 40] = (220, 40, 40)
    found = judged(made)
    assert "morph" in at(found, JOIN)["shows"]
    assert at(found, 45)["shows"] == []


def test_a_small_fault_is_found_by_its_own_measure_alone() -> None:
    frames = list(clip(80, speed=1, pulse=4))
    for name in ("colour", "sharpness"):
        assert at(judged(PLANTED[name](frames)), JOIN)["shows"] == [name]


@pytest.mark.parametrize("rate", RATES, ids=str)
@pytest.mark.parametrize("pulse", [0.0, 4.0])
@pytest.mark.parametrize("speed", [1, 3])
def test_what_is_continuous_passes(speed: int, pulse: float, rate: Fraction) -> None:
    found = judged(list(clip(80, speed=speed, pulse=pulse)), rate)
    assert (found["repeated"], found["frozen"]) == ([], [])
    for join in found["joins"]:
        assert join["shows"] == []
        assert set(join["measures"]) == set(BARS)
        for name, figure in join["measures"].items():
            assert figure["ratio"] < (1.5 if name not in LEVELS else 3), name


@pytest.mark.parametrize("rate", RATES, ids=str)
def test_a_repeated_frame_is_told_from_those_of_the_rate(rate: Fraction) -> None:
    made = list(clip(80, speed=1))
    made[40] = made[39]
    again = [frame for frame in range(int(4 * rate)) if source_frame(frame, SOURCE, rate) == 40]
    expected = [frame for frame in again if source_frame(frame - 1, SOURCE, rate) == 39]
    assert judged(made, rate)["repeated"] == expected


@trying(max_examples=25)
@given(st.integers(2, 60), st.integers(1, 30))
def test_a_freeze_is_where_it_was_planted(first: int, length: int) -> None:
    frames = list(clip(64, speed=2))
    found = judged([*frames[:first], *[frames[first - 1]] * length, *frames[first:]][:64])
    spans = [*found["frozen"], *([frame, frame + 1] for frame in found["repeated"])]
    assert {frame for start, stop in spans for frame in range(start, stop)} == set(
        range(first, min(64, first + length))
    )
    assert bool(found["frozen"]) == (min(64, first + length) - first >= 4)


def test_latent_frames_that_stand_still_are_a_freeze_though_the_decoder_pulses() -> None:
    moving, still = list(clip(80, speed=1, pulse=6)), list(clip(80, speed=0, pulse=6))
    found = judged([*moving[:25], *still[25:41], *moving[41:]])
    assert found["repeated"] == []
    assert found["frozen"] == [[29, 41]], "before the first of them the picture jumps"
    assert judged(still)["frozen"] == [[5, 64]]


def test_to_come_to_rest_is_no_freeze() -> None:
    places = np.cumsum(3 * np.cos(np.linspace(0, np.pi, 64)) ** 4)
    found = judged([texture(place, 0) for place in places])
    assert min(found["joins"], key=lambda join: join["difference"])["difference"] < 5
    assert (found["frozen"], found["repeated"]) == ([], [])


def test_a_film_that_stands_still_has_no_motion_and_is_frozen() -> None:
    found = judged([texture(0, 0)] * 64)
    assert found["motion"] == 0
    assert found["frozen"] == [[1, 64]]
    assert found["joins"] == []


def test_the_join_behind_a_single_first_frame_is_measured_and_not_told_of() -> None:
    frames = list(clip(64, speed=1))
    frames[0] = warmer(warmer(frames[0]))
    usual = make_settings()
    opening = replace(usual, family=replace(usual.family, opening=1))
    found = judged(frames, settings=opening)
    join = at(found, 1)
    assert join["measures"]["colour"]["ratio"] > BARS["colour"]
    assert join["worst"]["measure"] == "colour"
    assert join["shows"] == []


def test_an_old_commit_has_only_its_differences() -> None:
    plan = make_plan("film", shots(shot("1", 64)), make_settings())
    differences = [1.0] * 63
    differences[JOIN - 1] = 9.0
    found = figures(plan.shots[0], plan.settings, {"frames": 64, "differences": differences})
    assert at(found, JOIN)["measures"] == {"difference": {"value": 9.0, "usual": 1.0, "ratio": 9.0}}
    assert at(found, JOIN)["shows"] == ["difference"]
    assert (found["drift"], found["motion"], found["frozen"]) == (None, None, [])


def test_where_every_boundary_is_a_join_nothing_is_said() -> None:
    plan = make_plan("film", shots(shot("1", 24)), make_settings(window=2, overlap=1))
    found = figures(plan.shots[0], plan.settings, {"frames": 24, "differences": [1.0] * 23})
    assert found["joins"]
    assert all((join["measures"], join["worst"], join["shows"]) == ({}, None, []) for join in found["joins"])


class Painter(FakeModel):
    """Decodes a pan in which the colour changes at a join, and in the second shot the pan stops."""

    def decode(self, recipe: Recipe, latents: Sequence[bytes]) -> Iterator[Any]:
        frames = list(clip(72, speed=1, pulse=4))
        yield from after(warmer)(frames) if recipe["frames"] == 64 else frozen(frames)

    def look(self, recipe: Recipe, frames: Sequence[Any]) -> dict[str, Any]:
        return {}


def test_report_render_log_and_terminal_tell_of_it(store: MemoryStore) -> None:
    plan = make_plan("film", shots(shot("1", 64), shot("2", 48), shot("3", 1)), make_settings())
    worker = Worker(store=store, model=Painter(), media=Studio(), clock=FakeClock())
    outcome = make_driver(plan, store).render(lambda: FakePool(worker))
    report = json.loads(json.dumps(film_report(outcome, {})))
    one, two, three = report["shots"]
    assert at(one, JOIN)["shows"] == ["colour"]
    assert at(one, JOIN)["worst"]["measure"] == "colour"
    assert one["motion"] > 2
    assert set(one["drift"]) == set(DRIFTS)
    assert one["drift"]["colour"] > 2
    assert two["frozen"] == [[JOIN, JOIN + 6]]
    assert (three["joins"], three["drift"], three["motion"]) == ([], None, None)
    first, second = unsteady(outcome)
    assert first == f"shot 1: a seam shows before frame {JOIN} (colour)"
    assert "frozen" in two["joins"][0]["shows"]
    assert second.endswith(f"; frames {JOIN} to {JOIN + 5} stand still")
    rows = parquet.read_table(BytesIO(encode_rows(render_rows(outcome)))).to_pylist()
    (row,) = [row for row in rows if row["shot"] == "1" and row["start"] == JOIN]
    assert row["seam_colour_ratio"] == at(one, JOIN)["measures"]["colour"]["ratio"] > BARS["colour"]
    assert row["seam_colour"] == at(one, JOIN)["measures"]["colour"]["value"]
    assert row["seam_ratio"] == at(one, JOIN)["ratio"]
    assert (row["seam_shows"], row["shot_motion"]) == ("colour", one["motion"])
    assert row["drift_colour"] == one["drift"]["colour"]
    assert (rows[0]["seam_colour"], rows[0]["seam_shows"]) == (None, None), "nothing comes before it"
    assert rows[0]["shot_motion"] == one["motion"]
    assert {row["shot_frozen"] for row in rows if row["shot"] == "2"} == {6}
