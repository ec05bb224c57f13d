"""The heartbeat: how drivers know of each other that one is alive.

A film's `driver.json` names the run that renders it. Its driver writes it anew every second; the driver of a
night writes one object for all its films, and each film's `driver.json` says where that is.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Collection, Sequence

from farm.errors import AnotherDriver, Interrupted, NotFound, StoreError
from farm.ports import BlobStore, Clock

BEAT_S = 1.0
BEATS_TO_WATCH = 4


class Heartbeat:
    """Takes films for one run, tells other drivers that it is alive, and lets the films go at the end.

    `at` is the key of the object that is written anew; without it that of the one film.
    """

    def __init__(self, store: BlobStore, run: str, films: Sequence[str], at: str | None = None) -> None:
        self.store, self.run, self.films = store, run, films
        self.at = at or _key(films[0])
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._beat, daemon=True, name="heartbeat")

    def take(self, clock: Clock) -> None:
        """Take the films. Raises AnotherDriver while another driver's heartbeat moves."""
        if taken := alive(self.store, self.films, clock):
            raise AnotherDriver(
                f"the film {min(taken)!r} is being rendered by another process right now: "
                "wait for it or stop it"
            )
        self._write(0)
        self.thread.start()  # before the films are marked: of many, that takes longer than others watch
        try:
            for film in self.films:
                if _key(film) != self.at:
                    self.store.put(_key(film), json.dumps({"run": self.run, "at": self.at}).encode())
        except BaseException:
            self.release()
            raise

    def let_go(self, film: str) -> None:
        """One of the films is over: others may render it, though this run goes on."""
        with contextlib.suppress(StoreError, Interrupted):
            if _fields(_read(self.store, _key(film))).get("run") == self.run:
                self.store.delete(_key(film))

    def _write(self, beat: int) -> None:
        self.store.put(self.at, json.dumps({"run": self.run, "beat": beat}).encode())

    def _beat(self) -> None:
        beat = 0
        while not self.over.wait(BEAT_S):
            beat += 1
            try:
                self._write(beat)
            except (StoreError, Interrupted):
                continue  # the journal is the fence; a missed beat only invites a second driver

    def release(self) -> None:
        """Stop beating and take the objects away, unless another driver's have replaced them."""
        self.over.set()
        if self.thread.ident is None:
            return
        self.thread.join()
        for film in self.films:
            self.let_go(film)
        with contextlib.suppress(StoreError, Interrupted):
            if _fields(_read(self.store, self.at)).get("run") == self.run:
                self.store.delete(self.at)


def alive(store: BlobStore, films: Collection[str], clock: Clock) -> frozenset[str]:
    """Which films are being rendered: those whose heartbeat is there, and moves while it is watched.

    Judged by whether the object changes, on this machine's monotonic clock, never by comparing clocks.
    """
    first = {film: pulse for film in films if (pulse := _pulse(store, film)) is not None}
    found: set[str] = set()
    for _ in range(BEATS_TO_WATCH if first else 0):
        clock.sleep(BEAT_S)
        now = {film: _pulse(store, film) for film in first}
        moved = {film for film, pulse in now.items() if pulse != first[film]}
        found |= {film for film in moved if now[film] is not None}  # one that goes away is nobody's
        first = {film: pulse for film, pulse in first.items() if film not in moved}
        if not first:
            break
    return frozenset(found)


def run_of(store: BlobStore, film: str) -> str | None:
    """The run by which a film was last taken, whether it is alive or not."""
    run = _fields(_read(store, _key(film))).get("run")
    return run if isinstance(run, str) else None


def _key(film: str) -> str:
    return f"films/{film}/driver.json"


def _pulse(store: BlobStore, film: str) -> bytes | None:
    """What changes while the film's driver is alive."""
    own = _read(store, _key(film))
    fields = _fields(own)
    if "at" not in fields:
        return own
    shared = _read(store, str(fields["at"]))
    # The object may be that of a later night, in which this film is not.
    return shared if _fields(shared).get("run") == fields.get("run") else own


def _read(store: BlobStore, key: str) -> bytes | None:
    try:
        return store.get(key)
    except NotFound:
        return None


def _fields(data: bytes | None) -> dict[str, object]:
    try:
        fields = json.loads(data or b"{}")
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}
