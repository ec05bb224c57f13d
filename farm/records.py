"""What a film's own records name, for a film that cannot be planned here as it was when they were written.

Another version of Longtake made it, or its weights are on another machine, or its order is damaged: nobody
here can tell the keys of its tasks. But whatever was done for it stands in its journal, before anything
follows from it; its snapshot, its plan and its report say more of the same. Keys and blobs are all
SHA-256, and so all that looks like one is taken for a name: that holds for records of any version, and what
is named in vain keeps nothing.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import zlib

from farm.errors import NotFound, StoreError
from farm.ledger import Journal
from farm.ports import BlobStore
from farm.snapshot import snapshot_key

_NAME = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


def named_by_records(store: BlobStore, film: str) -> frozenset[str]:
    """The keys and the hashes of blobs that a film's journal and all other records of it name.

    Raises:
        StoreError: when a record cannot be read, or the journal is not there whole: it alone names all
            that was made.
    """
    names: set[str] = set()
    for data in _journal(store, film):
        names.update(_names(data))
    folder = f"films/{film}/"
    for info in store.list(folder):
        name = info.key.removeprefix(folder)
        if "/" not in name and name.endswith(".json"):
            names.update(_names(_get(store, info.key)))
    # It is a cache: what it would say, the journal says too.
    with contextlib.suppress(OSError, EOFError, zlib.error):
        names.update(_names(gzip.decompress(_get(store, snapshot_key(film)))))
    return frozenset(names)


def _journal(store: BlobStore, film: str) -> list[bytes]:
    """A film's journal as it lies in the store."""
    journal = Journal(store, film)
    batches = journal.read_raw()
    if not batches:
        raise StoreError("it has no journal")
    if len(batches) != journal.next:
        raise StoreError("a part of its journal is gone")
    for number, data in enumerate(batches):
        if not _is_batch(data):
            raise StoreError(f"{store.locate(f'{journal.prefix}{number:09d}')} is damaged")
    return batches


def _is_batch(data: bytes) -> bool:
    """Whether these are lines of events, be they of kinds that are not known here."""
    try:
        events = [json.loads(line) for line in data.splitlines()]
    except ValueError:
        return False
    return data.endswith(b"\n") and all(isinstance(event, dict) and "event" in event for event in events)


def _get(store: BlobStore, key: str) -> bytes:
    try:
        return store.get(key)
    except NotFound:
        return b""


def _names(data: bytes) -> set[str]:
    return {name.decode() for name in _NAME.findall(data)}
