"""A shot as it is planned: its place in the film, and the segments it is made in."""

from __future__ import annotations

from dataclasses import dataclass

from farm.plan.segments import Window
from farm.plan.task import Kind, task_id
from farm.script.model import Continuity, Shot
from farm.timebase import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A window of a shot; `frames` are those it owns, counted within the shot at the film's rate."""

    id: str
    task: str
    window: Window
    frames: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedShot:
    """A shot with its place in the film, how it is continued, and its windows.

    `control` is the task that shows one join as it would be without continuity, where asked for.
    """

    shot: Shot
    span: Span
    continuity: Continuity
    latents: int
    windows: tuple[Window, ...]
    frames: tuple[Span, ...]
    control: str | None = None

    @property
    def finish(self) -> str:
        """The id of the task that decodes and encodes it."""
        return task_id(Kind.FINISH, self.shot.name, "")

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Its segments; made when asked for, since their parts are the same for shots of one length."""
        name = self.shot.name
        return tuple(
            Segment(
                id=f"{name}/{index}",
                task=task_id(Kind.DENOISE, name, str(index)),
                window=window,
                frames=frames,
            )
            for index, (window, frames) in enumerate(zip(self.windows, self.frames, strict=True))
        )

    @property
    def control_join(self) -> int:
        """The number, from 1, of the first join between two long segments: an opening is a short one."""
        return 2 if self.windows[1].span.start == 0 else 1
