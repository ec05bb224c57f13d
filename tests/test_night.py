"""A night with fake workers: every film its own books, one pool, and none costs another its night."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence

import pytest
from conftest import make_settings
from helpers import FakeClock, FakeModel, FakePool, Quiet, make_worker, nobody, shot, shots

from farm.errors import AnotherDriver, FarmError
from farm.heartbeat import Heartbeat, alive, run_of
from farm.inbox import Message, post
from farm.job.events import Joined, Left
from farm.ledger import Journal
from farm.limits import KEPT, NO_LIMITS, Limits
from farm.night import FilmEnd, Night
from farm.plan.plan import Plan, make_plan
from farm.ports import AttemptDone, AttemptFailed, Commit, Lease, Recipe, Report, WorkerJoined, WorkerLost
from farm.run import ASKED, Driver, Outcome
from farm.store.memory import MemoryStore


def plan_of(film: str, *lengths: int, weights: str = "sha256:w") -> Plan:
    items = (shot(str(index + 1), length, f"{film} {index}") for index, length in enumerate(lengths))
    return make_plan(film, shots(*items), make_settings(weights=weights))


def driver(plan: Plan, store: MemoryStore, clock: FakeClock, **more) -> Driver:
    return Driver(plan, store=store, clock=clock, observer=Quiet(), stopped=lambda: False, **more)


def night(store: MemoryStore, clock: FakeClock, *drivers: Driver, **more) -> tuple[Night, list[FilmEnd]]:
    told: list[FilmEnd] = []
    made = Night(
        drivers,
        name="tonight",
        store=store,
        clock=clock,
        limits=more.pop("limits", NO_LIMITS),
        stopped=more.pop("stopped", lambda: None),
        told=told.append,
        **more,
    )
    return made, told


def film_of(store: MemoryStore, film: str) -> bytes:
    return store.get(f"films/{film}/film.mp4")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_films_come_out_as_if_each_was_rendered_alone(store: MemoryStore, clock: FakeClock) -> None:
    plans = [plan_of("a", 120, 40), plan_of("b", 60), plan_of("c", 20, 20, 20)]
    made, told = night(store, clock, *(driver(plan, store, clock) for plan in plans))
    pools: list[FakePool] = []

    def start() -> FakePool:
        pools.append(FakePool(make_worker(store), 3))
        return pools[0]

    ends = made.render(start)
    assert [end.state for end in ends] == ["done"] * 3
    assert sorted(end.outcome.plan.film for end in told) == ["a", "b", "c"]
    assert len(pools) == 1 and pools[0].closed
    for plan in plans:
        alone = MemoryStore()
        by_itself = driver(plan, alone, FakeClock())
        by_itself.render(lambda alone=alone: FakePool(make_worker(alone)))
        assert film_of(store, plan.film) == film_of(alone, plan.film)
    assert not [info.key for info in store.list("") if info.key.endswith("driver.json")]


def test_the_more_important_film_is_done_first(store: MemoryStore, clock: FakeClock) -> None:
    films = [driver(plan_of("a", 200), store, clock), driver(plan_of("b", 200), store, clock, priority=1)]
    made, told = night(store, clock, *films)
    made.render(lambda: FakePool(make_worker(store), 1))
    assert [end.outcome.plan.film for end in told] == ["b", "a"]


def test_no_worker_stands_idle_beside_a_film_that_has_work(store: MemoryStore, clock: FakeClock) -> None:
    """A chained shot keeps one worker busy; the others go to the next film."""
    made, _ = night(
        store, clock, driver(plan_of("a", 300), store, clock), driver(plan_of("b", 300), store, clock)
    )
    seen: list[set[str]] = []

    class Seen(FakePool):
        def poll(self, timeout: float) -> Sequence[Report]:
            seen.append({lease.recipe for lease in self.leases})
            return super().poll(timeout)

    made.render(lambda: Seen(make_worker(store), 2))
    both = [leases for leases in seen if len(leases) == 2]
    assert len(both) > len(seen) / 2


@pytest.mark.fault("one film of a night fails", "the others are done, and it is told why")
def test_a_film_that_fails_costs_the_others_nothing(store: MemoryStore, clock: FakeClock) -> None:
    model = FakeModel()
    model.fail = lambda recipe: ValueError("no such colour") if recipe["seed"] == 66 else None
    bad = make_plan("bad", shots(shot("1", 60, seed=66), shot("2", 20)), make_settings())
    made, _ = night(
        store, clock, driver(bad, store, clock, priority=5), driver(plan_of("good", 60), store, clock)
    )
    ends = made.render(lambda: FakePool(make_worker(store, model), 2, clock))
    assert [end.state for end in ends] == ["failed", "done"]
    assert "no such colour" in ends[0].reason
    assert ends[0].outcome.failures[0][0].startswith("denoise/1/")
    assert len(ends[0].outcome.troubles) == 3


def test_a_mistake_of_ours_in_one_film_costs_the_others_nothing(
    store: MemoryStore, clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = driver(plan_of("broken", 60), store, clock)
    broken._lease = lambda command: 1 / 0
    made, _ = night(store, clock, broken, driver(plan_of("good", 60), store, clock))
    ends = made.render(lambda: FakePool(make_worker(store), 2))
    assert [end.state for end in ends] == ["failed", "done"]
    assert "ZeroDivisionError" in ends[0].reason
    assert "Traceback" in capsys.readouterr().err


def test_what_is_there_needs_no_worker(store: MemoryStore, clock: FakeClock) -> None:
    plan = plan_of("a", 60)
    night(store, clock, driver(plan, store, clock))[0].render(lambda: FakePool(make_worker(store)))
    ends = night(store, clock, driver(plan, store, clock))[0].render(nobody)
    assert [(end.state, end.outcome.rendered) for end in ends] == [("done", 0)]


def test_a_lost_worker_is_lost_by_the_film_that_had_it(store: MemoryStore, clock: FakeClock) -> None:
    class Mortal(FakePool):
        killed = False

        def poll(self, timeout: float) -> Sequence[Report]:
            if self.leases and not self.killed:
                self.killed = True
                gone = self.leases.pop().worker
                return [WorkerLost(worker=gone, reason="killed"), WorkerJoined(worker="new")]
            return super().poll(timeout)

    made, _ = night(
        store, clock, driver(plan_of("a", 60), store, clock), driver(plan_of("b", 60), store, clock)
    )
    ends = made.render(lambda: Mortal(make_worker(store), 2))
    assert [end.state for end in ends] == ["done", "done"]
    assert sum(end.outcome.retried for end in ends) == 1


def test_the_night_ends_when_it_is_over_and_goes_on_the_next(store: MemoryStore, clock: FakeClock) -> None:
    plans = [plan_of("a", 200), plan_of("b", 200)]
    polls = iter(range(100))

    def stopped() -> str | None:
        return "the night was over at 07:30" if next(polls) > 6 else None

    made, _ = night(store, clock, *(driver(plan, store, clock) for plan in plans), stopped=stopped)
    ends = made.render(lambda: FakePool(make_worker(store), 2))
    assert {end.state for end in ends} == {"stopped"}
    assert all("over at 07:30" in end.reason and "kept" in end.reason for end in ends)
    before = sum(end.outcome.rendered for end in ends)
    made, _ = night(store, clock, *(driver(plan, store, clock) for plan in plans))
    ends = made.render(lambda: FakePool(make_worker(store), 2))
    assert [end.state for end in ends] == ["done", "done"]
    assert sum(end.outcome.reused for end in ends) == before > 0


def test_films_are_cancelled_paused_and_put_first_from_elsewhere(
    store: MemoryStore, clock: FakeClock
) -> None:
    plans = [plan_of(name, 200) for name in ("a", "b", "c")]
    made, told = night(store, clock, *(driver(plan, store, clock) for plan in plans))

    class Asking(FakePool):
        polls = 0

        def poll(self, timeout: float) -> Sequence[Report]:
            self.polls += 1
            clock.sleep(3)  # so that the inbox is looked into each time

            def ask(film: str, verb: str, **more) -> None:
                run = run_of(store, film)
                assert run is not None
                post(store, clock, Message(film=film, run=run, verb=verb, **more))

            if self.polls == 1:
                ask("a", "pause")
            if self.polls == 3:
                ask("b", "cancel")
                ask("c", "priority", priority=3)
            if told and told[-1].outcome.plan.film == "c":
                ask("a", "resume")
            return super().poll(timeout)

    made.render(lambda: Asking(make_worker(store), 1, clock))
    assert [(end.outcome.plan.film, end.state) for end in told] == [
        ("b", "cancelled"),
        ("c", "done"),
        ("a", "done"),
    ]
    assert not list(store.list("control/"))


def test_a_worker_on_which_a_kind_fails_is_given_other_work(store: MemoryStore, clock: FakeClock) -> None:
    """Three tasks fail on one worker, in three films: it decodes no more, and does the rest."""
    plans = [plan_of(name, 20) for name in "abcdef"]
    made, _ = night(store, clock, *(driver(plan, store, clock) for plan in plans))
    good, bad = make_worker(store), make_worker(store)
    bad.model.decode = lambda *_: (_ for _ in ()).throw(ValueError("this card decodes nothing"))
    tried: list[str] = []

    class Two(FakePool):
        def poll(self, timeout: float) -> Sequence[Report]:
            if not self.news and self.leases:
                lease = self.leases[-1]
                self.worker = bad if lease.worker == "w0" else good
                if self.worker is bad and lease.kind == "finish":
                    tried.append(lease.task)
            return super().poll(timeout)

    ends = made.render(lambda: Two(good, 2, clock))
    assert [end.state for end in ends] == ["done"] * 6
    assert 1 <= len(tried) <= 4
    if len(tried) == 4:
        joined = [
            event
            for plan in plans
            for event in Journal(store, plan.film).read()
            if isinstance(event, Joined) and event.barred
        ]
        assert all(event == Joined(at=event.at, worker="w0", barred=("finish",)) for event in joined)


def test_all_workers_are_given_back(store: MemoryStore, clock: FakeClock) -> None:
    plans = [plan_of("a", 60), plan_of("b", 60)]
    made, _ = night(store, clock, *(driver(plan, store, clock) for plan in plans))
    made.render(lambda: FakePool(make_worker(store), 2))
    assert sorted(made.free) == ["w0", "w1"] and not made.owner and not made.running
    for plan in plans:
        events = Journal(store, plan.film).read()
        assert sum(isinstance(event, Joined) for event in events) == sum(
            isinstance(event, Left) for event in events
        )


def test_a_film_that_is_being_rendered_is_not_taken(store: MemoryStore, clock: FakeClock) -> None:
    other = Heartbeat(store, "other", ["b"])
    other.take(FakeClock())
    beats = iter(range(100))

    class Watching(FakeClock):
        def sleep(self, seconds: float) -> None:
            other._write(next(beats) + 1000)

    plans = [plan_of("a", 60), plan_of("b", 60)]
    made, _ = night(store, Watching(), *(driver(plan, store, clock) for plan in plans))
    with pytest.raises(AnotherDriver, match="'b' is being rendered"):
        made.render(nobody)
    other.release()


def test_all_films_of_a_night_are_alive_by_one_beat(store: MemoryStore, clock: FakeClock) -> None:
    beat = Heartbeat(store, "run", ["a", "b"], at="nights/tonight/driver.json")
    beat.take(clock)
    beats = iter(range(100))

    class Watching(FakeClock):
        def sleep(self, seconds: float) -> None:
            beat._write(next(beats) + 1000)

    assert alive(store, ["a", "b", "c"], Watching()) == {"a", "b"}
    later = Heartbeat(store, "later", ["a"], at="nights/tonight/driver.json")
    later._write(0)  # a later night of the same name, in which b is not: it writes the same object
    store.put("films/a/driver.json", b'{"run": "later", "at": "nights/tonight/driver.json"}')

    class Later(FakeClock):
        def sleep(self, seconds: float) -> None:
            later._write(next(beats) + 2000)

    assert alive(store, ["a", "b"], Later()) == {"a"}
    beat.release()


def test_a_worker_that_hangs_is_replaced_and_the_film_comes_out(store: MemoryStore, clock: FakeClock) -> None:
    class Hanging(FakePool):
        def poll(self, timeout: float) -> Sequence[Report]:
            clock.sleep(30)
            self.stuck = [lease for lease in self.leases if lease.worker == "w0"]
            self.leases = [lease for lease in self.leases if lease.worker != "w0"]
            found = super().poll(timeout)
            self.leases += self.stuck
            return found

    made, _ = night(store, clock, driver(plan_of("a", 60), store, clock, limits=Limits(task_s=100.0)))
    ends = made.render(lambda: Hanging(make_worker(store), 2, clock))
    assert [end.state for end in ends] == ["done"]
    assert ends[0].outcome.retried == 1


def test_nothing_finished_for_long_ends_the_night(store: MemoryStore, clock: FakeClock) -> None:
    class Stuck(FakePool):
        def poll(self, timeout: float) -> Sequence[Report]:
            clock.sleep(60)
            found, self.news = self.news, []
            return found

    made, _ = night(store, clock, driver(plan_of("a", 60), store, clock), limits=Limits(stall_s=600.0))
    ends = made.render(lambda: Stuck(make_worker(store), 1, clock))
    assert [end.state for end in ends] == ["failed"]
    assert "nothing was finished for 10 minutes" in ends[0].reason


def test_no_workers_end_the_night_with_advice(store: MemoryStore, clock: FakeClock) -> None:
    def start() -> FakePool:
        raise FarmError("workers cannot start: no such device")

    made, told = night(store, clock, driver(plan_of("a", 60), store, clock))
    ends = made.render(start)
    assert ends == told and "no such device" in ends[0].reason


def test_what_is_wrong_at_the_end_of_a_film_costs_the_others_nothing(
    store: MemoryStore, clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    full = driver(plan_of("full", 20), store, clock)

    def finish() -> None:
        raise OSError(28, "No space left on device")

    full.finish = finish

    def unwritten(what: object) -> None:
        raise KeyError("a report that cannot be written")

    made = Night(
        [full, driver(plan_of("good", 60), store, clock)],
        name="n",
        store=store,
        clock=clock,
        limits=NO_LIMITS,
        stopped=lambda: None,
        told=unwritten,
        conclude=unwritten,
    )
    ends = made.render(lambda: FakePool(make_worker(store), 2))
    assert [end.state for end in ends] == ["failed", "done"]
    assert "No space left" in ends[0].reason
    assert capsys.readouterr().err.count("KeyError: 'a report that cannot be written'") == 3


class Uploads:
    """Makes the publishing of a driver's film slow: it ends when `go` is set, and `begun` are their names."""

    def __init__(self, *slow: Driver) -> None:
        self.go, self.first, self.begun = threading.Event(), threading.Event(), []
        for one in slow:
            one.finish = functools.partial(self._finish, one, one.finish)

    def _finish(self, one: Driver, finish: Callable[[], None]) -> None:
        self.begun.append(one.plan.film)
        self.first.set()
        assert self.go.wait(20), "the night waits for it"
        finish()


