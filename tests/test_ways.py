"""The ways of continuing a shot: their rows, the loop that walks them, and how they are planned."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from conftest import make_settings
from helpers import shot, shots
from hypothesis import given
from hypothesis import strategies as st

from farm.errors import BadInput
from farm.models.denoise import denoise
from farm.models.matrix import Levels, columns_in_step, given_columns
from farm.models.ways.bridge import bridge
from farm.models.ways.build import build_rows
from farm.models.ways.chain import chain
from farm.models.ways.cut import cut
from farm.models.ways.stagger import stagger
from farm.models.ways.weave import weave
from farm.plan.estimate import estimate
from farm.plan.plan import make_plan
from farm.plan.segments import split_windows
from farm.plan.task import Kind

LEVELS = Levels([1.0, 0.8, 0.4], [999, 800, 400])


class Flow:
    """Euler's steps of the flow, and a count of what was stepped: columns, timestep."""

    seen: list[tuple[int, int]]

    def __init__(self) -> None:
        self.seen = []

    def __deepcopy__(self, memo: object) -> Flow:
        return self

    def step(self, velocity, timestep, sample, return_dict):
        self.seen.append((sample.shape[2], int(timestep)))
        sigmas = dict(zip(LEVELS.timesteps, LEVELS.sigmas, strict=True))
        after = dict(zip(LEVELS.timesteps, [*LEVELS.sigmas[1:], 0.0], strict=True))
        return (sample + (after[int(timestep)] - sigmas[int(timestep)]) * velocity,)


def test_a_bridge_holds_both_ends_and_steps_what_lies_between() -> None:
    rows = bridge(LEVELS, 6, 2, 1, 20)
    assert given_columns(rows) == [0, 1, 5]
    assert columns_in_step(rows) == [slice(2, 5)]
    assert rows[1].sigma == (0.02, 0.02, 0.8, 0.8, 0.8, 0.02)
    assert rows[1].timestep == (20.0, 20.0, 800.0, 800.0, 800.0, 20.0)
    assert chain(LEVELS, 5, 2, 20) == bridge(LEVELS, 5, 2, 0, 20)
    with pytest.raises(ValueError, match="none is left between"):
        bridge(LEVELS, 3, 2, 1, 20)


def test_the_loop_infills_between_what_is_given() -> None:
    target = torch.randn(1, 2, 6, 3, 3, generator=torch.Generator().manual_seed(1))
    noise = torch.randn(1, 2, 6, 3, 3, generator=torch.Generator().manual_seed(2))
    ends = target[:, :, [0, 1, 5]]

    def network(latents, timesteps, text):
        assert torch.equal(latents[:, :, [0, 1, 5]], ends)
        return noise - target  # the velocity of the straight way from noise to the target

    text = torch.zeros(1, 1, 1)
    more = dict(prompt=text, negative=text, guidance=1.0)
    made = denoise(network, Flow(), bridge(LEVELS, 6, 2, 1, 0), noise, given=ends, **more)
    assert torch.allclose(made, target, atol=1e-5)
    with pytest.raises(ValueError, match="must update just the columns that are not given"):
        denoise(network, Flow(), bridge(LEVELS, 6, 2, 1, 0), noise, given=ends[:, :, :2], **more)


@given(
    columns=st.integers(2, 12),
    lag=st.integers(1, 5),
    held=st.integers(0, 3),
    steps=st.integers(1, 6),
)
def test_in_a_stagger_every_frame_takes_every_level_once_and_in_order(
    columns: int, lag: int, held: int, steps: int
) -> None:
    held = min(held, columns - 1)
    levels = Levels([1 - step / steps for step in range(steps)], [1000 - step for step in range(steps)])
    rows = stagger(levels, columns, held, 20, lag)
    assert len(rows) == steps + min(lag, steps) * (columns - held - 1)
    assert given_columns(rows) == list(range(held))
    for column in range(held, columns):
        course = [(row.sigma[column], row.timestep[column]) for row in rows if row.update[column]]
        assert course == list(zip(levels.sigmas, levels.timesteps, strict=True))
    for row in rows:  # what comes first is never noisier than what comes behind
        assert list(row.sigma[held:]) == sorted(row.sigma[held:])
        assert any(row.update)


