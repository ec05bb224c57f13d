"""How a CPU worker's memory is taken from the system: once, rather than anew for every tensor."""

from __future__ import annotations

import ctypes
import sys

# Of glibc's malloc.h; every other C library has none of them.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_KEPT = 64 * 2**20  # bytes, of a block and of what lies free: with more, holes add up to gigabytes


def keep_heap() -> None:
    """Let glibc keep what tensors free for the next ones.

    By default it maps every block of some size from the system and gives it back when freed, and the system
    clears it page by page: a quarter of the time that papercut takes to decode. One heap serves all threads,
    since those of other threads cannot hold large blocks. Elsewhere than with glibc nothing happens.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, _KEPT), (_TRIM_THRESHOLD, _KEPT)):
            mallopt(option, value)
