"""Checkpoints, learning rates and a log that survives an interrupted training."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import torch

import together


def rate_at(step: int, total: int, peak: float, warmup: int = 100, floor: float = 0.02) -> float:
    """Linear warm-up, then a cosine down to `floor` of the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    share = min(1.0, (step - warmup) / max(1, total - warmup))
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * share)))


class Checkpoint:
    """One file holding everything a stage needs to go on; replaced whole or not at all."""

    def __init__(self, path: Path, **parts: Any) -> None:
        self.path, self.parts = path, parts
        path.parent.mkdir(parents=True, exist_ok=True)

    def load(self) -> int:
        """Restore every part and return the step to go on from (0 without a checkpoint)."""
        if not self.path.exists():
            return 0
        state = torch.load(self.path, weights_only=True)
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        return int(state["step"])

    def save(self, step: int) -> None:
        if together.rank() != 0:
            return
        state = {name: part.state_dict() for name, part in self.parts.items()}
        temporary = self.path.with_suffix(".part")
        torch.save({**state, "step": step}, temporary)
        temporary.replace(self.path)


class Log:
    """Average losses over a stretch of steps; print them and append them as JSON lines."""

    def __init__(self, path: Path, every: int) -> None:
        self.path, self.every = path, every
        self.sums: dict[str, tuple[float, int]] = {}
        self.count, self.since = 0, time.monotonic()

    def add(self, step: int, **values: float) -> None:
        for name, value in values.items():
            total, count = self.sums.get(name, (0.0, 0))
            self.sums[name] = (total + value, count + 1)
        self.count += 1
        if (step + 1) % self.every or together.rank() != 0:
            return
        seconds = (time.monotonic() - self.since) / self.count
        row = {"step": step + 1, "s_per_step": round(seconds, 3)}
        row |= {name: round(total / count, 5) for name, (total, count) in self.sums.items()}
        print(" ".join(f"{name}={value}" for name, value in row.items()), flush=True)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self.sums, self.count, self.since = {}, 0, time.monotonic()
