"""The driver: plan in, film out. Turns reports into events, journals them, performs the commands."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from farm.errors import CorruptBlob, FarmError, Interrupted
from farm.films import publish, put_json
from farm.heartbeat import Heartbeat
from farm.inbox import Inbox, Message
from farm.job import events
from farm.job.leasing import Command, Halt, Run
from farm.job.machine import CANCELLED, next_wake, step
from farm.job.state import State, begin
from farm.ledger import Journal
from farm.limits import KEPT, NO_LIMITS, Limits, Watch
from farm.plan.plan import Plan
from farm.plan.task import Task
from farm.ports import (
    AttemptDone,
    AttemptFailed,
    BlobStore,
    Clock,
    Commit,
    Executor,
    Lease,
    Report,
    WorkerJoined,
    WorkerLeaves,
    WorkerLost,
)
from farm.stock import Stock

POLL_S = 1.0
ASKED = "stopped"
GRACE_S = 15.0  # for what runs to be finished when asked to stop, of the 30 s that clusters grant


class Observer(Protocol):
    """Is told of every event, after the machine has taken it in."""

    def begin(self, plan: Plan, state: State) -> None: ...

    def event(self, event: events.Event, state: State) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to: its commits by task id, and how many of its segments were made or reused.

    `made` are the tasks done in this run; what else is committed was there. `troubles` are the attempts
    that failed and the workers that were lost; `failures` the tasks that failed for good, and why.
    """

    plan: Plan
    uri: str
    commits: dict[str, Commit]
    rendered: int
    reused: int
    retried: int
    wall_s: float
    made: frozenset[str]
    troubles: tuple[events.Failed | events.Lost | events.Overdue, ...]
    failures: tuple[tuple[str, str], ...]


