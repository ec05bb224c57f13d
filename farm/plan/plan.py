"""The plan of a film: every shot's segments, every task with its key, in the order of their needs."""

from __future__ import annotations

import gc
import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from typing import Any

from farm.errors import BadInput
from farm.plan import reel
from farm.plan.recipe import canonical, join_recipe, key_of
from farm.plan.segments import Window, split_windows
from farm.plan.spec import FamilySpec, Settings
from farm.script.model import Continuity, Shot, ShotList, Unfilmed
from farm.timebase import Span, first_showing, frames_of, latents_for, source_frame


class Kind(StrEnum):
    EMBED = "embed"
    DENOISE = "denoise"
    FINISH = "finish"
    STITCH = "stitch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A unit of work: `needs` are the ids of the tasks whose outputs it consumes, in order.

    Its recipe comes in two parts, since most of it is the same for all of a film's tasks of a kind.
    """

    id: str
    kind: Kind
    key: str
    common: str
    own: str
    needs: tuple[str, ...]
    shot: str | None
    cost: float

    @property
    def recipe(self) -> str:
        """The recipe as one JSON object."""
        return join_recipe(self.common, self.own)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A window of a shot; `frames` are those it owns, counted within the shot at the film's rate."""

    id: str
    task: str
    window: Window
    frames: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedShot:
    """A shot with its place in the film, how it is continued, and its segments.

    `control` is the task that shows its first join as it would be without continuity, where asked for.
    """

    shot: Shot
    span: Span
    continuity: Continuity
    latents: int
    segments: tuple[Segment, ...]
    finish: str
    control: str | None = None


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


def choose_continuity(asked: Continuity, latents: int, settings: Settings) -> Continuity:
    """Resolve `auto`: chain where a shot needs several windows and the family can, else cut.

    Raises:
        BadInput: when the family cannot do what was asked.
    """
    family = settings.family
    if asked == "chain" and not family.levels_per_frame:
        raise BadInput(
            f"continuity=chain needs a noise level per latent frame, which {family.name} does not take: "
            "use continuity=cut"
        )
    if asked == "auto":
        return "chain" if family.levels_per_frame and latents > family.window else "cut"
    return asked


def take_seed(seed: int, take: int) -> int:
    """The seed of a shot's take: the first has the shot's own, every other one a number of its own."""
    if take == 1:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed}/{take}".encode()).digest()[:8]) >> 1


def _common(settings: Settings) -> dict[Kind, dict[str, Any]]:
    """What the recipes of a kind have in common throughout a film."""
    family, sampling, output = settings.family, settings.sampling, settings.output
    network = {
        "dtype": sampling.dtype,
        "threads": sampling.threads,
        "weights": settings.weights.identity,
    }
    # Every encoder of a film is told the same, or packets could not be copied between them.
    encoding = {
        "width": output.width,
        "height": output.height,
        "rate": output.rate,
        "codec": output.codec,
        "crf": output.crf,
        "preset": output.preset,
        "threads": output.threads,
    }
    return {
        Kind.EMBED: {"tokens": family.text_tokens, **network},
        Kind.DENOISE: {
            "scene_seed": settings.seed,
            "scene_noise": sampling.scene_noise,
            "width": sampling.width,
            "height": sampling.height,
            "spatial_stride": family.spatial_stride,
            "rate": family.rate,
            "sampler": "unipc",
            "steps": sampling.steps,
            "guidance": sampling.guidance,
            "shift": sampling.shift,
            **network,
        },
        Kind.FINISH: {"source_rate": family.rate, "encoding": encoding, **network},
        Kind.STITCH: {"encoding": encoding},
    }


