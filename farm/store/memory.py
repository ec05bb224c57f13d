"""A store in memory, for tests and for benchmarks that must not measure a disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from farm.errors import NotFound
from farm.ports import ObjectInfo


class MemoryStore:
    """A BlobStore in a dictionary; safe for threads. `now` tells the time that is kept with an object."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._objects: dict[str, bytes] = {}
        self._modified: dict[str, float] = {}
        self._lock = threading.Lock()

    def put(self, key: str, source: bytes | Path) -> None:
        data = source if isinstance(source, bytes) else source.read_bytes()
        with self._lock:
            self._objects[key] = data
            self._modified[key] = self._now()

    def create_if_absent(self, key: str, data: bytes) -> bool:
        with self._lock:
            if key in self._objects:
                return False
            self._objects[key] = data
            self._modified[key] = self._now()
            return True

    def get(self, key: str) -> bytes:
        with self._lock:
            if key not in self._objects:
                raise NotFound(f"there is no {key} in memory")
            return self._objects[key]

    def fetch(self, key: str, target: Path) -> None:
        target.write_bytes(self.get(key))

    def stat(self, key: str) -> ObjectInfo | None:
        with self._lock:
            return self._info(key) if key in self._objects else None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        with self._lock:
            found = [self._info(key) for key in sorted(self._objects) if key.startswith(prefix)]
        yield from found

    def delete(self, key: str) -> None:
        with self._lock:
            self._objects.pop(key, None)

    def touch(self, key: str) -> None:
        with self._lock:
            if key not in self._objects:
                raise NotFound(f"there is no {key} in memory")
            self._modified[key] = self._now()

    def _info(self, key: str) -> ObjectInfo:
        return ObjectInfo(key, len(self._objects[key]), self._modified.get(key, 0.0))

    def locate(self, key: str) -> str:
        return f"memory:{key}"
