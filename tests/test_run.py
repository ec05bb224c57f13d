"""The driver, with fake workers: killed anywhere, it goes on; failing anywhere, it says so."""

from __future__ import annotations

import json

import pytest
from conftest import make_settings
from helpers import (
    FakeClock,
    FakeModel,
    FakePool,
    WatchedStore,
    film_of,
    make_driver,
    make_worker,
    shot,
    shots,
    undisturbed,
)

from farm.errors import AnotherDriver, BadInput, FarmError, Interrupted
from farm.executor import InlineExecutor
from farm.films import claim
from farm.heartbeat import Heartbeat
from farm.job.events import Failed
from farm.ledger import Commits, Journal
from farm.plan.plan import Plan, make_plan
from farm.ports import AttemptDone, WorkerJoined, WorkerLost
from farm.store.memory import MemoryStore


@pytest.fixture
def plan() -> Plan:
    return make_plan("film", shots(shot("1", 120), shot("2", 40), shot("3", 20)), make_settings())


def test_a_film_is_rendered_and_published(plan: Plan, store: MemoryStore) -> None:
    outcome = make_driver(plan, store).render(lambda: FakePool(make_worker(store)))
    assert (outcome.rendered, outcome.reused, outcome.retried) == (8, 0, 0)
    assert len(film_of(store).splitlines()) == plan.frames == 180
    assert store.stat("films/film/driver.json") is None
    assert not list(store.list("films/film/log/"))


def test_the_same_again_renders_nothing_and_starts_no_worker(plan: Plan, store: MemoryStore) -> None:
    make_driver(plan, store).render(lambda: FakePool(make_worker(store)))
    before = film_of(store)

    def nobody() -> FakePool:
        raise AssertionError("no worker is needed")

    outcome = make_driver(plan, store).render(nobody)
    assert (outcome.rendered, outcome.reused) == (0, 8)
    assert film_of(store) == before


def test_inline_and_pool_make_the_same_bytes(plan: Plan, store: MemoryStore) -> None:
    worker = make_worker(store)
    make_driver(plan, store).render(lambda: InlineExecutor(worker, lambda: False))
    assert film_of(store) == undisturbed(plan)


def test_only_an_edited_shot_is_rendered_again(plan: Plan, store: MemoryStore) -> None:
    make_driver(plan, store).render(lambda: FakePool(make_worker(store)))
    items = [shot("1", 120), shot("2", 40, prompt="another"), shot("3", 20)]
    edited = make_plan("film", shots(*items), make_settings())
    outcome = make_driver(edited, store).render(lambda: FakePool(make_worker(store)))
    assert (outcome.rendered, outcome.reused) == (2, 6)


class Killed(BaseException):
    """Not an Exception, and the store stays dead: like a killed process, nothing can tidy up in it."""


class DyingStore(WatchedStore):
    """Dies for good at its n-th call, before or after the call took effect."""

    def __init__(self, calls: int, after: bool) -> None:
        super().__init__()
        self.left, self.after, self.dead = calls, after, False

    def _live(self, call, *args):
        if self.dead:
            raise Killed
        self.left -= 1
        if self.left == 0:
            self.dead = True
            if not self.after:
                raise Killed
        result = call(*args)
        if self.dead:
            raise Killed
        return result