class Closing(FakePool):
    """Calls `then` as it is closed: no film needs a worker any more."""

    def __init__(self, then: Callable[[], None], *args) -> None:
        super().__init__(*args)
        self.then = then

    def close(self) -> None:
        super().close()
        self.then()


def test_while_a_film_is_published_the_others_go_on(store: MemoryStore, clock: FakeClock) -> None:
    films = [driver(plan_of(name, 20 * number), store, clock) for number, name in enumerate("abc", 1)]
    uploads = Uploads(films[0])
    threads: list[str] = []

    def conclude(outcome: Outcome) -> None:
        assert film_of(store, outcome.plan.film)
        assert outcome.plan.film not in [end.outcome.plan.film for end in told]
        threads.append(threading.current_thread().name)

    made, told = night(store, clock, *films, conclude=conclude)

    def all_is_made() -> None:
        assert uploads.first.wait(20) and uploads.begun == ["a"] and told == []
        assert [film.state.complete for film in films] == [True] * 3
        assert all(run_of(store, name) for name in "abc"), "they are the night's until they are published"
        uploads.go.set()

    ends = made.render(lambda: Closing(all_is_made, make_worker(store), 1))
    assert [end.state for end in ends] == ["done"] * 3
    assert [end.outcome.plan.film for end in told] == ["a", "b", "c"]
    assert threads == ["publisher"] * 3
    assert not any(run_of(store, name) for name in "abc")


