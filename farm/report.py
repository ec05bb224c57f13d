"""What is told of a plan and of a finished film: plain data out of plans and commits. Pure."""

from __future__ import annotations

from typing import Any

from farm.plan.estimate import Estimate
from farm.plan.plan import Plan
from farm.plan.planned import PlannedShot
from farm.ports import Commit
from farm.run import Outcome
from farm.seams import LEAST_MOTION, figures
from farm.timebase import rate_text


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


def _continuity(item: PlannedShot, outcome: Outcome) -> dict[str, Any]:
    """How a shot joins, drifts and moves; one join beside what it is without continuity, if asked for."""
    settings = outcome.plan.settings
    found = figures(item, settings, outcome.commits[item.finish].facts)
    if item.control is not None and len(found["joins"]) >= item.control_join:
        number = item.control_join - 1
        control = figures(item, settings, outcome.commits[item.control].facts)["joins"][number : number + 1]
        found["joins"][number]["cut"] = control[0]["ratio"] if control else None
        found["joins"][number]["cut_measures"] = control[0]["measures"] if control else {}
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
                **_continuity(item, outcome),
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


def unsteady(outcome: Outcome) -> list[str]:
    """A line for each shot in which a seam shows, or that stands still."""
    lines = []
    for item in outcome.plan.shots:
        found = figures(item, outcome.plan.settings, outcome.commits[item.finish].facts)
        shown = [
            f"a seam shows before frame {join['frame']} ({', '.join(join['shows'])})"
            for join in found["joins"]
            if join["shows"]
        ]
        shown += [f"frames {start} to {stop - 1} stand still" for start, stop in found["frozen"]]
        if found["motion"] is not None and found["motion"] < LEAST_MOTION:
            shown = [*shown, "nothing moves"]
        if shown:
            lines.append(f"shot {item.shot.name}: {'; '.join(shown)}")
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