class Driver:
    """Renders one plan. Every event is journalled before what follows from it is done.

    `records` (name to JSON object) are written beside the film once it is this driver's. `priority` counts
    among the films of a night.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        store: BlobStore,
        clock: Clock,
        observer: Observer,
        stopped: Callable[[], bool],
        records: Mapping[str, dict[str, Any]] | None = None,
        limits: Limits = NO_LIMITS,
        priority: int = 0,
    ) -> None:
        self.records = records or {}
        self.plan, self.store, self.clock = plan, store, clock
        self.observer, self.stopped = observer, stopped
        self.tasks: dict[str, Task] = {task.id: task for task in plan.tasks}
        self.done: dict[str, Commit] = {}
        self.found: frozenset[str] = frozenset()
        self.troubles: list[events.Failed | events.Lost | events.Overdue] = []
        self.arrived: dict[tuple[str, int], Commit] = {}
        self.state = begin(plan.tasks)
        self.logs: dict[str, list[str]] = {}
        self.epoch = clock.now() - clock.monotonic()
        self.limits, self.priority = limits, priority
        self.run = uuid.uuid4().hex
        self.asked: list[Message] = []
        self.leased: dict[str, tuple[Lease, float]] = {}  # by worker, with when
        self.stopped_at = 0.0
        self.begun = clock.monotonic()
        self.watch = Watch(limits, self.begun)

    def render(self, start_workers: Callable[[], Executor]) -> Outcome:
        """Render what is not committed yet, publish the film, and say how it went.

        Workers are only started when there is something for them to do.

        Raises:
            FarmError: when a task failed for good, or the store or the workers did.
            Interrupted: when `stopped()` turned true; everything committed is kept.
        """
        heartbeat = Heartbeat(self.store, self.run, [self.plan.film])
        heartbeat.take(self.clock)
        inbox = Inbox(self.store, self.clock, {self.plan.film: self.run})
        executor: Executor | None = None
        try:
            self.begin()
            if not self.state.complete:
                executor = start_workers()
                self.watch = Watch(self.limits, self.clock.monotonic())
                while not self.over:
                    self.asked += inbox.read()
                    self.turn(executor)
                    self._heed_limits()
            self.finish()
        finally:
            if executor is not None:
                executor.close()
            inbox.close()
            heartbeat.release()
        return self.outcome()

    @property
    def over(self) -> bool:
        """Whether nothing more will come of this run: it is done, or stuck, or was stopped a while ago."""
        if self.state.complete or self.state.settled:
            return True
        return self.state.stopping is not None and self.clock.monotonic() - self.stopped_at > GRACE_S

    def finish(self) -> None:
        """Publish the film. Raises what `render` does where it is not done."""
        self.stock.keep(self.done, self.state)
        if not self.state.complete:
            raise self._unfinished()
        try:
            publish(self.store, self.plan.film, self.done[self.plan.tasks[-1].id].outputs)
        except FarmError as error:
            if isinstance(error.__cause__, CorruptBlob):
                self.stock.forget()  # or the same command would find the film done, and publish it again
            raise

    def outcome(self) -> Outcome:
        """What this run has come to so far."""
        segments = {segment.task for shot in self.plan.shots for segment in shot.segments}
        made = frozenset(self.done) - self.found
        return Outcome(
            plan=self.plan,
            uri=self.store.locate(f"films/{self.plan.film}/film.mp4"),
            commits=self.done,
            rendered=len(segments & made),
            reused=len(segments & self.found & self.done.keys()),
            retried=self.state.retried,
            wall_s=round(self.clock.monotonic() - self.begun, 2),
            made=made,
            troubles=tuple(self.troubles),
            failures=tuple(self.state.failures()),
        )

    def begin(self) -> None:
        """Make the film this driver's: its records, its place in the journal, and what is there already."""
        for name, value in self.records.items():
            put_json(self.store, f"films/{self.plan.film}/{name}.json", value)
        self.journal = Journal(self.store, self.plan.film)
        self.observer.begin(self.plan, self.state)
        self._take_stock()

    def time(self) -> float:
        """The time that events carry. It goes on evenly though the clock be set while a film is made."""
        return self.epoch + self.clock.monotonic()

    def _take_stock(self) -> None:
        """Journal what the store holds already: the truth from which this run goes on."""
        now = self.time()
        batch: list[events.Event] = [events.Planned(at=now, plan=self.plan.digest, run=self.run)]
        if self.priority:
            batch.append(events.Prioritised(at=now, priority=self.priority))
        self.stock = Stock(self.plan, self.store)
        for task, found in self.stock.take(self.clock.now()):
            if isinstance(found, Commit):
                self.done[task] = found
                batch.append(
                    events.Found(at=now, task=task, generation=found.generation, output=found.main.sha256)
                )
            else:
                batch.append(events.Spoiled(at=now, task=task, generation=found))
        self.found = frozenset(self.done)
        self._apply(batch)
        if self.stock.due:
            self.stock.keep(self.done, self.state)

    def _apply(self, batch: Sequence[events.Event]) -> list[Command]:
        """Journal a batch of events, then take them in; returns the commands."""
        commands: list[Command] = []
        wake = next_wake(self.state)
        # Time alone is only worth a line where something was waiting for it.
        due = wake is not None and wake <= batch[-1].at
        if due or any(not isinstance(event, events.Tick) for event in batch):
            self.journal.append(batch)
        for event in batch:
            commands += step(self.state, event)
            if isinstance(event, events.Finished):
                self._settle(event)
            elif isinstance(event, events.Failed | events.Lost | events.Overdue):
                self.troubles.append(event)
            self.observer.event(event, self.state)
        return commands

    def _settle(self, event: events.Finished) -> None:
        """Keep the commit that came with an event, if the machine took it (a stale one it does not)."""
        commit = self.arrived.pop((event.task, event.attempt))
        if self.state.states[event.task].output == commit.main.sha256:
            self.done[event.task] = commit
            if event.task in self.found:  # and then spoiled
                self.found -= {event.task}
            self.stock.add(event.task, commit, self.clock.now())
            if self.stock.due:
                self.stock.keep(self.done, self.state)

    def turn(self, executor: Executor) -> None:
        """Wait for news, take it in, and do what follows from it.

        Asked to stop, nothing new is started, and what runs has a while to be finished: it would be lost.
        """
        wake = next_wake(self.state)
        timeout = POLL_S if wake is None else min(POLL_S, max(0.01, wake - self.time()))
        reports = executor.poll(timeout)
        now = self.time()
        # Who leaves comes first, or would be given what the rest makes ready; then what was asked, or that
        # would be begun which somebody has just stopped.
        batch: list[events.Event] = [
            *(self._event(report) for report in reports if isinstance(report, WorkerLeaves)),
            *self._orders(now),
            *self.stock.doubt(reports, now),
            *(self._event(report) for report in reports if not isinstance(report, WorkerLeaves)),
            *self._overdue(now),
        ]
        for command in self._apply(batch or [events.Tick(at=now)]):
            if isinstance(command, Halt):
                executor.stop(command.worker)
            # A later event of the batch may have taken the worker away again.
            elif self.state.workers.get(command.worker) == command.task:
                lease = self._lease(command)
                self.leased[lease.worker] = lease, self.clock.monotonic()
                executor.start(lease)
        for event in batch:
            if isinstance(event, events.Overdue):
                executor.replace(event.worker)

    def _orders(self, now: float) -> list[events.Event]:
        """What was asked of this run from outside, by its own terminal or by another one."""
        batch: list[events.Event] = [message.event(now) for message in self.asked]
        self.asked.clear()
        if self.state.stopping is None:
            if self.stopped():
                batch.append(events.Stopping(at=now, reason=ASKED))
            elif self.watch.is_over(self.clock.monotonic()):
                batch.append(events.Stopping(at=now, reason=self.watch.over))
            if any(isinstance(event, events.Stopping | events.Cancelled) for event in batch):
                self.stopped_at = self.clock.monotonic()
        return batch

    def _overdue(self, now: float) -> list[events.Event]:
        """The attempts that take too long."""
        most = self.limits.task_s
        if most is None:
            return []
        before = self.clock.monotonic() - most
        late = [lease for lease, since in self.leased.values() if since < before]
        return [
            events.Overdue(
                at=now, worker=lease.worker, task=lease.task, attempt=lease.attempt, minutes=most / 60
            )
            for lease in late
            if self.leased.pop(lease.worker)
        ]

    def _heed_limits(self) -> None:
        """Raises FarmError where workers or progress were waited for long enough."""
        now = self.clock.monotonic()
        if self.state.resting or self.state.stopping is not None:
            self.watch.progress(now)
        self.watch.check(now, workers=bool(self.state.workers) or self.state.stopping is not None)

    def _unfinished(self) -> FarmError:
        if self.state.stopping is not None:
            if self.state.stopping in (ASKED, CANCELLED):
                return Interrupted(f"{self.state.stopping}; {KEPT}")
            return FarmError(f"{self.state.stopping}; {KEPT}")
        return FarmError(self._failure())

    def _event(self, report: Report) -> events.Event:
        now = self.time()
        match report:
            case WorkerJoined():
                return events.Joined(at=now, worker=report.worker, barred=report.barred, others=report.others)
            case WorkerLost():
                self.leased.pop(report.worker, None)
                return events.Lost(at=now, worker=report.worker, reason=report.reason, fault=report.fault)
            case WorkerLeaves():
                return events.Left(at=now, worker=report.worker)
            case AttemptDone():
                self._returned(report)
                self.watch.progress(self.clock.monotonic())
                commit = report.commit
                self.arrived[report.task, report.attempt] = commit
                if report.task in self.logs:  # of others the commit says all there is to say
                    self._log(report, f"done in {commit.seconds} s")
                return events.Finished(
                    at=now,
                    worker=report.worker,
                    task=report.task,
                    attempt=report.attempt,
                    generation=commit.generation,
                    output=commit.main.sha256,
                )
            case AttemptFailed():
                self._returned(report)
                self._log(report, f"failed ({report.fault}): {report.message}\n{report.detail}")
                return events.Failed(
                    at=now,
                    worker=report.worker,
                    task=report.task,
                    attempt=report.attempt,
                    fault=report.fault,
                    message=report.message,
                    corrupt=report.corrupt,
                )

    def _returned(self, report: AttemptDone | AttemptFailed) -> None:
        """A worker has reported on its lease (one that wakes up late has another by now, or none)."""
        lease, _ = self.leased.get(report.worker, (None, 0.0))
        if lease is not None and (lease.task, lease.attempt) == (report.task, report.attempt):
            del self.leased[report.worker]

    def _log(self, report: AttemptDone | AttemptFailed, text: str) -> None:
        """Keep the log of a task that failed: a line an attempt, with the tracebacks."""
        lines = self.logs.setdefault(report.task, [])
        lines.append(f"{self.clock.now():.3f} attempt {report.attempt} on {report.worker}: {text}")
        name = report.task.replace("/", "-")
        self.store.put(f"films/{self.plan.film}/log/{name}.log", "\n".join(lines).encode() + b"\n")

    def _lease(self, command: Run) -> Lease:
        task = self.tasks[command.task]
        return Lease(
            task=task.id,
            kind=task.kind.value,
            key=task.key,
            recipe=task.recipe,
            needs=tuple(self.done[need].main for need in task.needs),
            attempt=command.attempt,
            generation=command.generation,
            worker=command.worker,
        )

    def _failure(self) -> str:
        failures = self.state.failures() or [(self.plan.tasks[-1].id, "it was never ready")]
        task, reason = failures[0]
        shot = self.tasks[task].shot
        where = f"shot {shot} ({task})" if shot else task
        more = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
        log = self.store.locate(f"films/{self.plan.film}/log/{task.replace('/', '-')}.log")
        return (
            f"{where} failed{more}: {reason.rstrip('.')}. The rest is committed and kept; "
            f"the same command tries again. Its log: {log}"
        )


def last_run(journal: Iterable[events.Event]) -> list[events.Event]:
    """The events of a film's newest run."""
    found: list[events.Event] = []
    for event in journal:
        if isinstance(event, events.Planned):
            found = []
        found.append(event)
    return found
