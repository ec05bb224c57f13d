"""The heartbeat: how drivers know of each other that one is alive."""

from __future__ import annotations

import contextlib
import json
import threading

from farm.errors import AnotherDriver, Interrupted, NotFound, StoreError
from farm.ports import BlobStore, Clock

BEAT_S = 1.0
BEATS_TO_WATCH = 4


class Heartbeat:
    """Tells other drivers that this one is alive, and finds out whether another is.

    Judged by whether the object changes while it is watched, on this machine's monotonic clock,
    never by comparing clocks.
    """

    def __init__(self, store: BlobStore, film: str, run: str) -> None:
        self.store, self.film, self.run = store, film, run
        self.key = f"films/{film}/driver.json"
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._beat, daemon=True, name="heartbeat")

    def take(self, clock: Clock) -> None:
        """Take the film. Raises AnotherDriver while another driver's heartbeat moves."""
        first = self.read()
        if first is not None and self.moves(first, clock):
            raise AnotherDriver(
                f"the film {self.film!r} is being rendered by another process right now: "
                "wait for it or stop it"
            )
        self._write(0)
        self.thread.start()

    def moves(self, first: bytes, clock: Clock) -> bool:
        """Watch for a few beats whether the object changes (one that goes away is nobody's)."""
        for _ in range(BEATS_TO_WATCH):
            clock.sleep(BEAT_S)
            now = self.read()
            if now != first:
                return now is not None
        return False

    def read(self) -> bytes | None:
        try:
            return self.store.get(self.key)
        except NotFound:
            return None

    def _write(self, beat: int) -> None:
        self.store.put(self.key, json.dumps({"run": self.run, "beat": beat}).encode())

    def _beat(self) -> None:
        beat = 0
        while not self.over.wait(BEAT_S):
            beat += 1
            try:
                self._write(beat)
            except (StoreError, Interrupted):
                continue  # the journal is the fence; a missed beat only invites a second driver

    def release(self) -> None:
        """Stop beating and take the object away, unless another driver's has replaced it."""
        self.over.set()
        if self.thread.ident is None:
            return
        self.thread.join()
        with contextlib.suppress(StoreError, Interrupted, ValueError):
            if json.loads(self.read() or b"{}").get("run") == self.run:
                self.store.delete(self.key)


def is_alive(store: BlobStore, film: str, clock: Clock) -> bool:
    """Whether a driver renders the film: its heartbeat is there, and moves while it is watched."""
    heartbeat = Heartbeat(store, film, "")
    first = heartbeat.read()
    return first is not None and heartbeat.moves(first, clock)
