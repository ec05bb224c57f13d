"""`farm status` and `farm list`: how far films are, once or until they are done."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from farm import config, parts, values
from farm.clock import SystemClock
from farm.errors import BadInput, FarmError, StoreAway
from farm.follow import Follower, unfinished
from farm.heartbeat import alive
from farm.ledger import load_takes
from farm.order import load_order, plan_order, read_order
from farm.plan.naming import check_film_name
from farm.ports import BlobStore
from farm.schema import FarmConf
from farm.status import every_status, film_status, list_text, status_text

Result = tuple[dict[str, Any], str]


def status(args: argparse.Namespace) -> Result:
    """How far a film is, or all of them."""
    conf, store = _open(args)
    if args.film is None:
        if args.watch:
            raise BadInput("--watch follows one film: name it (`farm list` shows all)")
        films = every_status(store, SystemClock())
        return {"films": films}, "\n".join(map(status_text, films)) or "no films yet"
    check_film_name(args.film)
    if args.watch and args.json:
        raise BadInput("--watch shows a film on a terminal; --json prints what there is once")
    follower = _follower(conf, store, args.film)
    found = _look(store, args.film, follower)
    if args.watch:
        found = _watch(store, args.film, follower, found)
    return {"films": [found]}, status_text(found)


def films(args: argparse.Namespace) -> Result:
    """All films in a line each."""
    _, store = _open(args)
    found = every_status(store, SystemClock())
    return {"films": found}, list_text(found)


def _open(args: argparse.Namespace) -> tuple[FarmConf, BlobStore]:
    film = getattr(args, "film", None)
    if film is not None and "=" in film:  # a setting where a film could be
        args.overrides.insert(0, film)
        args.film = None
    conf = config.load(args.overrides)
    values.check(conf)
    return conf, parts.find_store(conf)


def _follower(conf: FarmConf, store: BlobStore, film: str) -> Follower | None:
    """Who reads the film's journal; nobody where it cannot be planned here, and its status is less then."""
    try:
        order = load_order(store, film)
        planned = config.load([*order.overrides, f"film={film}"])
        planned.store = conf.store
        script = read_order(order, planned)
        return Follower(store, plan_order(script, planned, load_takes(store, film), certain=False))
    except StoreAway:
        raise
    except FarmError:
        return None


def _look(store: BlobStore, film: str, follower: Follower | None) -> dict[str, Any]:
    clock = SystemClock()
    running = film in alive(store, [film], clock)
    state = None if follower is None else follower.catch_up()
    found = film_status(store, film, running=running, state=state)
    if follower is None or state is None:
        return found
    now = clock.now()
    running = found["state"] == "rendering"
    if running and not state.running:
        found["state"] = "paused" if state.resting else "waiting"
    return {
        **found,
        "priority": state.priority,
        "left_s": follower.left(now) if running else None,
        "tasks": [asdict(line) for line in unfinished(state, now, follower.began)] if running else [],
    }


def _watch(store: BlobStore, film: str, follower: Follower | None, found: dict[str, Any]) -> dict[str, Any]:
    """Show a film until nobody renders it any more; each look takes about a second, for a heartbeat."""
    console = Console(file=sys.stderr)
    with Live(Text(status_text(found)), console=console, auto_refresh=False, transient=True) as live:
        while found["state"] in ("rendering", "paused", "waiting"):
            live.update(Text(status_text(found)), refresh=True)
            found = _look(store, film, follower)
    return found
