"""The plan of a film: every shot's segments, every task with its key, in the order of their needs."""

from __future__ import annotations

import gc
import hashlib
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from io import StringIO
from typing import Any

from farm.errors import BadInput
from farm.plan import reel
from farm.plan.recipe import canonical, join_recipe, key_of
from farm.plan.segments import Window, split_windows
from farm.plan.spec import FamilySpec, Sampling, Settings
from farm.script.model import Continuity, Shot, ShotList, Unfilmed
from farm.timebase import Span, first_showing, frames_of, latents_for, source_frame

EMBED_S = 0.1  # for estimates
DRAFT = "draft-"  # begins the parts of tasks that make a preview's segments


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
        return "chain" if family.levels_per_frame and latents > (family.opening or family.window) else "cut"
    return asked


def evaluations(steps: int, level: int | None, guide_above: int, sampling: Sampling) -> int:
    """How often the network is asked in so many steps, those from a level of 1000 on (None is from noise)."""
    share = steps_below(level, sampling.shift)
    guided = share - min(share, steps_below(guide_above, sampling.shift))
    return round(steps * share) + (round(steps * guided) if sampling.guidance > 1 else 0)


def steps_below(level: int | None, shift: float) -> float:
    """The share of a schedule's steps that lies below a noise level of 1000 (all of them for None).

    The levels of flow matching are shifted: σ = s·u / (1 + (s − 1)·u) for a step's share u (Esser et al.,
    2024, "Scaling rectified flow transformers", section 5.3.2).
    """
    if level is None:
        return 1.0
    sigma = level / 1000
    return sigma / (shift - (shift - 1) * sigma)


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
            "guidance": sampling.guidance,
            "shift": sampling.shift,
            **network,
        },
        Kind.FINISH: {
            "source_rate": family.rate,
            "encoding": encoding,
            "decode_dtype": output.decode_dtype,
            "look": {"at": family.looks_at, "tokens": family.text_tokens} if family.looks_at else None,
            **network,
        },
        Kind.STITCH: {"encoding": encoding},
    }


class _Builder:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tasks: list[Task] = []
        self.texts: dict[str, Task] = {}
        self.common = {kind: (canonical(recipe),) for kind, recipe in _common(settings).items()}
        self.windows: dict[tuple[Window, bool, int, int | None, int], tuple[tuple[str, ...], float]] = {}

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
        overlap, opening = (family.overlap, family.opening) if way == "chain" else (1, 0)
        windows = split_windows(latents, family.window, overlap, opening)
        tasks = self.segments(shot, windows, chained=way == "chain")
        finish = self.finish(shot.name, "", shot.frames, tasks, latents, keys, shot.prompt)
        planned = PlannedShot(
            shot=shot,
            span=span,
            continuity=way,
            latents=latents,
            windows=windows,
            frames=_owned_frames(windows, shot.frames, family, rate),
        )
        return planned, finish

    def _texts(self, shot: Shot) -> tuple[Task, Task]:
        return self.embed(shot.prompt), self.embed(self.settings.sampling.negative_prompt)

    def _own(self, shot: Shot) -> str:
        """What all segments of a shot have in common."""
        seed = self.settings.seed if shot.seed is None else shot.seed
        return canonical({"shot": shot.id, "scene": shot.scene, "seed": take_seed(seed, shot.take)})

    def segments(self, shot: Shot, windows: tuple[Window, ...], *, chained: bool) -> tuple[Task, ...]:
        """A shot's segments: those of its preview first, where the film is made from one."""
        sampling, texts, own = self.settings.sampling, self._texts(shot), self._own(shot)
        draft = sampling.draft
        drafts: list[Task] = []
        made: list[Task] = []
        for index, window in enumerate(windows if draft else ()):
            before = drafts[-1] if chained and index else None
            assert draft is not None
            drafts.append(
                self.denoise(
                    shot.name,
                    f"{DRAFT}{index}",
                    own,
                    window,
                    texts,
                    before,
                    steps=draft.steps,
                    guide_above=draft.guide_above,
                )
            )
        for index, window in enumerate(windows):
            before = made[-1] if chained and index else None
            made.append(
                self.denoise(
                    shot.name,
                    str(index),
                    own,
                    window,
                    texts,
                    before,
                    steps=sampling.steps,
                    guide_above=sampling.guide_above,
                    draft=drafts[index] if draft else None,
                )
            )
        return tuple(made)

    def _window(
        self, window: Window, chained: bool, steps: int, level: int | None, guide_above: int
    ) -> tuple[tuple[str, ...], float]:
        """What segments at this place have in common in all shots, and what one costs."""
        if (made := self.windows.get((window, chained, steps, level, guide_above))) is not None:
            return made
        sampling, cost = self.settings.sampling, self.settings.cost
        recipe = {
            "span": (window.span.start, window.span.stop),
            "given": window.given,
            "way": "chain" if chained else "cut",
            "context_level": sampling.context_level if chained else None,
            "steps": steps,
            "draft_level": level,
            "guide_above": guide_above,
        }
        asked = evaluations(steps, level, guide_above, sampling)
        made = (
            (*self.common[Kind.DENOISE], canonical(recipe)),
            asked * len(window.span) * cost.evaluation_s_per_latent,
        )
        self.windows[window, chained, steps, level, guide_above] = made
        return made

    def denoise(
        self,
        shot: str,
        part: str,
        own: str,
        window: Window,
        texts: tuple[Task, Task],
        before: Task | None,
        *,
        steps: int,
        guide_above: int,
        draft: Task | None = None,
    ) -> Task:
        """One window: chained to the task `before`, or on its own; begun from a `draft`, or as noise."""
        chosen = self.settings.sampling.draft
        level = chosen.level if chosen and draft else None
        common, cost = self._window(window, before is not None, steps, level, guide_above)
        after = tuple(task for task in (*texts, before, draft) if task is not None)
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
    ) -> Task:
        recipe = {"frames": frames, "keys": keys, "prompt": prompt}
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
            self._texts(shot),
            None,
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
    chained = [item for item in planned if item.continuity == "chain" and item.latents > family.window]
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
    sampling = plan.settings.sampling
    todo = [task for task in plan.tasks if task.id not in done]
    segments = [segment for shot in plan.shots for segment in shot.segments if segment.task not in done]
    draft = sampling.draft
    asked = len(segments) * evaluations(
        sampling.steps, draft.level if draft else None, sampling.guide_above, sampling
    )
    if draft:
        drafts = sum(task.part.startswith(DRAFT) for task in todo)
        asked += drafts * evaluations(draft.steps, None, draft.guide_above, sampling)
    finish: dict[str, float] = {}
    for task in todo:
        before = max((finish.get(need, 0.0) for need in task.needs), default=0.0)
        finish[task.id] = before + task.cost
    work = sum(task.cost for task in todo) / max(1, plan.settings.cost.workers)
    return Estimate(
        segments=len(segments),
        evaluations=asked,
        latents=sum(len(segment.window.owned) for segment in segments),
        seconds=round(max(work, max(finish.values(), default=0.0)), 1),
    )
