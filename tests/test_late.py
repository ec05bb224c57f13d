"""Those who wake too late: a driver whose film was taken over, a worker whose lease was given away."""

from __future__ import annotations

import itertools
import threading

import pytest
from conftest import make_settings
from helpers import (
    FakeModel,
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

from farm.errors import AnotherDriver
from farm.ledger import Commits
from farm.plan.plan import Plan, make_plan
from farm.ports import WorkerJoined, WorkerLost
from farm.store.memory import MemoryStore
from farm.worker import Worker

SEGMENTS = 8


@pytest.fixture
def plan() -> Plan:
    return make_plan("film", shots(shot("1", 120), shot("2", 40), shot("3", 20)), make_settings())


@pytest.fixture(autouse=True)
def no_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """A beat that a slow machine lets through would be one more call, in a thread of its own."""
    monkeypatch.setattr("farm.heartbeat.BEAT_S", 3600.0)


@pytest.mark.fault(
    "a driver stalls, another takes its film over, and it wakes again",
    "it stops at its next step; the other one's film is the same",
)
def test_a_driver_that_wakes_too_late_stops(plan: Plan) -> None:
    whole = undisturbed(plan)
    for moment in itertools.count(1, 3):
        store = MemoryStore()

        class Stalled(FakePool):
            polls = 0

            def poll(self, timeout):
                self.polls += 1
                if self.polls == moment:
                    make_driver(plan, store).render(lambda: FakePool(make_worker(store)))
                return super().poll(timeout)

        pool = Stalled(make_worker(store))
        driver = make_driver(plan, store)
        try:
            driver.render(lambda: pool)
            assert moment > pool.polls > 15
            break
        except AnotherDriver as error:
            assert "everything it committed is kept" in str(error)
        assert film_of(store) == whole
        assert segments_made(store) == SEGMENTS
        assert make_driver(plan, store).render(nobody).rendered == 0


@pytest.mark.fault("several drivers begin one film in the same moment", "one makes the film, the others stop")
def test_of_drivers_that_begin_at_once_one_goes_on(plan: Plan, store: MemoryStore) -> None:
    gate, ends = threading.Barrier(6), []

    def drive() -> None:
        driver = make_driver(plan, store)
        gate.wait()
        try:
            driver.render(lambda: FakePool(make_worker(store)))
            ends.append("film")
        except AnotherDriver:
            ends.append("stopped")

    threads = [threading.Thread(target=drive) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends.count("film") >= 1
    assert len(ends) == 6
    assert film_of(store) == undisturbed(plan)


class Moody(FakeModel):
    """Never makes the same latents twice, as some GPUs do."""

    def denoise(self, recipe, **more):
        return super().denoise(recipe, **more) + len(self.denoised).to_bytes(2)


class Sleepy(FakePool):
    """One worker falls asleep over a segment, its lease is given away, and what it consumed is lost."""

    def __init__(self, worker: Worker, spoil: bool) -> None:
        super().__init__(worker)
        self.spoil, self.asleep, self.inputs = spoil, None, {}

    def poll(self, timeout):
        lease = next((item for item in self.leases if item.task == "denoise/1/2"), None)
        if self.asleep is not None or lease is None:
            return super().poll(timeout)
        self.asleep = lease
        self.inputs = {need.sha256: self.worker.blobs.get(need) for need in lease.needs}
        self.leases.remove(lease)
        if self.spoil:
            self.worker.blobs.store.put(lease.needs[-1].key, b"rubbish")
        return [WorkerLost(worker=lease.worker, reason="away"), WorkerJoined(worker="new")]


@pytest.mark.fault(
    "a worker wakes after its lease was given away", "what counts already counts; the film stays the same"
)
@pytest.mark.parametrize("spoil", [False, True], ids=["with good inputs", "with inputs that are no more"])
def test_a_worker_that_wakes_late_changes_nothing(plan: Plan, store: MemoryStore, spoil: bool) -> None:
    model = Moody()
    pool = Sleepy(make_worker(store, model), spoil)
    make_driver(plan, store).render(lambda: pool)
    film = film_of(store)
    late = make_worker(store, model)
    late.blobs.get = lambda need: pool.inputs[need.sha256]  # it holds what it has read
    report = late.run(pool.asleep, lambda: False)
    assert report.commit.inputs == tuple(pool.inputs)
    if spoil:
        # Its commit lies behind the one that counts, which is found all the same.
        assert report.commit.generation > 0
        assert report.commit.inputs != Commits(store).read(pool.asleep.key, 0).inputs
    outcome = make_driver(plan, store).render(nobody)
    assert outcome.reused == SEGMENTS
    assert film_of(store) == film
