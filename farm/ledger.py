"""What a store holds for Longtake: blobs at their own hash, commits, and each film's journal.

Works over any BlobStore, so the driver and every worker keep the same books.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from farm.errors import AnotherDriver, CorruptBlob, NotFound, StoreAway, StoreError
from farm.job import events
from farm.ports import BlobRef, BlobStore, Commit
from farm.script.takes import FilmTakes, decode

READERS = 12  # at once: fewer than the connections that a bucket's client keeps, since others want some
_CHUNK = 1 << 20
_COMMIT = re.compile(r"commits/([^/]+)/([0-9]{6})")


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, read a piece at a time."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def name_blob(source: bytes | Path) -> BlobRef:
    """Name bytes or a file by their hash."""
    if isinstance(source, bytes):
        digest, size = hashlib.sha256(source).hexdigest(), len(source)
    else:
        digest, size = hash_file(source), source.stat().st_size
    return BlobRef(key=f"blobs/{digest}", sha256=digest, num_bytes=size)


class Blobs:
    """Bytes by their hash; every read is verified."""

    def __init__(self, store: BlobStore) -> None:
        self.store = store

    def put(self, source: bytes | Path, ref: BlobRef | None = None) -> BlobRef:
        """Store bytes or a file, once: what is there already is touched, so that no collection takes it.

        `ref` is its name where that is known already, which saves hashing it again.
        """
        ref = ref or name_blob(source)
        if self.has(ref):
            with contextlib.suppress(NotFound):
                self.store.touch(ref.key)
                return ref
        self.store.put(ref.key, source)
        return ref

    def has(self, ref: BlobRef) -> bool:
        """Whether the blob is there with the right number of bytes (its hash is checked on reading)."""
        info = self.store.stat(ref.key)
        return info is not None and info.num_bytes == ref.num_bytes

    def has_all(self, commit: Commit) -> bool:
        """Whether all that a task made is there."""
        return all(map(self.has, commit.outputs.values()))

    def get(self, ref: BlobRef) -> bytes:
        """Read a blob. Raises CorruptBlob when it is missing or not what its name promises."""
        try:
            data = self.store.get(ref.key)
        except NotFound as error:
            raise CorruptBlob(ref.sha256, "is missing") from error
        if hashlib.sha256(data).hexdigest() != ref.sha256:
            self._discard(ref)
        return data

    def fetch(self, ref: BlobRef, target: Path) -> None:
        """Copy a blob to a file. Raises CorruptBlob as `get` does."""
        try:
            self.store.fetch(ref.key, target)
        except NotFound as error:
            raise CorruptBlob(ref.sha256, "is missing") from error
        if hash_file(target) != ref.sha256:
            target.unlink()
            self._discard(ref)

    def _discard(self, ref: BlobRef) -> None:
        """Take wrong bytes out of the way, or the right ones could never be written in their place."""
        self.store.delete(ref.key)
        raise CorruptBlob(ref.sha256, "was altered or cut short")


def encode_commit(commit: Commit) -> bytes:
    # Not by `asdict`, which copies deeply: snapshots hold thousands of these.
    return json.dumps(commit, sort_keys=True, default=_fields).encode()


def _fields(item: Commit | BlobRef) -> dict[str, object]:
    return {name: getattr(item, name) for name in item.__slots__}


def decode_commit(data: bytes, name: str) -> Commit:
    """Read a commit. Raises StoreError, with its name, for anything else."""
    try:
        fields = json.loads(data)
        fields["outputs"] = {output: BlobRef(**ref) for output, ref in fields["outputs"].items()}
        fields["inputs"] = tuple(fields["inputs"])
        return Commit(**fields)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"commit {name} cannot be understood") from error


class Commits:
    """Finished tasks by recipe key and generation: the first commit of a generation wins."""

    def __init__(self, store: BlobStore) -> None:
        self.store = store

    def write(self, commit: Commit) -> Commit:
        """Commit a task, and return the commit that counts: this one, or one there before it.

        A commit that was made from other inputs, or whose outputs are gone, does not count; the next
        generation is open then.
        """
        while True:
            if self.offer(commit):
                return commit
            winner = self._usable(commit.key, commit.generation, commit.inputs)
            if winner is not None:
                return winner
            commit = replace(commit, generation=commit.generation + 1)

    def offer(self, commit: Commit) -> bool:
        """Create a commit under its own generation; False where there is one already."""
        return self.store.create_if_absent(_commit_key(commit.key, commit.generation), encode_commit(commit))

    def find(self, key: str, inputs: tuple[str, ...]) -> Commit | None:
        """The newest commit of a key that was made from these inputs and whose outputs are there."""
        found = [_COMMIT.fullmatch(info.key) for info in self.store.list(f"commits/{key}/")]
        return self.newest_of(key, (int(item[2]) for item in reversed(found) if item), inputs)

    def newest_of(self, key: str, generations: Iterable[int], inputs: tuple[str, ...]) -> Commit | None:
        """The first of these generations that can be used by who has these inputs."""
        return next(filter(None, (self._usable(key, number, inputs) for number in generations)), None)

    def _usable(self, key: str, generation: int, inputs: tuple[str, ...]) -> Commit | None:
        try:
            commit = self.read(key, generation)
        except StoreAway:
            raise
        except StoreError:
            return None
        whole = commit.inputs == inputs and Blobs(self.store).has_all(commit)
        return commit if whole else None

    def read(self, key: str, generation: int) -> Commit:
        """Read one commit. Raises NotFound, or StoreError for one that cannot be understood."""
        return decode_commit(self.store.get(_commit_key(key, generation)), f"{key[:12]}/{generation}")

    def latest(self, key: str | None = None) -> dict[str, tuple[int, float]]:
        """The newest generation of every key, or of this one; and when its oldest was written or touched."""
        newest: dict[str, tuple[int, float]] = {}
        for info in self.store.list(f"commits/{key}/" if key else "commits/"):
            if found := _COMMIT.fullmatch(info.key):  # what else lies there is not ours
                generation, modified = newest.get(found[1], (-1, math.inf))
                newest[found[1]] = (max(int(found[2]), generation), min(info.modified, modified))
        return newest

    def touch(self, commit: Commit) -> None:
        """Make a commit and its outputs young again. Raises NotFound where one of them is gone."""
        self.store.touch(_commit_key(commit.key, commit.generation))
        for ref in commit.outputs.values():
            self.store.touch(ref.key)


def _commit_key(key: str, generation: int) -> str:
    return f"commits/{key}/{generation:06d}"


def load_takes(store: BlobStore, film: str) -> FilmTakes:
    """The takes of a film's shots; none for a film without retakes."""
    key = f"films/{film}/takes.json"
    if store.stat(key) is None:
        return {}
    return decode(store.get(key), store.locate(key))


