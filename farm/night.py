"""A night: many films through one pool of workers, each with a driver of its own.

Every film keeps its own books and its own journal, as if it were rendered alone. The night lends workers to
them, a task at a time, and takes them back. What goes wrong with one film ends that film and no other. A film
that is made is published by another thread, while this one goes on with the others (farm/publisher.py).
"""

from __future__ import annotations

import contextlib
import traceback
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from farm.errors import FarmError, Interrupted, StoreError
from farm.heartbeat import Heartbeat
from farm.inbox import Inbox
from farm.job.leasing import MAX_FAULTS, wants
from farm.job.machine import CANCELLED, next_wake
from farm.job.sharing import FEED_EVERY, Candidate, choose
from farm.limits import KEPT, Limits, Watch
from farm.ports import (
    AttemptDone,
    AttemptFailed,
    BlobStore,
    Clock,
    Executor,
    Lease,
    Report,
    WorkerJoined,
    WorkerLeaves,
    WorkerLost,
)
from farm.publisher import Publisher
from farm.run import ASKED, POLL_S, Driver, Outcome

LEAVING_S = 60.0  # for a worker to leave off what it runs


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmEnd:
    """What became of a film: "done", "failed", "cancelled" or "stopped", and why it is not done.

    `began` and `ended` are seconds since the epoch; a film that no worker was needed for ended as it began.
    """

    outcome: Outcome
    state: str
    reason: str
    began: float
    ended: float


class _Share:
    """A film's Executor: the workers that are lent to it."""

    def __init__(self, night: Night, pool: Executor) -> None:
        self.night, self.pool = night, pool
        self.news: list[Report] = []

    def start(self, lease: Lease) -> None:
        self.night.running[lease.worker] = lease
        self.pool.start(lease)

    def stop(self, worker: str) -> None:
        self.pool.stop(worker)

    def replace(self, worker: str) -> None:
        self.night.forget(worker)
        self.pool.replace(worker)

    def poll(self, timeout: float) -> Sequence[Report]:
        found, self.news = self.news, []
        return found

    def close(self) -> None:
        """The workers are the night's."""


@dataclass(slots=True)
class _Screen:
    """One film of the night while it is rendered."""

    driver: Driver
    share: _Share | None = None
    began: float | None = None
    served: float = 0.0  # when it last had a worker, on the monotonic clock
    lent: set[str] = field(default_factory=set)
    publishing: bool = False  # its driver is the publisher's meanwhile
    end: FilmEnd | None = None

    @property
    def film(self) -> str:
        return self.driver.plan.film

    @property
    def weights(self) -> str:
        return self.driver.plan.settings.weights.identity

    @property
    def over(self) -> bool:
        """Whether no worker is needed for it any more."""
        return self.publishing or self.end is not None


