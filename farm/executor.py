"""The inline executor: one worker, in this process. What tests and debuggers use."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from farm.ports import Lease, Report, WorkerJoined
from farm.worker import Worker


class InlineExecutor:
    """An Executor that runs a lease inside `poll`. `stopped` is asked between steps."""

    def __init__(self, worker: Worker, stopped: Callable[[], bool]) -> None:
        self.worker, self.stopped = worker, stopped
        self.lease: Lease | None = None
        self.joined = False

    def start(self, lease: Lease) -> None:
        if self.lease is not None:
            raise RuntimeError("the inline executor runs one task at a time")
        self.lease = lease

    def poll(self, timeout: float) -> Sequence[Report]:
        if not self.joined:
            self.joined = True
            return [WorkerJoined(worker="inline")]
        if self.lease is None:
            time.sleep(timeout)
            return []
        lease, self.lease = self.lease, None
        return [self.worker.run(lease, self.stopped)]

    def stop(self, worker: str) -> None:
        """Nothing runs between two polls."""

    def replace(self, worker: str) -> None:
        """The one worker is this process: it answers, or nothing does."""

    def close(self) -> None:
        self.lease = None
