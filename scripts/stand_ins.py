"""A model and a medium that compute nothing, for benchmarks of what is around them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from farm.clock import SystemClock
from farm.ports import Recipe
from farm.store.directory import DirectoryStore
from farm.worker import Worker


class NullModel:
    """A VideoModel that computes nothing: small bytes that differ where recipes do.

    Each step of a segment is slept for `step_s` seconds.
    """

    def __init__(self, step_s: float = 0.0) -> None:
        self.step_s = step_s

    def embed(self, recipe: Recipe) -> bytes:
        return str(recipe["text"]).encode()

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
        time.sleep(self.step_s * recipe["steps"])
        text = json.dumps(recipe, sort_keys=True).encode()
        return hashlib.sha256(text + prompt + negative + b"".join(context) + (draft or b"")).digest()

    def decode(self, recipe: Recipe, latents: Sequence[bytes]) -> Iterator[bytes]:
        return iter(latents)

    def look(self, recipe: Recipe, frames: Sequence[bytes]) -> dict[str, Any]:
        return {}


class NullMedia:
    """A Media that only writes down what it is given."""

    def encode_shot(self, recipe: Recipe, frames: Iterator[bytes], target: Path) -> dict[str, Any]:
        target.write_bytes(b"".join(frames))
        return {"frames": recipe["frames"], "differences": []}

    def stitch(
        self, recipe: Recipe, shots: Sequence[Path], folder: Path
    ) -> tuple[dict[str, Path], dict[str, Any]]:
        made = {"film": folder / "film.mp4", "sheet": folder / "sheet.png"}
        made["film"].write_bytes(b"".join(path.read_bytes() for path in shots))
        made["sheet"].write_bytes(b"sheet")
        return made, {"frames": recipe["frames"]}


def null_worker(root: Path, step_s: float = 0.0) -> Worker:
    """A worker over a folder that costs nothing but the farm's own."""
    return Worker(store=DirectoryStore(root), model=NullModel(step_s), media=NullMedia(), clock=SystemClock())
