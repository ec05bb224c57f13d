from __future__ import annotations

from conftest import make_settings
from helpers import FakePool, TextMedia, make_driver, make_worker, shot, shots

from farm.plan.estimate import estimate
from farm.plan.plan import make_plan
from farm.report import film_report, plan_json
from farm.seams import joins
from farm.status import film_status, list_films, status_text
from farm.store.memory import MemoryStore


def test_a_jump_at_a_join_is_read_as_one_and_elsewhere_not() -> None:
    item = make_plan("film", shots(shot("1", 150)), make_settings()).shots[0]
    first, second, *_ = [segment.frames.start for segment in item.segments[1:]]
    differences = [2.0] * 149
    differences[first - 1] = 10.0
    differences[second + 3] = 50.0
    found = joins(item, differences)
    assert len(found) == len(item.segments) - 1
    assert (found[0]["frame"], found[0]["ratio"]) == (first, 5.0)
    assert {join["ratio"] for join in found[1:]} == {1.0}


def test_repeated_frames_are_no_measure() -> None:
    item = make_plan("film", shots(shot("1", 60)), make_settings()).shots[0]
    differences = [2.0 if index % 2 else 0.0 for index in range(59)]
    assert all(join["neighbours"] == 2.0 for join in joins(item, differences))
    assert joins(item, [0.0] * 59) == []


class JumpyMedia(TextMedia):
    """Reads a jump into whatever was not chained."""

    def encode_shot(self, recipe, frames, target):
        facts = super().encode_shot(recipe, frames, target)
        if recipe["frames"] < 60:
            facts["differences"] = [1.0] * 24 + [7.0] + [1.0] * (recipe["frames"] - 26)
        return facts


def test_the_report_says_what_every_shot_was_made_of(store: MemoryStore) -> None:
    plan = make_plan("film", shots(shot("1", 60, seed=9), shot("2", 20)), make_settings(control=True))
    worker = make_worker(store)
    worker.media = JumpyMedia()
    outcome = make_driver(plan, store).render(lambda: FakePool(worker))
    assert outcome.rendered == 4, "the control is no segment of the film"
    report = film_report(outcome, {"torch": "2"})
    assert (report["film"], report["frames"], report["versions"]) == ("film", 80, {"torch": "2"})
    one, two = report["shots"]
    assert (one["id"], one["seed"], one["start"], one["stop"]) == ("1", 9, 0, 60)
    assert (two["seed"], two["start"], two["stop"], two["joins"]) == (1, 60, 80, [])
    assert one["joins"][0]["ratio"] == 1.0
    assert one["joins"][0]["cut"] > 1
    assert "cut" not in one["joins"][1]
    keys = {task.id: task.key for task in plan.tasks}
    assert [segment["key"] for segment in one["segments"]] == [keys[f"denoise/1/{n}"] for n in range(3)]
    assert all(segment["seconds"] >= 0 for segment in one["segments"])


def test_status_is_read_off_plan_and_journal(store: MemoryStore) -> None:

    plan = make_plan("film", shots(shot("1", 60), shot("2", 20)), make_settings())
    record = {"plan": plan_json(plan, frozenset(), estimate(plan))}
    make_driver(plan, store, records=record).render(lambda: FakePool(make_worker(store)))
    assert list_films(store) == ["film"]
    status = film_status(store, "film", running=False)
    assert (status["state"], status["done"], status["segments"]) == ("done", 4, 4)
    assert status_text(status).startswith("film: done, 4 of 4 segments")
    for info in list(store.list("films/film/journal/"))[-2:]:
        store.delete(info.key)
    status = film_status(store, "film", running=False)
    assert status["state"] == "stopped"
    assert "shot 1" in status_text(status)
