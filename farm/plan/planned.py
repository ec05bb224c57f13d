"""A shot as it is planned: its place in the film, and the segments it is made in."""

from __future__ import annotations

from dataclasses import dataclass

from farm.plan.segments import Window
from farm.plan.task import Kind, task_id
from farm.script.model import Continuity, Patch, Shot
from farm.timebase import Span

PATCH = "patch-"  # begins the parts of tasks that make spans of a shot again


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A window of a shot; `frames` are those it owns, counted within the shot at the film's rate.

    One that makes a span of the shot again is of a `patch`.
    """

    id: str
    task: str
    window: Window
    frames: Span
    patch: Patch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridged:
    """A window that makes a part of a shot again: its task, and the number of the shot's patch it is of."""

    task: str
    patch: int
    window: Window


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedShot:
    """A shot with its place in the film, how it is continued, and its windows.

    `panes` are the windows that are woven in one segment, none where each segment is one window; like
    `windows` they come with the `frames` they own. So do those that `patched` the shot, each of which puts
    what it owns in place of what was there. `control` is the task that shows one join as it would be
    without continuity, where asked for.
    """

    shot: Shot
    span: Span
    continuity: Continuity
    latents: int
    windows: tuple[Window, ...]
    frames: tuple[Span, ...]
    panes: tuple[Window, ...] = ()
    pane_frames: tuple[Span, ...] = ()
    patched: tuple[Bridged, ...] = ()
    patched_frames: tuple[Span, ...] = ()
    control: str | None = None

    @property
    def finish(self) -> str:
        """The id of the task that decodes and encodes it."""
        return task_id(Kind.FINISH, self.shot.name, "")

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Its segments; made when asked for, since their parts are the same for shots of one length."""
        name, prefix = self.shot.name, f"{Kind.DENOISE}/"
        whole = (
            Segment(
                id=f"{name}/{index}",
                task=task_id(Kind.DENOISE, name, str(index)),
                window=window,
                frames=frames,
            )
            for index, (window, frames) in enumerate(zip(self.windows, self.frames, strict=True))
        )
        again = (
            Segment(
                id=each.task.removeprefix(prefix),
                task=each.task,
                window=each.window,
                frames=frames,
                patch=self.shot.patches[each.patch],
            )
            for each, frames in zip(self.patched, self.patched_frames, strict=True)
        )
        return (*whole, *again)

    @property
    def joins(self) -> dict[int, int]:
        """For each join, the first frame behind it and the latent frame that this shows."""
        starts = zip((*self.windows, *self.panes), (*self.frames, *self.pane_frames), strict=True)
        found = {shown.start: window.owned.start for window, shown in starts if window.owned.start > 0}
        for each, shown in zip(self.patched, self.patched_frames, strict=True):
            window = each.window
            found = {frame: latent for frame, latent in found.items() if not shown.start < frame < shown.stop}
            found[shown.start] = window.owned.start
            if window.owned.stop < self.latents:
                found[shown.stop] = window.owned.stop
        return found

    @property
    def control_join(self) -> int:
        """The number, from 1, of the first join between two long segments: an opening is a short one."""
        return 2 if self.windows[1].span.start == 0 else 1
