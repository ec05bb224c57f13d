"""How far a film is, read from its journal and plan: nothing here is stored."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from farm.errors import BadInput, NotFound, StoreAway, StoreError
from farm.heartbeat import alive
from farm.job.events import Failed, Finished, Found
from farm.ledger import Journal, load_takes
from farm.ports import BlobStore, Clock
from farm.run import last_run
from farm.script.takes import Takes


def list_films(store: BlobStore) -> list[str]:
    """The names of the films in a store."""
    infos = store.list("films/")
    return sorted({info.key.split("/")[1] for info in infos if info.key.endswith("/plan.json")})


def film_status(store: BlobStore, film: str, clock: Clock) -> dict[str, Any]:
    """How far a film is: its shots with the segments that are done, and what failed.

    Raises:
        BadInput: when there is no such film.
        StoreError: when its plan is damaged.
    """
    try:
        plan = json.loads(store.get(f"films/{film}/plan.json"))
        segments = {shot["id"]: [segment["id"] for segment in shot["segments"]] for shot in plan["shots"]}
    except NotFound as error:
        there = ", ".join(list_films(store)) or "none"
        raise BadInput(f"there is no film {film!r} in this store; there is: {there}") from error
    except (ValueError, LookupError, TypeError) as error:
        where = store.locate(f"films/{film}/plan.json")
        raise StoreError(f"{where} is damaged: render the film again, and it is written anew") from error
    events = last_run(Journal(store, film).read())
    done = {event.task for event in events if isinstance(event, Finished | Found)}
    failed = {
        event.task: event.message for event in events if isinstance(event, Failed) and event.task not in done
    }
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
    running = film in alive(store, [film], clock)
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
    for film in list_films(store):
        try:
            found.append(film_status(store, film, clock))
        except StoreAway:
            raise
        except StoreError as error:
            found.append({"film": film, "state": "damaged", "error": str(error)})
    return found


def status_text(status: dict[str, Any]) -> str:
    """A film's status in lines."""
    if status["state"] == "damaged":
        return f"{status['film']}: damaged: {status['error']}"
    lines = [
        f"{status['film']}: {status['state']}, {status['done']} of {status['segments']} segments"
        + (f", {status['uri']}" if status["uri"] else "")
    ]
    if status["state"] != "done":
        for shot in status["shots"]:
            state = "finished" if shot["finished"] else f"{shot['done']} of {shot['segments']} segments"
            lines.append(f"  shot {shot['id']:<7} {state}")
    for shot in status["shots"]:
        if "take" in shot:
            lines.append(f"  shot {shot['id']:<7} take {shot['take']} of {len(shot['takes'])}")
    lines += [f"  {task} failed: {message}" for task, message in status["failed"].items()]
    return "\n".join(lines)
