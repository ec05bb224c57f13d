"""What can go wrong, by what the user can do about it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class FarmError(Exception):
    """Rendering could not go on: the message says what, where, and how to resume (exit code 1)."""

    exit_code = 1


class BadInput(FarmError):
    """The script, a key or an argument is wrong and nothing was started (exit code 2)."""

    exit_code = 2


class StoreError(FarmError):
    """The store could not be read or written."""


class StoreAway(StoreError):
    """The store does not answer, or says that it cannot now: it will be back, and waiting helps."""


class NotFound(StoreError):
    """There is no such object in the store."""


class CorruptBlob(StoreError):
    """A blob is missing, or its bytes are not the bytes its name promises."""

    def __init__(self, sha256: str, why: str) -> None:
        super().__init__(f"blob {sha256[:12]} {why}")
        self.sha256 = sha256


class OutOfMemory(FarmError):
    """The memory of the device or the machine was not enough for a task."""


class AnotherDriver(FarmError):
    """Another process is rendering this film."""


class Interrupted(FarmError):
    """The user asked to stop; everything committed is kept (exit code 130)."""

    exit_code = 130


def suggest(word: str, choices: Iterable[str]) -> str:
    """Say what there is to choose from, the likeliest first: "did you mean x? there is: …"."""
    known = sorted(choices)
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}there is: {', '.join(known)}"
