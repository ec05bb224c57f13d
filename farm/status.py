"""How far a film is, read from its journal and plan: nothing here is stored."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from farm.errors import BadInput, NotFound, StoreAway, StoreError
from farm.heartbeat import alive
from farm.job.events import Failed, Finished, Found
from farm.job.state import Phase, State
from farm.ledger import Journal, load_takes
from farm.ports import BlobStore, Clock
from farm.progress import time_text
from farm.run import last_run
from farm.script.takes import Takes

MAX_TASKS = 20  # shown of a film, those that run first


def list_films(store: BlobStore) -> list[str]:
    """The names of the films in a store."""
    infos = store.list("films/")
    return sorted({info.key.split("/")[1] for info in infos if info.key.endswith("/plan.json")})


def no_film(store: BlobStore, film: str) -> BadInput:
    """What is said where a film is not in a store."""
    there = ", ".join(list_films(store)) or "none"
    return BadInput(f"there is no film {film!r} in this store; there is: {there}")


def film_status(store: BlobStore, film: str, *, running: bool, state: State | None = None) -> dict[str, Any]:
    """How far a film is: its shots with the segments that are done, and what failed.

    `running` says whether a driver renders it (see `farm.heartbeat.alive`). Without the `state` of who
    follows it, the whole journal is read.

    Raises:
        BadInput: when there is no such film.
        StoreError: when its plan is damaged.
    """
    try:
        plan = json.loads(store.get(f"films/{film}/plan.json"))
        segments = {shot["id"]: [segment["id"] for segment in shot["segments"]] for shot in plan["shots"]}
    except NotFound as error:
        raise no_film(store, film) from error
    except (ValueError, LookupError, TypeError) as error:
        where = store.locate(f"films/{film}/plan.json")
        raise StoreError(f"{where} is damaged: render the film again, and it is written anew") from error
    if state is None:
        events = last_run(Journal(store, film).read())
        done = {event.task for event in events if isinstance(event, Finished | Found)}
        failed = {
            event.task: event.message
            for event in events
            if isinstance(event, Failed) and event.task not in done
        }
    else:
        done = {task for task, current in state.states.items() if current.phase is Phase.DONE}
        failed = dict(state.failures())
    shots = []
    takes = load_takes(store, film)
    for shot, parts in segments.items():
        shots.append(
            {
                "id": shot,
                "segments": len(parts),
                "done": sum(f"denoise/{part}" in done for part in parts),
                "finished": f"finish/{shot}" in done,
                **_takes(takes.get(shot)),
            }
        )
    complete = "stitch" in done
    return {
        "film": film,
        "state": "done" if complete else "rendering" if running else "stopped",
        "segments": sum(shot["segments"] for shot in shots),
        "done": sum(shot["done"] for shot in shots),
        "shots": shots,
        "failed": failed,
        "uri": store.locate(f"films/{film}/film.mp4") if complete else None,
    }


def _takes(found: Takes | None) -> dict[str, Any]:
    """Which take of a shot is circled, and what there is to choose from; nothing without a retake."""
    if found is None:
        return {}
    return {"take": found.circled, "takes": [asdict(take) for take in found.made]}


def every_status(store: BlobStore, clock: Clock) -> list[dict[str, Any]]:
    """How far all films are; one that is damaged is said so, and hides none of the others."""
    found = []
    films = list_films(store)
    running = alive(store, films, clock)
    for film in films:
        try:
            found.append(film_status(store, film, running=film in running))
        except StoreAway:
            raise
        except StoreError as error:
            found.append({"film": film, "state": "damaged", "error": str(error)})
    return found


def list_text(films: list[dict[str, Any]]) -> str:
    """Films in a line each."""
    lines = []
    for film in films:
        if film["state"] == "damaged":
            lines.append(f"{film['film']:<32} damaged    {film['error']}")
            continue
        failed = f", {len(film['failed'])} tasks failed" if film["failed"] else ""
        done = f"{film['done']} of {film['segments']} segments, {len(film['shots'])} shots{failed}"
        lines.append(f"{film['film']:<32} {film['state']:<10} {done:<40} {film['uri'] or ''}".rstrip())
    return "\n".join(lines) or "no films yet"


def status_text(status: dict[str, Any]) -> str:
    """A film's status in lines."""
    if status["state"] == "damaged":
        return f"{status['film']}: damaged: {status['error']}"
    lines = [
        f"{status['film']}: {status['state']}, {status['done']} of {status['segments']} segments"
        + (f", {status['uri']}" if status["uri"] else "")
    ]
    if status.get("left_s") is not None:
        lines[0] += f", about {time_text(status['left_s'])} left"
    if status["state"] != "done":
        for shot in status["shots"]:
            state = "finished" if shot["finished"] else f"{shot['done']} of {shot['segments']} segments"
            lines.append(f"  shot {shot['id']:<7} {state}")
    for shot in status["shots"]:
        if "take" in shot:
            lines.append(f"  shot {shot['id']:<7} take {shot['take']} of {len(shot['takes'])}")
    shown = status.get("tasks", [])
    for task in shown[:MAX_TASKS]:
        tries = f", tried {task['tries']} times" if task["tries"] else ""
        lines.append(
            f"  {task['task']:<18} {task['state']:<8} {task['why']}, for {time_text(task['since_s'])}{tries}"
        )
    if len(shown) > MAX_TASKS:
        lines.append(f"  and {len(shown) - MAX_TASKS} more")
    if not shown:
        lines += [f"  {task} failed: {message}" for task, message in status["failed"].items()]
    return "\n".join(lines)
