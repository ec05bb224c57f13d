import time
from dataclasses import replace
from fractions import Fraction

import pytest
from conftest import make_settings
from helpers import shot, shots
from hypothesis import given
from hypothesis import strategies as st

from farm.errors import BadInput
from farm.plan.estimate import estimate
from farm.plan.naming import check_film_name, film_name
from farm.plan.plan import make_plan
from farm.plan.segments import split_windows
from farm.plan.task import Kind
from farm.timebase import latents_for


@st.composite
def windows(draw: st.DrawFn) -> tuple[int, int, int, int]:
    window = draw(st.integers(2, 40))
    overlap = draw(st.integers(1, (window + 1) // 3))
    return draw(st.integers(1, 500)), window, overlap, draw(st.integers(0, overlap))


@given(windows())
def test_segments_cover_a_shot_exactly_and_overlap_as_asked(case: tuple[int, int, int, int]) -> None:
    latents, window, overlap, opening = case
    made = split_windows(latents, window, overlap, opening)
    owned = [frame for item in made for frame in range(item.owned.start, item.owned.stop)]
    assert owned == list(range(latents))
    assert all(len(item.span) <= window for item in made)
    assert made[0].given == 0
    if opening and latents > opening:
        first, made = made[0], made[1:]
        assert (len(first.span), made[0].given, made[0].span.start) == (opening, opening, 0)
    for before, after in zip(made, made[1:], strict=False):
        assert before.span.stop - after.span.start == overlap == after.given
        # The context comes from one neighbour, so that neighbour must own all of it.
        assert len(before.owned) >= overlap
    sizes = [len(item.owned) for item in made[1:]]
    assert not sizes or max(sizes) - min(sizes) <= 1


rates = st.sampled_from(
    [Fraction(16), Fraction(24), Fraction(25), Fraction(24000, 1001), Fraction(60000, 1001)]
)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=12), rates, rates)
def test_a_film_is_exactly_its_shots(lengths: list[int], rate: Fraction, out: Fraction) -> None:
    if out < rate / 4:
        return
    plan = make_plan(
        "film",
        shots(*(shot(str(index), frames) for index, frames in enumerate(lengths))),
        make_settings(rate=rate, out=out),
    )
    assert plan.frames == sum(lengths)
    position = 0
    for item, frames in zip(plan.shots, lengths, strict=True):
        assert (item.span.start, item.span.stop) == (position, position + frames)
        position += frames
        inner = 0
        for segment in item.segments:
            assert segment.frames.start == inner
            inner = segment.frames.stop
        assert inner == frames


def keys(plan) -> dict[str, str]:
    return {task.id: task.key for task in plan.tasks}


@given(st.integers(0, 4), st.sampled_from(["prompt", "frames", "seed"]))
def test_editing_a_shot_changes_only_what_hangs_on_it(index: int, field: str) -> None:
    items = [shot(str(number), 150) for number in range(5)]
    before = make_plan("film", shots(*items), make_settings())
    change = {"prompt": "something else", "frames": 151, "seed": 99}[field]
    items[index] = replace(items[index], **{field: change})
    after = make_plan("film", shots(*items), make_settings())
    old, new = keys(before), keys(after)
    changed = {task for task in new if new[task] != old.get(task)}
    assert f"finish/{index}" in changed
    for task in after.tasks:
        if task.id in changed:
            assert task.shot == str(index) or task.kind in (Kind.EMBED, Kind.STITCH)


def test_keys_ignore_order_of_other_shots_workers_and_source() -> None:
    one, two = shot("1", 150), shot("2", 80)
    base = make_settings()
    plan = keys(make_plan("film", shots(one, two), base))
    moved = keys(make_plan("other", shots(two, one), replace(base, cost=replace(base.cost, workers=64))))
    elsewhere = replace(one, source=replace(one.source, file="other.fountain", first=70, last=70))
    renamed = keys(make_plan("film", shots(elsewhere, two), base))
    for task in plan:
        if task != "stitch":
            assert plan[task] == moved[task] == renamed[task]


def test_whatever_changes_the_output_changes_the_key() -> None:
    base = keys(make_plan("film", shots(shot("1", 150)), make_settings()))
    for change in ({"weights": "sha256:x"}, {"seed": 2}, {"steps": 5}, {"continuity": "cut"}):
        other = keys(make_plan("film", shots(shot("1", 150)), make_settings(**change)))
        assert base["denoise/1/1"] != other["denoise/1/1"], change
        assert base["finish/1"] != other["finish/1"], change


