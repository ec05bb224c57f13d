"""The plan of a film: every shot's segments, every task with its key, in the order of their needs."""

from __future__ import annotations

import gc
import hashlib
from dataclasses import dataclass, replace
from io import StringIO

from farm.errors import BadInput
from farm.plan import reel
from farm.plan.build import Builder
from farm.plan.planned import PlannedShot
from farm.plan.recipe import canonical
from farm.plan.spec import Settings
from farm.plan.task import Kind, Task
from farm.script.model import ShotList, Unfilmed


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that will be done for a film. `tasks` come after what they need."""

    film: str
    settings: Settings
    shots: tuple[PlannedShot, ...]
    tasks: tuple[Task, ...]
    unfilmed: tuple[Unfilmed, ...]
    frames: int

    @property
    def key(self) -> str:
        """The key of the film: that of its last task, which depends on all the others."""
        return self.tasks[-1].key

    @property
    def digest(self) -> str:
        """Names this plan in the journal: its tasks and their keys."""
        digest = hashlib.sha256()
        for task in self.tasks:
            digest.update(f"{task.id} {task.key}\n".encode())
        return digest.hexdigest()


def make_plan(film: str, shots: ShotList, settings: Settings) -> Plan:
    """Plan a film. Pure: the same shots and settings always give the same plan.

    Raises:
        BadInput: for a size, a rate or a way of continuing that the family cannot do.
    """
    # Nothing that is made here is garbage; the collector would only walk it again and again.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _make_plan(film, shots, settings)
    finally:
        if collecting:
            gc.enable()


def _make_plan(film: str, shots: ShotList, settings: Settings) -> Plan:
    family, sampling, output = settings.family, settings.sampling, settings.output
    for name, size in (("width", sampling.width), ("height", sampling.height)):
        if size % (family.spatial_stride * family.patch):
            raise BadInput(
                f"model.{name}={size} does not fit {family.name}: "
                f"give a multiple of {family.spatial_stride * family.patch}"
            )
    if output.rate < family.rate / family.temporal_stride:
        raise BadInput(
            f"output.fps={output.rate} is too slow for {family.name}, which makes {family.rate} frames "
            f"a second: give at least {family.rate / family.temporal_stride}"
        )
    if not shots.shots:
        raise BadInput("the script has no shots: write some action")
    if shots.negative:
        negative = ", ".join(part for part in (sampling.negative_prompt, shots.negative) if part)
        settings = replace(settings, sampling=replace(sampling, negative_prompt=negative))
    builder = Builder(settings)
    title, end = reel.cards(shots, output.rate, settings.titles)
    placed = list(zip(shots.shots, reel.spans(shots.shots, title["frames"] if title else 0), strict=True))
    frames = placed[-1][1].stop + (end["frames"] if end else 0)
    planned: list[PlannedShot] = []
    finished: list[Task] = []
    # Written as they are made: as plain data, a million rows would not fit beside the rest.
    rows = StringIO()
    for index, (shot, span) in enumerate(placed):
        following = placed[index + 1][0] if index + 1 < len(placed) else None
        item, finish = builder.shot(shot, span, reel.key_frames(shot, following))
        planned.append(item)
        finished.append(finish)
        row = {
            "id": shot.name,
            "frames": shot.frames,
            "start": span.start,
            "label": shot.prompt[:120],
            "enter": reel.fade(shot.enter),
            "leave": reel.fade(shot.leave),
            "tail": reel.tail(shot, following),
        }
        rows.write(f"{',' if index else ''}{canonical(row)}")
    chained = [
        item
        for item in planned
        if item.continuity == "chain" and item.latents > family.window and not item.patched
    ]
    if settings.control and chained:
        longest = max(chained, key=lambda item: item.latents)
        planned[planned.index(longest)] = builder.control(longest)
    recipe = {
        "frames": frames,
        "cards": {"title": title, "end": end},
        "chapters": reel.chapters(placed, frames),
        "lines": reel.lines(placed),
    }
    del placed
    listed = f'{{"shots":[{rows.getvalue()}]}}'
    rows.close()
    common = (*builder.common[Kind.STITCH], canonical(recipe))
    builder.add(Kind.STITCH, None, "", listed, tuple(finished), len(planned) * 0.02, common)
    return Plan(
        film=film,
        settings=settings,
        shots=tuple(planned),
        tasks=tuple(builder.tasks),
        unfilmed=shots.unfilmed,
        frames=frames,
    )
