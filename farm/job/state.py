"""All there is to know of a film's job: made by `begin`, changed by `farm.job.machine.step` alone."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from farm.plan.task import Kind, Task


class Phase(StrEnum):
    WAITING = "waiting"  # for what it needs
    READY = "ready"  # for a worker
    HELD = "held"  # its shot is paused
    DELAYED = "delayed"  # until it may be tried again
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    BLOCKED = "blocked"  # something it needs has failed


@dataclass(slots=True)
class TaskState:
    """Where one task stands, and since when. `generation` is the one its next commit would have."""

    index: int
    missing: int
    phase: Phase = Phase.WAITING
    since: float = 0.0
    attempts: int = 0
    tries: int = 0
    losses: int = 0
    generation: int = 0
    worker: str | None = None
    output: str | None = None
    error: str | None = None
    stale: bool = False  # what it consumes was found spoiled while it ran
    failed_on: frozenset[str] = frozenset()  # workers to which it is not given again while there are others


@dataclass(slots=True)
class State:
    """A job: its tasks, who works on them, and what was asked of it from outside."""

    tasks: tuple[Task, ...]
    states: dict[str, TaskState]
    consumers: dict[str, list[str]]
    turns: dict[str | None, int]
    ready: list[tuple[bool, int, int, int, str]] = field(default_factory=list)
    delayed: list[tuple[float, int, str]] = field(default_factory=list)
    workers: dict[str, str | None] = field(default_factory=dict)
    idle: list[str] = field(default_factory=list)
    leaving: set[str] = field(default_factory=set)  # they go when what they run is reported
    barred: dict[str, frozenset[str]] = field(default_factory=dict)  # kinds a worker is not to be given
    # worker -> kind -> tasks that failed there and were done elsewhere
    faults: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    others: frozenset[str] = frozenset()  # workers that could be lent to the job too
    held: set[str] = field(default_factory=set)
    paused: bool = False
    paused_shots: set[str] = field(default_factory=set)
    priority: int = 0
    urgency: dict[str | None, int] = field(default_factory=dict)  # of shots, where one was given
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
        return self.stopping is not None or not (self.ready or self.delayed or self.held)

    @property
    def resting(self) -> bool:
        """Whether nothing happens because somebody paused it."""
        if self.running:
            return False
        return self.paused or bool(self.held and not (self.ready or self.delayed))

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

    def move(self, current: TaskState, phase: Phase) -> None:
        """Put a task into a phase, and note when."""
        if current.phase is Phase.HELD:
            self.held.discard(self.tasks[current.index].id)
        current.phase, current.since = phase, self.now

    def hold(self, task: str) -> None:
        """Keep a task that could run until its shot goes on."""
        self.move(self.states[task], Phase.HELD)
        self.held.add(task)

    def make_ready(self, task: str) -> None:
        """Line a task up for a worker, unless its shot is paused."""
        current = self.states[task]
        made = self.tasks[current.index]
        if made.shot in self.paused_shots:
            self.hold(task)
            return
        self.move(current, Phase.READY)
        # Texts go first: a model's text encoder is often its largest part, and is loaded once for all.
        urgency = -self.urgency.get(made.shot, 0)
        heapq.heappush(
            self.ready, (made.kind is not Kind.EMBED, urgency, self.turns[made.shot], current.index, task)
        )


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
            state.make_ready(task.id)
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
