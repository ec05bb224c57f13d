"""The state machine of a film's job: `step(state, event) -> commands`.

No clock, no randomness, no I/O: each event carries its time, and replaying a journal gives the same
state again. The state is one object changed in place by this one function. Every retry is decided
here and nowhere else.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from farm.job.events import (
    Event,
    Failed,
    Finished,
    Found,
    Joined,
    Lost,
    Planned,
    Spoiled,
    Stopping,
    Tick,
)
from farm.plan.plan import Kind, Task

MAX_TRIES = 3  # failures of the task itself
MAX_LOSSES = 6  # workers that die under one task before the task is held to blame
BACKOFF_S = 2.0


class Phase(StrEnum):
    WAITING = "waiting"  # for what it needs
    READY = "ready"  # for a worker
    DELAYED = "delayed"  # until it may be tried again
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    BLOCKED = "blocked"  # something it needs has failed


@dataclass(slots=True)
class TaskState:
    """Where one task stands. `generation` is the one its next commit would have."""

    index: int
    missing: int
    phase: Phase = Phase.WAITING
    attempts: int = 0
    tries: int = 0
    losses: int = 0
    generation: int = 0
    worker: str | None = None
    output: str | None = None
    error: str | None = None
    stale: bool = False  # what it consumes was found spoiled while it ran


@dataclass(frozen=True, slots=True)
class Run:
    """Give a task to a worker."""

    task: str
    attempt: int
    generation: int
    worker: str


Command = Run


@dataclass(slots=True)
class State:
    """All there is to know of a job. Made by `begin`; changed by `step` alone."""

    tasks: tuple[Task, ...]
    states: dict[str, TaskState]
    consumers: dict[str, list[str]]
    turns: dict[str | None, int]
    ready: list[tuple[bool, int, int, str]] = field(default_factory=list)
    delayed: list[tuple[float, int, str]] = field(default_factory=list)
    workers: dict[str, str | None] = field(default_factory=dict)
    idle: list[str] = field(default_factory=list)
    left: int = 0
    running: int = 0
    retried: int = 0
    stopping: str | None = None
    now: float = 0.0

    @property
    def settled(self) -> bool:
        """Whether nothing is running and nothing more will be."""
        if self.running:
            return False
        return self.stopping is not None or not (self.ready or self.delayed)

    @property
    def complete(self) -> bool:
        return self.left == 0

    def failures(self) -> list[tuple[str, str]]:
        """The tasks that failed, with the reason, in the plan's order."""
        return [
            (task.id, self.states[task.id].error or "")
            for task in self.tasks
            if self.states[task.id].phase is Phase.FAILED
        ]


def begin(tasks: Iterable[Task]) -> State:
    """Make the state of a job in which nothing has happened."""
    listed = tuple(tasks)
    consumers: dict[str, list[str]] = {task.id: [] for task in listed}
    for task in listed:
        for need in dict.fromkeys(task.needs):
            consumers[need].append(task.id)
    state = State(
        tasks=listed,
        states={
            task.id: TaskState(index=index, missing=len(set(task.needs))) for index, task in enumerate(listed)
        },
        consumers=consumers,
        turns=_turns(listed, consumers),
        left=len(listed),
    )
    for task in listed:
        if not task.needs:
            _make_ready(state, task.id)
    return state


def _turns(tasks: tuple[Task, ...], consumers: dict[str, list[str]]) -> dict[str | None, int]:
    """In which order shots are worked on: what is begun is finished, so that there is something to see.

    The shortest shot comes first, as a first look at the film; then the longest, since a worker left
    alone with it at the end would keep the film waiting; then the others by their length.
    """
    after: dict[str, float] = {}
    length: dict[str | None, float] = {}
    for task in reversed(tasks):
        after[task.id] = task.cost + max((after[other] for other in consumers[task.id]), default=0.0)
        if task.shot is not None:
            length[task.shot] = max(after[task.id], length.get(task.shot, 0.0))
    # Shots were met from the last to the first; of equal ones the first in the film goes first.
    order = list(length)[::-1]
    order.sort(key=lambda shot: -length[shot])
    if len(order) > 2:
        shortest = min(order, key=lambda shot: length[shot])
        order.remove(shortest)
        order.insert(0, shortest)
    return {None: len(order)} | {shot: turn for turn, shot in enumerate(order)}


def step(state: State, event: Event) -> list[Command]:
    """Take in one event and return what is to be done because of it."""
    state.now = max(state.now, event.at)
    match event:
        case Found():
            _done(state, event.task, event.generation, event.output)
        case Spoiled():
            _reopen(state, event.task, event.generation + 1)
        case Joined():
            if event.worker not in state.workers:
                state.workers[event.worker] = None
                state.idle.append(event.worker)
        case Lost():
            _lose(state, event.worker, event.reason)
        case Finished():
            _free(state, event.worker, event.task)
            _finished(state, event)
        case Failed():
            _free(state, event.worker, event.task)
            _failed(state, event)
        case Stopping():
            state.stopping = event.reason
        case Planned() | Tick():
            pass  # only their time counts
    _wake(state)
    return pending(state)


def pending(state: State) -> list[Command]:
    """Lease ready tasks to idle workers, the most pressing first, and return the commands."""
    commands: list[Command] = []
    while state.idle and state.ready and state.stopping is None:
        *_, task = heapq.heappop(state.ready)
        current = state.states[task]
        if current.phase is not Phase.READY:
            continue  # it was finished, or closed, while it waited
        worker = state.idle.pop(0)
        state.workers[worker] = task
        current.phase, current.worker = Phase.RUNNING, worker
        current.attempts += 1
        current.stale = False
        state.running += 1
        commands.append(Run(task, current.attempts, current.generation, worker))
    return commands


