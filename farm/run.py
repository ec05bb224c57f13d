"""The driver: plan in, film out. Turns reports into events, journals them, performs the commands."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from farm.errors import FarmError, Interrupted
from farm.films import publish, put_json
from farm.heartbeat import Heartbeat
from farm.job import events
from farm.job.machine import Run, State, begin, next_wake, step
from farm.ledger import Blobs, Commits, Journal, reusable
from farm.plan.plan import Plan, Task
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
    WorkerLost,
)

POLL_S = 1.0
TOUCH_AFTER_S = 3 * 86400.0  # well before a collection takes anything (farm/garbage.py)
NO_WORKER_S = 180.0  # for the first worker to come up
POOL_AWAY_S = 3600.0  # for one to come back where there were some: spot machines do
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
    troubles: tuple[events.Failed | events.Lost, ...]
    failures: tuple[tuple[str, str], ...]


class Driver:
    """Renders one plan. Every event is journalled before what follows from it is done.

    `records` (name to JSON object) are written beside the film once it is this driver's.
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
    ) -> None:
        self.records = records or {}
        self.plan, self.store, self.clock = plan, store, clock
        self.observer, self.stopped = observer, stopped
        self.blobs, self.commits = Blobs(store), Commits(store)
        self.tasks: dict[str, Task] = {task.id: task for task in plan.tasks}
        self.done: dict[str, Commit] = {}
        self.found: frozenset[str] = frozenset()
        self.troubles: list[events.Failed | events.Lost] = []
        self.arrived: dict[tuple[str, int], Commit] = {}
        self.state = begin(plan.tasks)
        self.logs: dict[str, list[str]] = {}
        self.epoch = clock.now() - clock.monotonic()
        self.alone_since, self.patience_s = clock.monotonic(), NO_WORKER_S
        self.stopped_at = 0.0
        self.begun = clock.monotonic()

    def render(self, start_workers: Callable[[], Executor]) -> Outcome:
        """Render what is not committed yet, publish the film, and say how it went.

        Workers are only started when there is something for them to do.

        Raises:
            FarmError: when a task failed for good, or the store or the workers did.
            Interrupted: when `stopped()` turned true; everything committed is kept.
        """
        run = uuid.uuid4().hex
        heartbeat = Heartbeat(self.store, self.plan.film, run)
        heartbeat.take(self.clock)
        executor: Executor | None = None
        try:
            self.begin(run)
            if not self.state.complete:
                executor = start_workers()
                self.alone_since = self.clock.monotonic()
                while not (self.state.complete or self.state.settled):
                    self.turn(executor)
                if not self.state.complete:
                    raise self._unfinished()
            self.publish()
        finally:
            if executor is not None:
                executor.close()
            heartbeat.release()
        return self.outcome()

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

    def begin(self, run: str) -> None:
        """Make the film this driver's: its records, its place in the journal, and what is there already."""
        for name, value in self.records.items():
            put_json(self.store, f"films/{self.plan.film}/{name}.json", value)
        self.journal = Journal(self.store, self.plan.film)
        self.observer.begin(self.plan, self.state)
        self._take_stock(run)

    def _time(self) -> float:
        """The time that events carry. It goes on evenly though the clock be set while a film is made."""
        return self.epoch + self.clock.monotonic()

    def _take_stock(self, run: str) -> None:
        """Journal what the store holds already: the truth from which this run goes on."""
        now = self._time()
        batch: list[events.Event] = [events.Planned(at=now, plan=self.plan.digest, run=run)]
        before = self.clock.now() - TOUCH_AFTER_S
        for task, found in reusable(self.plan, self.blobs, self.commits, touch_before=before):
            if isinstance(found, Commit):
                self.done[task] = found
                batch.append(
                    events.Found(at=now, task=task, generation=found.generation, output=found.main.sha256)
                )
            else:
                batch.append(events.Spoiled(at=now, task=task, generation=found))
        self.found = frozenset(self.done)
        self._apply(batch)

    def _apply(self, batch: Sequence[events.Event]) -> list[Run]:
        """Journal a batch of events, then take them in; returns the commands."""
        commands: list[Run] = []
        wake = next_wake(self.state)
        # Time alone is only worth a line where something was waiting for it.
        due = wake is not None and wake <= batch[-1].at
        if due or any(not isinstance(event, events.Tick) for event in batch):
            self.journal.append(batch)
        for event in batch:
            commands += step(self.state, event)
            if isinstance(event, events.Finished):
                self._settle(event)
            elif isinstance(event, events.Failed | events.Lost):
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

    def turn(self, executor: Executor) -> None:
        """Wait for news, take it in, and do what follows from it.

        Asked to stop, nothing new is started, and what runs has a while to be finished: it would be lost.
        """
        wake = next_wake(self.state)
        timeout = POLL_S if wake is None else min(POLL_S, max(0.01, wake - self._time()))
        batch: list[events.Event] = [self._event(report) for report in executor.poll(timeout)]
        if self.state.stopping is None and self.stopped():
            self.stopped_at = self.clock.monotonic()
            batch.insert(0, events.Stopping(at=self._time(), reason="asked to stop"))
        batch = batch or [events.Tick(at=self._time())]
        for command in self._apply(batch):
            # A later event of the batch may have taken the worker away again.
            if self.state.workers.get(command.worker) == command.task:
                executor.start(self._lease(command))
        now = self.clock.monotonic()
        if self.state.stopping is not None:
            if now - self.stopped_at > GRACE_S:
                raise self._unfinished()
        elif self.state.workers:
            self.alone_since, self.patience_s = now, POOL_AWAY_S
        elif now - self.alone_since > self.patience_s:
            raise FarmError(self._nobody())

    def _nobody(self) -> str:
        if self.patience_s == NO_WORKER_S:
            return f"no worker has come up for {NO_WORKER_S:.0f} seconds: see `farm doctor`"
        return (
            f"all workers were lost, and none has come back for {POOL_AWAY_S / 60:.0f} minutes; "
            "everything committed is kept: the same command goes on"
        )

    def _unfinished(self) -> FarmError:
        if self.state.stopping is not None:
            return Interrupted("stopped; everything committed is kept: the same command goes on")
        return FarmError(self._failure())

    def _event(self, report: Report) -> events.Event:
        now = self._time()
        match report:
            case WorkerJoined():
                return events.Joined(at=now, worker=report.worker)
            case WorkerLost():
                return events.Lost(at=now, worker=report.worker, reason=report.reason)
            case AttemptDone():
                commit = report.commit
                self.arrived[report.task, report.attempt] = commit
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

    def _log(self, report: AttemptDone | AttemptFailed, text: str) -> None:
        """Keep a task's log: a line an attempt, with the traceback of a failed one."""
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

    def publish(self) -> None:
        """Put the film, its sheet and its subtitles where people look for them."""
        publish(self.store, self.plan.film, self.done[self.plan.tasks[-1].id].outputs)


def last_run(journal: Iterable[events.Event]) -> list[events.Event]:
    """The events of a film's newest run."""
    found: list[events.Event] = []
    for event in journal:
        if isinstance(event, events.Planned):
            found = []
        found.append(event)
    return found
