"""The actor: a worker in a process of its own, its model loaded once and kept warm."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from farm.ports import AttemptDone, AttemptFailed, Lease
from farm.worker import Worker


class RenderActor:
    """Builds its worker where it runs; the parts (clients, models) never travel.

    Its methods are coroutines, so that it hears while it works. All work is done in one thread of its own:
    what libraries keep for a thread is kept once.
    """

    def __init__(self, build: Callable[[], Worker]) -> None:
        self.halt = threading.Event()
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="render")
        self.worker = self.thread.submit(build).result()

    async def ready(self) -> bool:
        """Answer once the worker stands."""
        return True

    async def run(self, lease: Lease) -> AttemptDone | AttemptFailed:
        """Run one lease; leave it off within a step when told to stop."""
        self.halt.clear()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.thread, self.worker.run, lease, self.halt.is_set)

    async def stop(self) -> None:
        """Make what runs now end as interrupted."""
        self.halt.set()
