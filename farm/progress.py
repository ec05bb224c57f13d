"""Progress for people: bars on a terminal, plain lines elsewhere. Always on standard error."""

from __future__ import annotations

import time
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from farm.job.events import (
    Cancelled,
    Event,
    Failed,
    Finished,
    Found,
    Joined,
    Lost,
    Overdue,
    Paused,
    Prioritised,
    Resumed,
    Stopping,
)
from farm.job.state import State
from farm.plan.plan import Plan
from farm.plan.task import Task
from farm.run import GRACE_S


def time_text(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


class Tally:
    """How much work is done, by its estimated cost, and so how long the rest will take."""

    def __init__(self, plan: Plan) -> None:
        self.tasks: dict[str, Task] = {task.id: task for task in plan.tasks}
        self.total = sum(task.cost for task in plan.tasks) or 1.0
        self.found = self.made = 0.0
        self.began: float | None = None

    def add(self, event: Event) -> None:
        if isinstance(event, Joined) and self.began is None:
            self.began = time.monotonic()  # a film of a night may have waited for hours
        if isinstance(event, Found):
            self.found += self.tasks[event.task].cost
        elif isinstance(event, Finished):
            self.made += self.tasks[event.task].cost

    @property
    def share(self) -> float:
        return min(1.0, (self.found + self.made) / self.total)

    def left(self) -> str:
        """Time left, once enough is done to tell."""
        if self.began is None or self.made <= 0.02 * self.total:
            return ""
        elapsed = time.monotonic() - self.began
        return time_text(elapsed * max(0.0, self.total - self.found - self.made) / self.made)


def trouble(event: Event) -> str | None:
    """What is told of an event that is no progress."""
    match event:
        case Failed():
            return f"{event.task} failed ({event.fault}): {event.message}"
        case Lost():
            return f"{event.worker} was lost: {event.reason}"
        case Overdue():
            return f"{event.task} took longer than {event.minutes:g} minutes on {event.worker}"
        case Paused():
            return f"paused{_of(event.shot)}"
        case Resumed():
            return f"going on{_of(event.shot)}"
        case Cancelled():
            return f"cancelled{_of(event.shot)}"
        case Prioritised():
            return f"priority {event.priority}{_of(event.shot)}"
        case Stopping():
            return f"stopping, within {GRACE_S:.0f} seconds; ask once more to stop at once"
        case _:
            return None


def _of(shot: str | None) -> str:
    return "" if shot is None else f": shot {shot}"


class Lines:
    """An Observer that prints a line for each finished shot and each trouble.

    One of several films says its name in each.
    """

    def __init__(self, stream: TextIO, name: str = "") -> None:
        self.stream, self.prefix = stream, f"{name}: " if name else ""

    def begin(self, plan: Plan, state: State) -> None:
        self.tally = Tally(plan)
        self.shot_of = {task.id: task.shot for task in plan.tasks}
        self.finish = {item.finish for item in plan.shots}
        named = self.prefix or f"{plan.film}: "
        self._print(f"{named}{len(plan.shots)} shots, {plan.frames} frames")

    def event(self, event: Event, state: State) -> None:
        self.tally.add(event)
        if isinstance(event, Finished) and event.task in self.finish:
            left = self.tally.left()
            rest = f", {left} left" if left else ""
            self.say(f"shot {self.shot_of[event.task]} done ({self.tally.share:.0%}{rest})")
        elif (text := trouble(event)) is not None:
            self.say(text)

    def say(self, text: str) -> None:
        self._print(f"{self.prefix}{text}")

    def _print(self, text: str) -> None:
        # In one piece, since others print from threads of their own.
        print(f"{text}\n", end="", file=self.stream, flush=True)

    def close(self) -> None:
        """Nothing stays open."""


class Bars:
    """An Observer that draws a bar for the film and one for each shot being made."""

    def __init__(self, stream: TextIO) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=Console(file=stream),
            transient=True,
        )
        self.rows: dict[str, TaskID] = {}

    def begin(self, plan: Plan, state: State) -> None:
        self.tally = Tally(plan)
        self.shot_of = {task.id: task.shot for task in plan.tasks}
        self.parts = {item.shot.name: len(item.segments) + 1 for item in plan.shots}
        self.total = self.progress.add_task(plan.film, total=len(plan.tasks), left="")
        self.progress.start()

    def event(self, event: Event, state: State) -> None:
        self.tally.add(event)
        if isinstance(event, Finished | Found):
            left = self.tally.left()
            self.progress.update(self.total, advance=1, left=f"{left} left" if left else "")
            shot = self.shot_of[event.task]
            if shot is not None:
                self.advance(shot, isinstance(event, Found))
        elif (text := trouble(event)) is not None:
            self.say(text)

    def say(self, text: str) -> None:
        # An error may hold brackets, which rich would read as markup.
        self.progress.console.print(text, markup=False, highlight=False)

    def advance(self, shot: str, found: bool) -> None:
        row = self.rows.get(shot)
        if row is None:
            row = self.progress.add_task(f"  shot {shot}", total=self.parts[shot], left="")
            self.rows[shot] = row
        self.progress.update(row, advance=1)
        if self.progress.tasks[self.progress.task_ids.index(row)].finished:
            self.progress.update(row, visible=False)

    def close(self) -> None:
        self.progress.stop()


def observer_for(stream: TextIO) -> Lines | Bars:
    """Bars where somebody watches a terminal, lines everywhere else."""
    return Bars(stream) if stream.isatty() else Lines(stream)