def test_golden_keys() -> None:
    """Fails when what a recipe says changes: then raise the number in ALGORITHM and this key."""
    plan = make_plan("film", shots(shot("1", 150)), make_settings())
    assert len(plan.tasks) == 2 + 6 + 1 + 1
    assert plan.key == "3343431f40331fe20e454faab4d73e98b7b71930052f3ce7e1f2b1a5b3270379"


def test_chained_segments_wait_for_one_another_and_cut_ones_do_not() -> None:
    plan = make_plan("film", shots(shot("1", 150)), make_settings())
    chained = [task for task in plan.tasks if task.kind is Kind.DENOISE]
    assert [task.needs[2:] for task in chained[:3]] == [(), ("denoise/1/0",), ("denoise/1/1",)]
    plan = make_plan("film", shots(shot("1", 150, continuity="cut")), make_settings())
    free = [task for task in plan.tasks if task.kind is Kind.DENOISE]
    assert all(len(task.needs) == 2 for task in free)


def test_a_shot_with_an_opening_is_drawn_from_its_first_frame() -> None:
    base = make_settings(control=True)
    settings = replace(base, family=replace(base.family, opening=1))
    one, long = make_plan("film", shots(shot("1", 30), shot("2", 150)), settings).shots
    # Even a shot of one window is chained then: to its opening.
    assert (one.continuity, [len(window.span) for window in one.windows]) == ("chain", [1, 9])
    assert [(window.span.start, window.given) for window in long.windows[:3]] == [(0, 0), (0, 1), (6, 3)]
    assert [segment.frames.start for segment in long.segments[:3]] == [0, 1, 33]
    # The control stands at the first join of two long segments, and is made on the same segments before.
    control = next(
        task for task in make_plan("film", shots(shot("2", 150)), settings).tasks if task.id == long.control
    )
    assert control.needs == ("denoise/2/0", "denoise/2/1", "denoise/2/control")


def test_a_control_adds_one_segment_on_its_own_and_changes_nothing_else() -> None:
    items = shots(shot("1", 60), shot("2", 150), shot("3", 20))
    plain, held = (make_plan("film", items, make_settings(control=control)) for control in (False, True))
    added = keys(held).keys() - keys(plain).keys()
    assert added == {"denoise/2/control", "finish/2/control"}
    assert all(keys(held)[task] == key for task, key in keys(plain).items())
    control = next(task for task in held.tasks if task.id == "finish/2/control")
    assert control.needs == ("denoise/2/0", "denoise/2/control")
    assert [item.control for item in held.shots] == [None, "finish/2/control", None]


def test_auto_is_a_pure_choice() -> None:
    made = make_plan("film", shots(shot("1", 33), shot("2", 34)), make_settings())
    assert [item.continuity for item in made.shots] == ["cut", "chain"]


def test_what_cannot_be_planned_is_refused() -> None:
    base = make_settings()
    with pytest.raises(BadInput, match="multiple of 16"):
        make_plan("film", shots(shot("1")), replace(base, sampling=replace(base.sampling, width=250)))
    with pytest.raises(BadInput, match="too slow"):
        make_plan("film", shots(shot("1")), make_settings(out=Fraction(3)))
    with pytest.raises(BadInput, match="give 1 to 3"):
        make_settings(overlap=4)


def test_the_estimate_counts_what_is_left() -> None:
    plan = make_plan("film", shots(shot("1", 150), shot("2", 20)), make_settings())
    whole = estimate(plan)
    assert whole.segments == 7
    assert whole.latents == latents_for(150, 4) + latents_for(20, 4)
    assert whole.evaluations == 7 * 4 * 2
    done = frozenset(task.id for task in plan.tasks if task.shot == "1")
    assert estimate(plan, done).segments == 1
    everything = frozenset(task.id for task in plan.tasks)
    assert estimate(plan, everything).seconds == 0


def test_planning_grows_linearly() -> None:
    def seconds(count: int) -> float:
        items = shots(*(shot(str(index), 100) for index in range(count)))
        began = time.process_time()
        make_plan("film", items, make_settings())
        return time.process_time() - began

    seconds(100)
    small, large = min(seconds(500) for _ in range(3)), seconds(5000)
    assert large < 10 * small * 2.5


def test_film_names_cannot_leave_the_store() -> None:
    assert film_name("The Long Way Home!", "x.fountain") == "the-long-way-home"
    assert film_name(None, "scripts/Été.fountain") == "ete"
    assert film_name("../../etc", "x.fountain") == "etc"
    with pytest.raises(BadInput, match="film=NAME"):
        film_name("夜", "夜.fountain")
    for wrong in ("../x", "a/b", "", ".x", "X", "a" * 64, "-x"):
        with pytest.raises(BadInput):
            check_film_name(wrong)
