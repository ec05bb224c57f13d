"""Builds the tasks of a film, shot by shot, each with its recipe and its key."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

from farm.errors import BadInput
from farm.plan.common import common_recipes
from farm.plan.patches import Piece, gather, owned_columns, patch_span
from farm.plan.planned import PATCH, Bridged, PlannedShot
from farm.plan.recipe import canonical, key_of
from farm.plan.rules import Way, calls, choose_continuity, evaluations, segment_way, take_seed
from farm.plan.segments import Window, bridge_windows, split_windows
from farm.plan.spec import FamilySpec, Settings
from farm.plan.task import Kind, Task
from farm.script.model import Shot
from farm.timebase import Span, first_showing, frames_of, latents_for, source_frame

EMBED_S = 0.1  # for estimates
SETTLED = 500  # the level, of 1000, from which on woven windows are no longer fused
DRAFT = "draft-"  # begins the parts of tasks that make a preview's segments


class Builder:
    """Makes a film's tasks in the order of their needs; what many of them have in common it makes once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tasks: list[Task] = []
        self.texts: dict[str, Task] = {}
        self.common = {kind: (canonical(recipe),) for kind, recipe in common_recipes(settings).items()}
        self.windows: dict[tuple[Window, Way, int, int | None, int], tuple[tuple[str, ...], float]] = {}

    def add(
        self,
        kind: Kind,
        shot: str | None,
        part: str,
        recipe: str,
        after: tuple[Task, ...],
        cost: float,
        common: tuple[str, ...] | None = None,
    ) -> Task:
        common = common or self.common[kind]
        task = Task(
            kind=kind,
            shot=shot,
            part=part,
            digest=key_of(kind.value, (*common, recipe), [task.digest for task in after]),
            common=common,
            own=recipe,
            after=after,
            cost=cost,
        )
        self.tasks.append(task)
        return task

    def embed(self, text: str) -> Task:
        """One task a text, however many shots share it."""
        if (made := self.texts.get(text)) is not None:
            return made
        part = hashlib.sha256(text.encode()).hexdigest()[:16]
        self.texts[text] = self.add(Kind.EMBED, None, part, canonical({"text": text}), (), EMBED_S)
        return self.texts[text]

    def shot(self, shot: Shot, span: Span, keys: tuple[int, ...]) -> tuple[PlannedShot, Task]:
        """Plan a shot's tasks; returns it with the task that finishes it."""
        settings = self.settings
        family, rate = settings.family, settings.output.rate
        latents = latents_for(
            source_frame(shot.frames - 1, family.rate, rate) + 1,
            family.temporal_stride,
        )
        way = choose_continuity(shot.continuity or settings.continuity, latents, settings)
        # Segments on their own overlap by one column all the same: a window's column 0 decodes
        # right only at the start of a shot, so mid-shot it is discarded.
        overlap, opening = (1, 0) if way == "cut" else (family.overlap, family.opening)
        windows = split_windows(latents, family.window, overlap, opening)
        panes: tuple[Window, ...] = ()
        if way == "weave":  # all at once, in one segment
            panes = split_windows(latents, family.window, overlap)
            windows = split_windows(latents, latents, overlap, opening)
        tasks = self.segments(shot, windows, way)
        pieces: list[Piece] | None = None
        patched: tuple[Bridged, ...] = ()
        if shot.patches:
            tasks, pieces, patched = self.patches(shot, tasks, windows)
        finish = self.finish(shot.name, "", shot.frames, tasks, latents, keys, shot.prompt, pieces)
        planned = PlannedShot(
            shot=shot,
            span=span,
            continuity=way,
            latents=latents,
            windows=windows,
            frames=_owned_frames(windows, shot.frames, family, rate),
            panes=panes,
            pane_frames=_owned_frames(panes, shot.frames, family, rate),
            patched=patched,
            patched_frames=_owned_frames(tuple(each.window for each in patched), shot.frames, family, rate),
        )
        return planned, finish

    def patches(
        self, shot: Shot, tasks: tuple[Task, ...], windows: tuple[Window, ...]
    ) -> tuple[tuple[Task, ...], list[Piece], tuple[Bridged, ...]]:
        """Make a shot's patches, one after another, each between what is there by then.

        Returns the tasks that the whole shot is put together from, which pieces of what they make, and the
        windows that are made for it. Nothing is made of a patch that later ones have put others in place of.
        """
        settings, family = self.settings, self.settings.family
        if not family.levels_per_frame:
            raise BadInput(
                f"a span of shot {shot.id} cannot be made again with {family.name}, which takes no noise "
                "level per latent frame: make or circle a take of the whole shot"
            )
        columns = owned_columns(tasks, [window.owned for window in windows])
        patched: list[Bridged] = []
        first = len(self.tasks)
        for number, patch in enumerate(shot.patches):
            span = patch_span(patch, len(columns), family, settings.output.rate)
            texts = self.embed(patch.prompt), self.embed(settings.sampling.negative_prompt)
            own = {"shot": shot.id, "scene": shot.scene, "seed": patch.seed}
            for window in bridge_windows(span, len(columns), family.window, family.overlap):
                owned = window.owned
                given = [*columns[window.span.start : owned.start], *columns[owned.stop : window.span.stop]]
                needs, pieces = gather(given)
                made = self.denoise(
                    shot.name,
                    f"{PATCH}{number}-{owned.start}",
                    canonical({**own, "context": pieces}),
                    window,
                    "bridge",
                    texts,
                    needs,
                    steps=settings.sampling.steps,
                    guide_above=settings.sampling.guide_above,
                )
                columns[owned.start : owned.stop] = [(made, place) for place in range(len(owned))]
                patched.append(Bridged(task=made.id, patch=number, window=window))
        needs, pieces = gather(columns)
        wanted = {task.id for task in needs}
        for made in reversed(self.tasks[first:]):
            if made.id in wanted:
                wanted.update(made.needs)
        self.tasks[first:] = [
            made for made in self.tasks[first:] if made.kind is not Kind.DENOISE or made.id in wanted
        ]
        return needs, pieces, tuple(each for each in patched if each.task in wanted)

    def _texts(self, shot: Shot) -> tuple[Task, Task]:
        return self.embed(shot.prompt), self.embed(self.settings.sampling.negative_prompt)

    def _own(self, shot: Shot) -> str:
        """What all segments of a shot have in common."""
        seed = self.settings.seed if shot.seed is None else shot.seed
        return canonical({"shot": shot.id, "scene": shot.scene, "seed": take_seed(seed, shot.take)})

    def segments(self, shot: Shot, windows: tuple[Window, ...], way: Way) -> tuple[Task, ...]:
        """A shot's segments: those of its preview first, where the film is made from one."""
        sampling, texts, own = self.settings.sampling, self._texts(shot), self._own(shot)
        draft = sampling.draft
        drafts: list[Task] = []
        made: list[Task] = []
        for index, window in enumerate(windows if draft else ()):
            before = (drafts[-1],) if way != "cut" and index else ()
            assert draft is not None
            drafts.append(
                self.denoise(
                    shot.name,
                    f"{DRAFT}{index}",
                    own,
                    window,
                    way,
                    texts,
                    before,
                    steps=draft.steps,
                    guide_above=draft.guide_above,
                )
            )
        for index, window in enumerate(windows):
            before = (made[-1],) if way != "cut" and index else ()
            made.append(
                self.denoise(
                    shot.name,
                    str(index),
                    own,
                    window,
                    way,
                    texts,
                    before,
                    steps=sampling.steps,
                    guide_above=sampling.guide_above,
                    draft=drafts[index] if draft else None,
                )
            )
        return tuple(made)

    def _window(
        self, window: Window, way: Way, steps: int, level: int | None, guide_above: int
    ) -> tuple[tuple[str, ...], float]:
        """What segments at this place have in common in all shots, and what one costs."""
        if (made := self.windows.get((window, way, steps, level, guide_above))) is not None:
            return made
        sampling, cost, family = self.settings.sampling, self.settings.cost, self.settings.family
        recipe: dict[str, Any] = {
            "span": (window.span.start, window.span.stop),
            "given": window.given,
            "way": way,
            "context_level": None if way == "cut" else sampling.context_level,
            "steps": steps,
            "draft_level": level,
            "guide_above": guide_above,
        }
        asked = calls(way, window, 1, sampling, steps, evaluations(steps, level, guide_above, sampling))
        shown = len(window.span)
        if way == "stagger":
            recipe["lag"] = min(sampling.lag, steps)
        if way == "bridge":
            recipe["after"] = window.after
        if way == "weave":
            panes = split_windows(window.span.stop, family.window, family.overlap)
            recipe["settled"] = SETTLED
            recipe["panes"] = [(pane.span.start, pane.span.stop) for pane in panes]
            shown = sum(len(pane.span) for pane in panes)
        made = (
            (*self.common[Kind.DENOISE], canonical(recipe)),
            asked * shown * cost.evaluation_s_per_latent,
        )
        self.windows[window, way, steps, level, guide_above] = made
        return made

    def denoise(
        self,
        shot: str,
        part: str,
        own: str,
        window: Window,
        way: Way,
        texts: tuple[Task, Task],
        context: tuple[Task, ...],
        *,
        steps: int,
        guide_above: int,
        draft: Task | None = None,
    ) -> Task:
        """One segment: it is given latents of the `context`, or none; begun from a `draft`, or as noise."""
        chosen = self.settings.sampling.draft
        level = chosen.level if chosen and draft else None
        way = segment_way(way, window, self.settings.family, follows=bool(context))
        common, cost = self._window(window, way, steps, level, guide_above)
        after = (*texts, *context, *((draft,) if draft else ()))
        return self.add(Kind.DENOISE, shot, part, own, after, cost, common)

    def finish(
        self,
        shot: str,
        part: str,
        frames: int,
        segments: tuple[Task, ...],
        latents: int,
        keys: tuple[int, ...] = (),
        prompt: str = "",
        pieces: list[Piece] | None = None,
    ) -> Task:
        """Decode and encode a shot: all that its segments made, or the `pieces` of it."""
        recipe: dict[str, Any] = {"frames": frames, "keys": keys, "prompt": prompt}
        if pieces is not None:
            recipe["pieces"] = pieces
        cost = latents * self.settings.cost.decode_s_per_latent
        return self.add(Kind.FINISH, shot, part, canonical(recipe), segments, cost)

    def control(self, item: PlannedShot) -> PlannedShot:
        """Make the segment behind a shot's first long one once more on its own, to hold its join against."""
        shot, join = item.shot, item.control_join
        made = {task.id: task for task in self.tasks if task.shot == shot.name}
        before = [made[segment.task] for segment in item.segments[:join]]
        window = item.windows[join]
        alone = self.denoise(
            shot.name,
            "control",
            self._own(shot),
            window,
            "cut",
            self._texts(shot),
            (),
            steps=self.settings.sampling.steps,
            guide_above=self.settings.sampling.guide_above,
        )
        tasks = (*before, alone)
        finish = self.finish(shot.name, "control", item.frames[join].stop, tasks, window.span.stop)
        return replace(item, control=finish.id)


@lru_cache(maxsize=4096)
def _owned_frames(
    windows: tuple[Window, ...], frames: int, family: FamilySpec, rate: Fraction
) -> tuple[Span, ...]:
    """The frames of the film, counted within the shot, that each window's own latent frames show."""

    def showing(latent: int) -> int:
        return min(frames, first_showing(frames_of(latent, family.temporal_stride), family.rate, rate))

    return tuple(Span(showing(window.owned.start), showing(window.owned.stop)) for window in windows)
