"""What another terminal asks of a film while it is rendered: pause, resume, cancel, priority."""

from __future__ import annotations

import argparse
import json
from typing import Any

from farm import config, parts, values
from farm.clock import SystemClock
from farm.errors import BadInput, NotFound, StoreError, suggest
from farm.heartbeat import alive, run_of
from farm.inbox import POLL_S, Message, post
from farm.plan.naming import check_film_name
from farm.ports import BlobStore, Clock
from farm.status import no_film

WAIT_S = 5 * POLL_S
_SAID = {
    "pause": "paused: what runs is finished, nothing new is started",
    "resume": "going on",
    "cancel": "cancelled; everything committed is kept",
    "priority": "priority",
}


def ask(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Ask something of a film's driver, and wait until it has heard."""
    if args.shot is not None and "=" in args.shot:  # a setting where a shot could be
        args.overrides.insert(0, args.shot)
        args.shot = None
    check_film_name(args.film)
    conf = config.load(args.overrides)
    values.check(conf)
    store, clock = parts.find_store(conf), SystemClock()
    shot = None if args.shot is None else _shot(store, args.film, args.shot)
    run = run_of(store, args.film)
    if run is None or args.film not in alive(store, [args.film], clock):
        _shot(store, args.film, None)
        raise BadInput(f"the film {args.film!r} is not being rendered: there is nothing to {args.verb}")
    number = getattr(args, "number", 0)
    message = Message(film=args.film, run=run, verb=args.verb, shot=shot, priority=number)
    key = post(store, clock, message)
    heard = _wait(store, key, clock)
    what = f"{args.film}, shot {shot}" if shot else args.film
    said = _SAID[args.verb] + (f" {number}" if args.verb == "priority" else "")
    text = f"{what}: {said}" if heard else f"{what}: asked; its driver has not answered yet"
    return {"film": args.film, "shot": shot, "asked": args.verb, "heard": heard}, text


def _shot(store: BlobStore, film: str, asked: str | None) -> str | None:
    """The name of a shot as the film's plan has it. Raises BadInput for what is not there."""
    key = f"films/{film}/plan.json"
    try:
        shots = {shot["id"].upper(): shot["id"] for shot in json.loads(store.get(key))["shots"]}
    except NotFound as error:
        raise no_film(store, film) from error
    except (ValueError, LookupError, TypeError) as error:
        raise StoreError(f"{store.locate(key)} is damaged: render the film again") from error
    if asked is None:
        return None
    if asked.upper() not in shots:
        raise BadInput(f"{film} has no shot {asked}: {suggest(asked.upper(), shots)}")
    return str(shots[asked.upper()])


def _wait(store: BlobStore, key: str, clock: Clock) -> bool:
    """Whether a message was taken within a few of the driver's looks into its inbox."""
    until = clock.monotonic() + WAIT_S
    while store.stat(key) is not None:
        if clock.monotonic() > until:
            return False
        clock.sleep(0.2)
    return True