def test_a_film_that_cannot_be_published_ends_alone(store: MemoryStore, clock: FakeClock) -> None:
    class Spoiling(FakePool):
        def close(self) -> None:
            super().close()
            film = films[0].done["stitch"].outputs["film"]
            store.put(film.key, b"altered")
            uploads.go.set()

    films = [driver(plan_of(name, 20), store, clock) for name in "ab"]
    uploads = Uploads(*films)
    ends = night(store, clock, *films)[0].render(lambda: Spoiling(make_worker(store), 1))
    assert [end.state for end in ends] == ["failed", "done"]
    assert "was altered or cut short; the same command makes it again" in ends[0].reason
    ends = night(store, clock, *(driver(film.plan, store, clock) for film in films))[0].render(
        lambda: FakePool(make_worker(store), 1)
    )
    assert [end.state for end in ends] == ["done", "done"]


@pytest.mark.parametrize("reason", [ASKED, "the night was over at 07:30"])
def test_who_asks_to_stop_waits_for_the_film_in_hand(
    store: MemoryStore, clock: FakeClock, reason: str
) -> None:
    """At the end of the night all is published that is made; who asks has a while, and no more."""
    plans = [plan_of(name, 20) for name in "abc"]
    films = [driver(plan, store, clock) for plan in plans]
    uploads = Uploads(*films)
    asked = threading.Event()

    def stopped() -> str | None:
        if not asked.is_set():
            return None
        if len(told) == 2 or reason != ASKED:  # asked before: the others are dropped by now
            uploads.go.set()
        return reason

    def ask() -> None:
        assert uploads.first.wait(20)
        asked.set()

    made, told = night(store, clock, *films, stopped=stopped)
    ends = made.render(lambda: Closing(ask, make_worker(store), 1))
    if reason != ASKED:
        assert [end.state for end in ends] == ["done"] * 3
        return
    assert uploads.begun == ["a"]
    assert [end.state for end in ends] == ["done", "stopped", "stopped"]
    assert [end.outcome.plan.film for end in told] == ["b", "c", "a"]
    assert ends[1].reason == f"stopped; {KEPT}"
    assert film_of(store, "a")
    assert store.stat("films/b/film.mp4") is None
    again, _ = night(store, clock, *(driver(plan, store, clock) for plan in plans))
    assert [end.state for end in again.render(nobody)] == ["done"] * 3


