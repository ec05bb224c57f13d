"""Run one task: the same function in one process, in an actor, and in a test."""

from __future__ import annotations

import errno
import json
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

from farm.errors import CorruptBlob, FarmError, Interrupted, StoreError
from farm.ledger import Blobs, Commits, name_blob
from farm.ports import (
    AttemptDone,
    AttemptFailed,
    BlobStore,
    Clock,
    Commit,
    Lease,
    Media,
    Recipe,
    VideoModel,
)
from farm.spool import Spool
from farm.timebase import source_frame

Made = tuple[dict[str, bytes | Path], dict[str, Any]]
"""What a task made, by name, still on this machine; and its figures."""


class Worker:
    """Holds what tasks need: a store, a model that stays warm, a medium. Runs one task at a time.

    With a `spool`, what is made lies on this machine's disk until the store has it, and what a worker
    before it left there is handed over first.
    """

    def __init__(
        self,
        *,
        store: BlobStore,
        model: VideoModel,
        media: Media,
        clock: Clock,
        spool: Spool | None = None,
    ) -> None:
        self.blobs, self.commits = Blobs(store), Commits(store)
        self.model, self.media, self.clock, self.spool = model, media, clock, spool
        if spool is not None:
            spool.hand_over(self.blobs, self.commits)

    def run(self, lease: Lease, stopped: Callable[[], bool]) -> AttemptDone | AttemptFailed:
        """Run a leased task and commit it. Never raises: what went wrong is in the answer."""
        try:
            commit = self._run(lease, stopped)
        except CorruptBlob as error:
            return _failed(lease, "corrupt", str(error), error.sha256)
        except (Interrupted, StoreError, ConnectionError, TimeoutError) as error:
            return _failed(lease, "infrastructure", _sentence(error))
        except Exception as error:  # whatever a model or an encoder throws is this task's failure
            if isinstance(error, OSError) and error.errno in _NO_SPACE:  # a full disk is not
                return _failed(lease, "infrastructure", _disk_full())
            return _failed(lease, "task", _sentence(error))
        return AttemptDone(worker=lease.worker, task=lease.task, attempt=lease.attempt, commit=commit)

    def _run(self, lease: Lease, stopped: Callable[[], bool]) -> Commit:
        inputs = tuple(need.sha256 for need in lease.needs)
        if (there := self.commits.find(lease.key, inputs)) is not None:
            return there  # made before, or for another film
        started, begun = self.clock.now(), self.clock.monotonic()
        with tempfile.TemporaryDirectory(prefix="longtake-") as folder:
            outputs, facts = _KINDS[lease.kind](self, lease, Path(folder), stopped)
            commit = Commit(
                key=lease.key,
                generation=lease.generation,
                kind=lease.kind,
                outputs={name: name_blob(source) for name, source in outputs.items()},
                inputs=inputs,
                worker=lease.worker,
                started=started,
                seconds=round(self.clock.monotonic() - begun, 3),
                facts=facts,
            )
            with self.spool.holding(commit, outputs) if self.spool else nullcontext():
                for name, source in outputs.items():
                    self.blobs.put(source, commit.outputs[name])
                return self.commits.write(commit)

    def _embed(self, lease: Lease, folder: Path, stopped: Callable[[], bool]) -> Made:
        data = self.model.embed(json.loads(lease.recipe))
        return {"embedding": data}, {}

    def _denoise(self, lease: Lease, folder: Path, stopped: Callable[[], bool]) -> Made:
        recipe = json.loads(lease.recipe)
        inputs = [self.blobs.get(need) for need in lease.needs]
        drafted = recipe["draft_level"] is not None
        data = self.model.denoise(
            recipe,
            prompt=inputs[0],
            negative=inputs[1],
            context=inputs[2:-1] if drafted else inputs[2:],
            draft=inputs[-1] if drafted else None,
            stopped=stopped,
        )
        return {"latents": data}, {}

    def _finish(self, lease: Lease, folder: Path, stopped: Callable[[], bool]) -> Made:
        recipe = json.loads(lease.recipe)
        latents = [self.blobs.get(need) for need in lease.needs]
        target = folder / "shot.mp4"
        looked: list[Any] = []
        decoded = _glimpse(self.model.decode(recipe, latents), recipe["look"], looked)
        facts = self.media.encode_shot(recipe, _until(shown_frames(decoded, recipe), stopped), target)
        # A shorter shot cannot be judged, nor one that no prompt was said for.
        if recipe["prompt"] and looked and len(looked) == len(recipe["look"]["at"]):
            seen = self.model.look(recipe, looked)
            if seen:
                facts["seen"] = seen
        return {"shot": target}, facts

    def _stitch(self, lease: Lease, folder: Path, stopped: Callable[[], bool]) -> Made:
        shots = [folder / f"{index:06d}.mp4" for index in range(len(lease.needs))]
        for need, path in zip(lease.needs, shots, strict=True):
            self.blobs.fetch(need, path)
        made, facts = self.media.stitch(json.loads(lease.recipe), shots, folder)
        return {**made}, facts


_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_KINDS = {
    "embed": Worker._embed,
    "denoise": Worker._denoise,
    "finish": Worker._finish,
    "stitch": Worker._stitch,
}


def shown_frames(frames: Iterator[Any], recipe: Recipe) -> Iterator[Any]:
    """Pick the frames a shot shows at the film's rate: the nearest ones, the surplus left out."""
    source, target = Fraction(recipe["source_rate"]), Fraction(recipe["encoding"]["rate"])
    number, frame = -1, None
    for index in range(recipe["frames"]):
        wanted = source_frame(index, source, target)
        while number < wanted:
            frame = next(frames, None)
            if frame is None:
                return
            number += 1
        yield frame


def _glimpse(frames: Iterator[Any], look: Recipe | None, kept: list[Any]) -> Iterator[Any]:
    """Keep the frames to look at as they pass."""
    wanted = frozenset(look["at"]) if look else frozenset()
    for number, frame in enumerate(frames):
        if number in wanted:
            kept.append(frame)
        yield frame


def _until(frames: Iterator[Any], stopped: Callable[[], bool]) -> Iterator[Any]:
    for frame in frames:
        if stopped():
            raise Interrupted("stopped while a shot was decoded")
        yield frame


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split())
    name = type(error).__name__
    return text if isinstance(error, FarmError) else f"{name}: {text}"[:500]


def _disk_full() -> str:
    return (
        f"no space left for temporary files in {tempfile.gettempdir()}: "
        "make room there, or name another folder with TMPDIR"
    )


def _failed(lease: Lease, fault: str, message: str, corrupt: str | None = None) -> AttemptFailed:
    return AttemptFailed(
        worker=lease.worker,
        task=lease.task,
        attempt=lease.attempt,
        fault=fault,
        message=message,
        corrupt=corrupt,
        detail=traceback.format_exc(),
    )
