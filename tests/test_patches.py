"""A span of a shot made again: which latents, from what, and that nothing else changes."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from conftest import make_settings
from helpers import FakeModel, farm, shot, shots
from hypothesis import given
from hypothesis import strategies as st

from farm import cli
from farm.errors import BadInput, StoreError
from farm.models.tensors import pack
from farm.models.umt5_wan import given_latents
from farm.plan.plan import Plan, make_plan
from farm.plan.segments import bridge_windows
from farm.plan.task import Task
from farm.script.durations import parse_span
from farm.script.model import Patch
from farm.script.takes import Take, Takes, apply, decode, encode, whole
from farm.timebase import Span


def patched(*patches: Patch, frames: int = 150, way: str = "chain", **more) -> Plan:
    settings = make_settings(**more)
    return make_plan("film", shots(shot("1", frames, continuity=way, patches=patches)), settings)


def patch(start: int, stop: int, seed: int = 9) -> Patch:
    return Patch(start=start, stop=stop, seed=seed, prompt="a red boat hops")


def task(plan: Plan, name: str) -> Task:
    return next(task for task in plan.tasks if task.id == name)


@given(
    st.integers(1, 60).flatmap(
        lambda latents: st.tuples(
            st.just(latents),
            st.integers(0, latents - 1).flatmap(
                lambda start: st.tuples(st.just(start), st.integers(start + 1, latents))
            ),
        )
    ),
    st.integers(5, 12),
    st.integers(1, 4),
)
def test_bridge_windows_own_just_the_span_and_lead_to_what_follows(found, window: int, overlap: int) -> None:
    (latents, (start, stop)), overlap = found, min(overlap, (window + 1) // 3)
    made = bridge_windows(Span(start, stop), latents, window, overlap)
    owned = [column for each in made for column in range(each.owned.start, each.owned.stop)]
    assert owned == list(range(start, stop))
    assert all(len(each.span) <= window and each.span.stop <= latents for each in made)
    assert [each.after for each in made] == [0] * (len(made) - 1) + [min(overlap, latents - stop)]
    assert all(each.given == min(overlap, each.owned.start) for each in made) or start < overlap


@given(
    st.lists(
        st.integers(0, 148).flatmap(
            lambda start: st.integers(start + 1, 149).map(lambda stop: patch(start, stop))
        ),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from(["chain", "cut", "weave", "stagger"]),
)
def test_patches_change_their_own_latents_alone(patches: list[Patch], way: str) -> None:
    plain, plan = patched(way=way), patched(*patches, way=way)
    before = {task.id: task.key for task in plain.tasks}
    after = {task.id: task.key for task in plan.tasks}
    # What was made stays made, under the keys it has.
    denoised = {name for name in before if name.startswith(("denoise/", "embed/"))}
    assert all(after[name] == before[name] for name in denoised)
    item = plan.shots[0]
    finish = task(plan, item.finish)
    pieces = json.loads(finish.recipe)["pieces"]
    assert sum(stop - start for _, start, stop in pieces) == item.latents
    made = {segment.task: segment for segment in item.segments}
    column = 0
    for number, start, stop in pieces:
        owned = made[finish.needs[number]].window.owned
        assert (owned.start + start, stop <= len(owned)) == (column, True)
        inside = [each.window.owned for each in item.patched]
        for at in range(column, column + stop - start):
            redone = any(span.start <= at < span.stop for span in inside)
            assert redone == ("patch-" in finish.needs[number])
        column += stop - start


def test_a_patch_is_given_what_lies_around_it() -> None:
    plan = patched(patch(70, 80))
    item = plan.shots[0]
    (window,) = [each.window for each in item.patched]
    assert (window.given, window.after) == (3, 3)
    made = task(plan, plan.shots[0].patched[0].task)
    recipe = json.loads(made.recipe)
    assert (recipe["way"], recipe["seed"], recipe["after"]) == ("bridge", 9, 3)
    spans = {segment.task: segment.window.owned for segment in item.segments}
    columns = [
        spans[made.needs[2 + number]].start + at
        for number, start, stop in recipe["context"]
        for at in range(start, stop)
    ]
    assert columns == [
        *range(window.span.start, window.owned.start),
        *range(window.owned.stop, window.span.stop),
    ]
    frames = item.patched_frames[0]
    assert frames.start <= 70 and frames.stop >= 80 and len(frames) < 10 + 8
    assert {frames.start, frames.stop} <= item.joins.keys()


def test_a_patch_of_a_patch_goes_on_from_it() -> None:
    plan = patched(patch(60, 100), patch(70, 80, seed=10))
    first, *_, last = plan.shots[0].patched
    assert (first.patch, last.patch) == (0, 1)
    assert any("patch-0-" in need for need in task(plan, last.task).needs)
    assert task(plan, first.task).key == task(patched(patch(60, 100)), first.task).key


def test_a_patch_that_another_replaces_is_not_made() -> None:
    plan = patched(patch(70, 80, seed=3), patch(70, 80, seed=4))
    (only,) = plan.shots[0].patched
    assert [task.id for task in plan.tasks if "patch" in task.id] == [only.task]
    assert only.patch == 1 and len({task.id for task in plan.tasks}) == len(plan.tasks)


def test_the_first_frame_of_a_shot_stays() -> None:
    plan = patched(patch(0, 20))
    assert plan.shots[0].patched[0].window.owned.start == 1
    with pytest.raises(BadInput, match="no noise level per latent frame: make or circle a take"):
        patched(patch(0, 20), levels=False, way="weave")


def test_a_preview_is_not_made_of_a_patch() -> None:
    base = make_settings()
    settings = replace(base, sampling=replace(base.sampling, steps=2))
    plan = make_plan("film", shots(shot("1", 150, patches=(patch(70, 80),))), settings)
    (made,) = plan.shots[0].patched
    assert json.loads(task(plan, made.task).recipe)["draft_level"] is None


def test_the_given_latents_are_gathered_from_where_they_are() -> None:
    first = torch.arange(5.0).view(1, 1, 5, 1, 1)
    second = 10 + torch.arange(4.0).view(1, 1, 4, 1, 1)
    packed = [pack(first), pack(second)]
    recipe = {"way": "bridge", "given": 2, "after": 1, "context": [[0, 3, 5], [1, 2, 3]]}
    assert given_latents(recipe, packed).flatten().tolist() == [3, 4, 12]
    assert given_latents({"way": "chain", "given": 2}, packed[:1]).flatten().tolist() == [3, 4]
    assert given_latents({"way": "cut", "given": 1}, []) is None
    with pytest.raises(ValueError, match="needs the latents of the one before it"):
        given_latents({"way": "chain", "given": 2}, [])
    with pytest.raises(ValueError, match="3 latent frames are there where 4 are to be given"):
        given_latents({**recipe, "after": 2}, packed)


def test_a_span_is_read_in_seconds() -> None:
    assert parse_span("2s-4.5s", 100, Fraction(16)) == (2, Fraction(9, 2))
    assert parse_span("0s - 1 s", 100, Fraction(24000, 1001)) == (0, 1)
    for text in ("2-4", "2s", "2s-", "s-3s", "1s-2s-3s", "a-b"):
        with pytest.raises(BadInput, match="is no span of a shot: give one such as 2s-4"):
            parse_span(text, 100, Fraction(16))
    for text in ("2s-2s", "2s-2.01s", "3s-2s", "5s-7s", "9s-10s"):
        with pytest.raises(BadInput, match=r"in a shot of 6\.25 seconds"):
            parse_span(text, 100, Fraction(16))


def test_takes_with_spans_are_kept_and_read_back() -> None:
    half = Fraction(1, 2)
    first, second = Take(seed=3, span=(half, Fraction(3)), of=1), Take(seed=5, span=(half, Fraction(1)), of=2)
    takes = {"1": Takes(made=(Take(), first, second), circled=3)}
    assert decode(json.dumps(encode(takes)).encode(), "x") == takes
    assert whole(takes["1"]) == Take()

    def patches(frames: int, rate: int) -> list[tuple[int, int, int]]:
        (made,) = apply(shots(shot("1", frames, prompt="a boat")), takes, Fraction(rate)).shots
        assert all(patch.prompt == "a boat" for patch in made.patches)
        return [(patch.start, patch.stop, patch.seed) for patch in made.patches]

    assert patches(100, 16) == [(8, 48, 3), (8, 16, 5)]
    assert patches(200, 32) == [(16, 96, 3), (16, 32, 5)]  # the same moments at another rate
    assert patches(20, 16) == [(8, 20, 3), (8, 16, 5)]  # the script has made it shorter
    assert patches(8, 16) == []
    for wrong in (
        {"seed": 1, "span": ["4", "9"], "of": 2},
        {"seed": 1, "span": ["4", "4"], "of": 1},
        {"seed": 1, "span": ["4", "1/0"], "of": 1},
        {"seed": None, "span": ["4", "9"], "of": 1},
        {"seed": 1, "span": ["4", "9"]},
        {"seed": 1, "span": ["4", "9"], "of": 1.5},
        {"seed": 1, "span": [], "of": 1},
        {"seed": 1, "span": 4, "of": 1},
        {"seed": 1, "of": 1},
    ):
        data = json.dumps({"1": {"made": [{}, wrong], "circled": 2}}).encode()
        with pytest.raises(StoreError, match="cannot be understood"):
            decode(data, "takes.json")


def test_a_span_of_a_shot_is_made_again_from_the_command_line(
    stand_in: FakeModel, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "farm.media.alike.differences", lambda first, second: [0.0] * 16 + [8.0] * 8 + [2.0] * 40
    )
    farm(capsys, "render", "small.yaml")
    film = Path("renders/small/film.mp4").read_bytes()
    stand_in.denoised.clear()
    made = farm(capsys, "retake", "small", "2", "--span", "1s-1.5s", "--prompt", "it hops")
    assert made["rendered"] == 1 and (made["take"], made["takes"]) == (2, 2)
    assert {name for name, _ in stand_in.denoised} == {"2"}
    assert made["changed"] == {"ahead": 0.0, "within": 8.0, "behind": 2.0}
    assert Path("renders/small/film.mp4").read_bytes() != film
    report = json.loads(Path("renders/small/report.json").read_text())
    assert [segment["id"] for segment in report["shots"][1]["segments"]][-1] == "2/patch-0-4"
    # The render log knows whose words and seed they are.
    rows = pq.read_table("renders/small/render.parquet").to_pylist()
    assert [row["continuity"] for row in rows if row["segment"].startswith("2/")][-1] == "bridge"
    assert [row["segment"] for row in rows if row["prompt"] == "it hops"] == ["2/patch-0-4"]
    # The very take that is circled, once more; and a whole take goes by what was said of all of the shot.
    same = farm(capsys, "retake", "small", "2", "--span", "1s-1.5s", "--prompt", "it hops")
    assert (same["rendered"], same["takes"]) == (0, 2)
    assert farm(capsys, "retake", "small", "2")["take"] == 3
    farm(capsys, "retake", "small", "2", "--prompt", "a pink boat", "--seed", "5")
    farm(capsys, "retake", "small", "2", "--span", "2s-3s", "--seed", "6", "--prompt", "it spins")
    farm(capsys, "retake", "small", "2", "--prompt", "a blue boat")
    farm(capsys, "retake", "small", "2")
    made = json.loads(Path("renders/small/takes.json").read_text())["2"]["made"]
    assert made[2]["prompt"] is None
    assert made[4] == {"seed": 6, "prompt": "it spins", "span": ["2", "3"], "of": 4}
    assert made[5] == {"seed": 5, "prompt": "a blue boat"}
    assert made[6]["prompt"] == "a blue boat" and made[6]["seed"] not in (5, 6)
    assert farm(capsys, "retake", "small", "2", "--take", "2")["rendered"] == 0
    assert farm(capsys, "retake", "small", "2", "--take", "1")["rendered"] == 0
    assert Path("renders/small/film.mp4").read_bytes() == film
    for words, message in (
        (("--span", "1s"), "is no span of a shot"),
        (("--span", "3s-9s"), "in a shot of 4 seconds"),
        (("--span", "1s-2s", "--take", "1"), "give it alone"),
    ):
        assert cli.main(["retake", "small", "2", *words]) == 2
        assert message in capsys.readouterr().err
