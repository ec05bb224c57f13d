"""The inbox: what other terminals ask of a film while it is rendered.

Nobody but a film's driver writes its journal. Who wants something of it puts `control/<film>/<time>-<random>`
into the store, which the driver reads, takes into the journal, and deletes.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from farm.errors import Interrupted, NotFound, StoreError
from farm.job import events
from farm.ports import BlobStore, Clock

VERBS = ("pause", "resume", "cancel", "priority")
POLL_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Asks something of one run of a film, or of one of its shots."""

    film: str
    run: str
    verb: str
    shot: str | None = None
    priority: int = 0

    def event(self, at: float) -> events.Event:
        """What the journal is told. Raises ValueError for a verb there is not."""
        match self.verb:
            case "pause":
                return events.Paused(at=at, shot=self.shot)
            case "resume":
                return events.Resumed(at=at, shot=self.shot)
            case "cancel":
                return events.Cancelled(at=at, shot=self.shot)
            case "priority":
                return events.Prioritised(at=at, shot=self.shot, priority=self.priority)
        raise ValueError(f"there is no verb {self.verb!r}")


def post(store: BlobStore, clock: Clock, message: Message) -> str:
    """Put a message where the film's driver finds it. Returns its key, which is gone when it was read."""
    # Keys are read in their order: two messages of one terminal arrive as they were sent.
    name = f"{round(clock.now() * 1e6):017d}-{uuid.uuid4().hex[:8]}"
    key = f"control/{message.film}/{name}"
    store.put(key, json.dumps(asdict(message)).encode())
    return key


class Inbox:
    """Reads the messages to films, by the run that renders each; `prefix` narrows where to look.

    A message to an earlier run is thrown away: who is asked to stop must not stop again tomorrow.
    """

    def __init__(self, store: BlobStore, clock: Clock, runs: Mapping[str, str]) -> None:
        self.store, self.clock, self.runs = store, clock, runs
        self.prefix = f"control/{next(iter(runs))}/" if len(runs) == 1 else "control/"
        self.next = clock.monotonic()

    def read(self) -> list[Message]:
        """The messages that came since; every few seconds, and nothing in between."""
        now = self.clock.monotonic()
        if now < self.next:
            return []
        self.next = now + POLL_S
        return self._take()

    def close(self) -> None:
        """Throw away what came too late."""
        with contextlib.suppress(StoreError, Interrupted):
            self._take()

    def _take(self) -> list[Message]:
        found = []
        for key in [info.key for info in self.store.list(self.prefix)]:
            film = key.split("/")[1]
            if film not in self.runs:
                continue  # another driver's
            try:
                message = Message(**json.loads(self.store.get(key)))
                message.event(0.0)
            except NotFound:
                continue
            except (ValueError, TypeError):
                message = None  # no message of ours
            self.store.delete(key)
            if message is not None and (message.film, message.run) == (film, self.runs[film]):
                found.append(message)
        return found
