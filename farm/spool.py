"""A worker's spool: what it has made lies on its own disk until the store has it.

A store may be away for an hour, and a worker may die in that hour. Whatever was finished by then is handed
over by the next worker that starts on this machine, so nothing that was rendered is rendered again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from farm.errors import StoreError
from farm.ledger import Blobs, Commits, decode_commit, encode_commit
from farm.ports import Commit

_COMMIT = "commit.json"
STALE_S = 3600.0


class Spool:
    """A folder of finished tasks on their way to the store: one folder each, complete once it has its name.

    `limit` bounds its bytes. What would not fit is not spooled: it is only in the worker's hands then, as
    without a spool.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit

    @contextlib.contextmanager
    def holding(self, commit: Commit, outputs: Mapping[str, bytes | Path]) -> Iterator[None]:
        """Hold a finished task's outputs while the body hands them to the store; let go when it has."""
        entry = self._keep(commit, outputs)
        yield
        if entry is not None:
            shutil.rmtree(entry, ignore_errors=True)

    def _keep(self, commit: Commit, outputs: Mapping[str, bytes | Path]) -> Path | None:
        size = sum(ref.num_bytes for ref in commit.outputs.values())
        if self._bytes() + size > self.limit:
            return None
        name = uuid.uuid4().hex
        part, entry = self.folder / f"{name}.part", self.folder / name
        try:
            part.mkdir(parents=True)
            for output, source in outputs.items():
                target = part / commit.outputs[output].sha256
                if isinstance(source, bytes):
                    target.write_bytes(source)
                else:
                    # The same file under another name, where the disk is the same.
                    try:
                        os.link(source, target)
                    except OSError:
                        shutil.copyfile(source, target)
            (part / _COMMIT).write_bytes(encode_commit(commit))
            part.rename(entry)
        except OSError:  # a full disk must not keep the store from getting what was made
            shutil.rmtree(part, ignore_errors=True)
            return None
        return entry

    def _bytes(self) -> int:
        total = 0
        for path in self.folder.glob("*/*"):
            with contextlib.suppress(OSError):
                total += path.stat().st_size
        return total

    def hand_over(self, blobs: Blobs, commits: Commits) -> int:
        """Hand what dead workers left behind to the store, and return how many tasks that were.

        Several workers may do so at once: blobs lie at their hash and a commit is created once. What
        cannot be understood is thrown away; a store that is away leaves everything where it is.
        """
        handed = 0
        for entry in sorted(self.folder.glob("*")):
            try:
                handed += self._hand_over(entry, blobs, commits)
            except OSError:
                continue  # another worker was quicker
        return handed

    def _hand_over(self, entry: Path, blobs: Blobs, commits: Commits) -> int:
        if entry.suffix == ".part":  # being written, or left by a worker that died as it wrote
            if time.time() - entry.stat().st_mtime > STALE_S:
                shutil.rmtree(entry, ignore_errors=True)
            return 0
        try:
            commit = decode_commit((entry / _COMMIT).read_bytes(), entry.name)
        except StoreError:
            shutil.rmtree(entry, ignore_errors=True)
            return 0
        found = {name: blobs.put(entry / ref.sha256) for name, ref in commit.outputs.items()}
        # Under its own generation or not at all: what was made since counts for more.
        handed = found == commit.outputs and commits.offer(commit)
        shutil.rmtree(entry, ignore_errors=True)
        return int(handed)
