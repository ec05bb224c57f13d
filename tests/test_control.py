"""Asking something of a film from another terminal, and following it from there."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from conftest import make_settings
from helpers import FakeClock, FakeModel, FakePool, farm, make_driver, make_worker, shot, shots
from hypothesis import given, settings
from hypothesis import strategies as st

from farm import cli
from farm.clock import SystemClock
from farm.follow import Follower, unfinished
from farm.heartbeat import Heartbeat
from farm.inbox import Inbox, Message, post
from farm.job.state import Phase
from farm.plan.plan import Plan, make_plan
from farm.ports import Report
from farm.store.directory import DirectoryStore
from farm.store.memory import MemoryStore


@pytest.fixture
def rendering(stand_in: FakeModel, capsys: pytest.CaptureFixture[str]) -> Iterator[list[Message]]:
    """A film that a driver renders, which hears everything; what it heard."""
    farm(capsys, "render", "small.yaml")
    store, clock = DirectoryStore(Path("renders")), SystemClock()
    beat = Heartbeat(store, "tonight", ["small"])
    beat.take(clock)
    inbox, heard, over = Inbox(store, clock, {"small": "tonight"}), [], threading.Event()

    def listen() -> None:
        while not over.wait(0.02):
            inbox.next = 0.0
            heard.extend(inbox.read())

    ear = threading.Thread(target=listen)
    ear.start()
    yield heard
    over.set()
    ear.join()
    beat.release()


def test_a_driver_hears_what_is_asked(rendering: list[Message], capsys: pytest.CaptureFixture[str]) -> None:
    assert farm(capsys, "pause", "small", "2") == {
        "film": "small",
        "shot": "2",
        "asked": "pause",
        "heard": True,
    }
    farm(capsys, "resume", "small", "2")
    farm(capsys, "priority", "small", "-3")
    farm(capsys, "priority", "small", "4", "1")
    assert farm(capsys, "cancel", "small", "store.root=renders")["shot"] is None
    asked = [(message.verb, message.shot, message.priority) for message in rendering]
    assert asked == [
        ("pause", "2", 0),
        ("resume", "2", 0),
        ("priority", None, -3),
        ("priority", "1", 4),
        ("cancel", None, 0),
    ]
    assert cli.main(["pause", "small", "9"]) == 2
    assert "small has no shot 9" in capsys.readouterr().err


def test_nothing_is_asked_of_a_film_that_nobody_renders(
    stand_in: FakeModel, capsys: pytest.CaptureFixture[str]
) -> None:
    farm(capsys, "render", "small.yaml")
    assert cli.main(["cancel", "small"]) == 2
    assert "is not being rendered: there is nothing to cancel" in capsys.readouterr().err
    assert cli.main(["cancel", "other"]) == 2
    assert "there is no film 'other' in this store; there is: small" in capsys.readouterr().err
    assert not list(DirectoryStore(Path("renders")).list("control/"))


def test_a_message_to_an_earlier_run_is_thrown_away(store: MemoryStore) -> None:
    clock = FakeClock()
    for run in ("yesterday", "today"):
        post(store, clock, Message(film="a", run=run, verb="cancel"))
    store.put("control/a/rubbish", b"{")
    post(store, clock, Message(film="b", run="today", verb="cancel"))
    found = Inbox(store, clock, {"a": "today"}).read()
    assert [(message.film, message.run) for message in found] == [("a", "today")]
    assert [info.key.split("/")[1] for info in store.list("control/")] == ["b"]


@pytest.fixture
def plan() -> Plan:
    return make_plan("film", shots(shot("1", 120), shot("2", 40)), make_settings())


def ask(driver, store, clock, verb: str, **more) -> None:
    post(store, clock, Message(film="film", run=driver.run, verb=verb, **more))


class Slow(FakePool):
    """A poll takes as long as it takes the inbox to be looked into."""

    def poll(self, timeout: float) -> Sequence[Report]:
        self.clock.sleep(3)
        return super().poll(timeout)


def test_a_paused_shot_waits_and_the_film_comes_out_when_it_goes_on(plan: Plan, store: MemoryStore) -> None:
    clock = FakeClock()
    driver = make_driver(plan, store, clock=clock)

    class Asking(Slow):
        polls = 0

        def poll(self, timeout: float) -> Sequence[Report]:
            self.polls += 1
            if self.polls == 1:
                ask(driver, store, clock, "pause", shot="1")
            if self.polls == 30:
                held = [task for task, state in driver.state.states.items() if state.phase is Phase.HELD]
                assert held == ["denoise/1/0"] and not self.leases
                assert driver.state.states["finish/2"].phase is Phase.DONE
                ask(driver, store, clock, "resume", shot="1")
            return super().poll(timeout)

    outcome = driver.render(lambda: Asking(make_worker(store), 2, clock))
    assert outcome.uri.endswith("film.mp4")


def test_a_cancelled_film_is_left_off_and_goes_on_with_the_same_command(
    plan: Plan, store: MemoryStore
) -> None:
    from farm.errors import Interrupted

    clock = FakeClock()
    driver = make_driver(plan, store, clock=clock)
    stopped: list[str] = []

    class Busy(Slow):
        polls = 0

        def poll(self, timeout: float) -> Sequence[Report]:
            self.polls += 1
            if self.polls == 6:
                ask(driver, store, clock, "cancel")
            if self.polls > 6 and not stopped:
                self.clock.sleep(3)
                return []
            return super().poll(timeout)

        def stop(self, worker: str) -> None:
            stopped.append(worker)

    with pytest.raises(Interrupted, match="cancelled; everything committed is kept"):
        driver.render(lambda: Busy(make_worker(store), 2, clock))
    assert stopped
    again = make_driver(plan, store, clock=clock)
    assert again.render(lambda: FakePool(make_worker(store))).reused > 0


def test_a_cancelled_shot_fails_the_film_and_nothing_else(plan: Plan, store: MemoryStore) -> None:
    from farm.errors import FarmError

    clock = FakeClock()
    driver = make_driver(plan, store, clock=clock)

    class Asking(Slow):
        asked = False

        def poll(self, timeout: float) -> Sequence[Report]:
            if not self.asked:
                self.asked = True
                ask(driver, store, clock, "cancel", shot="1")
            return super().poll(timeout)

    with pytest.raises(FarmError, match="shot 1 .* failed.*: cancelled"):
        driver.render(lambda: Asking(make_worker(store), 2, clock))
    assert driver.state.states["finish/2"].phase is Phase.DONE


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from(["pause", "resume", "priority", "cancel", None]), max_size=12), st.integers(1, 3)
)
def test_who_follows_sees_what_the_driver_sees(verbs: list[str | None], workers: int) -> None:
    plan = make_plan("film", shots(shot("1", 120), shot("2", 40)), make_settings())
    store, clock = MemoryStore(), FakeClock()
    driver, follower = make_driver(plan, store, clock=clock), Follower(store, plan)
    pool = FakePool(make_worker(store), workers, clock)
    driver.begin()
    for verb in verbs:
        if verb is not None:
            driver.asked.append(
                Message(
                    film="film", run=driver.run, verb=verb, shot="1" if verb == "cancel" else None, priority=2
                )
            )
        driver.turn(pool)
        seen = follower.catch_up()
        assert seen is not None
        assert (seen.states, seen.paused, seen.workers) == (
            driver.state.states,
            driver.state.paused,
            driver.state.workers,
        )
        lines = list(unfinished(seen, clock.now(), follower.began))
        assert len(lines) == seen.left
        assert all(line.why for line in lines if line.state != "failed")
        running = [line for line in lines if line.state == "running"]
        assert lines[: len(running)] == running and len(running) == seen.running


def test_a_plan_that_has_changed_since_is_not_followed(plan: Plan, store: MemoryStore) -> None:
    make_driver(plan, store).begin()
    other = make_plan("film", shots(shot("1", 80)), make_settings())
    assert Follower(store, other).catch_up() is None
    assert Follower(store, plan).catch_up() is not None
