"""What rendering a plan is likely to take."""

from __future__ import annotations

from dataclasses import dataclass

from farm.plan.build import DRAFT
from farm.plan.plan import Plan
from farm.plan.rules import evaluations


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
