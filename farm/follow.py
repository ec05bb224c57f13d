"""Follow a film from another terminal: its journal replayed, which gives its driver's own state again."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from farm.errors import NotFound
from farm.job import events
from farm.job.machine import step
from farm.job.state import Phase, State, begin
from farm.plan.plan import Plan
from farm.plan.task import Task
from farm.ports import BlobStore

READERS = 16


class Follower:
    """Keeps up with a film's journal. `plan` is what the film is planned as today."""

    def __init__(self, store: BlobStore, plan: Plan) -> None:
        self.store, self.plan = store, plan
        self.tasks: dict[str, Task] = {task.id: task for task in plan.tasks}
        self.next = 0
        self.state: State | None = None  # none where the journal is another plan's
        self.began = self.made = 0.0
        self.working: float | None = None  # since when it has had workers
        self.found: set[str] = set()

    def catch_up(self) -> State | None:
        """Take in what was journalled since, and return the state; None where it cannot be told."""
        for event in self._news():
            if isinstance(event, events.Planned):
                self.state = begin(self.plan.tasks) if event.plan == self.plan.digest else None
                self.began, self.made, self.working = event.at, 0.0, None
            if self.state is None:
                continue
            step(self.state, event)
            if isinstance(event, events.Joined) and self.working is None:
                self.working = event.at
            if isinstance(event, events.Finished):
                self.made += self.tasks[event.task].cost
        return self.state

    def _news(self) -> Iterator[events.Event]:
        with ThreadPoolExecutor(READERS) as readers:
            while True:  # some at a time: how many there are is told by the first that is not there
                numbers = range(self.next, self.next + (READERS if self.next else 1))
                for data in readers.map(self._read, numbers):
                    if data is None:
                        return
                    self.next += 1
                    yield from events.decode(data)

    def _read(self, number: int) -> bytes | None:
        try:
            return self.store.get(f"films/{self.plan.film}/journal/{number:09d}")
        except NotFound:
            return None

    def left(self, now: float) -> float | None:
        """Seconds until the film is likely to be done, by this run's pace; None before it can be told."""
        if self.state is None or self.working is None or self.made <= 0 or self.state.complete:
            return None
        todo = sum(
            task.cost for task in self.plan.tasks if self.state.states[task.id].phase is not Phase.DONE
        )
        return max(0.0, now - self.working) * todo / self.made


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A task that is not done: its state in a word, why it waits or who runs it, and for how long it does."""

    task: str
    shot: str | None
    state: str
    why: str
    tries: int
    since_s: float


def unfinished(state: State, now: float, began: float) -> Iterator[Line]:
    """The tasks that are not done: first those that run, then those that could, then those that wait.

    `began` is when the run did, before which none of them can have moved.
    """
    order = {phase: index for index, phase in enumerate(_SHOWN)}
    open_ = [
        (order[current.phase], current.index, task)
        for task, current in state.states.items()
        if current.phase is not Phase.DONE
    ]
    for _, index, task in sorted(open_):
        current = state.states[task]
        yield Line(
            task=task,
            shot=state.tasks[index].shot,
            state=current.phase.value,
            why=_why(state, task, now),
            tries=max(0, current.attempts - (current.phase is Phase.RUNNING)),
            since_s=round(max(0.0, now - max(began, current.since)), 1),
        )


_SHOWN = (
    Phase.RUNNING,
    Phase.FAILED,
    Phase.DELAYED,
    Phase.READY,
    Phase.HELD,
    Phase.WAITING,
    Phase.BLOCKED,
)


def _why(state: State, task: str, now: float) -> str:
    """Why a task is where it is, in words."""
    current = state.states[task]
    needs = state.tasks[current.index].needs
    match current.phase:
        case Phase.RUNNING:
            return f"on {current.worker}"
        case Phase.READY:
            return "the film is paused" if state.paused else "for a worker"
        case Phase.HELD:
            return "its shot is paused"
        case Phase.DELAYED:
            at = next((at for at, _, delayed in state.delayed if delayed == task), now)
            return f"tried again in {max(0.0, at - now):.0f} s"
        case Phase.FAILED:
            return current.error or ""
        case Phase.BLOCKED:
            return f"{_first(state, needs, Phase.FAILED, Phase.BLOCKED)} failed"
        case _:
            return f"for {_first(state, needs, *(phase for phase in Phase if phase is not Phase.DONE))}"


def _first(state: State, needs: tuple[str, ...], *phases: Phase) -> str:
    return next((need for need in needs if state.states[need].phase in phases), "what it needs")