@given(
    latents=st.integers(2, 80),
    window=st.integers(5, 12),
    overlap=st.integers(2, 4),
    opening=st.integers(0, 1),
)
def test_a_weave_covers_every_frame_once(latents: int, window: int, overlap: int, opening: int) -> None:
    overlap = min(overlap, (window + 1) // 3)
    windows = [(w.span.start, w.span.stop) for w in split_windows(latents, window, overlap)]
    rows = weave(LEVELS, latents, windows, opening, 20, 500)
    for row in rows:
        total = [0.0] * latents
        owners = [0] * latents
        for pane in row.panes:
            assert len(pane.weight) == pane.stop - pane.start <= window
            if pane.start:
                assert pane.weight[0] == 0.0
            for column, weight in zip(range(pane.start, pane.stop), pane.weight, strict=True):
                total[column] += weight
                owners[column] += weight > 0
        assert total == pytest.approx([1.0] * latents)
        if row.sigma[-1] * 1000 <= 500:
            assert owners == [1] * latents
    assert columns_in_step(rows) == [slice(opening, latents)]


@pytest.mark.parametrize("windows", [[(0, 5), (6, 9)], [(0, 5), (3, 8)], [(0, 5), (2, 6), (4, 9)], [(1, 9)]])
def test_a_weave_of_windows_that_do_not_follow_one_another_is_refused(windows) -> None:
    with pytest.raises(ValueError, match="do not cover 9 latent frames"):
        weave(LEVELS, 9, windows, 0, 20, 500)


def test_woven_windows_are_asked_apart_and_stepped_together() -> None:
    noise = torch.randn(1, 2, 9, 2, 2, generator=torch.Generator().manual_seed(3))
    asked = []

    def network(latents, timesteps, text):
        asked.append(latents.shape[2])
        # Each window says something of its own, so that it can be seen whose word counts.
        return torch.full_like(latents, float(len(asked)))

    text, flow = torch.zeros(1, 1, 1), Flow()
    rows = weave(LEVELS, 9, [(0, 5), (3, 9)], 0, 20, 500)
    made = denoise(network, flow, rows, noise, prompt=text, negative=text, guidance=1.0)
    assert asked == [5, 6] * 3
    assert flow.seen == [(9, 999), (9, 800), (9, 400)]
    moved = (noise - made)[0, 0, :, 0, 0]
    first = 0.2 * 1 + 0.4 * 3 + 0.4 * 5
    second = 0.2 * 2 + 0.4 * 4 + 0.4 * 6
    fused = 0.2 * 1.5 + 0.4 * 3.5 + 0.4 * 5  # half and half while noise is high, then the first owns it
    assert moved.tolist() == pytest.approx([first] * 4 + [fused] + [second] * 4, abs=1e-5)


def test_rows_are_built_from_recipes() -> None:
    held = {"context_level": 20}
    assert build_rows(LEVELS, 5, 1, {"way": "cut", **held}) == cut(LEVELS, 5)
    assert build_rows(LEVELS, 5, 2, {"way": "chain", **held}) == chain(LEVELS, 5, 2, 20)
    lagging = {"way": "stagger", "lag": 2, **held}
    assert build_rows(LEVELS, 5, 2, lagging) == stagger(LEVELS, 5, 2, 20, 2)
    woven = {"way": "weave", "panes": [[0, 5], [3, 9]], "settled": 500, **held}
    assert build_rows(LEVELS, 9, 1, woven) == weave(LEVELS, 9, [(0, 5), (3, 9)], 1, 20, 500)
    with pytest.raises(ValueError, match="no way 'fold'"):
        build_rows(LEVELS, 5, 1, {"way": "fold"})


def test_a_woven_shot_is_one_segment_with_joins_inside() -> None:
    base = make_settings()
    settings = replace(base, family=replace(base.family, opening=1))
    item = make_plan("film", shots(shot("1", 150, continuity="weave")), settings).shots[0]
    chained = make_plan("film", shots(shot("1", 150, continuity="chain")), settings).shots[0]
    assert [len(segment.window.span) for segment in item.segments] == [1, item.latents]
    assert item.segments[1].window.given == 1
    assert item.joins == chained.joins and len(item.joins) > 3


def test_only_what_a_way_needs_is_in_its_recipes() -> None:
    def recipes(way: str) -> list[dict]:
        plan = make_plan("film", shots(shot("1", 90, continuity=way)), make_settings())
        return [json.loads(task.recipe) for task in plan.tasks if task.kind is Kind.DENOISE]

    assert [recipe["way"] for recipe in recipes("chain")] == ["cut", "chain", "chain", "chain"]
    assert [recipe["way"] for recipe in recipes("stagger")] == ["stagger"] * 4
    assert all(recipe["lag"] == 1 for recipe in recipes("stagger"))
    (woven,) = recipes("weave")
    assert woven["panes"][0][0] == 0 and woven["panes"][-1][1] == woven["span"][1]
    for recipe in (*recipes("chain"), *recipes("cut")):
        assert not {"lag", "panes"} & recipe.keys()


def test_what_a_way_costs_is_counted() -> None:
    def asked(way: str) -> int:
        return estimate(make_plan("film", shots(shot("1", 90, continuity=way)), make_settings())).evaluations

    steps = 4 * 2
    item = make_plan("film", shots(shot("1", 90, continuity="chain")), make_settings()).shots[0]
    assert asked("chain") == steps * len(item.windows) == asked("weave")
    late = sum(2 * (len(window.owned) - 1) for window in item.windows)
    assert asked("stagger") == asked("chain") + late
    base = make_settings()
    opened = replace(base, family=replace(base.family, opening=1))
    plan = make_plan("film", shots(shot("1", 90, continuity="weave")), opened)
    panes = json.loads(next(t.recipe for t in plan.tasks if t.id == "denoise/1/1"))["panes"]
    assert estimate(plan).evaluations == steps * (1 + len(panes))
    hasty = replace(base, sampling=replace(base.sampling, lag=1000))
    plan = make_plan("film", shots(shot("1", 33, continuity="stagger")), hasty)
    assert estimate(plan).evaluations == steps + 2 * 4 * 8


def test_auto_weaves_where_a_model_cannot_chain() -> None:
    def way(frames: int, **more) -> str:
        return make_plan("film", shots(shot("1", frames)), make_settings(**more)).shots[0].continuity

    assert (way(34), way(33)) == ("chain", "cut")
    assert (way(34, levels=False), way(33, levels=False)) == ("weave", "cut")
    assert way(34, levels=False, overlap=1) == "cut"


def test_a_way_that_a_model_cannot_go_is_refused() -> None:
    for asked in ("chain", "stagger"):
        with pytest.raises(BadInput, match=f"continuity={asked} needs a noise level per latent frame"):
            make_plan("film", shots(shot("1", 34, continuity=asked)), make_settings(levels=False))
    with pytest.raises(BadInput, match=r"continuity\.overlap=2 or more"):
        make_plan("film", shots(shot("1", 34, continuity="weave")), make_settings(overlap=1))
