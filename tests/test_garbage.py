"""What no film refers to goes; what one could need stays, whatever else happens at that moment."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import make_settings
from helpers import FakeClock, FakePool, make_driver, make_worker, shot, shots
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.errors import StoreError
from farm.garbage import YOUNG_S, Garbage, Wanted, collect_garbage, find_garbage
from farm.ledger import Blobs, Commits, decode_commit
from farm.plan.plan import Plan, make_plan
from farm.records import named_by_records
from farm.run import Outcome
from farm.snapshot import snapshot_key
from farm.store.directory import DirectoryStore
from farm.store.memory import MemoryStore
from farm.store.s3 import S3Store

DAY = 86400.0


class Farm:
    """A store whose time is the driver's, films in it, and what is rendered of them."""

    def __init__(self, store: Callable[[Callable[[], float]], MemoryStore] = MemoryStore) -> None:
        self.clock = FakeClock()
        self.store = store(self.clock.now)
        self.films: dict[str, Plan] = {}

    def render(self, film: str, *seeds: int) -> None:
        items = [shot(f"{number}", 40, seed=seed) for number, seed in enumerate(seeds, 1)]
        self.films[film] = plan = make_plan(film, shots(*items), make_settings())
        worker = make_worker(self.store)
        worker.clock = self.clock
        make_driver(plan, self.store, clock=self.clock).render(lambda: FakePool(worker))

    def wanted(self) -> Wanted:
        return Wanted(keys=frozenset(task.key for plan in self.films.values() for task in plan.tasks))

    def find(self) -> Garbage:
        return find_garbage(self.store, self.wanted(), self.clock.now())

    def collect(self) -> Garbage:
        return collect_garbage(self.store, self.wanted, self.clock.now())

    def made(self) -> dict[str, float]:
        """Commits and blobs, and when each was written or touched."""
        infos = [*self.store.list("commits/"), *self.store.list("blobs/")]
        return {info.key: info.modified for info in infos}

    def check_whole(self) -> None:
        """Every film is made again without a worker (in a copy, since that touches what it relies on).

        And so with the film's snapshot, which hides what is missing behind it, and without.
        """
        for film, plan in self.films.items():
            assert self.store.stat(snapshot_key(film)) is not None
            for snapshot in (True, False):
                store = MemoryStore(self.clock.now)
                store._objects = dict(self.store._objects)
                store._modified = dict(self.store._modified)
                if not snapshot:
                    store.delete(snapshot_key(film))
                outcome = make_driver(plan, store, clock=copy.copy(self.clock)).render(nobody)
                assert outcome.rendered == 0
                self.check_young(store, outcome)

    def check_young(self, store: MemoryStore, outcome: Outcome) -> None:
        """What a film that was just begun relies on is far from being collected."""
        for commit in outcome.commits.values():
            refs = [ref.key for ref in commit.outputs.values()]
            for key in (f"commits/{commit.key}/{commit.generation:06d}", *refs):
                assert self.clock.time - store._modified[key] < YOUNG_S - 3 * DAY


def nobody() -> FakePool:
    raise AssertionError("no worker is needed")


renders = st.tuples(st.sampled_from("ab"), st.lists(st.integers(1, 3), min_size=1, max_size=2))
deeds = st.one_of(renders, st.integers(1, 9), st.sampled_from(["drop a", "drop b", "collect"]))


@settings(max_examples=25)
@given(st.lists(deeds, max_size=12))
def test_whatever_is_done_no_film_misses_anything(story: list) -> None:
    farm = Farm()
    for deed in [*story, "collect"]:
        match deed:
            case (film, seeds):
                farm.render(film, *seeds)
            case int(days):
                farm.clock.time += days * DAY
            case "collect":
                before = farm.made()
                farm.collect()
                gone = before.keys() - farm.made().keys()
                assert all(farm.clock.time - before[key] > YOUNG_S for key in gone)
                farm.check_whole()
                again = farm.collect()
                assert (again.commits, again.blobs) == ((), ())
                left = {key for key, at in farm.made().items() if farm.clock.time - at > YOUNG_S}
                assert {key.split("/")[1] for key in left if "commits/" in key} <= farm.wanted().keys
                assert farm.films or not left
            case str(drop):
                farm.films.pop(drop[-1], None)


