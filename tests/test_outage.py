"""The store goes away and comes back: everything waits, and nothing that was made is lost."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import make_settings
from helpers import (
    FakeClock,
    FakeModel,
    FakePool,
    TextMedia,
    make_driver,
    make_worker,
    shot,
    shots,
    undisturbed,
)

from farm.errors import Interrupted, StoreAway
from farm.ledger import Blobs, Commits
from farm.plan.plan import Plan, make_plan
from farm.spool import Spool
from farm.store.memory import MemoryStore
from farm.store.patient import PatientStore
from farm.worker import Worker


class FlakyStore(MemoryStore):
    """Goes away at its n-th call, for so many seconds. The write at that moment takes effect all the same."""

    def __init__(self, clock: FakeClock, at_call: int, seconds: float) -> None:
        super().__init__()
        self.clock, self.at_call, self.seconds = clock, at_call, seconds
        self.calls, self.back = 0, 0.0

    def _answer(self, call, *args, takes_effect=False):
        self.calls += 1
        if self.calls == self.at_call:
            self.back = self.clock.time + self.seconds
            if takes_effect:
                call(*args)
        if self.clock.time < self.back:
            raise StoreAway("the store does not answer")
        return call(*args)

    def put(self, key, source):
        self._answer(super().put, key, source, takes_effect=True)

    def create_if_absent(self, key, data):
        return self._answer(super().create_if_absent, key, data, takes_effect=True)

    def get(self, key):
        return self._answer(super().get, key)

    def stat(self, key):
        return self._answer(super().stat, key)

    def list(self, prefix):
        return self._answer(super().list, prefix)


@pytest.fixture
def plan() -> Plan:
    return make_plan("film", shots(shot("1", 90), shot("2", 40)), make_settings())


@pytest.mark.fault("the store is away for ten minutes, at any call", "the same film, nothing made twice")
def test_away_for_ten_minutes_at_any_call_the_same_film_comes_out_and_nothing_is_made_twice(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A beat in between would be one more call on a slow machine, in a thread of its own.
    monkeypatch.setattr("farm.heartbeat.BEAT_S", 3600.0)
    whole = undisturbed(plan)
    for at_call in range(1, 200, 3):
        clock, told, model = FakeClock(), [], FakeModel()
        flaky = FlakyStore(clock, at_call, 600)
        patient = PatientStore(flaky, clock=clock, patience_s=3600, tell=told.append)
        worker = Worker(store=patient, model=model, media=TextMedia(), clock=clock)
        outcome = make_driver(plan, patient, clock=clock).render(lambda worker=worker: FakePool(worker))
        assert flaky.get("films/film/film.mp4") == whole
        assert len(model.denoised) == outcome.rendered == 6
        assert outcome.retried == 0
        if flaky.calls <= at_call:
            break
        assert told[0] == "the store does not answer; waiting until it is back"
        assert "back after 6" in told[-1], (at_call, told)
        assert flaky.calls < 250, "it was asked far too often"
    assert at_call > 100


@pytest.mark.fault("the store stays away", "a clear failure when the patience is over")
def test_patience_ends(plan: Plan) -> None:
    clock = FakeClock()
    patient = PatientStore(FlakyStore(clock, 20, 1e9), clock=clock, patience_s=600)
    with pytest.raises(StoreAway, match=r"waited for 10 minutes .*the same command goes on"):
        make_driver(plan, patient, clock=clock).render(lambda: FakePool(make_worker(patient)))
    assert 1600 < clock.time < 1660


def test_many_who_wait_are_told_once() -> None:
    class Away(MemoryStore):
        away = True

        def stat(self, key):
            if self.away:
                raise StoreAway("the store does not answer")
            return super().stat(key)

    class Waking(FakeClock):
        def sleep(self, seconds: float) -> None:
            if threading.get_ident() not in met:
                met.add(threading.get_ident())
                gate.wait(10)  # until all of them wait
            super().sleep(seconds)
            store.away = self.time < 1100

    store, clock, told, met, gate = Away(), Waking(), [], set(), threading.Barrier(4)
    patient = PatientStore(store, clock=clock, patience_s=3600, tell=told.append)
    for again in (False, True):
        store.away, clock.time = True, 1000.0
        met.clear()
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(patient.stat, "abcd")) == [None] * 4
        assert len(told) == (4 if again else 2)
        assert told[-2] == "the store does not answer; waiting until it is back"
        assert told[-1].startswith("the store is back after ")


def test_who_waits_can_be_stopped() -> None:
    clock = FakeClock()
    patient = PatientStore(
        FlakyStore(clock, 1, 1e9), clock=clock, patience_s=3600, stopped=lambda: clock.time > 1100
    )
    with pytest.raises(Interrupted, match="while the store was away"):
        patient.get("blobs/x")
    assert clock.time < 1102


@pytest.mark.fault(
    "a lost reply to the creation of a commit or a batch of the journal", "who won is read back"
)
def test_a_creation_whose_reply_was_lost_is_known_by_its_bytes() -> None:
    class Lossy(MemoryStore):
        lose = True

        def create_if_absent(self, key, data):
            made = super().create_if_absent(key, data)
            if self.lose:
                self.lose = False
                raise StoreAway("the reply was lost")
            return made

    for there, mine in ((b"mine", True), (b"theirs", False)):
        store = Lossy()
        if not mine:
            store.put("k", there)
        patient = PatientStore(store, clock=FakeClock(), patience_s=60)
        assert patient.create_if_absent("k", b"mine") is mine
        assert patient.create_if_absent("k", b"mine") is False, "no reply was lost this time"


class Killed(BaseException):
    """The worker's process is gone: nothing more of it runs."""


