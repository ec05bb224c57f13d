"""What no film refers to: found, and deleted. What films refer to is handed in (`farm/collect.py` knows).

Others write to the store meanwhile, on other machines too, and nothing is locked. So

- nothing is taken that was written or touched within a week, by the store's own word, which is asked once
  more before each deletion; who relies on what is there touches it (`Blobs.put`, `reusable`), and
  believes a film's snapshot for no longer than that allows (`farm/stock.py`);
- commits go before the blobs they name, so that what is left when a collection is broken off is whole;
- films are asked for what they refer to once more when everything is found.

Should something be taken all the same that somebody had just come to rely on, it is found missing there
(CorruptBlob) and made again: work can be lost, never a right film.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from farm.errors import NotFound, StoreError
from farm.ledger import decode_commit
from farm.ports import BlobStore, ObjectInfo

YOUNG_S = 7 * 86400.0
LEFT_S = 86400.0

# Only what bears a name that Longtake gives: a bucket may hold other things too.
_COMMIT = re.compile(r"commits/([0-9a-f]{64})/[0-9]{6}")
_BLOB = re.compile(r"blobs/[0-9a-f]{64}")
_LEFT = re.compile(r"(tmp|race|doctor)/[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What films refer to: recipe keys, all of whose commits stay, and blobs that no commit names."""

    keys: frozenset[str] = frozenset()
    blobs: frozenset[str] = frozenset()

    def __or__(self, other: Wanted) -> Wanted:
        return Wanted(keys=self.keys | other.keys, blobs=self.blobs | other.blobs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """What can go: commits and blobs that nothing refers to, and what broken-off writes left behind."""

    commits: tuple[ObjectInfo, ...]
    blobs: tuple[ObjectInfo, ...]
    leftovers: tuple[ObjectInfo, ...]

    @property
    def num_bytes(self) -> int:
        return sum(info.num_bytes for info in (*self.commits, *self.blobs, *self.leftovers))


def find_garbage(store: BlobStore, wanted: Wanted, now: float) -> Garbage:
    """Find what can go. What a commit that stays names or was made from stays with it."""
    before = now - YOUNG_S
    commits: list[ObjectInfo] = []
    held = set(wanted.blobs)
    for info in store.list("commits/"):
        if (found := _COMMIT.fullmatch(info.key)) is None:
            continue
        if found[1] in wanted.keys or info.modified >= before:
            held |= _held(store, info.key)
        else:
            commits.append(info)
    # Listed behind the commits: a blob that is as old as those, and that a newer commit names, was touched.
    blobs = [
        info
        for info in store.list("blobs/")
        if _BLOB.fullmatch(info.key) and info.key not in held and info.modified < before
    ]
    left = [info for info in _leftovers(store) if info.modified < now - LEFT_S]
    return Garbage(commits=tuple(commits), blobs=tuple(blobs), leftovers=tuple(left))


def _held(store: BlobStore, key: str) -> set[str]:
    """The blobs a commit holds; none where its bytes are no commit, which nobody can rely on."""
    try:
        data = store.get(key)
    except NotFound:
        return set()
    try:
        commit = decode_commit(data, key)
    except StoreError:
        return set()
    return {ref.key for ref in commit.outputs.values()} | {f"blobs/{sha256}" for sha256 in commit.inputs}


def _leftovers(store: BlobStore) -> Iterator[ObjectInfo]:
    for prefix in ("doctor/", "race/", "tmp/"):
        yield from (info for info in store.list(prefix) if _LEFT.fullmatch(info.key))


def collect_garbage(store: BlobStore, wanted: Callable[[], Wanted], now: float) -> Garbage:
    """Delete what no film refers to, and return what was deleted.

    `wanted` tells what films refer to, and is asked again when everything is found: what a film refers to
    that began meanwhile stays too.
    """
    asked = wanted()
    while True:
        found = find_garbage(store, asked, now)
        again = asked | wanted()
        if again == asked:
            break
        asked = again
    before = now - YOUNG_S
    return Garbage(
        commits=_delete(store, found.commits, before),
        blobs=_delete(store, found.blobs, before),
        leftovers=_delete(store, found.leftovers, now - LEFT_S),
    )


def _delete(store: BlobStore, infos: tuple[ObjectInfo, ...], before: float) -> tuple[ObjectInfo, ...]:
    gone = []
    for info in infos:
        there = store.stat(info.key)
        if there is not None and there.modified < before:
            store.delete(info.key)
            gone.append(info)
    return tuple(gone)
