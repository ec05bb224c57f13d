"""What is told of a plan and of a finished film: plain data out of plans and commits. Pure."""

from __future__ import annotations

from statistics import median
from typing import Any

from farm.plan.estimate import Estimate
from farm.plan.plan import Plan
from farm.plan.planned import PlannedShot
from farm.ports import Commit
from farm.run import Outcome
from farm.timebase import rate_text

NEAR = 8  # frames on each side that a join is compared with


def plan_json(plan: Plan, done: frozenset[str], estimate: Estimate) -> dict[str, Any]:
    """The object `farm plan --json` prints; others rely on its keys."""
    output, keys = plan.settings.output, _keys(plan)
    return {
        "film": plan.film,
        "fps": rate_text(output.rate),
        "width": output.width,
        "height": output.height,
        "frames": plan.frames,
        "shots": [_shot_json(item, keys, done) for item in plan.shots],
        "unfilmed": [
            {"text": passage.text, "why": passage.why, "line": passage.source.first}
            for passage in plan.unfilmed
        ],
        "estimate": {
            "segments": estimate.segments,
            "evaluations": estimate.evaluations,
            "latents": estimate.latents,
            "seconds": estimate.seconds,
            "workers": plan.settings.cost.workers,
        },
        "weights": plan.settings.weights.identity,
    }


def _shot_json(item: PlannedShot, keys: dict[str, str], done: frozenset[str]) -> dict[str, Any]:
    return {
        "id": item.shot.name,
        "prompt": item.shot.prompt,
        "start": item.span.start,
        "stop": item.span.stop,
        "source": {
            "file": item.shot.source.file,
            "lines": [item.shot.source.first, item.shot.source.last],
        },
        "continuity": item.continuity,
        "segments": [
            {
                "id": segment.id,
                "start": segment.frames.start,
                "stop": segment.frames.stop,
                "key": keys[segment.task],
                "state": "done" if segment.task in done else "todo",
            }
            for segment in item.segments
        ],
    }


def joins(item: PlannedShot, differences: list[float]) -> list[dict[str, Any]]:
    """The frame difference at each join of a shot, beside the median of its neighbours.

    `differences[i]` is that of frame i + 1 to frame i; a ratio of 1 is a join nobody can see.
    """
    found = []
    for segment in item.segments[1:]:
        frame = segment.frames.start
        at = frame - 1
        near = [
            differences[index]
            for index in range(max(0, at - NEAR), min(len(differences), at + NEAR + 1))
            if index != at and differences[index] > 0  # frames repeated for the rate say nothing
        ]
        if 0 <= at < len(differences) and near:
            usual = median(near)
            found.append(
                {
                    "frame": frame,
                    "difference": differences[at],
                    "neighbours": round(usual, 4),
                    "ratio": round(differences[at] / usual, 3) if usual else None,
                }
            )
    return found


def _held_joins(item: PlannedShot, outcome: Outcome) -> list[dict[str, Any]]:
    """A shot's joins; one beside what it is without continuity, where there is a control."""
    found = joins(item, outcome.commits[item.finish].facts["differences"])
    if item.control is not None and len(found) >= item.control_join:
        control = joins(item, outcome.commits[item.control].facts["differences"])[item.control_join - 1 :]
        found[item.control_join - 1]["cut"] = control[0]["ratio"] if control else None
    return found


def film_report(outcome: Outcome, versions: dict[str, str]) -> dict[str, Any]:
    """The film's `report.json`: what every shot was made of, when and where, and how it joins."""
    plan = outcome.plan
    settings = plan.settings
    keys = _keys(plan)
    return {
        **outcome_json(outcome),
        "fps": rate_text(settings.output.rate),
        "width": settings.output.width,
        "height": settings.output.height,
        "model": settings.family.name,
        "weights": settings.weights.identity,
        "steps": settings.sampling.steps,
        "guidance": settings.sampling.guidance,
        "versions": versions,
        "shots": [
            {
                "id": item.shot.name,
                "scene": item.shot.scene,
                "prompt": item.shot.prompt,
                "camera": item.shot.camera,
                "seed": settings.seed if item.shot.seed is None else item.shot.seed,
                "source": str(item.shot.source),
                "start": item.span.start,
                "stop": item.span.stop,
                "continuity": item.continuity,
                "segments": [
                    {"id": segment.id, **_work(keys[segment.task], outcome.commits[segment.task])}
                    for segment in item.segments
                ],
                "finish": _work(keys[item.finish], outcome.commits[item.finish]),
                "joins": _held_joins(item, outcome),
                **_seen(outcome.commits[item.finish]),
            }
            for item in plan.shots
        ],
        "unfilmed": [
            {"text": passage.text, "why": passage.why, "source": str(passage.source)}
            for passage in plan.unfilmed
        ],
    }


def _seen(commit: Commit) -> dict[str, Any]:
    """What the model's probe reads in a shot beside what its prompt asks for, where it has one."""
    return {"seen": commit.facts["seen"]} if "seen" in commit.facts else {}


def unseen(outcome: Outcome) -> list[str]:
    """A line for each shot that does not show what its prompt asks for, as the probe reads it."""
    lines = []
    for item in outcome.plan.shots:
        seen = outcome.commits[item.finish].facts.get("seen", {})
        wrong = [
            f"{name} {found['asked']}" for name, found in seen.items() if found["asked"] != found["seen"]
        ]
        if wrong:
            lines.append(f"shot {item.shot.name}: the probe cannot see {', '.join(wrong)}")
    return lines


def _keys(plan: Plan) -> dict[str, str]:
    return {task.id: task.key for task in plan.tasks}


def _work(key: str, commit: Commit) -> dict[str, Any]:
    return {
        "key": key,
        "generation": commit.generation,
        "worker": commit.worker,
        "started": commit.started,
        "seconds": commit.seconds,
    }


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """The object `farm render --json` prints; others rely on its keys."""
    plan = outcome.plan
    return {
        "film": plan.film,
        "uri": outcome.uri,
        "frames": plan.frames,
        "duration_s": round(float(plan.frames / plan.settings.output.rate), 3),
        "rendered": outcome.rendered,
        "reused": outcome.reused,
        "retried": outcome.retried,
        "wall_s": outcome.wall_s,
    }