class Night:
    """Renders films, given in their order, each driver with the priority its state says.

    `stopped` says why the night is to end now, if it is; for ASKED not even a film is published but the one
    in hand. `told` is called with what became of a film as soon as that is known. `conclude` is called
    with the outcome of a film that was published, by the thread that did so: to write what else belongs
    beside it.
    """

    def __init__(
        self,
        drivers: Sequence[Driver],
        *,
        name: str,
        store: BlobStore,
        clock: Clock,
        limits: Limits,
        stopped: Callable[[], str | None],
        told: Callable[[FilmEnd], None],
        conclude: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        self.screens = {driver.plan.film: _Screen(driver=driver) for driver in drivers}
        self.name, self.store, self.clock = name, store, clock
        self.limits, self.stopped, self.told, self.conclude = limits, stopped, told, conclude
        self.publisher = Publisher(self._publish)
        self.closing: str | None = None  # why the night ends early
        self.free: list[str] = []
        self.owner: dict[str, _Screen] = {}
        self.running: dict[str, Lease] = {}
        self.warm: dict[str, str] = {}  # worker -> the weights that it has loaded, where that is known
        self.leases = 0
        self.failed_on: dict[str, set[str]] = {}  # key of a task -> workers on which it failed
        self.faults: dict[str, dict[str, set[str]]] = {}  # worker -> kind -> what was done elsewhere

    def render(self, start_workers: Callable[[], Executor]) -> list[FilmEnd]:
        """Render all films, and say what became of each, in their order.

        Raises AnotherDriver, before anything is done, where one of them is being rendered already.
        """
        run = uuid.uuid4().hex
        for screen in self.screens.values():
            screen.driver.run = run
            screen.driver.stopped = lambda: self.closing is not None
        # Of its own, since two nights may have one name.
        beat = f"nights/{self.name}/driver-{run}.json"
        self.heartbeat = heartbeat = Heartbeat(self.store, run, list(self.screens), at=beat)
        heartbeat.take(self.clock)
        inbox = Inbox(self.store, self.clock, dict.fromkeys(self.screens, run))
        try:
            for screen in self.screens.values():
                self._guarded(screen, screen.driver.begin)
                if not screen.over and screen.driver.over:
                    self._finish(screen)
            if self._open():
                self._work(inbox, start_workers)
            self._wait(inbox)
        finally:
            self.publisher.close()
            inbox.close()
            heartbeat.release()
        return [screen.end for screen in self.screens.values() if screen.end is not None]

    def forget(self, worker: str) -> _Screen | None:
        """A worker is no more. Returns the film that had it."""
        with contextlib.suppress(ValueError):
            self.free.remove(worker)
        for books in (self.running, self.warm, self.faults):
            books.pop(worker, None)
        screen = self.owner.pop(worker, None)
        if screen is not None:
            screen.lent.discard(worker)
        return screen

    def _open(self) -> list[_Screen]:
        return [screen for screen in self.screens.values() if not screen.over]

    def _work(self, inbox: Inbox, start_workers: Callable[[], Executor]) -> None:
        executor: Executor | None = None
        try:
            executor = start_workers()
            now = self.clock.monotonic()
            watch = Watch(self.limits, now)
            for screen in self.screens.values():
                screen.share, screen.served = _Share(self, executor), now
            while self._open():
                for message in inbox.read():
                    if not self.screens[message.film].over:
                        self.screens[message.film].driver.asked.append(message)
                self._turn(executor, watch)
                self._reclaim(executor)
                self._gather()
                self._heed(watch)
        except Exception as error:  # the workers or the store of all films, or a mistake of ours
            for screen in self._open():
                self._close(screen, _told(error))
        finally:
            if executor is not None:
                executor.close()

    def _turn(self, executor: Executor, watch: Watch) -> None:
        # Each driver's events carry its own time.
        waits = [
            wake - screen.driver.time()
            for screen in self._open()
            if (wake := next_wake(screen.driver.state)) is not None
        ]
        timeout = min([POLL_S, *(max(0.01, wait) for wait in waits)])
        for report in executor.poll(timeout):
            if isinstance(report, AttemptDone):
                watch.progress(self.clock.monotonic())
            self._take_in(report)
        for screen in self._open():
            self._turn_film(screen)
        for worker in list(self.free):
            self._lend(worker)

    def _take_in(self, report: Report) -> None:
        """Tell the film whose worker it is, and take the worker back."""
        worker = report.worker
        if isinstance(report, WorkerJoined):
            self.free.append(worker)
            return
        if isinstance(report, WorkerLost):
            screen = self.forget(worker)
            if screen is not None and screen.share is not None:
                screen.served = self.clock.monotonic()
                screen.share.news.append(report)
            return
        lease = self.running.pop(worker, None)
        if lease is not None:
            self._blame(lease, report)
        screen = self.owner.pop(worker, None)
        if screen is None or screen.share is None:
            return  # of a lease that was given away
        if lease is not None:
            self._note_loaded(screen, lease, report)
        screen.lent.discard(worker)
        screen.served = self.clock.monotonic()
        self.free.append(worker)
        screen.share.news += [WorkerLeaves(worker=worker), report]

    def _blame(self, lease: Lease, report: Report) -> None:
        """What one worker does and others could not was theirs to blame, and not the task's."""
        if isinstance(report, AttemptFailed) and report.fault == "task":
            self.failed_on.setdefault(lease.key, set()).add(lease.worker)
        elif isinstance(report, AttemptDone):
            for other in self.failed_on.pop(lease.key, set()) - {lease.worker}:
                self.faults.setdefault(other, {}).setdefault(lease.kind, set()).add(lease.key)

    def _note_loaded(self, screen: _Screen, lease: Lease, report: Report) -> None:
        """A worker has loaded what it has just worked with: not what it was lent for, since that may fail."""
        if lease.kind == "stitch":  # packets are copied without a model
            return
        if isinstance(report, AttemptDone):
            if report.commit.worker == lease.worker:  # else it was made before, and only found
                self.warm[lease.worker] = screen.weights
        elif self.warm.get(lease.worker) != screen.weights:
            self.warm.pop(lease.worker, None)  # put away, it may be, for those that then did not load

    def _turn_film(self, screen: _Screen) -> None:
        if screen.publishing:
            return
        share = screen.share
        assert share is not None
        state = screen.driver.state
        if state.paused or not state.ready:  # it has nothing for a worker to do, and starves of none
            screen.served = self.clock.monotonic()
        self._guarded(screen, lambda: screen.driver.turn(share))
        if not screen.over and screen.driver.over:
            self._finish(screen)

    def _lend(self, worker: str) -> None:
        """Lend a free worker to the film that should have it, if any wants it."""
        now = self.clock.monotonic()
        barred = self._barred(worker)
        others = frozenset(other for other in {*self.free, *self.owner} if not self._barred(other))
        candidates = [
            Candidate(
                film=screen.film,
                priority=screen.driver.state.priority,
                warm=self.warm.get(worker) == screen.weights,
                waits=0.0 if screen.lent else now - screen.served,
            )
            for screen in self._open()
            if wants(screen.driver.state, worker, barred, others)
        ]
        chosen = choose(candidates, feed=self.leases % FEED_EVERY == 0)
        if chosen is None:
            return
        self.leases += 1
        screen = self.screens[chosen.film]
        assert screen.share is not None
        self.free.remove(worker)
        self.owner[worker] = screen
        screen.lent.add(worker)
        if screen.began is None:
            screen.began, screen.driver.begun = self.clock.now(), now
        # Most films need to know of no others: they matter to a task that failed somewhere.
        named = tuple(sorted(others)) if screen.driver.state.retried else ()
        joined = WorkerJoined(worker=worker, barred=tuple(sorted(barred)), others=named)
        screen.share.news.append(joined)
        self._turn_film(screen)
        if worker not in self.running and self.owner.get(worker) is screen:  # it was not needed after all
            screen.share.news.append(WorkerLeaves(worker=worker))
            self._turn_film(screen)
            if worker not in self.running:
                screen.lent.discard(worker)
                self.owner.pop(worker, None)
                self.free.append(worker)

    def _barred(self, worker: str) -> frozenset[str]:
        """The kinds of which several tasks failed on a worker and were done elsewhere."""
        faults = self.faults.get(worker, {})
        return frozenset(kind for kind, failed in faults.items() if len(failed) >= MAX_FAULTS)

    def _heed(self, watch: Watch) -> None:
        now = self.clock.monotonic()
        screens = self._open()
        if self.closing is None:
            self.closing = self.stopped() or (watch.over if watch.is_over(now) else None)
        self._drop()
        if self.closing is not None or all(screen.driver.state.resting for screen in screens):
            watch.progress(now)
        watch.check(now, workers=bool(self.free or self.owner) or self.closing is not None)

    def _reclaim(self, executor: Executor) -> None:
        """Replace workers that do not leave off what they run for a film that is over."""
        before = self.clock.monotonic() - LEAVING_S
        for worker, screen in list(self.owner.items()):
            if screen.over and screen.served < before:
                self.forget(worker)
                executor.replace(worker)

    def _guarded(self, screen: _Screen, call: Callable[[], None]) -> None:
        """Do something for one film; what goes wrong with it ends that film and no other."""
        try:
            call()
        except Exception as error:  # a mistake of ours must not cost the other films their night
            self._close(screen, _told(error))

    def _finish(self, screen: _Screen) -> None:
        """No more will come of a film. One that is made is published, and the others go on meanwhile."""
        driver = screen.driver
        if driver.state.complete:
            self._leave_off(screen)
            screen.publishing = True
            self.publisher.hand_in(driver)
            return
        error: FarmError | None = None
        try:
            driver.finish()
        except Exception as unfinished:
            error = _told(unfinished)
        self._close(screen, error)

    def _publish(self, driver: Driver) -> Outcome:
        """Publish a film, and write what belongs beside it. Called by the publisher's thread."""
        driver.finish()
        outcome = driver.outcome()
        try:
            self.conclude(outcome)
        except Exception:  # the film is there all the same
            traceback.print_exc()
        return outcome

    def _gather(self, timeout: float = 0.0) -> None:
        """Take back the films that are published, or could not be."""
        for driver, found in self.publisher.back(timeout):
            screen = self.screens[driver.plan.film]
            if isinstance(found, Exception):
                self._close(screen, _told(found))
            else:
                self._close(screen, outcome=found)

    def _drop(self) -> None:
        """Whoever asks to stop is not kept waiting for more than the film in hand: uploads take long."""
        if self.publisher.left and self.stopped() == ASKED:
            for driver in self.publisher.drop():
                self._close(self.screens[driver.plan.film], Interrupted(f"{ASKED}; {KEPT}"))

    def _wait(self, inbox: Inbox) -> None:
        """Wait until all films are published that are made."""
        while self.publisher.left:
            self.closing = self.closing or self.stopped()
            self._drop()
            with contextlib.suppress(StoreError, Interrupted):
                inbox.read()  # and do nothing, but who has asked is heard
            self._gather(POLL_S)

    def _leave_off(self, screen: _Screen) -> None:
        """What still runs of a film that is over is left off."""
        for worker in screen.lent:
            if screen.share is not None:
                screen.share.stop(worker)
        screen.served = self.clock.monotonic()

    def _close(self, screen: _Screen, error: FarmError | None = None, outcome: Outcome | None = None) -> None:
        """A film has come to its end."""
        driver = screen.driver
        state, reason = "done" if error is None else "failed", str(error or "")
        if isinstance(error, Interrupted):
            state = "cancelled" if driver.state.stopping == CANCELLED else "stopped"
            if state == "stopped" and self.closing:
                reason = f"{self.closing}; {KEPT}"
        if not screen.publishing:
            self._leave_off(screen)
        screen.publishing = False
        now = self.clock.now()
        screen.end = FilmEnd(
            outcome=outcome or driver.outcome(),
            state=state,
            reason=reason,
            began=screen.began or now,
            ended=now,
        )
        self.heartbeat.let_go(screen.film)
        try:
            self.told(screen.end)
        except Exception:  # the film has come to its end all the same
            traceback.print_exc()


def _told(error: Exception) -> FarmError:
    """An error as people are told of it; a mistake of ours with where it was made."""
    if isinstance(error, FarmError):
        return error
    traceback.print_exception(error)
    return FarmError(f"{type(error).__name__}: {error}")
