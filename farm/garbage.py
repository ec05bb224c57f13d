"""What no film refers to: found, and deleted. What films refer to is handed in (`farm/collect.py` knows).

Others write to the store meanwhile, on other machines too, and nothing is locked. So

- nothing is taken that was written or touched within a week, by the store's own word, which is asked once
  more before each deletion; who relies on what is there touches it (`Blobs.put`, `reusable`), and
  believes a film's snapshot for no longer than that allows (`farm/stock.py`);
- commits go before the blobs they name, so that what is left when a collection is broken off is whole;
- films are asked for what they refer to once more when everything is found, and what they name is spared.

Should something be taken all the same that somebody had just come to rely on, it is found missing there
(CorruptBlob) and made again: work can be lost, never a right film.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from farm.errors import NotFound, StoreError
from farm.ledger import decode_commit
from farm.ports import BlobStore, Commit, ObjectInfo

YOUNG_S = 7 * 86400.0
LEFT_S = 86400.0

# Only what bears a name that Longtake gives: a bucket may hold other things too.
_COMMIT = re.compile(r"commits/([0-9a-f]{64})/[0-9]{6}")
_BLOB = re.compile(r"blobs/[0-9a-f]{64}")
_LEFT = re.compile(r"(tmp|race|doctor)/[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What films refer to: recipe keys, all of whose commits stay, and blobs that no commit names.

    `names` are hashes out of the records of films that cannot be planned: commits under them or that made
    them stay, and blobs.
    """

    keys: frozenset[str] = frozenset()
    blobs: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()


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
    listed = (info for info in store.list("commits/") if _COMMIT.fullmatch(info.key))
    commits, held = _part(store, listed, wanted, before)
    # Listed behind the commits: a blob that is as old as those, and that a newer commit names, was touched.
    old = (info for info in store.list("blobs/") if _BLOB.fullmatch(info.key) and info.modified < before)
    blobs = _loose(old, held, wanted)
    left = [info for info in _leftovers(store) if info.modified < now - LEFT_S]
    return Garbage(commits=tuple(commits), blobs=tuple(blobs), leftovers=tuple(left))


def _part(
    store: BlobStore, infos: Iterable[ObjectInfo], wanted: Wanted, before: float
) -> tuple[list[ObjectInfo], set[str]]:
    """Part commits: those that nothing refers to, and the blobs that the others hold."""
    left: list[ObjectInfo] = []
    held: set[str] = set()
    for info in infos:
        key = info.key.split("/")[1]
        stays = key in wanted.keys or key in wanted.names or info.modified >= before
        # Where no film has to be known by its records, what goes need not be read.
        commit = _read(store, info.key) if stays or wanted.names else None
        if stays or (commit is not None and _is_named(commit, wanted.names)):
            held |= _held(commit)
        else:
            left.append(info)
    return left, held


def _loose(infos: Iterable[ObjectInfo], held: set[str], wanted: Wanted) -> list[ObjectInfo]:
    """The blobs that no commit holds, and that no film names."""
    return [
        info
        for info in infos
        if info.key not in held
        and info.key not in wanted.blobs
        and info.key.removeprefix("blobs/") not in wanted.names
    ]


def _read(store: BlobStore, key: str) -> Commit | None:
    """A commit; None where its bytes are none, which nobody can rely on."""
    try:
        data = store.get(key)
    except NotFound:
        return None
    try:
        return decode_commit(data, key)
    except StoreError:
        return None


def _is_named(commit: Commit, names: frozenset[str]) -> bool:
    """Whether a film's records name what a commit made.

    Or all that it was made of, since a driver may have died before it had written down that it was made:
    a shot or a film is known by that. (A segment is not, since many are made of one text, but by its plan.)
    """
    if any(ref.sha256 in names for ref in commit.outputs.values()):
        return True
    return commit.kind in ("finish", "stitch") and bool(commit.inputs) and names.issuperset(commit.inputs)


def _held(commit: Commit | None) -> set[str]:
    """The blobs a commit names and was made from."""
    if commit is None:
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
    before = now - YOUNG_S
    found = find_garbage(store, wanted(), now)
    # Once, and no more until nothing is new: a film that is known by its journal has news as long as it is
    # rendered. Whatever begins behind this touches what it relies on, as above.
    again = wanted()
    commits, held = _part(store, found.commits, again, before)
    blobs = _loose(found.blobs, held, again)
    return Garbage(
        commits=_delete(store, commits, before),
        blobs=_delete(store, blobs, before),
        leftovers=_delete(store, found.leftovers, now - LEFT_S),
    )


def _delete(store: BlobStore, infos: Iterable[ObjectInfo], before: float) -> tuple[ObjectInfo, ...]:
    gone = []
    for info in infos:
        there = store.stat(info.key)
        if there is not None and there.modified < before:
            store.delete(info.key)
            gone.append(info)
    return tuple(gone)
