"""Is a store's exclusive creation true? Everything else (commits, the journal's fence) leans on it."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

from farm.ports import BlobStore

WRITERS, ROUNDS = 8, 3


def race(store: BlobStore) -> str:
    """Let several writers create one key at once, a few times; say what is wrong, or nothing."""
    return next(filter(None, (_once(store, f"race/{uuid.uuid4().hex}") for _ in range(ROUNDS))), "")


def _once(store: BlobStore, key: str) -> str:
    gate = threading.Barrier(WRITERS)

    def create(number: int) -> bool:
        gate.wait()
        return store.create_if_absent(key, str(number).encode())

    try:
        with ThreadPoolExecutor(WRITERS) as pool:
            wins = list(pool.map(create, range(WRITERS)))
        if sum(wins) != 1:
            return f"of {WRITERS} writers of one key {sum(wins)} won"
        if store.get(key) != str(wins.index(True)).encode():
            return "the bytes that are there are not those of the writer that was told it won"
        return ""
    finally:
        store.delete(key)
