"""The small protocols between the rooms: what a store, an executor, a model and a medium must do.

Rooms above know these and not the implementations, so that the same driver and the same worker run
in a test, in one process, and on a cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

Recipe = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobRef:
    """Names bytes by their hash. `key` is where they live, always `blobs/<sha256>`."""

    key: str
    sha256: str
    num_bytes: int


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object of a store. `modified` is when it was last written or touched, as the store tells it."""

    key: str
    num_bytes: int
    modified: float


class BlobStore(Protocol):
    """Objects by key. Keys are slash-separated; implementations refuse any that leave the store."""

    def put(self, key: str, source: bytes | Path) -> None:
        """Write or replace an object, whole or not at all. Raises StoreError."""
        ...

    def create_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object only if there is none: of several writers exactly one gets True."""
        ...

    def get(self, key: str) -> bytes:
        """Read an object. Raises NotFound."""
        ...

    def fetch(self, key: str, target: Path) -> None:
        """Copy an object to a file without holding it in memory. Raises NotFound."""
        ...

    def stat(self, key: str) -> ObjectInfo | None: ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Objects whose key starts with `prefix`, in the order of their keys."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens if there is none."""
        ...

    def touch(self, key: str) -> None:
        """Make an object as young as if it had just been written. Raises NotFound."""
        ...

    def locate(self, key: str) -> str:
        """Where a person finds the object: a path or a URI."""
        ...


class VideoModel(Protocol):
    """A video model behind bytes: tensors go in and out as safetensors, so nobody above needs torch."""

    def embed(self, recipe: Recipe) -> bytes:
        """Encode the text of an EMBED recipe."""
        ...

    def denoise(
        self,
        recipe: Recipe,
        *,
        prompt: bytes,
        negative: bytes,
        context: Sequence[bytes],
        stopped: Callable[[], bool],
        draft: bytes | None = None,
    ) -> bytes:
        """Denoise one segment and return the latents it owns.

        `context` holds the latents of the segments that its given latent frames belong to: of the one before
        it, or those that the recipe's `context` takes pieces of. `draft` holds those of its own preview,
        where the recipe asks for them. Raises Interrupted within one step of `stopped()` turning true.
        """
        ...

    def decode(self, recipe: Recipe, latents: Sequence[bytes]) -> Iterator[Any]:
        """Decode one whole shot, yielding uint8 frames [height, width, 3] in order."""
        ...

    def look(self, recipe: Recipe, frames: Sequence[Any]) -> dict[str, Any]:
        """Tell what frames of a shot show, beside what its prompt asks for, where the recipe asks."""
        ...


class Media(Protocol):
    """Frames to encoded shots, encoded shots to a film."""

    def encode_shot(self, recipe: Recipe, frames: Iterator[Any], target: Path) -> dict[str, Any]:
        """Encode frames to `target` as they come; return figures such as the frame differences."""
        ...

    def stitch(
        self, recipe: Recipe, shots: Sequence[Path], folder: Path
    ) -> tuple[dict[str, Path], dict[str, Any]]:
        """Make one film of the shots in `folder`: its files by name ("film", "sheet", …), and figures."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One attempt at a task, given to one worker. Holds all the worker must know.

    `needs` are the outputs it consumes, in the task's order.
    """

    task: str
    kind: str
    key: str
    recipe: str
    needs: tuple[BlobRef, ...]
    attempt: int
    generation: int
    worker: str


MAIN_OUTPUT = {"embed": "embedding", "denoise": "latents", "finish": "shot", "stitch": "film"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A finished task: what it made and what it consumed. The first one written wins."""

    key: str
    generation: int
    kind: str
    outputs: dict[str, BlobRef]
    inputs: tuple[str, ...]
    worker: str
    started: float
    seconds: float
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def main(self) -> BlobRef:
        """The output that other tasks consume, and by which the commit is known."""
        return self.outputs[MAIN_OUTPUT[self.kind]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerJoined:
    """A worker stands. It is not to be given tasks of the kinds it is `barred` from.

    `others` are workers that could be lent too.
    """

    worker: str
    barred: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLeaves:
    """A worker is needed elsewhere, as soon as what it runs is reported."""

    worker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLost:
    """A worker is gone. `fault` is "worker", for which what it ran may be to blame, or "node"."""

    worker: str
    reason: str
    fault: str = "worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptDone:
    worker: str
    task: str
    attempt: int
    commit: Commit


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed:
    """An attempt ended without a commit. `fault` is "task", "infrastructure" or "corrupt".

    `message` is one sentence; `detail` is for the task's log.
    """

    worker: str
    task: str
    attempt: int
    fault: str
    message: str
    corrupt: str | None = None
    detail: str = ""


Report = WorkerJoined | WorkerLeaves | WorkerLost | AttemptDone | AttemptFailed


class Executor(Protocol):
    """Workers, wherever they are. Reports what happens to them; decides nothing."""

    def start(self, lease: Lease) -> None:
        """Give a lease to the worker it names; returns at once."""
        ...

    def stop(self, worker: str) -> None:
        """Make a worker leave off what it runs, within a step; it reports that as a failure."""
        ...

    def replace(self, worker: str) -> None:
        """Let a worker go that does not answer, and get another in its place."""
        ...

    def poll(self, timeout: float) -> Sequence[Report]:
        """Return what happened since the last poll, waiting up to `timeout` seconds for news."""
        ...

    def close(self) -> None:
        """Let the workers go."""
        ...


class Clock(Protocol):
    """Where time comes from, so that a test can hand in its own."""

    def now(self) -> float:
        """Seconds since the epoch, for records."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for intervals."""
        ...

    def sleep(self, seconds: float) -> None: ...
