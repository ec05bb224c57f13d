"""A store that is waited for: while it is away everything pauses, and goes on when it is back.

Nothing is lost by waiting. What a worker has made stays in its hands, and no new task is begun, since the
driver waits at its own journal.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from farm.errors import Interrupted, NotFound, StoreAway
from farm.ports import BlobStore, Clock, ObjectInfo

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0

T = TypeVar("T")


class PatientStore:
    """A BlobStore over another one, which waits up to `patience_s` while that one is away.

    `tell` is told, in a sentence, when waiting begins and when it ends, however many threads wait. Every
    call raises StoreAway when the patience is at its end, and Interrupted within a second of `stopped()`
    turning true.
    """

    def __init__(
        self,
        store: BlobStore,
        *,
        clock: Clock,
        patience_s: float,
        tell: Callable[[str], None] = lambda text: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.store, self.clock, self.patience_s = store, clock, patience_s
        self.tell, self.stopped = tell, stopped
        self.given_up = False  # then nothing waits anew, for those who only tidy up
        self.told = False  # that it is away
        self.lock = threading.Lock()

    def _wait_for(self, call: Callable[[], T]) -> T:
        since: float | None = None
        longest = FIRST_WAIT_S
        while True:
            try:
                answer = call()
            except StoreAway as error:
                since = self._still_away(error, since)
                # Many wait for the same store: they must not all come back in the same moment.
                self._sleep(random.uniform(longest / 2, longest))
                longest = min(LONGEST_WAIT_S, 2 * longest)
                continue
            except NotFound:  # an answer like any other
                self._is_back(since)
                raise
            self._is_back(since)
            return answer

    def _is_back(self, since: float | None) -> None:
        self.given_up = False
        if since is not None and self._turns(to=False):
            self.tell(f"the store is back after {self.clock.monotonic() - since:.0f} s")

    def _turns(self, *, to: bool) -> bool:
        """Whether it is news that the store is away, or back."""
        with self.lock:
            news, self.told = self.told is not to, to
        return news

    def _still_away(self, error: StoreAway, since: float | None) -> float:
        """Return since when it is away; raise when it has been waited for long enough."""
        now = self.clock.monotonic()
        if since is None and not self.given_up:
            if self._turns(to=True):
                self.tell(f"{error}; waiting until it is back")
        elif self.given_up or (since is not None and now - since >= self.patience_s):
            self.given_up, self.told = True, False
            raise StoreAway(
                f"{error}; it was waited for {self.patience_s / 60:g} minutes (store.patience_minutes); "
                "the same command goes on when it is back"
            ) from error
        return now if since is None else since

    def _sleep(self, seconds: float) -> None:
        until = self.clock.monotonic() + seconds
        while (left := until - self.clock.monotonic()) > 0:
            if self.stopped():
                raise Interrupted("stopped while the store was away; the same command goes on")
            self.clock.sleep(min(1.0, left))

    def put(self, key: str, source: bytes | Path) -> None:
        self._wait_for(lambda: self.store.put(key, source))

    def create_if_absent(self, key: str, data: bytes) -> bool:
        away = False

        def create() -> bool:
            nonlocal away
            try:
                return self.store.create_if_absent(key, data)
            except StoreAway:
                away = True
                raise

        if self._wait_for(create):
            return True
        # A creation whose reply was lost may have been ours: the bytes name who wrote them.
        return away and self._holds(key, data)

    def _holds(self, key: str, data: bytes) -> bool:
        try:
            return self.get(key) == data
        except NotFound:
            return False

    def get(self, key: str) -> bytes:
        return self._wait_for(lambda: self.store.get(key))

    def fetch(self, key: str, target: Path) -> None:
        self._wait_for(lambda: self.store.fetch(key, target))

    def stat(self, key: str) -> ObjectInfo | None:
        return self._wait_for(lambda: self.store.stat(key))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        # Gathered whole: a list that broke off in the middle cannot be gone on with.
        yield from self._wait_for(lambda: [*self.store.list(prefix)])

    def delete(self, key: str) -> None:
        self._wait_for(lambda: self.store.delete(key))

    def touch(self, key: str) -> None:
        self._wait_for(lambda: self.store.touch(key))

    def locate(self, key: str) -> str:
        return self.store.locate(key)