class Journal:
    """A film's journal: numbered batches of events, each number created once.

    The numbers are the fence: a driver that finds its next number taken has been replaced and must
    stop, whatever it believes.
    """

    def __init__(self, store: BlobStore, film: str) -> None:
        self.store, self.prefix = store, f"films/{film}/journal/"
        self.film = film
        self.next = max((int(key[-9:]) for key in self._keys()), default=-1) + 1

    def _keys(self) -> list[str]:
        """The journal's own objects, in order; what else lies in its folder is not ours."""
        keys = (info.key for info in self.store.list(self.prefix))
        return [key for key in keys if re.fullmatch(r"[0-9]{9}", key.removeprefix(self.prefix))]

    def append(self, batch: Iterable[events.Event]) -> None:
        """Write a batch durably. Raises AnotherDriver when its number is taken."""
        if not self.store.create_if_absent(f"{self.prefix}{self.next:09d}", events.encode(batch)):
            raise AnotherDriver(
                f"another driver has taken over the film {self.film!r}; this one stops, "
                "and everything it committed is kept"
            )
        self.next += 1

    def read(self) -> list[events.Event]:
        """All events, in order."""
        return [event for data in self.read_raw() for event in events.decode(data)]

    def read_raw(self) -> list[bytes]:
        """All batches as they were written, in order."""
        with ThreadPoolExecutor(READERS) as pool:
            return [*pool.map(self.store.get, self._keys())]
