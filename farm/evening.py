"""A night as the command line makes it.

All films are read and planned in the evening, while somebody is there to mend what is wrong with them; in
the morning there is a report.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from farm import config, parts, values
from farm.clock import SystemClock
from farm.daybreak import write_report
from farm.errors import BadInput, FarmError, Interrupted
from farm.films import claim
from farm.ledger import load_takes
from farm.limits import KEPT
from farm.night import FilmEnd, Night
from farm.order import Order, plan_order, read_order
from farm.plan.naming import check_film_name
from farm.plan.plan import Plan
from farm.ports import BlobStore
from farm.programme import MAX_BYTES, Entry, Programme, read_programme, sweep
from farm.progress import Lines, time_text
from farm.render import HOOK_S, agree, conclude, done_tasks, film_records, heed_signals, limits_of
from farm.report import outcome_json
from farm.run import ASKED, Driver, Outcome
from farm.schema import FarmConf
from farm.script.choice import Choice
from farm.script.model import MAX_BYTES as MAX_SCRIPT
from farm.script.read import check_kind
from farm.script.takes import FilmTakes
from farm.webhook import Webhook, film_event, night_event

Result = tuple[dict[str, Any], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planned:
    """One film of the night, ready to be rendered."""

    order: Order
    takes: FilmTakes
    plan: Plan
    priority: int
    identity: str


def night(args: argparse.Namespace) -> Result:
    """Render the films of a programme."""
    path = Path(args.programme)
    programme = read_programme(path, parts.read_file(str(path), MAX_BYTES))
    args.yes = True  # whoever writes a night down means it
    return _render(programme, args)


def many(args: argparse.Namespace) -> Result:
    """Render a script once for each choice of its settings: `farm render -m`."""
    if args.shots or args.scene or args.takes != 1:
        raise BadInput("-m renders whole films: leave --shots, --scene and --takes out")
    programme = sweep(Path(args.script), args.overrides)
    args.overrides = []
    return _render(programme, args)


def _render(programme: Programme, args: argparse.Namespace) -> Result:
    settings = [*programme.settings, *args.overrides]
    conf = config.load(settings)
    values.check(conf)
    if conf.film is not None:
        raise BadInput(f"film={conf.film}: the films of a night are named for their scripts: leave it out")
    store = parts.open_store(conf)
    films = [_plan(entry, settings, args.overrides, store) for entry in programme.entries]
    _check_names(films)
    store = parts.build_store(conf, writable=True)
    seconds = sum(_work_left(store, film.plan) for film in films) / parts.count_workers(conf)
    agree(args, conf, seconds)
    for film in films:
        claim(store, film.plan.film, film.identity)
    print(
        f"{programme.name}: {len(films)} films, about {time_text(seconds)} of work",
        file=sys.stderr,
        flush=True,
    )
    result, interrupted = _go(programme, conf, store, films)
    if interrupted:
        raise Interrupted(f"stopped; {KEPT}; what there is: {result['report']}")
    return result, "\n".join(_line(film) for film in result["films"]) + f"\n{result['report']}"


def _work_left(store: BlobStore, plan: Plan) -> float:
    """Seconds of one worker."""
    done = done_tasks(store, plan)
    return sum(task.cost for task in plan.tasks if task.id not in done)


def _plan(entry: Entry, settings: Sequence[str], said: Sequence[str], store: BlobStore) -> _Planned:
    """Read and plan a film. What is said on the command line counts more than what its programme says."""
    own = [*settings, *entry.settings, *said]
    conf = config.load(own)
    values.check(conf)
    check_kind(entry.script.name, conf.script.format)
    order = Order(
        file=entry.script.name,
        data=parts.read_file(str(entry.script), MAX_SCRIPT),
        overrides=tuple(own),
        choice=Choice(),
    )
    script = read_order(order, conf)
    if entry.variant:
        base = script.film[: 62 - len(entry.variant)].rstrip("-")
        name = check_film_name(f"{base}-{entry.variant}")
        order = replace(order, overrides=(*own, f"film={name}"))
        script = replace(script, film=name)
    takes = load_takes(store, script.film)
    return _Planned(
        order=order,
        takes=takes,
        plan=plan_order(script, conf, takes, certain=True),
        priority=entry.priority,
        identity=parts.script_identity(conf, str(entry.script)),
    )


def _check_names(films: Sequence[_Planned]) -> None:
    seen: dict[str, _Planned] = {}
    for film in films:
        if (other := seen.setdefault(film.plan.film, film)) is not film:
            raise BadInput(
                f"{film.order.file} and {other.order.file} would both be the film {film.plan.film!r}: "
                "give one of them another with settings: {film: NAME}"
            )


def _go(
    programme: Programme, conf: FarmConf, store: BlobStore, films: Sequence[_Planned]
) -> tuple[dict[str, Any], bool]:
    stop, clock = threading.Event(), SystemClock()
    heed_signals(stop)
    told = Lines(sys.stderr)
    hook = Webhook.from_environment(told.say)
    patient = parts.patient(conf, store, told.say, lambda: stopped() is not None)
    until = _until(programme, clock.now())
    if until is not None:
        told.say(f"{programme.name}: until {datetime.fromtimestamp(until).astimezone():%a %H:%M}")

    def stopped() -> str | None:
        if stop.is_set():
            return ASKED
        if until is not None and clock.now() >= until:
            return f"the night was over at {datetime.fromtimestamp(until).astimezone():%H:%M}"
        return None

    def film_over(end: FilmEnd) -> None:
        name = end.outcome.plan.film
        told.say(f"{name}: {end.state}{f': {end.reason}' if end.reason else ''}")
        if hook is not None:
            hook.send(film_event(end.outcome, state=end.state, message=end.reason, at=end.ended))

    def beside(outcome: Outcome) -> None:  # called from another thread
        try:
            conclude(patient, outcome)
        except FarmError as error:  # the film is there all the same
            told.say(f"{outcome.plan.film}: its report could not be written: {error}")

    made = Night(
        [_driver(film, conf, patient, clock) for film in films],
        name=programme.name,
        store=patient,
        clock=clock,
        limits=limits_of(conf),
        stopped=stopped,
        told=film_over,
        conclude=beside,
    )
    began = clock.now()
    weights = {film.plan.settings.weights.identity: film.plan.settings.weights for film in films}
    uri = store.locate(f"nights/{programme.name}/report.html")
    try:
        ends = made.render(lambda: parts.start_workers(conf, list(weights.values()), stop.is_set))
        report = write_report(programme.name, conf, store, ends, (began, clock.now(), until))
        if hook is not None:
            hook.send(night_event(report, uri=uri, at=clock.now()))
    finally:
        if hook is not None:
            hook.close(HOOK_S)
    rows = [{**outcome_json(end.outcome), "state": end.state, "reason": end.reason} for end in ends]
    result = {
        "night": programme.name,
        "ok": all(end.state == "done" for end in ends),
        "report": uri,
        "films": rows,
    }
    return result, stop.is_set()


def _driver(film: _Planned, conf: FarmConf, store: BlobStore, clock: SystemClock) -> Driver:
    return Driver(
        film.plan,
        store=store,
        clock=clock,
        observer=Lines(sys.stderr, film.plan.film),
        stopped=lambda: False,
        records=film_records(store, film.order, film.takes, film.plan),
        limits=replace(limits_of(conf), stall_s=None, run_s=None),  # those are the night's
        priority=film.priority,
    )


def _until(programme: Programme, now: float) -> float | None:
    """The next time the clock of this machine shows the hour the night ends at."""
    if programme.until is None:
        return None
    hour, minute = programme.until
    begun = datetime.fromtimestamp(now)  # the wall's time: there may be a change of the clocks in between
    end = begun.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return (end if end > begun else end + timedelta(days=1)).timestamp()


def _line(film: dict[str, Any]) -> str:
    if film["state"] == "done":
        return f"{film['film']}: {film['uri']} ({film['rendered']} rendered, {film['reused']} reused)"
    return f"{film['film']}: {film['state']}: {film['reason']}"
