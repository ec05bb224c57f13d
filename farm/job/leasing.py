"""Who is given what: ready tasks to idle workers, the most pressing first."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from farm.job.state import Phase, State, TaskState

MAX_FAULTS = 3  # tasks of a kind that fail on one worker, before it is given no more of them


@dataclass(frozen=True, slots=True)
class Run:
    """Give a task to a worker."""

    task: str
    attempt: int
    generation: int
    worker: str


@dataclass(frozen=True, slots=True)
class Halt:
    """Make a worker leave off what it runs, within a step; it reports that as a failure."""

    task: str
    worker: str


Command = Run | Halt


def pending(state: State) -> list[Run]:
    """Lease ready tasks to idle workers, and return the commands."""
    commands: list[Run] = []
    unsuited = []
    while state.idle and state.ready and state.stopping is None and not state.paused:
        entry = heapq.heappop(state.ready)
        task = entry[-1]
        current = state.states[task]
        if current.phase is not Phase.READY:
            continue  # it was finished, held or closed while it waited
        worker = next((worker for worker in state.idle if suits(state, worker, current)), None)
        if worker is None:
            unsuited.append(entry)
            continue
        state.idle.remove(worker)
        state.workers[worker] = task
        state.move(current, Phase.RUNNING)
        current.worker = worker
        current.attempts += 1
        current.stale = False
        state.running += 1
        commands.append(Run(task, current.attempts, current.generation, worker))
    for entry in unsuited:
        heapq.heappush(state.ready, entry)
    # What leads the line is ready, so that an empty line means that nothing is.
    while state.ready and state.states[state.ready[0][-1]].phase is not Phase.READY:
        heapq.heappop(state.ready)
    return commands


def suits(state: State, worker: str, task: TaskState, others: frozenset[str] | None = None) -> bool:
    """Whether a worker may be given a task: nobody else may be likelier to bring it to an end.

    Least likely is one on which several tasks of the kind failed, then one on which this task did: it may
    be the worker that is to blame. `others` are workers that could be lent (None is those last told of).
    """
    if not (task.failed_on or state.barred or state.faults):
        return True
    kind = state.tasks[task.index].kind.value

    def doubt(other: str) -> tuple[bool, bool]:
        return is_faulty(state, other, kind), other in task.failed_on

    if kind in state.barred.get(worker, ()):
        return False
    doubts = [
        doubt(other)
        for other in {*state.workers, *(state.others if others is None else others)}
        if other not in state.leaving and kind not in state.barred.get(other, ())
    ]
    return doubt(worker) <= min(doubts, default=(True, True))


def is_faulty(state: State, worker: str, kind: str) -> bool:
    """Whether so many tasks of a kind failed on a worker, and were done elsewhere, that it is to blame."""
    return len(state.faults.get(worker, {}).get(kind, ())) >= MAX_FAULTS


def wants(
    state: State, worker: str, barred: frozenset[str] = frozenset(), others: frozenset[str] = frozenset()
) -> bool:
    """Whether the job would give a task to this worker, if it had it: for who shares workers out."""
    if state.paused or state.stopping is not None:
        return False
    for *_, task in state.ready:
        current = state.states[task]
        if (
            current.phase is Phase.READY
            and state.tasks[current.index].kind.value not in barred
            and suits(state, worker, current, others)
        ):
            return True
    return False
