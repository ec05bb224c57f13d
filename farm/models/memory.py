"""When memory runs out: let go of what is loaded, and say in one sentence what helps."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from typing import Any

import torch

from farm.errors import OutOfMemory


@contextlib.contextmanager
def lean(parts: dict[str, Any], device: torch.device) -> Iterator[None]:
    """Where the body runs out of memory, empty `parts`, so that the next try loads just what it needs.

    Raises:
        OutOfMemory: in place of what torch and Python raise then.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        parts.clear()
        traceback.clear_frames(error.__traceback__)  # they hold what was computed so far
        if device.type == "cuda":
            torch.cuda.empty_cache()
        what = str(error).split(". GPU")[0].strip().rstrip(".") or "none is left"
        raise OutOfMemory(
            f"out of memory on {device} ({what[:200]}): take a smaller model.width, model.height or "
            "model.window, a smaller model, or fewer workers"
        ) from error


def _is_out_of_memory(error: Exception) -> bool:
    # On a CPU torch raises a plain RuntimeError.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
