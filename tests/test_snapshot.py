"""A film's snapshot: a resume believes it for a while, and no film is another one for it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import make_settings
from helpers import (
    FakeClock,
    FakePool,
    film_of,
    make_driver,
    make_worker,
    nobody,
    segments_made,
    shot,
    shots,
    undisturbed,
)

from farm.errors import FarmError, Interrupted, StoreAway, StoreError
from farm.job.events import Failed, Finished, Found, Spoiled
from farm.job.machine import MAX_LOSSES
from farm.ledger import Commits, Journal
from farm.plan.plan import Plan, make_plan
from farm.ports import ObjectInfo
from farm.render import done_tasks
from farm.run import last_run
from farm.snapshot import Kept, read_snapshot, snapshot_key, write_snapshot
from farm.stock import TOUCH_AFTER_S, Stock, reusable
from farm.store.directory import DirectoryStore
from farm.store.memory import MemoryStore

KEY = snapshot_key("film")
DAY = 86400.0
SHOTS = 10


@pytest.fixture
def plan() -> Plan:
    """More shots than inputs that a task may miss before it is given up."""
    assert SHOTS > MAX_LOSSES
    return make_plan("film", shots(*(shot(f"{number}", 40) for number in range(SHOTS))), make_settings())


class Told(MemoryStore):
    """Notes what it is asked for, as (call, key or prefix); begins with what is in another store."""

    def __init__(self, of: MemoryStore) -> None:
        super().__init__()
        self._objects, self._modified = of._objects, of._modified
        self.asked: list[tuple[str, str]] = []

    def _note(self, call: str, key: str) -> None:
        self.asked.append((call, key))

    def put(self, key: str, source: bytes | Path) -> None:
        self._note("put", key)
        super().put(key, source)

    def get(self, key: str) -> bytes:
        self._note("get", key)
        return super().get(key)

    def stat(self, key: str) -> ObjectInfo | None:
        self._note("stat", key)
        return super().stat(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self._note("list", prefix)
        return super().list(prefix)

    def touch(self, key: str) -> None:
        self._note("touch", key)
        super().touch(key)

    def about(self, *folders: str) -> list[tuple[str, str]]:
        return [item for item in self.asked if item[1].startswith(folders)]

    def beside_the_film(self, plan: Plan) -> list[tuple[str, str]]:
        """What it is asked of commits and blobs, but for those of the film itself, which always is."""
        film = plan.tasks[-1].key
        own = [ref.key for ref in Commits(self).read(film, 0).outputs.values()]
        return [
            item
            for item in self.about("commits/", "blobs/")
            if not item[1].startswith(f"commits/{film}/") and item[1] not in own
        ]


def render(plan: Plan, store: MemoryStore, **more: object) -> None:
    make_driver(plan, store, **more).render(lambda: FakePool(make_worker(store)))


def stop_after(plan: Plan, store: MemoryStore, done: Callable[[FakePool], bool]) -> None:
    """Render until so much is done, then stop in order."""
    pool = FakePool(make_worker(store))
    with pytest.raises(Interrupted):
        make_driver(plan, store, stopped=lambda: done(pool)).render(lambda: pool)


def all_but_the_film(plan: Plan, store: MemoryStore) -> dict[str, Kept]:
    """Everything that there is to stitch is done, and the snapshot says so; gives it."""
    render(plan, store)
    known = read_snapshot(store, "film")
    film = known.pop(plan.tasks[-1].key).commit
    for key in (f"commits/{film.key}/000000", *(ref.key for ref in film.outputs.values())):
        store.delete(key)
    store.delete("films/film/film.mp4")
    write_snapshot(store, "film", known.values())
    return known


# What is asked of the store.


def test_a_resume_asks_for_nothing_that_the_snapshot_names(plan: Plan, store: MemoryStore) -> None:
    render(plan, store)
    told = Told(store)
    outcome = make_driver(plan, told).render(nobody)
    assert outcome.reused == segments_made(store)
    film = outcome.commits["stitch"]
    blobs = [ref.key for ref in film.outputs.values()]
    assert told.about("commits/", "blobs/") == [
        ("list", f"commits/{film.key}/"),
        ("get", f"commits/{film.key}/000000"),
        *(("stat", key) for key in blobs),
        *(("get", key) for key in blobs),  # to publish it
    ]
    assert film_of(store) == undisturbed(plan)


def test_what_is_not_in_it_is_looked_for_where_it_could_be(plan: Plan, store: MemoryStore) -> None:
    stop_after(plan, store, lambda pool: len(pool.done) >= 15)
    known = read_snapshot(store, "film")
    told = Told(store)
    driver = make_driver(plan, told)
    driver.begin()
    assert {driver.tasks[task].key for task in driver.done} == known.keys()
    ready = [
        task for task in plan.tasks if task.id not in driver.done and driver.done.keys() >= set(task.needs)
    ]
    assert 0 < len(ready) < len(plan.tasks) - len(known)
    assert sorted(told.about("commits/", "blobs/")) == sorted(
        ("list", f"commits/{task.key}/") for task in ready
    )


def test_many_are_looked_for_in_one_list(
    plan: Plan, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    render(plan, store)
    store.delete(KEY)
    for most, lists in ((10**6, len(plan.tasks)), (3, 1), (14, 1)):
        monkeypatch.setattr("farm.stock.LOOKED_FOR", most)
        told = Told(store)
        assert len(reusable(plan, told)) == len(plan.tasks)
        names = [prefix for call, prefix in told.about("commits/") if call == "list"]
        assert (names.count("commits/"), len(set(names))) == (int(lists == 1), len(names))
        assert lists == len(names) or most == 14  # of which some were looked for before it was too many


def test_a_plan_or_a_question_before_a_render_uses_it_too(plan: Plan, store: MemoryStore) -> None:
    # By the clock of this machine: what it tells is young enough.
    worker = make_worker(store)
    worker.clock = RealTime()
    make_driver(plan, store, clock=RealTime()).render(lambda: FakePool(worker))
    told = Told(store)
    assert done_tasks(told, plan) == {task.id for task in plan.tasks}
    assert told.beside_the_film(plan) == []


class RealTime(FakeClock):
    def __init__(self) -> None:
        import time

        self.time = time.time()


# When it is written.


def test_it_is_written_now_and_then_and_at_the_end(
    plan: Plan, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.stock.EVERY", 8)
    told = Told(store)
    render(plan, told)
    written = [key for call, key in told.asked if call == "put" and key == KEY]
    assert len(written) == -(-len(plan.tasks) // 8)
    assert {kept.commit.key for kept in read_snapshot(store, "film").values()} == {
        task.key for task in plan.tasks
    }
    # Where there is no news, it is left as it is.
    again = Told(store)
    make_driver(plan, again).render(nobody)
    assert ("put", KEY) not in again.asked


def test_a_larger_one_is_written_less_often(plan: Plan, store: MemoryStore) -> None:
    stock = Stock(plan, store)
    stock.since = dict.fromkeys(map(str, range(100_000)), 0.0)
    stock.unwritten = 4_999
    assert not stock.due
    stock.unwritten = 5_000
    assert stock.due


def test_no_run_ends_for_want_of_one(plan: Plan, store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    class Picky(MemoryStore):
        def put(self, key: str, source: bytes | Path) -> None:
            if key == KEY:
                raise StoreError("no")
            super().put(key, source)

    monkeypatch.setattr("farm.stock.EVERY", 2)
    picky = Picky()
    render(plan, picky)
    assert film_of(picky) == undisturbed(plan)


# When it is believed.


def test_one_that_is_behind_costs_a_few_looks(plan: Plan, store: MemoryStore) -> None:
    stop_after(plan, store, lambda pool: len(pool.done) >= 9)
    behind = store.get(KEY)
    render(plan, store)
    store.put(KEY, behind)
    outcome = make_driver(plan, store).render(nobody)
    assert (outcome.rendered, outcome.reused) == (0, segments_made(store))
    assert len(read_snapshot(store, "film")) == len(plan.tasks)
    assert film_of(store) == undisturbed(plan)


def change(data: bytes, old: bytes, new: bytes) -> bytes:
    text = gzip.decompress(data)
    assert old in text
    return gzip.compress(text.replace(old, new))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"{}",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
        lambda data: gzip.compress(b""),
        lambda data: gzip.compress(b"\xff\xfe\n"),
        lambda data: change(data, b'"format": 1', b'"format": 2'),
        lambda data: change(data, b"memory:films/film", b"memory:films/other"),
        lambda data: change(data, b'"generation"', b'"version"'),
        lambda data: change(data, b'"embedding"', b'"something"'),
        lambda data: change(data, b"\n1", b"\nx"),
        lambda data: change(data, b"}\n", b"\n"),
    ],
)
def test_one_that_cannot_be_understood_is_none(
    plan: Plan, store: MemoryStore, damage: Callable[[bytes], bytes]
) -> None:
    render(plan, store)
    assert read_snapshot(store, "film")
    store.put(KEY, damage(store.get(KEY)))
    assert read_snapshot(store, "film") == {}
    assert make_driver(plan, store).render(nobody).rendered == 0
    assert len(read_snapshot(store, "film")) == len(plan.tasks)  # it is written anew
    assert film_of(store) == undisturbed(plan)


def test_one_that_cannot_be_read_is_none_and_a_store_that_is_away_is_waited_for() -> None:
    class Broken(MemoryStore):
        error: StoreError = StoreError("input/output error")

        def get(self, key: str) -> bytes:
            raise self.error

    broken = Broken()
    assert read_snapshot(broken, "film") == {}
    broken.error = StoreAway("it does not answer")
    with pytest.raises(StoreAway):
        read_snapshot(broken, "film")


def test_one_that_was_copied_to_another_store_is_none(plan: Plan, tmp_path: Path) -> None:
    first, second = DirectoryStore(tmp_path / "first"), DirectoryStore(tmp_path / "second")
    make_driver(plan, first).render(lambda: FakePool(make_worker(first)))
    second.put(KEY, first.get(KEY))
    outcome = make_driver(plan, second).render(lambda: FakePool(make_worker(second)))
    assert (outcome.reused, outcome.retried) == (0, 0)
    assert film_of(second) == undisturbed(plan)


def test_another_script_takes_what_is_the_same(plan: Plan, store: MemoryStore) -> None:
    render(plan, store)
    items = [shot(f"{number}", 40, prompt="another" if number == 3 else "") for number in range(SHOTS)]
    edited = make_plan("film", shots(*items), make_settings())
    told = Told(store)
    driver = make_driver(edited, told)
    driver.begin()
    same = {task.key for task in plan.tasks} & {task.key for task in edited.tasks}
    assert {commit.key for commit in driver.done.values()} == same
    assert [call for call, _ in told.about("commits/", "blobs/")] == ["list"]  # for the prompt's embedding


def test_a_commit_that_was_made_from_other_inputs_is_not_taken_from_it(
    plan: Plan, store: MemoryStore
) -> None:
    render(plan, store)
    known = read_snapshot(store, "film")
    task = next(task for task in plan.tasks if task.kind == "embed")
    known[task.key] = next(kept for kept in known.values() if kept.commit.kind == "denoise")
    write_snapshot(store, "film", known.values())
    lied = {task.key: known[task.key]}
    assert reusable(plan, store, lied, now=known[task.key].since)[task.id] != known[task.key]
    assert make_driver(plan, store).render(nobody).rendered == 0


@pytest.mark.parametrize(
    ("age", "believed"),
    [(0, True), (2.9, True), (3.1, False), (30, False), (-2.9, True), (-3.1, False), (float("nan"), False)],
)
def test_it_is_believed_for_three_days(plan: Plan, store: MemoryStore, age: float, believed: bool) -> None:
    render(plan, store)
    now = 100 * DAY
    known = {key: Kept(kept.commit, now - age * DAY) for key, kept in read_snapshot(store, "film").items()}
    told = Told(store)
    assert len(reusable(plan, told, known, now=now)) == len(plan.tasks)
    assert (told.beside_the_film(plan) == []) is believed


def test_its_times_are_carried_on_and_what_is_old_is_touched(plan: Plan) -> None:
    clock = FakeClock()
    store = MemoryStore(clock.now)
    worker = make_worker(store)
    worker.clock = clock
    make_driver(plan, store, clock=clock).render(lambda: FakePool(worker))
    first = {key: kept.since for key, kept in read_snapshot(store, "film").items()}
    assert max(first.values()) <= clock.time
    clock.time += 2 * DAY
    items = [shot(f"{number}", 40) for number in range(SHOTS + 1)]
    longer = make_plan("film", shots(*items), make_settings())
    make_driver(longer, store, clock=clock).render(lambda: FakePool(worker))
    second = {key: kept.since for key, kept in read_snapshot(store, "film").items()}
    assert all(second[key] == since for key, since in first.items() if key in second)
    assert any(since > 2 * DAY for since in second.values())
    clock.time += 2 * DAY
    began = clock.time
    make_driver(longer, store, clock=clock).render(nobody)
    third = {key: kept.since for key, kept in read_snapshot(store, "film").items()}
    for key, since in third.items():
        assert since > began if key in first else since == pytest.approx(second[key], abs=1)
        assert store._modified[f"commits/{key}/000000"] >= since - 1
    assert TOUCH_AFTER_S == 3 * DAY


def test_what_a_worker_found_made_is_as_old_as_it_is(plan: Plan, store: MemoryStore) -> None:
    render(plan, store)
    clock = FakeClock()
    clock.time += 2 * DAY
    stock = Stock(plan, store)
    commit = next(iter(read_snapshot(store, "film").values())).commit
    stock.add("task", commit, clock.now())
    assert stock.since["task"] == commit.started + commit.seconds < DAY
    stock.add("task", commit, 5.0)  # by a clock that is behind the worker's
    assert stock.since["task"] == 5.0


# What it names and is gone.


@pytest.mark.fault("blobs are gone that a film's snapshot says are there", "the same film, in the same run")
@pytest.mark.parametrize(
    "gone",
    [("finish/3",), ("finish/",), ("finish/2", "denoise/2/"), ("finish/5", "denoise/", "embed/")],
    ids=str,
)
def test_what_is_gone_behind_it_is_made_again(plan: Plan, store: MemoryStore, gone: tuple[str, ...]) -> None:
    known = all_but_the_film(plan, store)
    lost = {task.id: task.key for task in plan.tasks if task.id.startswith(gone)}
    for key in lost.values():
        store.delete(known[key].commit.main.key)
    worker = make_worker(store)
    outcome = make_driver(plan, store).render(lambda: FakePool(worker))
    assert film_of(store) == undisturbed(plan)
    events = last_run(Journal(store, "film").read())
    corrupt = [event for event in events if isinstance(event, Failed) and event.fault == "corrupt"]
    assert outcome.retried == len(corrupt) == 1  # all else was found with it
    assert {event.task for event in events if isinstance(event, Spoiled)} == lost.keys()
    assert lost.keys() <= outcome.made
    # And the snapshot says how it is now.
    again = read_snapshot(store, "film")
    assert len(again) == len(plan.tasks)
    for key, kept in again.items():
        assert kept.commit == Commits(store).find(key, kept.commit.inputs)
    assert make_driver(plan, store).render(nobody).rendered == 0


def test_the_snapshot_goes_as_soon_as_it_is_found_wrong(plan: Plan, store: MemoryStore) -> None:
    known = all_but_the_film(plan, store)
    finished = [kept.commit for kept in known.values() if kept.commit.kind == "finish"]
    store.delete(finished[0].main.key)
    pool = FakePool(make_worker(store))
    driver = make_driver(plan, store)
    driver.begin()
    while not any(isinstance(event, Failed) for event in Journal(store, "film").read()):
        assert store.stat(KEY) is not None
        driver.turn(pool)
    assert store.stat(KEY) is None
    # A driver that is stopped now keeps what is still so, and without what is not.
    driver.state.stopping = "stopped"
    with pytest.raises(Interrupted):
        driver.finish()
    assert known.keys() - read_snapshot(store, "film").keys() == {finished[0].key}


def test_the_snapshot_goes_where_taking_stock_finds_it_wrong(plan: Plan, store: MemoryStore) -> None:
    render(plan, store)
    known = read_snapshot(store, "film")
    commit = next(kept.commit for kept in known.values() if kept.commit.kind == "denoise")
    store.delete(commit.main.key)
    write_snapshot(store, "film", (Kept(kept.commit, -9 * DAY) for kept in known.values()))
    driver = make_driver(plan, store)
    driver.begin()
    assert commit.key not in {commit.key for commit in driver.done.values()}
    assert store.stat(KEY) is None


@pytest.mark.fault("a film is gone that its snapshot says is there", "the same film, in the same run")
@pytest.mark.parametrize("all_gone", [False, True], ids=["the film", "all blobs and commits"])
def test_a_film_that_is_gone_is_made_again(plan: Plan, store: MemoryStore, all_gone: bool) -> None:
    render(plan, store)
    stitch = read_snapshot(store, "film")[plan.tasks[-1].key].commit
    gone = ("blobs/", "commits/") if all_gone else (stitch.outputs["sheet"].key,)
    for key in [key for key in store._objects if key.startswith(gone)]:
        store.delete(key)
    outcome = make_driver(plan, store).render(lambda: FakePool(make_worker(store)))
    assert outcome.made == ({task.id for task in plan.tasks} if all_gone else {"stitch"})
    assert outcome.retried <= 2
    assert film_of(store) == undisturbed(plan)
    assert make_driver(plan, store).render(nobody).made == frozenset()


@pytest.mark.fault(
    "a film is altered that its snapshot says is whole",
    "a clear failure; the same command makes it again",
)
@pytest.mark.parametrize("output", ["film", "sheet"])
def test_a_film_that_is_altered_is_made_again_by_the_same_command(
    plan: Plan, store: MemoryStore, output: str
) -> None:
    render(plan, store)
    ref = read_snapshot(store, "film")[plan.tasks[-1].key].commit.outputs[output]
    store.put(ref.key, bytes(ref.num_bytes))
    with pytest.raises(FarmError, match=f"the {output}: .* the same command makes it again"):
        make_driver(plan, store).render(nobody)
    assert store.stat(KEY) is None
    outcome = make_driver(plan, store).render(lambda: FakePool(make_worker(store)))
    assert outcome.made == {"stitch"}
    assert film_of(store) == undisturbed(plan)
    assert make_driver(plan, store).render(nobody).made == frozenset()


def test_a_store_that_fails_as_the_film_is_published_says_nothing_of_the_snapshot(plan: Plan) -> None:
    class Full(MemoryStore):
        def put(self, key: str, source: bytes | Path) -> None:
            if key.endswith(".mp4"):
                raise StoreError("no space left on device")
            super().put(key, source)

    full = Full()
    with pytest.raises(StoreError, match="no space"):
        render(plan, full)
    assert len(read_snapshot(full, "film")) == len(plan.tasks)


def test_it_tells_the_journal_what_a_look_would(plan: Plan, store: MemoryStore) -> None:
    render(plan, store)
    make_driver(plan, store).render(nobody)
    believed = [event for event in last_run(Journal(store, "film").read()) if isinstance(event, Found)]
    store.delete(KEY)
    make_driver(plan, store).render(nobody)
    looked = [event for event in last_run(Journal(store, "film").read()) if isinstance(event, Found)]
    assert [(event.task, event.output) for event in believed] == [
        (event.task, event.output) for event in looked
    ]
    assert [event.task for event in looked] == [task.id for task in plan.tasks]
    assert not any(isinstance(event, Finished) for event in last_run(Journal(store, "film").read()))


def test_it_is_lines_that_people_can_read(plan: Plan, store: MemoryStore) -> None:
    render(plan, store)
    head, *lines = gzip.decompress(store.get(KEY)).decode().splitlines()
    assert json.loads(head) == {"format": 1, "place": f"memory:{KEY}"}
    assert len(lines) == len(plan.tasks)
    since, _, commit = lines[0].partition(" ")
    assert float(since) > 0
    assert json.loads(commit)["kind"] == "embed"