@pytest.mark.parametrize("kind", ["memory", "directory", "s3"])
def test_any_store_is_collected_alike(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if kind == "s3":
        store = S3Store(request.getfixturevalue("place"))
    else:
        store = MemoryStore() if kind == "memory" else DirectoryStore(tmp_path)
    kept, gone = (make_plan("film", shots(shot("1", 40, seed=seed)), make_settings()) for seed in (1, 2))
    for plan in (kept, gone):
        make_driver(plan, store).render(lambda: FakePool(make_worker(store)))
    wanted = Wanted(keys=frozenset(task.key for task in kept.tasks))
    assert collect_garbage(store, lambda: wanted, time.time()).commits == ()
    found = collect_garbage(store, lambda: wanted, time.time() + 8 * DAY)
    own = {task.key for task in gone.tasks} - wanted.keys
    assert {info.key.split("/")[1] for info in found.commits} == own
    assert all(store.stat(info.key) is None for info in (*found.commits, *found.blobs))
    assert make_driver(kept, store).render(nobody).rendered == 0
    assert make_driver(gone, store).render(lambda: FakePool(make_worker(store))).reused == 0


def test_nothing_is_deleted_by_looking() -> None:
    farm = Farm()
    farm.render("a", 1)
    farm.films.clear()
    farm.clock.time += 8 * DAY
    before = farm.made()
    found = farm.find()
    assert {info.key for info in (*found.commits, *found.blobs)} == before.keys()
    assert found.num_bytes == sum(info.num_bytes for info in (*found.commits, *found.blobs))
    assert farm.made() == before
    assert farm.collect() == found
    assert farm.made() == {}


def test_what_is_younger_than_a_week_stays_and_what_it_was_made_from_with_it() -> None:
    farm = Farm()
    farm.render("a", 1)
    farm.films.clear()
    farm.clock.time += 8 * DAY
    young = next(info.key for info in farm.store.list("commits/"))
    farm.store.touch(young)
    commit = decode_commit(farm.store.get(young), young)
    assert young not in {info.key for info in farm.find().commits}
    farm.collect()
    kept = {ref.key for ref in commit.outputs.values()} | {f"blobs/{sha256}" for sha256 in commit.inputs}
    assert farm.made().keys() == {young, *kept}


def test_a_blob_stays_that_another_film_has_too() -> None:
    farm = Farm()
    farm.render("a", 1)
    farm.render("b", 1, 2)
    del farm.films["b"]
    farm.clock.time += 8 * DAY
    gone = {info.key.split("/")[0] for info in farm.collect().commits}
    assert gone == {"commits"}
    farm.check_whole()


@pytest.mark.parametrize("key", ["commits/k/000000", "commits/index", "blobs/readme", "tmp/mine", "notes/x"])
def test_what_bears_no_name_of_ours_is_left_alone(key: str) -> None:
    farm = Farm()
    farm.store.put(key, b"x")
    farm.clock.time += 99 * DAY
    assert farm.collect() == Garbage(commits=(), blobs=(), leftovers=())
    assert farm.store.get(key) == b"x"


def test_what_broken_off_writes_left_behind_goes_after_a_day() -> None:
    farm = Farm()
    keys = [f"{folder}/{'0' * 32}" for folder in ("doctor", "race", "tmp")]
    for key in keys:
        farm.store.put(key, b"x")
    farm.clock.time += 0.9 * DAY
    assert farm.collect().leftovers == ()
    farm.clock.time += 0.2 * DAY
    assert [info.key for info in farm.collect().leftovers] == keys


def test_a_film_that_begins_meanwhile_keeps_what_it_will_use() -> None:
    farm = Farm()
    farm.render("a", 1)
    plan = farm.films.pop("a")
    farm.clock.time += 8 * DAY
    asked = 0

    def wanted() -> Wanted:
        nonlocal asked
        asked += 1
        if asked == 2:
            farm.films["a"] = plan
        return farm.wanted()

    found = collect_garbage(farm.store, wanted, farm.clock.now())
    assert (found.commits, found.blobs) == ((), ())
    farm.check_whole()


def test_a_film_that_is_known_by_its_records_misses_nothing() -> None:
    farm = Farm()
    farm.render("a", 1, 2)
    farm.render("b", 3)
    farm.clock.time += 8 * DAY
    del farm.films["b"]
    own = {task.key for task in farm.films["a"].tasks}
    wanted = Wanted(names=named_by_records(farm.store, "a"))
    assert own <= wanted.names
    found = collect_garbage(farm.store, lambda: wanted, farm.clock.now())
    assert found.commits and not own & {info.key.split("/")[1] for info in found.commits}
    farm.check_whole()


def test_what_a_film_writes_down_meanwhile_is_spared_and_it_is_not_waited_for() -> None:
    """It is rendered elsewhere: whenever it is asked, its journal names more."""
    farm = Farm()
    farm.render("a", 1, 2)
    farm.clock.time += 8 * DAY
    outputs = [
        ref.sha256
        for info in farm.store.list("commits/")
        for ref in decode_commit(farm.store.get(info.key), info.key).outputs.values()
    ]
    asked = 0

    def wanted() -> Wanted:
        nonlocal asked
        asked += 1
        assert asked < 9
        return Wanted(names=frozenset(outputs[: 3 * asked]))

    found = collect_garbage(farm.store, wanted, farm.clock.now())
    assert asked < 9 and found.commits
    for output in outputs[: 3 * asked]:
        assert farm.store.stat(f"blobs/{output}") is not None
    left = [decode_commit(farm.store.get(info.key), "") for info in farm.store.list("commits/")]
    assert {ref.sha256 for commit in left for ref in commit.outputs.values()} >= set(outputs[: 3 * asked])


def test_what_is_touched_at_the_last_moment_stays() -> None:
    farm = Farm()
    farm.render("a", 1)
    plan = farm.films.pop("a")
    farm.clock.time += 8 * DAY
    now, asked = farm.clock.now(), 0

    def wanted() -> Wanted:
        nonlocal asked
        asked += 1
        if asked == 2:  # a driver takes stock just behind the last question
            make_driver(plan, farm.store, clock=farm.clock).render(nobody)
        return Wanted()

    assert collect_garbage(farm.store, wanted, now) == Garbage(commits=(), blobs=(), leftovers=())
    farm.films["a"] = plan
    farm.check_whole()


def test_commits_go_before_the_blobs_they_name() -> None:
    deleted: list[str] = []

    class Told(MemoryStore):
        def delete(self, key: str) -> None:
            deleted.append(key.split("/")[0])
            super().delete(key)

    farm = Farm(Told)
    farm.render("a", 1)
    farm.films.clear()
    farm.clock.time += 8 * DAY
    deleted.clear()
    farm.collect()
    assert set(deleted) == {"commits", "blobs"}
    assert deleted == sorted(deleted, reverse=True)


def test_a_commit_that_cannot_be_read_stops_it_before_anything_goes() -> None:
    class Unreadable(MemoryStore):
        broken = False

        def get(self, key: str) -> bytes:
            if self.broken and key.startswith("commits/"):
                raise StoreError("cannot read: input/output error")
            return super().get(key)

    farm = Farm(Unreadable)
    farm.render("a", 1)
    farm.clock.time += 8 * DAY
    before = farm.made()
    Unreadable.broken = True
    with pytest.raises(StoreError, match="input/output"):
        farm.collect()
    assert farm.made() == before


def test_bytes_that_are_no_commit_hold_nothing() -> None:
    farm = Farm()
    farm.store.put(f"commits/{'0' * 64}/000000", b"{}")
    Blobs(farm.store).put(b"data")
    farm.clock.time += 8 * DAY
    found = farm.collect()
    assert (len(found.commits), len(found.blobs)) == (1, 1)


def test_a_driver_touches_what_it_relies_on_once_it_is_old() -> None:
    farm = Farm()
    farm.render("a", 1, 2)
    made = farm.made()
    farm.clock.time += 2 * DAY
    farm.render("a", 1, 2)
    assert farm.made() == made
    farm.clock.time += 2 * DAY
    farm.render("a", 1, 2)
    touched = farm.made()
    assert touched.keys() == made.keys()
    assert all(farm.clock.time - at < 1 for at in touched.values())
    farm.clock.time += 1 * DAY
    farm.render("a", 1, 2)
    assert farm.made() == touched


def test_what_goes_as_a_driver_takes_stock_is_made_again() -> None:
    class Slipping(MemoryStore):
        slips = False

        def touch(self, key: str) -> None:
            if self.slips and key.startswith("blobs/"):
                self.delete(key)
            super().touch(key)

    farm = Farm(Slipping)
    farm.render("a", 1)
    film = farm.store.get("films/a/film.mp4")
    farm.clock.time += 4 * DAY
    Slipping.slips = True
    worker = make_worker(farm.store)
    plan = farm.films["a"]
    outcome = make_driver(plan, farm.store, clock=farm.clock).render(lambda: FakePool(worker))
    assert outcome.rendered > 0
    assert farm.store.get("films/a/film.mp4") == film


def test_a_blob_that_is_put_again_is_as_young_as_a_new_one() -> None:
    farm = Farm()
    ref = Blobs(farm.store).put(b"data")
    farm.clock.time += 8 * DAY
    Blobs(farm.store).put(b"data")
    assert farm.collect().blobs == ()
    assert Blobs(farm.store).get(ref) == b"data"
    assert Commits(farm.store).latest() == {}
