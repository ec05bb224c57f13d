"""Render a plan as the command line does: with progress, records beside the film, and a report."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from importlib.metadata import version
from typing import Any

from farm import __version__, parts
from farm.clock import SystemClock
from farm.errors import AnotherDriver, BadInput, FarmError, Interrupted
from farm.films import put_json
from farm.job.machine import CANCELLED
from farm.limits import Limits
from farm.order import Order, order_record
from farm.plan.estimate import estimate
from farm.plan.plan import Plan
from farm.ports import BlobStore
from farm.progress import observer_for, time_text
from farm.renderlog import encode_rows, render_rows
from farm.report import film_report, outcome_json, plan_json, unseen, unsteady
from farm.run import Driver, Outcome
from farm.schema import FarmConf
from farm.script.takes import FilmTakes, encode
from farm.snapshot import Kept, read_snapshot
from farm.stock import reusable

HOOK_S = 30.0  # for what is told to be delivered


def done_tasks(store: BlobStore, plan: Plan) -> frozenset[str]:
    """The tasks of a plan that need not be done again."""
    found = reusable(plan, store, read_snapshot(store, plan.film), now=SystemClock().now())
    return frozenset(task for task, item in found.items() if isinstance(item, Kept))


def make(
    conf: FarmConf, store: BlobStore, order: Order, takes: FilmTakes, plan: Plan
) -> tuple[dict[str, Any], Outcome]:
    """Render a plan and write its report; progress and what it came to are told on standard error.

    Returns the object that `--json` prints, and the outcome. Raises what `Driver.render` does.
    """
    # Not at the top: `farm plan` is to be quick.
    from farm.webhook import Webhook, film_event

    stop = threading.Event()
    heed_signals(stop)
    observer = observer_for(sys.stderr)
    hook = Webhook.from_environment(observer.say)
    store, clock = parts.patient(conf, store, observer.say, stop.is_set), SystemClock()
    driver = Driver(
        plan,
        store=store,
        clock=clock,
        observer=observer,
        stopped=stop.is_set,
        records=film_records(store, order, takes, plan),
        limits=limits_of(conf),
    )
    state, message = "failed", ""
    heard = True
    try:
        outcome = driver.render(lambda: parts.start_workers(conf, [plan.settings.weights], stop.is_set))
        conclude(store, outcome)
        state = "done"
    except AnotherDriver:  # the film is that one's, and so is what is told of it
        heard = False
        raise
    except FarmError as error:
        message = str(error)
        if isinstance(error, Interrupted):
            state = "cancelled" if driver.state.stopping == CANCELLED else "stopped"
        raise
    finally:
        observer.close()
        if hook is not None:
            if heard:
                hook.send(film_event(driver.outcome(), state=state, message=message, at=clock.now()))
            hook.close(HOOK_S)
    result = outcome_json(outcome)
    for line in (*unseen(outcome), *unsteady(outcome)):
        print(line, file=sys.stderr)
    print(
        f"{result['rendered']} segments rendered, {result['reused']} reused, "
        f"{result['retried']} retried, in {time_text(result['wall_s'])}",
        file=sys.stderr,
    )
    return result, outcome


def film_records(store: BlobStore, order: Order, takes: FilmTakes, plan: Plan) -> dict[str, dict[str, Any]]:
    """What is written beside a film when its rendering begins, by name."""
    return {
        "order": order_record(order, store),
        "plan": plan_json(plan, frozenset(), estimate(plan)),
        "lock": {"weights": plan.settings.weights.identity, "versions": versions()},
        **({"takes": encode(takes)} if takes else {}),
    }


def conclude(store: BlobStore, outcome: Outcome) -> None:
    """Write a finished film's report and its render log."""
    folder = f"films/{outcome.plan.film}"
    put_json(store, f"{folder}/report.json", film_report(outcome, versions()))
    store.put(f"{folder}/render.parquet", encode_rows(render_rows(outcome)))


def limits_of(conf: FarmConf) -> Limits:
    """The configured limits, in seconds."""

    def seconds(value: float | None, unit: float) -> float | None:
        return None if value is None else value * unit

    limits = conf.limits
    return Limits(
        task_s=seconds(limits.task_minutes, 60),
        stall_s=seconds(limits.stall_minutes, 60),
        run_s=seconds(limits.hours, 3600),
    )


def heed_signals(stop: threading.Event) -> None:
    """SIGINT and SIGTERM ask to stop in order; a second one does not wait for that."""

    def ask(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, signal.default_int_handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)


def confirm(args: argparse.Namespace, conf: FarmConf, store: BlobStore, plan: Plan) -> None:
    """Ask before a render that may take longer than the configured minutes. Raises BadInput for a no."""
    if conf.ask_above_minutes is not None and not args.yes:
        agree(args, conf, estimate(plan, done_tasks(store, plan)).seconds)


def agree(args: argparse.Namespace, conf: FarmConf, seconds: float) -> None:
    """Ask before what is estimated to take longer than the configured minutes. Raises BadInput for a no."""
    most = conf.ask_above_minutes
    if most is None or args.yes or seconds <= most * 60:
        return
    about = f"this will take about {time_text(seconds)}, more than ask_above_minutes={most:g}"
    if not sys.stdin.isatty():
        raise BadInput(f"{about}: say --yes to render all the same")
    print(f"farm: {about}. Render? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise BadInput("nothing was started")


def versions() -> dict[str, str]:
    """The versions of what changes pixels, read without importing any of it."""
    names = ("torch", "diffusers", "transformers", "av", "numpy")
    return {"longtake": __version__, **{name: version(name) for name in names}}
