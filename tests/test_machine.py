"""The state machine, asserted by its exact commands; and its invariants under random histories."""

from __future__ import annotations

import random

import pytest
from conftest import make_settings
from helpers import shot, shots
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.job.events import (
    Failed,
    Finished,
    Found,
    Joined,
    Lost,
    Planned,
    Spoiled,
    Stopping,
    Tick,
    decode,
    encode,
)
from farm.job.leasing import Run
from farm.job.machine import MAX_LOSSES, MAX_TRIES, step
from farm.job.state import Phase, State, begin
from farm.plan.plan import Plan, make_plan


def plan_of(*lengths: int) -> Plan:
    items = (shot(str(index + 1), length) for index, length in enumerate(lengths))
    return make_plan("film", shots(*items), make_settings())


def finish(state: State, run: Run, at: float = 1.0) -> list[Run]:
    event = Finished(
        at=at,
        worker=run.worker,
        task=run.task,
        attempt=run.attempt,
        generation=run.generation,
        output=f"out {run.task} {run.generation}",
    )
    return step(state, event)


def fail(state: State, run: Run, fault: str = "task", at: float = 1.0, corrupt: str | None = None):
    event = Failed(
        at=at,
        worker=run.worker,
        task=run.task,
        attempt=run.attempt,
        fault=fault,
        message="no",
        corrupt=corrupt,
    )
    return step(state, event)


def up_to(state: State, task: str) -> Run:
    """Finish tasks with one worker until `task` is running."""
    (run,) = step(state, Joined(at=0, worker="w"))
    while run.task != task:
        (run,) = finish(state, run)
    return run


def test_a_small_film_is_made_in_order() -> None:
    state = begin(plan_of(60).tasks)
    made = []
    (run,) = step(state, Joined(at=0, worker="w"))
    while True:
        made.append(run.task.split("/")[0])
        commands = finish(state, run)
        if not commands:
            break
        (run,) = commands
    assert made == ["embed", "embed", "denoise", "denoise", "denoise", "finish", "stitch"]
    assert state.complete
    assert state.settled


def test_a_first_look_then_the_longest_and_what_is_begun_is_finished() -> None:
    state = begin(plan_of(100, 400, 20).tasks)
    commands = [*step(state, Joined(at=0, worker="a")), *step(state, Joined(at=0, worker="b"))]
    started: list[str] = []
    while commands:
        command = commands.pop(0)
        started.append(command.task)
        commands += finish(state, command)
    shots = [task for task in started if not task.startswith("embed/")]
    assert started[-len(shots) :] == shots, "texts come first"
    assert set(shots[:2]) == {"denoise/3/0", "denoise/2/0"}
    assert shots.index("finish/3") < shots.index("denoise/1/0")
    assert shots[-1] == "stitch"


def test_no_worker_gets_two_leases() -> None:
    state = begin(plan_of(20, 20, 20).tasks)
    (run,) = step(state, Joined(at=0, worker="w"))
    assert step(state, Joined(at=0, worker="w")) == []
    assert step(state, Tick(at=1)) == []
    assert len(finish(state, run)) == 1


def test_a_failing_task_is_tried_again_later_and_then_given_up() -> None:
    state = begin(plan_of(20, 20).tasks)
    run = up_to(state, "denoise/1/0")
    for attempt in range(1, MAX_TRIES):
        commands = fail(state, run, at=100.0 * attempt)
        assert [other.task for other in commands] != ["denoise/1/0"]
        for other in commands:  # the rest goes on meanwhile
            while commands := finish(state, other, at=100.0 * attempt):
                (other,) = commands
        (run,) = step(state, Tick(at=100.0 * attempt + 60))
        assert (run.task, run.attempt) == ("denoise/1/0", attempt + 1)
    fail(state, run, at=900)
    assert state.failures() == [("denoise/1/0", "no")]
    assert state.states["finish/1"].phase is Phase.BLOCKED
    assert state.states["stitch"].phase is Phase.BLOCKED
    assert state.states["finish/2"].phase is Phase.DONE
    assert state.settled
    assert not state.complete


def test_a_lost_worker_uses_up_no_try() -> None:
    state = begin(plan_of(20).tasks)
    run = up_to(state, "denoise/1/0")
    assert step(state, Lost(at=2, worker="w", reason="killed")) == []
    (again,) = step(state, Joined(at=3, worker="v"))
    assert (again.task, again.attempt) == (run.task, 2)
    assert state.states[run.task].tries == 0


def test_a_task_that_kills_every_worker_is_held_to_blame() -> None:
    state = begin(plan_of(20).tasks)
    run = up_to(state, "denoise/1/0")
    for loss in range(MAX_LOSSES):
        step(state, Lost(at=2, worker=run.worker, reason="killed"))
        commands = step(state, Joined(at=3, worker=f"v{loss}"))
        if loss < MAX_LOSSES - 1:
            (run,) = commands
    assert "6 workers were lost" in state.failures()[0][1]


def test_a_late_result_of_a_lost_lease_is_ignored() -> None:
    state = begin(plan_of(20).tasks)
    run = up_to(state, "denoise/1/0")
    step(state, Lost(at=2, worker="w", reason="away"))
    (again,) = step(state, Joined(at=3, worker="v"))
    assert finish(state, run) == []
    assert state.states[run.task].phase is Phase.RUNNING
    finish(state, again)
    assert state.states[run.task].phase is Phase.DONE


def test_a_corrupt_input_makes_its_producer_run_again_under_a_new_generation() -> None:
    state = begin(plan_of(60).tasks)
    run = up_to(state, "finish/1")
    (again,) = fail(state, run, "corrupt", corrupt="out denoise/1/0 0")
    assert (again.task, again.generation) == ("denoise/1/0", 1)
    # Whatever consumed the old output is dirty too.
    (next_run,) = finish(state, again)
    assert (next_run.task, next_run.generation) == ("denoise/1/1", 1)