def test_who_asks_twice_waits_for_nothing(store: MemoryStore, clock: FakeClock) -> None:
    films = [driver(plan_of(name, 20), store, clock) for name in "ab"]
    uploads = Uploads(*films)
    asked = threading.Event()

    def stopped() -> str | None:
        if asked.is_set():
            raise KeyboardInterrupt
        return None

    def ask() -> None:
        assert uploads.first.wait(20)
        asked.set()

    made, told = night(store, clock, *films, stopped=stopped)
    with pytest.raises(KeyboardInterrupt):
        made.render(lambda: Closing(ask, make_worker(store), 1))
    assert told == [] and made.publisher._thread.is_alive()
    uploads.go.set()
    made.publisher._thread.join(20)
    assert uploads.begun == ["a"]
    assert film_of(store, "a")


def test_what_is_asked_of_a_film_that_is_being_published_is_heard(
    store: MemoryStore, clock: FakeClock
) -> None:
    film = driver(plan_of("a", 20), store, clock)
    uploads = Uploads(film)

    asked: list[str] = []

    def ask() -> None:
        asked.append(post(store, clock, Message(film="a", run=run_of(store, "a") or "", verb="cancel")))

    def stopped() -> str | None:
        clock.sleep(3)
        if asked and store.stat(asked[0]) is None:
            uploads.go.set()
        return None

    made, _ = night(store, clock, film, stopped=stopped)
    assert [end.state for end in made.render(lambda: Closing(ask, make_worker(store), 1))] == ["done"]


