"""The actor: a worker in a process of its own, its model loaded once and kept warm."""

from __future__ import annotations

from collections.abc import Callable

from farm.ports import AttemptDone, AttemptFailed, Lease
from farm.worker import Worker


class RenderActor:
    """Builds its worker where it runs; the parts (clients, models) never travel."""

    def __init__(self, build: Callable[[], Worker]) -> None:
        self.worker = build()

    def ready(self) -> bool:
        """Answer once the worker stands."""
        return True

    def run(self, lease: Lease) -> AttemptDone | AttemptFailed:
        """Run one lease; only killing the actor stops it, since a running call has no cancelling."""
        return self.worker.run(lease, lambda: False)
