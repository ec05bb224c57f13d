"""A snapshot of a film's finished tasks: one object, in place of the thousands that a resume would ask for.

It is a cache. What counts are the commits themselves: a snapshot that is lost or behind them makes a resume
slower and nothing else, and one that is not understood whole is as good as none.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO

from farm.errors import NotFound, StoreAway, StoreError
from farm.ledger import decode_commit, encode_commit
from farm.ports import BlobStore, Commit

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Kept:
    """A commit, and when it and its outputs were last known to be written or touched."""

    commit: Commit
    since: float


def snapshot_key(film: str) -> str:
    return f"films/{film}/commits.jsonl.gz"


def write_snapshot(store: BlobStore, film: str, kept: Iterable[Kept]) -> None:
    """Write a film's snapshot in place of the one before it."""
    key = snapshot_key(film)
    buffer = BytesIO()
    # Hashes hardly get smaller, and the driver waits meanwhile: so the quickest way is taken.
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1, mtime=0) as file:
        file.write(json.dumps(_head(store, key)).encode() + b"\n")
        for item in kept:
            file.write(f"{item.since!r} ".encode() + encode_commit(item.commit) + b"\n")
    store.put(key, buffer.getvalue())


def read_snapshot(store: BlobStore, film: str) -> dict[str, Kept]:
    """A film's snapshot, by recipe key; nothing where there is none that can be understood."""
    key = snapshot_key(film)
    try:
        head, *lines = gzip.decompress(store.get(key)).splitlines()
        if json.loads(head) != _head(store, key):
            return {}
        return dict(map(_line, lines))
    except StoreAway:
        raise
    except (NotFound, StoreError, OSError, EOFError, zlib.error, ValueError, LookupError):
        return {}


def _head(store: BlobStore, key: str) -> dict[str, object]:
    # With where it lies: a film's folder may be copied to where its blobs are not.
    return {"format": FORMAT, "place": store.locate(key)}


def _line(line: bytes) -> tuple[str, Kept]:
    since, _, data = line.partition(b" ")
    commit = decode_commit(data, "of a snapshot")
    _ = commit.main.sha256  # or it is no commit that anybody could rely on
    return commit.key, Kept(commit, float(since))
