"""The morning report: what became of a night's films, as plain data and as a page. Pure."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from importlib.resources import files
from typing import Any

from farm.job.events import Failed, Lost, Overdue
from farm.night import FilmEnd
from farm.ports import Commit
from farm.progress import time_text
from farm.report import outcome_json
from farm.run import Outcome
from farm.seams import joins
from farm.timeline import Timeline, Trouble, Work, draw

STATES = {  # and how a person says it
    "done": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "stopped": "stopped",
    "waiting": "not begun",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """A night that is over: its films in their order, and how many workers it had of which device.

    `until` is when it was to end at the latest, if it was. `linked` says that the page lies where the films'
    folders can be opened from: in a bucket it does not, since addresses that open it are secrets.
    """

    name: str
    began: float
    ended: float
    until: float | None
    workers: int
    device: str
    films: tuple[FilmEnd, ...]
    linked: bool


def night_report(night: Night) -> dict[str, Any]:
    """The night's `report.json`.

    Worker-hours are those of the tasks made in the night; what failed attempts took is not known.
    """
    films = [_film(film, work, night.linked) for film, work in zip(night.films, _made(night), strict=True)]
    summed = ("segments", "rendered", "reused", "retried", "failed", "worker_hours")
    total = {key: sum(film[key] for film in films) for key in summed}
    hours = max(0.0, night.ended - night.began) * night.workers / 3600
    return {
        "night": night.name,
        "began": night.began,
        "ended": night.ended,
        "until": night.until,
        "wall_s": _seconds(night.began, night.ended),
        "workers": night.workers,
        "device": night.device,
        "films": films,
        "totals": {
            **total,
            "worker_hours": round(total["worker_hours"], 4),
            "busy": round(min(1.0, total["worker_hours"] / hours), 3) if hours else None,
            "films": len(films),
            "done": sum(film["state"] == "done" for film in films),
        },
    }


def _seconds(began: float, ended: float) -> float:
    return round(max(0.0, ended - began), 2)


def _made(night: Night) -> Iterator[list[tuple[str, Commit]]]:
    """For each film, the tasks that were made for it in the night.

    A task may be that of several films, and then it is made once: it counts for the first of them. One
    that an earlier night has made can also come late, out of a worker's spool.
    """
    counted: set[tuple[str, int]] = set()
    for film in night.films:
        found = []
        for task in sorted(film.outcome.made):
            commit = film.outcome.commits[task]
            name = commit.key, commit.generation
            if commit.started + commit.seconds > night.began and name not in counted:
                counted.add(name)
                found.append((task, commit))
        yield found


def _film(film: FilmEnd, work: list[tuple[str, Commit]], linked: bool) -> dict[str, Any]:
    outcome = film.outcome
    segments = {segment.task for item in outcome.plan.shots for segment in item.segments}
    told = outcome_json(outcome)
    return {
        **told,
        "uri": told["uri"] if film.state == "done" else None,
        "href": f"../../{outcome.plan.film}" if linked else None,
        "state": film.state,
        "reason": film.reason,
        "began": film.began,
        "ended": film.ended,
        "wall_s": _seconds(film.began, film.ended),
        "segments": len(segments),
        "failed": sum(task in segments for task, _ in outcome.failures),
        "failures": _reasons(outcome.failures),
        "troubles": _reasons((_where(event), _why(event)) for event in outcome.troubles),
        **_seams(outcome),
        "worker_hours": round(sum(commit.seconds for _, commit in work) / 3600, 4),
    }


def _reasons(found: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Why things went wrong, the most frequent first, with how often and where first."""
    first: dict[str, str] = {}
    times: Counter[str] = Counter()
    for where, reason in found:
        first.setdefault(reason, where)
        times[reason] += 1
    return [{"why": reason, "times": count, "first": first[reason]} for reason, count in times.most_common()]


def _seams(outcome: Outcome) -> dict[str, Any]:
    """How many seams there are in the finished shots, and the one that shows the most."""
    plan, count, worst = outcome.plan, 0, None
    for item in plan.shots:
        if (finish := outcome.commits.get(item.finish)) is None:
            continue
        for join in joins(item, finish.facts["differences"]):
            count += 1
            ratio = join["ratio"]
            if ratio is not None and (worst is None or ratio > worst["ratio"]):
                frame = item.span.start + join["frame"]
                worst = {
                    "shot": item.shot.name,
                    "prompt": item.shot.prompt,
                    "frame": frame,
                    "at_s": round(float(frame / plan.settings.output.rate), 3),
                    "ratio": ratio,
                    "difference": join["difference"],
                }
    return {"seams": count, "worst_seam": worst}


def _where(event: Failed | Lost | Overdue) -> str:
    """Where a trouble was: at a task, or with a worker."""
    return event.worker if isinstance(event, Lost) else event.task


def _why(event: Failed | Lost | Overdue) -> str:
    """What a trouble was."""
    match event:
        case Failed():
            return event.message
        case Lost():
            return f"a worker was lost: {event.reason}"
        case Overdue():
            return f"it took longer than {event.minutes:g} minutes"


def night_timeline(night: Night) -> Timeline:
    """Who worked on what in the night, and what went wrong."""
    work = [
        Work(
            worker=commit.worker,
            film=number,
            task=task,
            kind=commit.kind,
            began=commit.started,
            seconds=commit.seconds,
        )
        for number, made in enumerate(_made(night))
        for task, commit in made
    ]
    troubles = [
        Trouble(
            worker=event.worker,
            at=event.at,
            text=f"{film.outcome.plan.film}: {_where(event)}: {_why(event)}",
            lost=isinstance(event, Lost),
        )
        for film in night.films
        for event in film.outcome.troubles
    ]
    return Timeline(
        began=night.began,
        ended=night.ended,
        until=night.until,
        films=tuple(film.outcome.plan.film for film in night.films),
        work=tuple(work),
        troubles=tuple(troubles),
    )


def night_html(
    report: Mapping[str, Any], timeline: Timeline, posters: Mapping[str, bytes | None], zone: tzinfo
) -> str:
    """The night's page: one file that needs no other, with all times in a time zone.

    `report` is what `night_report` says; `posters` are JPEG strips by the names of films.
    """
    # It is not worth its time to a command that makes no page.
    from jinja2 import Environment, StrictUndefined

    house = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    house.filters["span"] = time_text
    house.filters["clock"] = lambda at, form="%H:%M": datetime.fromtimestamp(at, zone).strftime(form)
    page = house.from_string(files("farm").joinpath("morning.html.j2").read_text(encoding="utf-8"))
    return page.render(
        report=report,
        states=STATES,
        picture=draw(timeline, zone),
        posters={film: b64encode(data).decode() for film, data in posters.items() if data},
        colours=[_colour(number) for number in range(len(timeline.films))],
    )


def _colour(number: int) -> str:
    """A colour for each film: turning by the golden angle, none comes near those before it for long."""
    return f"hsl({(205 + number * 137.508) % 360:.0f} {(62, 45)[number % 2]}% {(50, 58, 42)[number % 3]}%)"
