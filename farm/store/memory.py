"""A store in memory, for tests and for benchmarks that must not measure a disk."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from farm.errors import NotFound
from farm.ports import ObjectInfo


class MemoryStore:
    """A BlobStore in a dictionary; safe for threads."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def put(self, key: str, source: bytes | Path) -> None:
        data = source if isinstance(source, bytes) else source.read_bytes()
        with self._lock:
            self._objects[key] = data

    def create_if_absent(self, key: str, data: bytes) -> bool:
        with self._lock:
            if key in self._objects:
                return False
            self._objects[key] = data
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
            data = self._objects.get(key)
        return None if data is None else ObjectInfo(key, len(data))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        with self._lock:
            found = [(key, len(data)) for key, data in self._objects.items() if key.startswith(prefix)]
        yield from (ObjectInfo(key, size) for key, size in sorted(found))

    def delete(self, key: str) -> None:
        with self._lock:
            self._objects.pop(key, None)

    def locate(self, key: str) -> str:
        return f"memory:{key}"