@pytest.mark.fault("the driver is killed before or after any store call", "the same film")
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_store_call_the_same_bytes_come_out(
    after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A beat in between would be one more call on a slow machine, and die in a thread of its own.
    monkeypatch.setattr("farm.heartbeat.BEAT_S", 3600.0)
    monkeypatch.setattr("farm.stock.EVERY", 2)  # so that a snapshot is half written, and one is behind
    plan = make_plan("film", shots(shot("1", 60), shot("2", 20)), make_settings())
    whole = undisturbed(plan)
    for calls in range(1, 200):
        dying = DyingStore(calls, after)
        try:
            driver = make_driver(plan, dying)
            driver.render(lambda store=dying: FakePool(make_worker(store)))
            assert calls > 80
            break
        except Killed:
            pass
        survivor = MemoryStore()
        survivor._objects = dict(dying._objects)
        commits = [json.loads(data) for key, data in survivor._objects.items() if "commits/" in key]
        committed = sum(commit["kind"] == "denoise" for commit in commits)
        model = FakeModel()
        worker = make_worker(survivor, model)
        outcome = make_driver(plan, survivor).render(lambda: FakePool(worker))
        assert film_of(survivor) == whole
        assert outcome.rendered == len(model.denoised)
        assert outcome.reused == committed  # nothing committed is rendered again
        assert outcome.rendered + outcome.reused == 4
    else:
        pytest.fail("the film was never finished")


@pytest.mark.fault(
    "a segment that fails every time",
    "a clear failure that names it, after three tries; what does not hang on it is finished",
)
def test_a_failing_task_is_tried_three_times_and_named(plan: Plan, store: MemoryStore) -> None:
    model = FakeModel()
    model.fail = lambda recipe: ValueError("bad\nnews") if recipe["shot"] == "2" else None
    pool = FakePool(make_worker(store, model))
    with pytest.raises(FarmError, match=r"shot 2 \(denoise/2/0\) failed: ValueError: bad news\. ") as caught:
        make_driver(plan, store).render(lambda: pool)
    assert "\n" not in str(caught.value)
    assert pool.closed
    log = store.get("films/film/log/denoise-2-0.log").decode()
    assert log.count("failed (task)") == 3
    assert "Traceback" in log
    # The others were finished, and mending the cause finishes the film.
    outcome = make_driver(plan, store).render(lambda: FakePool(make_worker(store)))
    assert (outcome.rendered, outcome.reused) == (2, 6)


def test_a_task_that_fails_once_is_only_retried(plan: Plan, store: MemoryStore) -> None:
    model = FakeModel()
    troubles = [RuntimeError("once")]
    model.fail = lambda recipe: troubles.pop() if troubles else None
    outcome = make_driver(plan, store).render(lambda: FakePool(make_worker(store, model)))
    assert outcome.retried == 1
    assert film_of(store) == undisturbed(plan)


def test_a_lost_worker_is_replaced_and_its_task_leased_again(plan: Plan, store: MemoryStore) -> None:
    class Dying(FakePool):
        lost = False

        def poll(self, timeout):
            if not self.lost and any(lease.kind == "denoise" for lease in self.leases):
                Dying.lost = True
                lease = next(item for item in self.leases if item.kind == "denoise")
                self.leases.remove(lease)
                return [WorkerLost(worker=lease.worker, reason="killed"), WorkerJoined(worker="new")]
            return super().poll(timeout)

    outcome = make_driver(plan, store).render(lambda: Dying(make_worker(store)))
    assert outcome.retried == 1
    assert film_of(store) == undisturbed(plan)


def test_a_worker_that_reports_and_dies_at_once_gets_no_new_lease(plan: Plan, store: MemoryStore) -> None:
    class LastWords(FakePool):
        gone: str | None = None

        def start(self, lease):
            assert lease.worker != self.gone, "a lease was given to a worker known to be lost"
            super().start(lease)

        def poll(self, timeout):
            reports = list(super().poll(timeout))
            if self.gone is None and reports and isinstance(reports[0], AttemptDone):
                self.gone = reports[0].worker
                reports += [WorkerLost(worker=self.gone, reason="killed"), WorkerJoined(worker="new")]
            return reports

    make_driver(plan, store).render(lambda: LastWords(make_worker(store)))
    assert film_of(store) == undisturbed(plan)


@pytest.mark.fault("a blob that is altered, cut short or gone", "the same film, its task made again")
@pytest.mark.parametrize("damage", ["altered", "cut short", "gone"])
@pytest.mark.parametrize("task", ["embed/", "denoise/1/1", "finish/1"])
def test_a_bad_blob_is_made_again_with_all_that_hangs_on_it(
    plan: Plan, store: MemoryStore, task: str, damage: str
) -> None:
    class Vandal(FakePool):
        victim = ""

        def poll(self, timeout):
            reports = super().poll(timeout)
            for report in reports:
                if isinstance(report, AttemptDone) and report.task.startswith(task) and not Vandal.victim:
                    Vandal.victim = report.commit.key
                    key = report.commit.main.key
                    bad = {"altered": bytes(len(store.get(key))), "cut short": store.get(key)[:-1]}
                    store.put(key, bad[damage]) if damage in bad else store.delete(key)
            return reports

    make_driver(plan, store).render(lambda: Vandal(make_worker(store)))
    assert film_of(store) == undisturbed(plan)
    events = Journal(store, "film").read()
    assert any(isinstance(event, Failed) and event.fault == "corrupt" for event in events)
    assert Commits(store).read(Vandal.victim, 1).key == Vandal.victim


def test_stopping_keeps_what_is_committed(plan: Plan, store: MemoryStore) -> None:
    worker = make_worker(store)
    pool = FakePool(worker)
    with pytest.raises(Interrupted, match="the same command goes on"):
        make_driver(plan, store, stopped=lambda: len(pool.done) >= 4).render(lambda: pool)
    outcome = make_driver(plan, store).render(lambda: FakePool(make_worker(store)))
    assert outcome.reused > 0
    assert film_of(store) == undisturbed(plan)


def test_a_name_belongs_to_one_script(store: MemoryStore) -> None:
    claim(store, "film", "a.fountain")
    claim(store, "film", "a.fountain")
    with pytest.raises(BadInput, match=r"belongs to the script a\.fountain"):
        claim(store, "film", "b.fountain")


@pytest.mark.fault("a second driver while the first one lives", "a clear failure of the second one")
def test_a_second_driver_is_refused_while_the_first_one_lives(store: MemoryStore) -> None:
    first = Heartbeat(store, "first", ["film"])
    first.take(FakeClock())
    beats = iter(range(100))

    class Watching(FakeClock):
        def sleep(self, seconds: float) -> None:
            first._write(next(beats) + 1000)

    with pytest.raises(AnotherDriver, match="rendered by another process"):
        Heartbeat(store, "second", ["film"]).take(Watching())
    first.release()
    assert store.stat("films/film/driver.json") is None


def test_a_dead_drivers_film_is_taken_over(store: MemoryStore) -> None:
    store.put("films/film/driver.json", b'{"run": "dead", "beat": 7}')
    second = Heartbeat(store, "second", ["film"])
    second.take(FakeClock())
    second.release()


def test_no_worker_at_all_ends_with_advice(plan: Plan, store: MemoryStore) -> None:
    class Empty(FakePool):
        def poll(self, timeout):
            clock.time += 10
            return []

    clock = FakeClock()
    with pytest.raises(FarmError, match="no worker has come up"):
        make_driver(plan, store, clock=clock).render(lambda: Empty(make_worker(store)))