class Taking(FakePool):
    """Notes whose tasks are given out, by their keys; once, at the first, calls `then`."""

    def __init__(self, films: dict[str, str], then: Callable[[], None], *args) -> None:
        super().__init__(*args)
        self.films, self.then = films, then
        self.taken: list[str] = []

    def start(self, lease: Lease) -> None:
        super().start(lease)
        self.taken.append(self.films[lease.key])
        if len(self.taken) == 1:
            self.then()


@pytest.mark.parametrize("loads", [True, False])
def test_a_worker_stays_with_a_film_whose_model_it_could_load(
    store: MemoryStore, clock: FakeClock, loads: bool
) -> None:
    """Film a comes first, but for a while there is only b: a worker that has loaded b's model stays with it.

    One that could not load it has nothing to stay for.
    """
    plans = {name: plan_of(name, 20, 20, weights=f"sha256:{name}") for name in "ab"}
    a, b = (driver(plan, store, clock) for plan in plans.values())
    a.asked.append(Message(film="a", run="", verb="pause"))
    model = FakeModel()
    embed = model.embed

    def load(recipe: Recipe) -> bytes:
        model.embed = embed
        raise ValueError("no such file: transformer.safetensors")

    if not loads:
        model.embed = load
    pools: list[Taking] = []

    def start() -> Taking:
        keys = {task.key: name for name, plan in plans.items() for task in plan.tasks}
        pools.append(
            Taking(
                keys,
                lambda: a.asked.append(Message(film="a", run="", verb="resume")),
                make_worker(store, model),
                1,
                clock,
            )
        )
        return pools[0]

    ends = night(store, clock, a, b)[0].render(start)
    assert [end.state for end in ends] == ["done", "done"]
    taken = pools[0].taken
    if loads:
        assert taken == ["b"] * len(plans["b"].tasks) + ["a"] * len(plans["a"].tasks)
    else:
        assert taken[:2] == ["b", "a"]


