"""A task: what is to be made, under which key, and what it comes after."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from farm.plan.recipe import join_recipe


class Kind(StrEnum):
    EMBED = "embed"
    DENOISE = "denoise"
    FINISH = "finish"
    STITCH = "stitch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A unit of work: it consumes the outputs of the tasks it comes `after`, in order.

    So that a million shots fit in memory, a task holds its key as bytes, its recipe in parts (most of
    which are the same for all of a film's tasks of a kind, or for all of a shot's), and its name not at
    all: `part` tells it from others of its kind and shot.
    """

    kind: Kind
    shot: str | None
    part: str
    digest: bytes
    common: tuple[str, ...]
    own: str
    after: tuple[Task, ...] = field(repr=False)
    cost: float

    @property
    def id(self) -> str:
        """Names it within the plan: "denoise/12A/0", "finish/12A", "stitch"."""
        return task_id(self.kind, self.shot, self.part)

    @property
    def needs(self) -> tuple[str, ...]:
        """The ids of the tasks it comes after."""
        return tuple(task.id for task in self.after)

    @property
    def key(self) -> str:
        """The recipe key: 64 hexadecimal digits."""
        return self.digest.hex()

    @property
    def recipe(self) -> str:
        """The recipe as one JSON object."""
        return join_recipe((*self.common, self.own))


def task_id(kind: Kind, shot: str | None, part: str) -> str:
    """The id of a task: its kind, its shot and its part, where it has them."""
    middle = f"/{shot}" if shot else ""
    return f"{kind}{middle}/{part}" if part else f"{kind}{middle}"
