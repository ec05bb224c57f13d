"""Random histories of a film: drivers, workers and blobs come to grief in any order, and a film comes out.

The driver, the ledger and the worker are the real ones; clock, store, model and the pool are fakes. What
must hold is checked after every step, and at the end of each history the film is rendered in peace.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from conftest import make_settings
from helpers import (
    FakeClock,
    FakeModel,
    WatchedStore,
    film_of,
    make_driver,
    make_worker,
    nobody,
    shot,
    shots,
    undisturbed,
)
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from farm.errors import CorruptBlob, FarmError
from farm.inbox import Message
from farm.job.machine import step
from farm.job.state import Phase, begin
from farm.ledger import Blobs, Journal
from farm.limits import Limits
from farm.plan.plan import make_plan
from farm.ports import AttemptDone, Lease, Report, WorkerJoined, WorkerLeaves, WorkerLost
from farm.run import Driver, last_run
from farm.snapshot import Kept, snapshot_key
from farm.stock import reusable
from farm.store.memory import MemoryStore
from farm.worker import Worker

PLAN = make_plan("film", shots(shot("1", 60), shot("2", 40)), make_settings())
CALM = undisturbed(PLAN)
SNAPSHOT = snapshot_key("film")


class Killed(BaseException):
    """A process is gone: a driver's, or a worker's."""


class MortalStore(WatchedStore):
    """What one process sees of a store. It dies at its `left`-th call, before or after that took effect."""

    def __init__(self, whole: MemoryStore, left: int = 0, after: bool = False) -> None:
        super().__init__()
        self._objects, self._modified = whole._objects, whole._modified
        self.left, self.after = left, after

    def _live(self, call, *args):
        self.left -= 1
        if self.left != 0:
            return call(*args)
        if self.after:
            call(*args)
        raise Killed


class Moody(FakeModel):
    """Makes other latents each time, as some GPUs do, if it is in the mood."""

    mood = False

    def denoise(self, recipe, **more):
        made = super().denoise(recipe, **more)
        return made + len(self.denoised).to_bytes(3) if self.mood else made


class Puppets:
    """An Executor whose workers do what the history says, when it says so."""

    def __init__(self) -> None:
        self.leases: dict[str, Lease] = {}
        self.slept: list[Lease] = []
        self.going: set[str] = set()
        self.living: list[str] = []
        self.news: list[Report] = []

    def start(self, lease: Lease) -> None:
        assert lease.worker in self.living
        assert lease.worker not in self.leases, "a worker was leased twice"
        assert all(lease.task != other.task for other in self.leases.values()), "a task was leased twice"
        self.leases[lease.worker] = lease

    def poll(self, timeout: float) -> list[Report]:
        found, self.news = self.news, []
        return found

    def stop(self, worker: str) -> None:
        """It hears of it when the history says so."""

    def let_go(self) -> None:
        """Who was taken away and runs nothing is gone."""
        self.living = [name for name in self.living if name not in self.going or name in self.leases]
        self.going &= set(self.living)

    def replace(self, worker: str) -> None:
        self.slept.append(self.leases.pop(worker))
        if worker in self.living:
            self.living.remove(worker)
        self.living.append(f"{worker}'")
        self.news.append(WorkerJoined(worker=f"{worker}'"))

    def close(self) -> None:
        self.leases.clear()


class Calm(Puppets):
    """Two workers that do all they are given."""

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self.worker, self.living = worker, ["a", "b"]
        self.news = [WorkerJoined(worker=name) for name in self.living]

    def poll(self, timeout: float) -> list[Report]:
        if self.leases:
            self.news.append(self.worker.run(self.leases.pop(min(self.leases)), lambda: False))
        return super().poll(timeout)


class Histories(RuleBasedStateMachine):
    """One film's history."""

    @initialize(moody=st.booleans())
    def begin(self, moody: bool) -> None:
        self.store, self.clock, self.model = MemoryStore(), FakeClock(), Moody()
        self.model.mood = moody
        self.worker = make_worker(self.store, self.model)
        self.driver: Driver | None = None
        self.pool = Puppets()
        self.asleep: list[tuple[int, Lease, dict[str, bytes]]] = []
        self.damaged: dict[str, bytes] = {}  # what it was before
        self.accepted: dict[str, tuple[tuple[str, ...], str]] = {}
        self.born = self.runs = 0
        self.old: bytes | None = None

    # What can happen.

    @precondition(lambda self: self.driver is None)
    @rule(workers=st.integers(1, 3))
    def start_a_driver(self, workers: int) -> None:
        self.sees = MortalStore(self.store)
        self.driver, self.pool = make_driver(PLAN, self.sees, clock=self.clock), Puppets()
        self.runs += 1
        if self.guarded(self.driver.begin):
            for _ in range(workers):
                self.join()

    @precondition(lambda self: self.rendering and len(self.pool.living) < 3)
    @rule()
    def join(self) -> None:
        self.born += 1
        self.pool.living.append(f"w{self.born}")
        self.pool.news.append(WorkerJoined(worker=f"w{self.born}"))
        self.turn()

    @precondition(lambda self: self.rendering and self.pool.leases)
    @rule(picks=st.lists(st.integers(0, 2), min_size=1, max_size=8))
    def finish(self, picks: list[int]) -> None:
        """So many leases, one after another."""
        for pick in picks:
            workers = sorted(self.pool.leases)
            if workers:
                lease = self.pool.leases.pop(workers[pick % len(workers)])
                self.pool.news.append(self.worker.run(lease, lambda: False))
                self.turn()
                self.pool.let_go()

    @precondition(lambda self: self.rendering and self.pool.leases)
    @rule(data=st.data(), calls=st.integers(1, 8), after=st.booleans())
    def die_at_work(self, data: st.DataObject, calls: int, after: bool) -> None:
        worker = data.draw(st.sampled_from(sorted(self.pool.leases)))
        lease = self.pool.leases.pop(worker)
        mortal = make_worker(MortalStore(self.store, calls, after), self.model)
        try:
            self.pool.news.append(mortal.run(lease, lambda: False))
        except Killed:
            self.pool.living.remove(worker)
            self.pool.news.append(WorkerLost(worker=worker, reason="killed"))
        self.turn()

    @precondition(lambda self: self.rendering and self.pool.leases)
    @rule(data=st.data(), error=st.sampled_from([ValueError("bad"), ConnectionError("away"), MemoryError()]))
    def fail(self, data: st.DataObject, error: Exception) -> None:
        worker = data.draw(st.sampled_from(sorted(self.pool.leases)))
        model = FakeModel()
        model.embed = model.decode = model.denoise = lambda *_, **__: (_ for _ in ()).throw(error)
        lease = self.pool.leases.pop(worker)
        self.pool.news.append(make_worker(self.store, model).run(lease, lambda: False))
        self.turn()

    @precondition(lambda self: self.rendering and self.pool.living)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(self.pool.living))
        self.pool.living.remove(worker)
        if worker in self.pool.leases:
            self.fall_asleep(self.pool.leases.pop(worker))
        self.pool.news.append(WorkerLost(worker=worker, reason="gone"))
        self.turn()

    @precondition(lambda self: self.rendering and self.pool.living)
    @rule(data=st.data())
    def take_away(self, data: st.DataObject) -> None:
        """For other work: at once, or when what it runs is reported."""
        assume(not self.pool.news)  # who leaves has come
        worker = data.draw(st.sampled_from(self.pool.living))
        self.pool.news.append(WorkerLeaves(worker=worker))
        self.pool.going.add(worker)
        self.turn()
        self.pool.let_go()

    @precondition(lambda self: self.rendering)
    @rule(
        verb=st.sampled_from(["pause", "resume", "resume", "priority", "cancel"]),
        shot=st.sampled_from([None, "1", "2"]),
        priority=st.integers(-2, 2),
    )
    def ask(self, verb: str, shot: str | None, priority: int) -> None:
        """From another terminal."""
        self.driver.asked.append(
            Message(film="film", run=self.driver.run, verb=verb, shot=shot, priority=priority)
        )
        self.turn()

    @precondition(lambda self: self.rendering and self.pool.leases)
    @rule()
    def hang(self) -> None:
        """All that run take too long, and are replaced; one may wake up and report all the same."""
        self.driver.limits = Limits(task_s=0.0)
        self.turn()
        if self.driver is not None:
            self.driver.limits = Limits()
        for lease in self.pool.slept:
            self.fall_asleep(lease)
        self.pool.slept.clear()

    @precondition(lambda self: self.asleep)
    @rule(data=st.data())
    def wake_up_late(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.asleep) - 1))
        run, lease, inputs = self.asleep.pop(number)
        worker = make_worker(self.store, self.model)
        worker.blobs.get = lambda need: inputs[need.sha256]  # it holds what it had read
        worker.blobs.fetch = lambda need, target: target.write_bytes(inputs[need.sha256])
        report = worker.run(lease, lambda: False)
        assert isinstance(report, AttemptDone)
        if self.rendering and run == self.runs:  # its driver, which gave it up, hears of it after all
            self.pool.news.append(report)
            self.turn()

    @precondition(lambda self: self.asleep)
    @rule(data=st.data())
    def damage_what_a_sleeper_holds(self, data: st.DataObject) -> None:
        _, lease, _ = data.draw(st.sampled_from(self.asleep))
        if lease.needs and (whole := self.store._objects.pop(lease.needs[-1].key, None)) is not None:
            self.damaged.setdefault(lease.needs[-1].sha256, whole)

    @rule(data=st.data(), how=st.sampled_from(["altered", "cut", "gone"]))
    def damage_a_blob(self, data: st.DataObject, how: str) -> None:
        blobs = sorted(key for key in self.store._objects if key.startswith("blobs/"))
        assume(blobs)
        key = data.draw(st.sampled_from(blobs))
        whole = self.store._objects[key]
        if how == "gone":
            del self.store._objects[key]
        else:
            self.store._objects[key] = bytes(len(whole)) if how == "altered" else whole[:-1]
        self.damaged.setdefault(key.removeprefix("blobs/"), whole)

    @rule()
    def keep_a_snapshot(self) -> None:
        self.old = self.store._objects.get(SNAPSHOT)

    @rule(how=st.sampled_from(["an old one", "half", "none"]))
    def have_another_snapshot(self, how: str) -> None:
        """One that a driver which woke too late wrote over it, one that is damaged, or none."""
        there = self.store._objects.get(SNAPSHOT, b"")
        found = {"an old one": self.old, "half": there[: len(there) // 2], "none": None}[how]
        if found is not None:
            self.store.put(SNAPSHOT, found)
        elif how == "none":
            self.store.delete(SNAPSHOT)

    @precondition(lambda self: self.driver is not None)
    @rule(calls=st.integers(0, 6), after=st.booleans())
    def kill_the_driver(self, calls: int, after: bool) -> None:
        """At once, or at one of its next calls of the store."""
        if calls == 0:
            self.bury()
        else:
            self.sees.left, self.sees.after = calls, after

    @precondition(lambda self: self.rendering)
    @rule(seconds=st.floats(0, 100))
    def let_time_pass(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        self.turn()

    # How it is done.

    @property
    def rendering(self) -> bool:
        return self.driver is not None

    def guarded(self, call: Any) -> bool:
        """Whether the driver outlived a call, and was not at its end."""
        try:
            call()
        except Killed:
            self.bury()
            return False
        except FarmError:
            self.bury()
            return False
        return True

    def turn(self) -> None:
        if self.driver is None or not self.guarded(lambda: self.driver.turn(self.pool)):
            return
        state = self.driver.state
        if not (state.complete or state.settled):
            return
        assert state.complete or state.failures() or state.stopping
        again = begin(PLAN.tasks)
        for event in last_run(Journal(self.store, "film").read()):
            step(again, event)
        assert again.states == state.states, "replaying its journal led to another state"
        if state.complete:
            self.guarded(self.driver.finish)
        self.bury()

    def bury(self) -> None:
        """The driver is no more, and its workers sleep over what they hold."""
        self.driver = None
        for worker in sorted(self.pool.leases):
            self.fall_asleep(self.pool.leases[worker])
        self.pool.leases.clear()

    def fall_asleep(self, lease: Lease) -> None:
        try:
            inputs = {need.sha256: Blobs(self.store).get(need) for need in lease.needs}
        except CorruptBlob:
            return
        self.asleep.append((self.runs, lease, inputs))

    # What must hold.

    @invariant()
    def what_counts_is_one_and_the_same(self) -> None:
        """A task's commit that was taken counts for good, unless it or what it was made from was damaged.

        An old snapshot can name what was damaged in its place, until somebody wants to consume it.
        """
        if self.driver is None:
            return
        for task, commit in self.driver.done.items():
            if self.driver.state.states[task].phase is not Phase.DONE:
                continue
            made = (commit.inputs, commit.main.sha256)
            before = self.accepted.setdefault(task, made)
            if before != made:
                damaged = before[1] in self.damaged or made[1] in self.damaged
                assert damaged or before[0] != commit.inputs, f"{task} was replaced"
                self.accepted[task] = made

    @invariant()
    def who_is_done_has_readable_outputs(self) -> None:
        if self.driver is None:
            return
        for task, commit in self.driver.done.items():
            if self.driver.state.states[task].phase is Phase.DONE:
                data = self.store._objects.get(commit.main.key)
                whole = data is not None and hashlib.sha256(data).hexdigest() == commit.main.sha256
                assert whole or commit.main.sha256 in self.damaged

    @invariant()
    def every_lease_is_held_by_who_has_it(self) -> None:
        if self.driver is not None and not self.pool.news:
            held = {worker: lease.task for worker, lease in self.pool.leases.items()}
            given = {worker: task for worker, task in self.driver.state.workers.items() if task is not None}
            assert held == given
            states = self.driver.state.states
            live = [task for worker, task in given.items() if states[task].worker == worker]  # not cancelled
            assert self.driver.state.running == len(live)

    def teardown(self) -> None:
        """In peace the film comes out, the same bytes or what its commits say; then nothing is left to do.

        So with its snapshot. Without it nothing is taken on trust, and what is gone behind the film is made
        again; that must come out alike.
        """
        if not hasattr(self, "store"):
            return
        self.bury()
        self.render_in_peace()
        self.store.delete(SNAPSHOT)
        self.render_in_peace()
        found = reusable(PLAN, self.store)
        assert len(found) == len(PLAN.tasks)
        assert all(isinstance(item, Kept) for item in found.values())

    def render_in_peace(self) -> None:
        for _ in range(3):  # a film that was damaged where it lies is noticed when it is published
            self.driver = make_driver(PLAN, self.store, clock=self.clock)
            try:
                self.driver.render(lambda: Calm(self.worker))
                break
            except FarmError as error:
                assert "the same command makes it again" in str(error)
        self.what_counts_is_one_and_the_same()
        film = film_of(self.store)
        if not self.model.mood:
            assert film == CALM
        # A shot may have been damaged after it was last read: the film holds it as it was.
        shots = [self.driver.done[f"finish/{name}"].main for name in ("1", "2")]
        assert film == b"\n".join(self.damaged.get(ref.sha256) or self.store.get(ref.key) for ref in shots)
        assert make_driver(PLAN, self.store, clock=self.clock).render(nobody).rendered == 0
        assert film_of(self.store) == film


@pytest.fixture(autouse=True)
def no_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread beats while a history goes on."""
    monkeypatch.setattr("farm.heartbeat.BEAT_S", 3600.0)


@pytest.fixture(autouse=True)
def many_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that histories of a few tasks have some."""
    monkeypatch.setattr("farm.stock.EVERY", 2)


def run(histories: int) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        Histories,
        settings=settings(max_examples=histories, stateful_step_count=50, suppress_health_check=checks),
    )


def test_random_histories_end_in_the_film() -> None:
    run(60)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_histories_end_in_the_film() -> None:
    run(10_000)