@pytest.mark.parametrize(
    ("kind", "by", "before", "after"),
    [
        ("denoise", "w0", None, "sha256:a"),
        ("denoise", "w0", "sha256:b", "sha256:a"),
        ("denoise", "w1", "sha256:b", "sha256:b"),  # it was made before, by another
        ("stitch", "w0", "sha256:b", "sha256:b"),  # without a model
        ("denoise", None, "sha256:b", None),  # it failed: that of b may be put away already
        ("denoise", None, "sha256:a", "sha256:a"),
        ("stitch", None, "sha256:b", "sha256:b"),
    ],
)
def test_what_a_worker_has_loaded_is_known_by_what_it_did(
    store: MemoryStore, clock: FakeClock, kind: str, by: str | None, before: str | None, after: str | None
) -> None:
    made, _ = night(store, clock, driver(plan_of("a", 20, weights="sha256:a"), store, clock))
    if before is not None:
        made.warm["w0"] = before
    lease = Lease(task="t", kind=kind, key="k", recipe="", needs=(), attempt=1, generation=0, worker="w0")
    report: Report = AttemptFailed(worker="w0", task="t", attempt=1, fault="task", message="no")
    if by is not None:
        commit = Commit(
            key="k", generation=0, kind=kind, outputs={}, inputs=(), worker=by, started=0.0, seconds=1.0
        )
        report = AttemptDone(worker="w0", task="t", attempt=1, commit=commit)
    made._note_loaded(made.screens["a"], lease, report)
    assert made.warm.get("w0") == after


