"""What can happen to a film, with fake workers: each ends in the same bytes, or in what it should end in.

More faults are in the tests of what they happen to; `docs/reliability.md` lists them all.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import make_settings
from helpers import (
    FakeClock,
    FakeModel,
    FakePool,
    TextMedia,
    film_of,
    make_driver,
    make_worker,
    nobody,
    segments_made,
    shot,
    shots,
    undisturbed,
)

from farm.errors import FarmError, Interrupted, OutOfMemory
from farm.plan.plan import Plan, make_plan
from farm.ports import WorkerJoined, WorkerLost
from farm.status import every_status
from farm.store.directory import DirectoryStore
from farm.store.memory import MemoryStore
from farm.worker import Worker

SHOTS = (shot("1", 120), shot("2", 40), shot("3", 20))
SEGMENTS = 8


@pytest.fixture
def plan() -> Plan:
    return make_plan("film", shots(*SHOTS), make_settings())


@pytest.fixture(autouse=True)
def no_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """A beat that a slow machine lets through would be one more call, in a thread of its own."""
    monkeypatch.setattr("farm.heartbeat.BEAT_S", 3600.0)


# The pool.


class Tide(FakePool):
    """All workers go at some moment; after a while there are others."""

    def __init__(self, worker: Worker, moment: int, seconds: float, clock: FakeClock) -> None:
        super().__init__(worker, clock=clock)
        self.moment, self.seconds, self.back = moment, seconds, None

    def poll(self, timeout):
        self.moment -= 1
        if self.moment == 0:
            self.back = self.clock.time + self.seconds
            self.leases.clear()
            return [WorkerLost(worker=f"w{number}", reason="its machine is gone") for number in range(2)]
        if self.back is not None and self.clock.time > self.back:
            self.back = None
            return [WorkerJoined(worker=f"new{number}") for number in range(3)]
        return super().poll(timeout)


@pytest.mark.fault("the pool shrinks to nothing for forty minutes and grows again", "the same film")
@pytest.mark.parametrize("moment", range(2, 18, 4))
def test_a_pool_that_shrinks_to_none_and_grows_again(plan: Plan, store: MemoryStore, moment: int) -> None:
    clock = FakeClock()
    tide = Tide(make_worker(store), moment, 2400, clock)
    make_driver(plan, store, clock=clock).render(lambda: tide)
    assert 3400 < clock.time < 3600
    assert film_of(store) == undisturbed(plan)


@pytest.mark.fault("the pool stays empty", "a clear failure after an hour, everything committed kept")
def test_a_pool_that_stays_empty_is_given_up(plan: Plan, store: MemoryStore) -> None:
    clock = FakeClock()
    tide = Tide(make_worker(store), 8, 1e9, clock)
    with pytest.raises(FarmError, match=r"all workers were lost.* 60 minutes; everything committed is kept"):
        make_driver(plan, store, clock=clock).render(lambda: tide)
    assert 4600 < clock.time < 4620
    kept = segments_made(store)
    outcome = make_driver(plan, store).render(lambda: FakePool(make_worker(store)))
    assert outcome.reused == kept > 0


# Asked to stop.


@pytest.mark.fault(
    "asked to stop in mid-step", "what runs has 15 seconds to be finished; nothing new is started"
)
def test_what_runs_when_it_is_stopped_may_be_finished(plan: Plan, store: MemoryStore) -> None:
    pool, running = FakePool(make_worker(store)), []

    def stopped() -> bool:
        if not running and len(pool.done) >= 5:
            running.extend(pool.leases)
        return bool(running)

    with pytest.raises(Interrupted, match="the same command goes on"):
        make_driver(plan, store, stopped=stopped).render(lambda: pool)
    assert pool.leases == []
    assert pool.done[5:] == running
    outcome = make_driver(plan, store).render(lambda: FakePool(make_worker(store)))
    assert outcome.reused == sum(lease.kind == "denoise" for lease in pool.done)
    assert film_of(store) == undisturbed(plan)


def test_what_takes_too_long_to_stop_is_left(plan: Plan, store: MemoryStore) -> None:
    class Stuck(FakePool):
        def poll(self, timeout):
            if self.news or len(self.leases) < 2:
                return super().poll(timeout)
            clock.sleep(timeout)
            return []

    clock = FakeClock()
    with pytest.raises(Interrupted):
        make_driver(plan, store, clock=clock, stopped=lambda: clock.time > 1010).render(
            lambda: Stuck(make_worker(store), clock=clock)
        )
    assert 1025 < clock.time < 1028


# Disks, clocks and memory.


@pytest.mark.fault("the store's disk is full, from any write on", "a clear failure; with room, the same film")
def test_a_full_disk_ends_the_run_and_loses_nothing(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, flush = undisturbed(plan), os.fsync
    for writes in itertools.count(2, 13):
        store, left = DirectoryStore(tmp_path / str(writes)), itertools.count(writes, -1)

        def full(handle: int) -> None:
            if next(left) <= 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            flush(handle)

        monkeypatch.setattr("os.fsync", full)
        try:
            make_driver(plan, store).render(lambda: FakePool(make_worker(store)))
            assert writes > 100
            break
        except FarmError as error:
            assert "no space left on device" in str(error)
        monkeypatch.setattr("os.fsync", flush)
        kept = sum(b'"denoise"' in path.read_bytes() for path in store.root.glob(".longtake/commits/*/*"))
        outcome = make_driver(plan, store).render(lambda: FakePool(make_worker(store)))
        assert outcome.reused == kept
        assert film_of(store) == whole


class FullDisk(TextMedia):
    """Cannot write its next so many shots."""

    def __init__(self, times: int) -> None:
        self.times = times

    def encode_shot(self, recipe, frames, target):
        self.times -= 1
        if self.times >= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().encode_shot(recipe, frames, target)


@pytest.mark.fault(
    "the disk for temporary files is full",
    "waited for about a minute, using up no tries; then a clear failure, every segment kept",
)
def test_a_full_disk_for_temporary_files(plan: Plan, store: MemoryStore) -> None:
    clock = FakeClock()

    def pool(times: int) -> FakePool:
        media = FullDisk(times)
        return FakePool(Worker(store=store, model=FakeModel(), media=media, clock=clock), clock=clock)

    with pytest.raises(FarmError, match=r"no space left for temporary files in .*TMPDIR"):
        make_driver(plan, store, clock=clock).render(lambda: pool(10**6))
    assert segments_made(store) == SEGMENTS
    outcome = make_driver(plan, store, clock=clock).render(lambda: pool(5))
    assert (outcome.retried, outcome.rendered) == (5, 0)
    assert film_of(store) == undisturbed(plan)


class SetClock(FakeClock):
    """A clock of which somebody sets the hands: `offset` of the seconds since the start."""

    def __init__(self, offset: Callable[[float], float]) -> None:
        super().__init__()
        self.offset, self.start = offset, self.time

    def now(self) -> float:
        return super().now() + self.offset(self.time - self.start)


@pytest.mark.fault("the clock jumps by an hour, and back", "the same film, without delay")
@pytest.mark.parametrize(
    "offset",
    [
        lambda passed: 3600 if passed > 5 else 0,
        lambda passed: -3600 if passed > 5 else 0,
        lambda passed: 3600 if 4 < passed < 6 else 0,
        lambda passed: -3600 if int(passed) % 2 else 3600,
    ],
    ids=["ahead", "back", "ahead and back", "to and fro"],
)
def test_a_clock_that_is_set_delays_nothing(
    plan: Plan, store: MemoryStore, offset: Callable[[float], float]
) -> None:
    clock, model, tried = SetClock(offset), FakeModel(), set()

    def fail(recipe):
        first = (recipe["shot"], recipe["span"][0]) not in tried
        tried.add((recipe["shot"], recipe["span"][0]))
        return RuntimeError("not at once") if first else None

    model.fail = fail
    worker = make_worker(store, model)
    outcome = make_driver(plan, store, clock=clock).render(lambda: FakePool(worker, clock=clock))
    assert outcome.retried == SEGMENTS
    assert clock.time - clock.start < 60
    assert film_of(store) == undisturbed(plan)


def in_trouble(plan: Plan, store: MemoryStore, error: Exception) -> None:
    """A model that raises an error three times running is told of; after two the film is made."""
    model = FakeModel()
    model.fail = lambda recipe: error if recipe["shot"] == "2" else None
    with pytest.raises(FarmError, match=r"shot 2 \(denoise/2/0\) failed: ") as caught:
        make_driver(plan, store).render(lambda: FakePool(make_worker(store, model)))
    assert str(error) in str(caught.value)
    assert segments_made(store) == 6
    times = iter([error, error])
    model.fail = lambda recipe: next(times, None)
    outcome = make_driver(plan, store).render(lambda: FakePool(make_worker(store, model)))
    assert (outcome.reused, outcome.rendered, outcome.retried) == (6, 2, 2)
    assert film_of(store) == undisturbed(plan)


@pytest.mark.fault("out of memory in the model", "tried three times; the same film, or a clear failure")
def test_a_model_that_is_out_of_memory(plan: Plan, store: MemoryStore) -> None:
    in_trouble(plan, store, OutOfMemory("out of memory on cuda (no more is there): take a smaller model"))


@pytest.mark.fault("latents that are no numbers (NaN)", "never kept; tried three times, then a clear failure")
def test_a_model_that_answers_with_what_is_no_number(plan: Plan, store: MemoryStore) -> None:
    in_trouble(plan, store, FloatingPointError("the network's answer at step 3 is not finite"))


# What else changes.


@pytest.mark.fault("model or settings are changed between two runs", "the film of the new ones, never a mix")
@pytest.mark.parametrize("changes", [{"weights": "sha256:other"}, {"steps": 7}, {"seed": 2}], ids=str)
def test_what_was_made_otherwise_is_not_mixed_in(plan: Plan, changes: dict[str, object]) -> None:
    other = make_plan("film", shots(*SHOTS), make_settings(**changes))
    first, second = undisturbed(plan), undisturbed(other)
    assert first != second
    for done in range(1, 14, 3):
        store, model = MemoryStore(), FakeModel()
        pool = FakePool(make_worker(store))
        with pytest.raises(Interrupted):
            make_driver(plan, store, stopped=lambda: len(pool.done) >= done).render(lambda: pool)
        kept = segments_made(store)
        make_driver(other, store).render(lambda: FakePool(make_worker(store, model)))
        assert film_of(store) == second
        assert len(model.denoised) == SEGMENTS
        # And back again: what was made for the first one is there still.
        assert make_driver(plan, store).render(lambda: FakePool(make_worker(store))).reused == kept
        assert film_of(store) == first


@pytest.mark.fault("garbage beside a good film and under its keys", "the same film")
def test_garbage_beside_a_good_film(plan: Plan, store: MemoryStore) -> None:
    rubbish = b"\xff\x00{]"
    for key in (
        "films/junk/plan.json",
        "films/junk/journal/000000000",
        "films/junk/takes.json",
        "films/film/journal/notes",
        "blobs/" + "f" * 64,
        "commits/loose",
        "commits/k/000000",
        "commits/k/deep/er/000000",
        *(f"commits/{task.key}/000000" for task in plan.tasks[::2]),
        *(f"commits/{task.key}/notes" for task in plan.tasks),
    ):
        store.put(key, rubbish)
    store.put("films/half/plan.json", b'{"shots": [{"id": "1", "segments": 3}]}')
    good = {"shots": [{"id": "1", "segments": [{"id": "1/0"}]}]}
    driver = make_driver(plan, store, records={"plan": good})
    driver.render(lambda: FakePool(make_worker(store)))
    assert film_of(store) == undisturbed(plan)
    states = {item["film"]: item["state"] for item in every_status(store, FakeClock())}
    assert states == {"film": "done", "junk": "damaged", "half": "damaged"}
    assert make_driver(plan, store).render(nobody).reused == SEGMENTS