def next_wake(state: State) -> float | None:
    """When a delayed task may be tried again, if one is waiting for that."""
    return state.delayed[0][0] if state.delayed else None


def _make_ready(state: State, task: str) -> None:
    current = state.states[task]
    current.phase = Phase.READY
    # Texts go first: a model's text encoder is often its largest part, and is loaded once for all.
    made = state.tasks[current.index]
    turn = state.turns[made.shot]
    heapq.heappush(state.ready, (made.kind is not Kind.EMBED, turn, current.index, task))


def _wake(state: State) -> None:
    while state.delayed and state.delayed[0][0] <= state.now:
        _, _, task = heapq.heappop(state.delayed)
        if state.states[task].phase is Phase.DELAYED:
            _make_ready(state, task)


def _free(state: State, worker: str, task: str) -> None:
    """The worker has reported on the task, so it can take another, whatever became of the task."""
    if state.workers.get(worker) == task:
        state.workers[worker] = None
        state.idle.append(worker)


def _is_live(state: State, task: str, worker: str, attempt: int) -> bool:
    current = state.states[task]
    return current.phase is Phase.RUNNING and current.worker == worker and current.attempts == attempt


def _release(state: State, task: str) -> TaskState:
    current = state.states[task]
    if current.phase is Phase.RUNNING:
        state.running -= 1
    current.worker = None
    return current


def _finished(state: State, event: Finished) -> None:
    if not _is_live(state, event.task, event.worker, event.attempt):
        return  # a stale attempt: its lease was given away, and the other one counts
    if state.states[event.task].stale:  # its commit was made from spoiled input and counts for nothing
        current = _release(state, event.task)
        current.generation = event.generation + 1
        _requeue(state, event.task)
        return
    _done(state, event.task, event.generation, event.output)


def _done(state: State, task: str, generation: int, output: str) -> None:
    current = _release(state, task)
    if current.phase is Phase.DONE:
        return
    current.phase, current.output, current.generation = Phase.DONE, output, generation
    current.error = None
    state.left -= 1
    for consumer in state.consumers[task]:
        other = state.states[consumer]
        other.missing -= 1
        if other.missing == 0 and other.phase is Phase.WAITING:
            _make_ready(state, consumer)


def _failed(state: State, event: Failed) -> None:
    if not _is_live(state, event.task, event.worker, event.attempt):
        return
    current = _release(state, event.task)
    state.retried += 1
    if event.fault == "task":
        current.tries += 1
    else:
        current.losses += 1
    if current.tries >= MAX_TRIES or current.losses >= MAX_LOSSES:
        current.phase, current.error = Phase.FAILED, event.message
        _block(state, event.task)
        return
    producer = _producer(state, event.task, event.corrupt) if event.corrupt else None
    if producer is not None:
        current.phase = Phase.WAITING
        _reopen(state, producer, state.states[producer].generation + 1)
        return
    if current.missing or current.stale:
        _requeue(state, event.task)
        return
    current.phase = Phase.DELAYED
    wait = BACKOFF_S * 2 ** (current.tries + current.losses - 1)
    heapq.heappush(state.delayed, (state.now + wait, current.index, event.task))


def _producer(state: State, task: str, output: str) -> str | None:
    needs = state.tasks[state.states[task].index].needs
    return next((need for need in needs if state.states[need].output == output), None)


def _lose(state: State, worker: str, reason: str) -> None:
    if worker not in state.workers:
        return
    task = state.workers.pop(worker)
    if worker in state.idle:
        state.idle.remove(worker)
    if task is None or state.states[task].worker != worker:
        return
    current = _release(state, task)
    state.retried += 1
    current.losses += 1
    if current.losses >= MAX_LOSSES:
        current.phase = Phase.FAILED
        current.error = f"{current.losses} workers were lost while they ran it; the last: {reason}"
        _block(state, task)
    else:
        _requeue(state, task)


def _requeue(state: State, task: str) -> None:
    """Put a task that runs no more back to where it belongs."""
    if state.states[task].missing:
        state.states[task].phase = Phase.WAITING
    else:
        _make_ready(state, task)


def _reopen(state: State, task: str, generation: int) -> None:
    """Make a task run again under a new generation; whatever consumed its old output is dirty."""
    current = state.states[task]
    current.generation = max(current.generation, generation)
    if current.phase is not Phase.DONE:
        return
    current.phase, current.output = Phase.WAITING, None
    state.left += 1
    for consumer in state.consumers[task]:
        other = state.states[consumer]
        other.missing += 1
        if other.phase is Phase.DONE:
            _reopen(state, consumer, other.generation + 1)
        elif other.phase is Phase.RUNNING:
            other.stale = True
        elif other.phase in (Phase.READY, Phase.DELAYED):
            other.phase = Phase.WAITING
    if current.missing == 0:
        _make_ready(state, task)


def _block(state: State, task: str) -> None:
    waiting = list(state.consumers[task])
    while waiting:
        consumer = waiting.pop()
        current = state.states[consumer]
        if current.phase in (Phase.WAITING, Phase.READY, Phase.DELAYED):
            current.phase = Phase.BLOCKED
            waiting += state.consumers[consumer]
