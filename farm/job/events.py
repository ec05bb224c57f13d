"""What can happen to a job, as it is written to the journal. Every event carries its time."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, get_args

from farm.errors import StoreError


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A driver began, or began again, to render this plan. What was leased before is void."""

    at: float
    plan: str
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A task was found committed in the store."""

    at: float
    task: str
    generation: int
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoiled:
    """A task's commits up to this generation cannot be used; the next one is open."""

    at: float
    task: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """A worker is there. It is not to be given tasks of the kinds that it is `barred` from.

    `others` are workers that could be lent to the job too, so that a task need not be tried again where it
    failed.
    """

    at: float
    worker: str
    barred: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A worker is taken away for other work, when what it runs is reported."""

    at: float
    worker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A worker is gone. `fault` is "worker", for which what it ran may be to blame, or "node"."""

    at: float
    worker: str
    reason: str
    fault: str = "worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """An attempt took longer than the minutes it may take; its worker is replaced."""

    at: float
    worker: str
    task: str
    attempt: int
    minutes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """An attempt ended with a commit, its own or the one that was there first."""

    at: float
    worker: str
    task: str
    attempt: int
    generation: int
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """An attempt ended without a commit.

    `fault` is "task" (uses up one of its tries), "infrastructure" (does not) or "corrupt" (an input,
    `corrupt`, is not what its hash says, so the task that made it must run again).
    """

    at: float
    worker: str
    task: str
    attempt: int
    fault: str
    message: str
    corrupt: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time passed: what was waiting for it may start."""

    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """The user asked to stop: nothing new is started."""

    at: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """From outside: nothing new is started, of one shot or (None) of the film."""

    at: float
    shot: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """From outside: what was paused goes on."""

    at: float
    shot: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prioritised:
    """From outside: what has the higher number goes first; without one it is 0."""

    at: float
    shot: str | None = None
    priority: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """From outside: a shot, or (None) the film, is given up, and what runs of it left off."""

    at: float
    shot: str | None = None


Event = (
    Planned
    | Found
    | Spoiled
    | Joined
    | Left
    | Lost
    | Overdue
    | Finished
    | Failed
    | Tick
    | Paused
    | Resumed
    | Prioritised
    | Cancelled
    | Stopping
)
_KINDS: dict[str, type[Any]] = {kind.__name__.lower(): kind for kind in get_args(Event)}


def encode(events: Iterable[Event]) -> bytes:
    """Write events as JSON lines."""
    lines = [
        json.dumps(
            {
                "event": type(event).__name__.lower(),
                **{name: getattr(event, name) for name in event.__slots__},
            },
            separators=(",", ":"),
        )
        for event in events
    ]
    return ("\n".join(lines) + "\n").encode()


def _frozen(value: Any) -> Any:
    """What JSON has only a list for."""
    return tuple(value) if isinstance(value, list) else value


def decode(data: bytes) -> list[Event]:
    """Read events back. Raises StoreError for a line that is none."""
    events: list[Event] = []
    for line in data.splitlines():
        try:
            fields = json.loads(line)
            kind = _KINDS[fields.pop("event")]
            events.append(kind(**{name: _frozen(value) for name, value in fields.items()}))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"the journal holds a line that is no event: {line[:80]!r}") from error
    return events