class _Builder:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tasks: list[Task] = []
        self.keys: dict[str, str] = {}
        self.common = {kind: canonical(recipe) for kind, recipe in _common(settings).items()}

    def add(
        self,
        task_id: str,
        kind: Kind,
        recipe: dict[str, Any],
        needs: tuple[str, ...],
        shot: str | None,
        cost: float,
    ) -> str:
        common, own = self.common[kind], canonical(recipe)
        key = key_of(kind.value, f"{common}\n{own}", tuple(self.keys[need] for need in needs))
        self.keys[task_id] = key
        self.tasks.append(
            Task(id=task_id, kind=kind, key=key, common=common, own=own, needs=needs, shot=shot, cost=cost)
        )
        return task_id

    def embed(self, text: str) -> str:
        """One task a text, however many shots share it."""
        task_id = f"embed/{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        if task_id not in self.keys:
            self.add(task_id, Kind.EMBED, {"text": text}, (), None, 0.1)
        return task_id

    def shot(self, shot: Shot, span: Span, keys: tuple[int, ...]) -> PlannedShot:
        settings = self.settings
        family, sampling, output = settings.family, settings.sampling, settings.output
        model_frames = source_frame(shot.frames - 1, family.rate, output.rate) + 1
        latents = latents_for(model_frames, family.temporal_stride)
        asked = shot.continuity or settings.continuity
        way = choose_continuity(asked, latents, settings)
        # Segments on their own overlap by one column all the same: a window's column 0 decodes
        # right only at the start of a shot, so mid-shot it is discarded.
        overlap = family.overlap if way == "chain" else 1
        prompt, negative = self.embed(shot.prompt), self.embed(sampling.negative_prompt)
        segments: list[Segment] = []
        for index, window in enumerate(split_windows(latents, family.window, overlap)):
            before = segments[-1].task if way == "chain" and index else None
            task = self.denoise(shot, str(index), window, (prompt, negative), before)
            frames = _owned_frames(window.owned, shot.frames, family, output.rate)
            segments.append(Segment(id=f"{shot.name}/{index}", task=task, window=window, frames=frames))
        tasks = tuple(segment.task for segment in segments)
        finish = self.finish(f"finish/{shot.name}", shot.name, shot.frames, tasks, latents, keys, shot.prompt)
        return PlannedShot(
            shot=shot,
            span=span,
            continuity=way,
            latents=latents,
            segments=tuple(segments),
            finish=finish,
        )

    def denoise(
        self, shot: Shot, name: str, window: Window, texts: tuple[str, str], before: str | None
    ) -> str:
        """One window: chained to the task `before`, or on its own."""
        settings = self.settings
        sampling = settings.sampling
        seed = settings.seed if shot.seed is None else shot.seed
        recipe = {
            "shot": shot.id,
            "scene": shot.scene,
            "seed": take_seed(seed, shot.take),
            "span": (window.span.start, window.span.stop),
            "given": window.given,
            "way": "chain" if before else "cut",
            "context_level": sampling.context_level if before else None,
        }
        evaluations = sampling.steps * (2 if sampling.guidance > 1 else 1)
        cost = evaluations * len(window.span) * settings.cost.evaluation_s_per_latent
        needs = (*texts, before) if before else texts
        return self.add(f"denoise/{shot.name}/{name}", Kind.DENOISE, recipe, needs, shot.name, cost)

    def finish(
        self,
        task_id: str,
        shot: str,
        frames: int,
        segments: tuple[str, ...],
        latents: int,
        keys: tuple[int, ...] = (),
        prompt: str = "",
    ) -> str:
        family = self.settings.family
        look = {"at": family.looks_at, "prompt": prompt, "tokens": family.text_tokens}
        recipe = {"frames": frames, "keys": keys, "look": look if family.looks_at and prompt else None}
        cost = latents * self.settings.cost.decode_s_per_latent
        return self.add(task_id, Kind.FINISH, recipe, segments, shot, cost)

    def control(self, item: PlannedShot) -> PlannedShot:
        """Make a chained shot's second segment once more on its own: what its first join is held against."""
        shot, (first, second, *_) = item.shot, item.segments
        texts = (self.embed(shot.prompt), self.embed(self.settings.sampling.negative_prompt))
        alone = self.denoise(shot, "control", second.window, texts, None)
        task_id, latents = f"control/{shot.name}", second.window.span.stop
        finish = self.finish(task_id, shot.name, second.frames.stop, (first.task, alone), latents)
        return replace(item, control=finish)


@lru_cache(maxsize=4096)
def _owned_frames(owned: Span, frames: int, family: FamilySpec, rate: Fraction) -> Span:
    """The frames of the film, counted within the shot, that a window's own latent frames show."""
    edges = (
        min(frames, first_showing(frames_of(edge, family.temporal_stride), family.rate, rate))
        for edge in (owned.start, owned.stop)
    )
    return Span(*edges)


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
        if size % family.spatial_stride:
            raise BadInput(
                f"model.{name}={size} does not fit {family.name}: give a multiple of {family.spatial_stride}"
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
    builder = _Builder(settings)
    title, end = reel.cards(shots, output.rate, settings.titles)
    placed = list(zip(shots.shots, reel.spans(shots.shots, title["frames"] if title else 0), strict=True))
    frames = placed[-1][1].stop + (end["frames"] if end else 0)
    planned: list[PlannedShot] = []
    rows: list[dict[str, Any]] = []
    for index, (shot, span) in enumerate(placed):
        following = placed[index + 1][0] if index + 1 < len(placed) else None
        planned.append(builder.shot(shot, span, reel.key_frames(shot, following)))
        rows.append(
            {
                "id": shot.name,
                "frames": shot.frames,
                "start": span.start,
                "label": shot.prompt[:120],
                "enter": reel.fade(shot.enter),
                "leave": reel.fade(shot.leave),
                "tail": reel.tail(shot, following),
            }
        )
    chained = [item for item in planned if item.continuity == "chain" and len(item.segments) > 1]
    if settings.control and chained:
        longest = max(chained, key=lambda item: item.latents)
        planned[planned.index(longest)] = builder.control(longest)
    recipe = {
        "frames": frames,
        "shots": rows,
        "cards": {"title": title, "end": end},
        "chapters": reel.chapters(placed, frames),
        "lines": reel.lines(placed),
    }
    finished = tuple(item.finish for item in planned)
    builder.add("stitch", Kind.STITCH, recipe, finished, None, len(planned) * 0.02)
    return Plan(
        film=film,
        settings=settings,
        shots=tuple(planned),
        tasks=tuple(builder.tasks),
        unfilmed=shots.unfilmed,
        frames=frames,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What rendering is likely to take: network evaluations, and seconds by the configured figures."""

    segments: int
    evaluations: int
    latents: int
    seconds: float


def estimate(plan: Plan, done: frozenset[str] = frozenset()) -> Estimate:
    """Estimate the tasks that are not in `done` (task ids).

    The time is the larger of all work shared out among the workers and the longest chain of tasks
    that wait for one another.
    """
    settings = plan.settings
    guided = 2 if settings.sampling.guidance > 1 else 1
    todo = [task for task in plan.tasks if task.id not in done]
    segments = [segment for shot in plan.shots for segment in shot.segments if segment.task not in done]
    finish: dict[str, float] = {}
    for task in todo:
        before = max((finish.get(need, 0.0) for need in task.needs), default=0.0)
        finish[task.id] = before + task.cost
    work = sum(task.cost for task in todo) / max(1, settings.cost.workers)
    return Estimate(
        segments=len(segments),
        evaluations=len(segments) * settings.sampling.steps * guided,
        latents=sum(len(segment.window.owned) for segment in segments),
        seconds=round(max(work, max(finish.values(), default=0.0)), 1),
    )