def test_a_result_made_from_spoiled_input_counts_for_nothing() -> None:
    state = begin(plan_of(20, 20).tasks)
    (run,) = step(state, Joined(at=0, worker="a"))
    while not run.task.startswith("denoise"):
        (run,) = finish(state, run)
    (other,) = step(state, Joined(at=0, worker="b"))
    shared = next(task.needs[1] for task in state.tasks if task.id == run.task)
    (again,) = fail(state, other, "corrupt", corrupt=f"out {shared} 0")
    assert (again.task, again.generation) == (shared, 1)
    finish(state, again)
    (redone, *_) = [item for item in finish(state, run) if item.task == run.task] or [None]
    assert state.states[run.task].phase is not Phase.DONE
    assert redone is None or redone.generation == 1


def test_a_disk_that_spoils_everything_is_given_up() -> None:
    state = begin(plan_of(60).tasks)
    run = up_to(state, "finish/1")
    for _ in range(200):
        if state.failures():
            break
        needs = state.tasks[state.states[run.task].index].needs
        if run.task == "finish/1":
            commands = fail(state, run, "corrupt", corrupt=state.states[needs[-1]].output)
        else:
            commands = finish(state, run)
        commands = commands or step(state, Tick(at=state.now + 1000))
        if commands:
            (run,) = commands
    assert state.failures()


def test_spoiled_and_found_commits_open_what_is_missing_and_no_more() -> None:
    plan = plan_of(60)
    state = begin(plan.tasks)
    step(state, Planned(at=0, plan=plan.digest, run="r"))
    for task in plan.tasks[:3]:
        step(state, Found(at=0, task=task.id, generation=0, output="x"))
    step(state, Spoiled(at=0, task="denoise/1/1", generation=4))
    (run,) = step(state, Joined(at=0, worker="w"))
    assert (run.task, run.generation) == ("denoise/1/1", 5)


def test_stopping_starts_nothing_new() -> None:
    state = begin(plan_of(60).tasks)
    (run,) = step(state, Joined(at=0, worker="w"))
    step(state, Stopping(at=1, reason="asked"))
    assert finish(state, run) == []
    assert state.settled


def test_events_survive_the_journal() -> None:
    events = [
        Planned(at=1, plan="p", run="r"),
        Found(at=1, task="t", generation=2, output="o"),
        Spoiled(at=1, task="t", generation=2),
        Joined(at=1, worker="w"),
        Lost(at=1, worker="w", reason='a "reason"\nof two lines'),
        Finished(at=1, worker="w", task="t", attempt=1, generation=0, output="o"),
        Failed(at=1, worker="w", task="t", attempt=1, fault="task", message="m", corrupt=None),
        Tick(at=2),
        Stopping(at=3, reason="x"),
    ]
    assert decode(encode(events)) == events


histories = given(st.integers(0, 2**32), st.lists(st.integers(1, 120), min_size=1, max_size=5))


@histories
def test_random_histories_keep_the_invariants(seed: int, lengths: list[int]) -> None:
    check_history(seed, lengths)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=10_000, deadline=None)
@histories
def test_ten_thousand_histories_keep_the_invariants(seed: int, lengths: list[int]) -> None:
    check_history(seed, lengths)


def check_history(seed: int, lengths: list[int]) -> None:
    """Whatever happens: one live lease a task and a worker, needs before consumers, and an end."""
    rng = random.Random(seed)
    plan = plan_of(*lengths)
    state = begin(plan.tasks)
    live: dict[str, Run] = {}
    history = []
    at, born, trouble = 0.0, 0, 30
    for _ in range(5000):
        if state.settled and (state.complete or state.failures()):
            break
        at += rng.random()
        choice = rng.random()
        if not state.workers or (choice < 0.1 and len(state.workers) < 4):
            event, born = Joined(at=at, worker=f"w{born}"), born + 1
        elif choice < 0.2 and trouble > 0 and state.workers:
            trouble -= 1
            worker = rng.choice(sorted(state.workers))
            event = Lost(at=at, worker=worker, reason="lost")
            live.pop(worker, None)
        elif live:
            run = live.pop(rng.choice(sorted(live)))
            if rng.random() < 0.2 and trouble > 0:
                trouble -= 1
                needs = next(task.needs for task in plan.tasks if task.id == run.task)
                corrupt = state.states[needs[-1]].output if needs and rng.random() < 0.3 else None
                event = Failed(
                    at=at,
                    worker=run.worker,
                    task=run.task,
                    attempt=run.attempt,
                    fault="corrupt" if corrupt else rng.choice(["task", "infrastructure"]),
                    message="no",
                    corrupt=corrupt,
                )
            else:
                event = Finished(
                    at=at,
                    worker=run.worker,
                    task=run.task,
                    attempt=run.attempt,
                    generation=run.generation,
                    output=f"{run.task}@{run.generation}",
                )
        else:
            at += 100
            event = Tick(at=at)
        history.append(event)
        for run in step(state, event):
            assert run.worker not in live
            assert all(other.task != run.task for other in live.values())
            task = next(task for task in plan.tasks if task.id == run.task)
            assert all(state.states[need].phase is Phase.DONE for need in task.needs)
            live[run.worker] = run
        assert state.running == len([w for w, task in state.workers.items() if task is not None])
        assert state.left == sum(item.phase is not Phase.DONE for item in state.states.values())
    assert state.complete or state.failures()
    # Replaying the journal gives the same state.
    again = begin(plan.tasks)
    for event in decode(encode(history)):
        step(again, event)
    assert {name: item.phase for name, item in again.states.items()} == {
        name: item.phase for name, item in state.states.items()
    }
