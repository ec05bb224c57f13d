"""When a run gives up on what does not end: the limits, and who watches over them."""

from __future__ import annotations

from dataclasses import dataclass

from farm.errors import FarmError

NO_WORKER_S = 180.0  # for the first worker to come up
POOL_AWAY_S = 3600.0  # for one to come back where there were some: spot machines do
KEPT = "everything committed is kept: the same command goes on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds: of one attempt at a task, in which nothing is finished, and of a whole run."""

    task_s: float | None = None
    stall_s: float | None = None
    run_s: float | None = None


NO_LIMITS = Limits()


class Watch:
    """Watches that there are workers, and that something is finished. Times are a monotonic clock's."""

    def __init__(self, limits: Limits, now: float) -> None:
        self.limits = limits
        self.begun = self.moved = self.alone = now
        self.patience = NO_WORKER_S

    def progress(self, now: float) -> None:
        """Something was finished, or nothing is expected to be."""
        self.moved = now

    @property
    def over(self) -> str:
        """Why a run is stopped whose time is over."""
        return f"stopped after {(self.limits.run_s or 0) / 3600:g} hours (limits.hours)"

    def is_over(self, now: float) -> bool:
        return self.limits.run_s is not None and now - self.begun > self.limits.run_s

    def check(self, now: float, *, workers: bool) -> None:
        """Raises FarmError where workers or progress were waited for long enough."""
        if workers:
            self.alone, self.patience = now, POOL_AWAY_S
        elif now - self.alone > self.patience:
            raise FarmError(self._nobody())
        most = self.limits.stall_s
        if most is not None and now - self.moved > most:
            raise FarmError(f"nothing was finished for {most / 60:g} minutes (limits.stall_minutes); {KEPT}")

    def _nobody(self) -> str:
        if self.patience == NO_WORKER_S:
            return f"no worker has come up for {NO_WORKER_S:.0f} seconds: see `farm doctor`"
        return f"all workers were lost, and none has come back for {POOL_AWAY_S / 60:.0f} minutes; {KEPT}"