def dying_worker(store: MemoryStore, folder: Path, model: FakeModel) -> Worker:
    worker = Worker(
        store=store, model=model, media=TextMedia(), clock=FakeClock(), spool=Spool(folder, 10**6)
    )

    def die(*_):
        raise Killed

    worker.blobs.put = die  # type: ignore[method-assign]
    return worker


@pytest.mark.fault(
    "a worker dies while the store is away", "the same film; what it had made is handed over from its spool"
)
def test_what_a_dead_worker_had_made_is_handed_over_by_the_next(plan: Plan, tmp_path: Path) -> None:
    store, model = MemoryStore(), FakeModel()
    pool = FakePool(make_worker(store, model))

    def render_until_killed() -> FakePool:
        original = pool.poll

        def poll(timeout):
            if pool.leases and pool.leases[-1].kind == "denoise":
                pool.worker = dying_worker(store, tmp_path, model)
            return original(timeout)

        pool.poll = poll
        return pool

    with pytest.raises(Killed):
        make_driver(plan, store).render(render_until_killed)
    assert len(model.denoised) == 1
    assert len(list(tmp_path.iterdir())) == 1
    # The next worker on this machine hands it over before it takes anything on.
    clock = FakeClock()
    worker = Worker(store=store, model=model, media=TextMedia(), clock=clock, spool=Spool(tmp_path, 10**6))
    assert list(tmp_path.iterdir()) == []
    outcome = make_driver(plan, store, clock=clock).render(lambda: FakePool(worker))
    assert (outcome.reused, outcome.rendered, len(model.denoised)) == (1, 5, 6)
    assert store.get("films/film/film.mp4") == undisturbed(plan)


def test_the_spool_is_bounded_and_lets_go(store: MemoryStore, tmp_path: Path) -> None:
    model = FakeModel()
    full = Spool(tmp_path, limit=0)
    worker = Worker(store=store, model=model, media=TextMedia(), clock=FakeClock(), spool=full)
    plan = make_plan("film", shots(shot("1", 20)), make_settings())
    make_driver(plan, store).render(lambda: FakePool(worker))
    assert list(tmp_path.iterdir()) == []


def test_rubbish_in_the_spool_is_thrown_away(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "half.part").mkdir()
    (tmp_path / "old.part").mkdir()
    os.utime(tmp_path / "old.part", (0, 0))
    (tmp_path / "garbage").mkdir()
    (tmp_path / "garbage" / "commit.json").write_text("{}")
    assert Spool(tmp_path, 10**6).hand_over(Blobs(store), Commits(store)) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["half.part"]
    assert list(store.list("")) == []