def test_a_film_that_is_over_is_free_while_the_night_goes_on(store: MemoryStore, clock: FakeClock) -> None:
    made, told = night(
        store, clock, driver(plan_of("a", 20), store, clock), driver(plan_of("b", 200), store, clock)
    )
    taken: list[tuple[bool, bool]] = []

    class Looking(FakePool):
        def poll(self, timeout: float) -> Sequence[Report]:
            while made.screens["a"].publishing:
                made._gather(0.1)
            if told:
                taken.append((run_of(store, "a") is None, run_of(store, "b") is None))
            return super().poll(timeout)

    made.render(lambda: Looking(make_worker(store), 1))
    assert taken and set(taken) == {(True, False)}


@pytest.mark.fault("one worker cannot do a kind of task", "it is done by another, and the film is the same")
def test_a_task_is_not_tried_again_on_the_worker_it_failed_on_while_another_is_busy(
    store: MemoryStore, clock: FakeClock
) -> None:
    """w1 cannot do what film b needs; w0 can, and works for a more important film."""
    good, bad = make_worker(store), make_worker(store)
    bad.model.fail = lambda recipe: ValueError("this card cannot")
    tried: list[str] = []

    class Two(FakePool):
        def poll(self, timeout: float) -> Sequence[Report]:
            if not self.news and self.leases:
                self.leases.sort(key=lambda lease: lease.worker)
                lease = self.leases[-1]
                self.worker = bad if lease.worker == "w1" else good
                if lease.kind == "denoise" and self.worker is bad:
                    tried.append(lease.key)
            return super().poll(timeout)

    films = [driver(plan_of("a", 400), store, clock, priority=1), driver(plan_of("b", 20), store, clock)]
    ends = night(store, clock, *films)[0].render(lambda: Two(good, 2, clock))
    assert [end.state for end in ends] == ["done", "done"]
    assert len(tried) == len(set(tried))
    alone = MemoryStore()
    driver(plan_of("b", 20), alone, FakeClock()).render(lambda: FakePool(make_worker(alone)))
    assert film_of(store, "b") == film_of(alone, "b")


def test_a_bad_film_sets_no_worker_aside(store: MemoryStore, clock: FakeClock) -> None:
    model = FakeModel()
    model.fail = lambda recipe: ValueError("no") if recipe["seed"] == 66 else None
    items = (shot(str(number), 20, seed=66) for number in range(6))
    bad = driver(make_plan("bad", shots(*items), make_settings()), store, clock, priority=5)
    made, _ = night(store, clock, bad, driver(plan_of("good", 60, 60), store, clock))
    ends = made.render(lambda: FakePool(make_worker(store, model), 3, clock))
    assert [end.state for end in ends] == ["failed", "done"]
    assert not made.faults


def test_a_paused_last_shot_does_not_end_the_night(store: MemoryStore, clock: FakeClock) -> None:
    made, told = night(store, clock, driver(plan_of("a", 20, 20), store, clock), limits=Limits(stall_s=600.0))

    class Asking(FakePool):
        polls = 0

        def poll(self, timeout: float) -> Sequence[Report]:
            self.polls += 1
            clock.sleep(30)
            if self.polls in (1, 90):
                run = run_of(store, "a")
                verb = "pause" if self.polls == 1 else "resume"
                post(store, clock, Message(film="a", run=run, verb=verb, shot="2"))
            return super().poll(timeout)

    ends = made.render(lambda: Asking(make_worker(store), 1, clock))
    assert [end.state for end in ends] == ["done"]


def test_two_nights_of_one_name_do_not_take_each_others_beat(store: MemoryStore) -> None:
    clock = FakeClock()
    one, two = (
        Heartbeat(store, run, [film], at=f"nights/n/driver-{run}.json")
        for run, film in (("1", "a"), ("2", "b"))
    )
    one.take(clock)
    two.take(clock)
    beats = iter(range(100))

    class Watching(FakeClock):
        def sleep(self, seconds: float) -> None:
            one._write(next(beats) + 1000)
            two._write(next(beats) + 1000)

    for _ in range(5):
        assert alive(store, ["a", "b"], Watching()) == {"a", "b"}
    one.release()
    two.release()
