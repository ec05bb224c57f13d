"""Publishes a night's films one after another, while the night goes on: one may take minutes to be uploaded.

What two threads share here, and why that is safe:

- A film's driver, its books and its outcome are one thread's at a time: the night's until it hands the driver
  in, and again when it has it back. The queues in between make what one thread wrote seen by the other.
- The store: every call of a BlobStore stands for itself and is safe for threads (a heartbeat, and those who
  take stock, call it from theirs), and what it writes is there whole or not at all. Two films write to
  folders of their own, and read blobs, which nobody changes.
- Lines of progress are written whole, by one call each (farm/progress.py).
- What became of the films, whom they are lent and their heartbeat: no more than the night's thread touches.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from farm.run import Driver, Outcome

Published = tuple[Driver, Outcome | Exception]
"""A driver whose film is published, with what it came to; or with why it could not be."""


class Publisher:
    """Calls `publish` with one driver after another, in a thread of its own.

    A daemon: who is told twice to stop does not wait for it. What that leaves of a film is what a killed
    command leaves: objects that are whole, and the same command goes on.
    """

    def __init__(self, publish: Callable[[Driver], Outcome]) -> None:
        self.publish = publish
        self.left = 0  # films that were handed in and are not back
        self._coming: SimpleQueue[Driver | None] = SimpleQueue()
        self._done: SimpleQueue[Published] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def hand_in(self, driver: Driver) -> None:
        """Have a film published; returns at once. Its driver must be left alone until it is back."""
        self.left += 1
        self._coming.put(driver)
        if self._thread.ident is None:
            self._thread.start()

    def back(self, timeout: float = 0.0) -> list[Published]:
        """What is back since it was asked last, waiting up to `timeout` seconds for the first."""
        found: list[Published] = []
        try:
            found.append(self._done.get(timeout=timeout) if timeout else self._done.get_nowait())
            while True:
                found.append(self._done.get_nowait())
        except Empty:
            self.left -= len(found)
            return found

    def drop(self) -> list[Driver]:
        """Give back the films that it has not begun to publish."""
        found: list[Driver] = []
        try:
            while True:
                driver = self._coming.get_nowait()
                if driver is not None:
                    found.append(driver)
        except Empty:
            self.left -= len(found)
            return found

    def close(self) -> None:
        """Begin nothing more. What is in hand is gone on with, and is not waited for."""
        self.drop()
        self._coming.put(None)

    def _run(self) -> None:
        while (driver := self._coming.get()) is not None:
            try:
                self._done.put((driver, self.publish(driver)))
            except Exception as error:  # it ends that film, and the night says how
                self._done.put((driver, error))
