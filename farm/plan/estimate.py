"""What rendering a plan is likely to take."""

from __future__ import annotations

from dataclasses import dataclass

from farm.plan.build import DRAFT
from farm.plan.plan import Plan
from farm.plan.planned import PlannedShot
from farm.plan.rules import calls, evaluations, segment_way
from farm.plan.spec import Settings
from farm.plan.task import Kind, task_id


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
    todo = [task for task in plan.tasks if task.id not in done]
    segments = [segment for shot in plan.shots for segment in shot.segments if segment.task not in done]
    finish: dict[str, float] = {}
    for task in todo:
        before = max((finish.get(need, 0.0) for need in task.needs), default=0.0)
        finish[task.id] = before + task.cost
    work = sum(task.cost for task in todo) / max(1, plan.settings.cost.workers)
    return Estimate(
        segments=len(segments),
        evaluations=sum(_evaluations(item, plan.settings, done) for item in plan.shots),
        latents=sum(len(segment.window.owned) for segment in segments),
        seconds=round(max(work, max(finish.values(), default=0.0)), 1),
    )


def _evaluations(item: PlannedShot, settings: Settings, done: frozenset[str]) -> int:
    """How often the network is asked for what is left of a shot, and of the preview it is made from."""
    sampling, draft = settings.sampling, settings.sampling.draft
    once = evaluations(sampling.steps, draft.level if draft else None, sampling.guide_above, sampling)
    before = evaluations(draft.steps, None, draft.guide_above, sampling) if draft else 0
    whole = evaluations(sampling.steps, None, sampling.guide_above, sampling)
    asked = 0
    for index, segment in enumerate(item.segments):
        patch = segment.patch is not None  # which is made without a preview
        way = segment_way(
            "bridge" if patch else item.continuity, segment.window, settings.family, follows=index > 0
        )
        shown = (segment.window, len(item.panes), sampling)
        if segment.task not in done:
            asked += calls(way, *shown, sampling.steps, whole if patch else once)
        if draft and not patch and task_id(Kind.DENOISE, item.shot.name, f"{DRAFT}{index}") not in done:
            asked += calls(way, *shown, draft.steps, before)
    return asked
