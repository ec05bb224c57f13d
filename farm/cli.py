"""The command line, and the composition root: it builds the parts and hands them in."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from farm import __version__
from farm.errors import BadInput, FarmError, Interrupted

EPILOG = """\
settings are written group=choice or key=value, such as quality=draft model.steps=12 seed=7;
`farm render --help` names the groups. Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted.
"""


def _groups() -> str:
    """The groups of settings with their choices, read from the files they are in."""
    lines = ["groups and their choices:"]
    groups = (item for item in files("farm.conf").iterdir() if item.is_dir())
    for group in sorted(groups, key=lambda item: item.name):
        choices = sorted(item.name.removesuffix(".yaml") for item in group.iterdir())
        names = [name for name in choices if not name.startswith("_")]
        if names:
            lines.append(f"  {group.name:<11} {', '.join(names)}")
    lines.append("single keys: film=NAME, seed=N, model.steps=N, store.root=FOLDER, output.fps=24000/1001, …")
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    whole = argparse.ArgumentParser(
        prog="farm",
        description="Longtake: a script goes in, a continuous film comes out.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument("--version", action="version", version=f"longtake {__version__}")
    verbs = whole.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, text, takes_script in (
        ("render", "render a script: begin, resume, or make again what changed", True),
        ("retake", "make one shot of a film again, or circle another of its takes", False),
        ("plan", "show what would be rendered, what is reused, and an estimate", True),
        ("status", "show how far a film is", False),
        ("doctor", "check whether this machine can render, and what to do if not", False),
    ):
        sub = verbs.add_parser(
            verb,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=_groups(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if takes_script:
            sub.add_argument("script", metavar="SCRIPT", help="a screenplay, a shot list or prose")
            sub.add_argument("--shots", metavar="IDS", help="only these shots, such as 3,5-7")
            sub.add_argument("--scene", metavar="IDS", help="only these scenes, such as 2")
            sub.add_argument("--takes", metavar="N", type=int, default=1, help="so many takes of each shot")
        elif verb == "status":
            sub.add_argument("film", metavar="FILM", nargs="?", help="a film's name (default: all)")
        elif verb == "retake":
            sub.add_argument("film", metavar="FILM", help="a film's name")
            sub.add_argument("shot", metavar="SHOT", help="the shot's id, such as 12A")
            sub.add_argument("--take", metavar="K", type=int, help="circle take K, which was made before")
            sub.add_argument("--seed", metavar="N", type=_seed, help="the new take's seed")
            sub.add_argument("--prompt", metavar="WORDS", help="the new take's words")
        if verb in ("render", "retake"):
            sub.add_argument("--yes", action="store_true", help="render however long the estimate is")
        sub.add_argument("overrides", metavar="key=value", nargs="*", help="settings")
        sub.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return whole


def _seed(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**63:
        raise ValueError
    return number


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    whole = parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what could come next
        from farm.completion import complete

        complete(whole)
    args, rest = whole.parse_known_args(argv)
    # argparse takes no settings behind a flag; we do, since that is where one adds them.
    if unknown := [word for word in rest if word.startswith("-")]:
        whole.error(f"there is no option {unknown[0]}")
    args.overrides += rest
    # Ray reports usage home unless told otherwise, and so would the hub's client.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        result, text = {
            "render": _render,
            "retake": _retake,
            "plan": _plan,
            "status": _status,
            "doctor": _doctor,
        }[args.verb](args)
        print(json.dumps(result) if args.json else text, flush=True)
    except FarmError as error:
        print(f"farm: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("farm: stopped", file=sys.stderr)
        return Interrupted.exit_code
    except BrokenPipeError:  # the reader has gone; Python must not try to flush to it at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0 if result.get("ok", True) else 1


def _take_order(args: argparse.Namespace) -> tuple[Any, Any, Any]:
    """Read configuration and script: (conf, order, script)."""
    from farm import config, parts
    from farm.order import Order, read_order
    from farm.script.choice import Choice
    from farm.script.model import MAX_BYTES
    from farm.script.read import check_kind

    conf = config.load(args.overrides)
    config.check(conf)
    check_kind(args.script, conf.script.format)
    order = Order(
        file=Path(args.script).name,
        data=parts.read_file(args.script, MAX_BYTES),
        overrides=tuple(args.overrides),
        choice=Choice(shots=args.shots, scenes=args.scene, takes=args.takes),
    )
    return conf, order, read_order(order, conf)


def _done(store: Any, plan: Any) -> frozenset[str]:
    from farm.ledger import Blobs, Commits, reusable
    from farm.ports import Commit

    found = reusable(plan, Blobs(store), Commits(store))
    return frozenset(task for task, commit in found if isinstance(commit, Commit))


def _plan(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from farm import parts
    from farm.ledger import load_takes
    from farm.order import plan_order
    from farm.plan.plan import estimate
    from farm.report import plan_json

    conf, _, script = _take_order(args)
    store = parts.build_store(conf)
    plan = plan_order(script, conf, load_takes(store, script.film), certain=False)
    done = _done(store, plan)
    guess = estimate(plan, done)
    result = plan_json(plan, done, guess)
    return result, _plan_text(result, plan.settings.weights.resolved)


def _plan_text(result: dict[str, Any], resolved: bool) -> str:
    from farm.progress import time_text
    from farm.timebase import parse_rate

    rate = parse_rate(result["fps"])
    lines = [
        f"{result['film']}: {len(result['shots'])} shots, {result['frames']} frames "
        f"({time_text(float(result['frames'] / rate))} at {rate} a second), "
        f"{result['width']}x{result['height']}"
    ]
    for shot in result["shots"]:
        done = sum(segment["state"] == "done" for segment in shot["segments"])
        count = len(shot["segments"])
        state = "done" if done == count else f"{done}/{count} done" if done else f"{count} to do"
        prompt = shot["prompt"] if len(shot["prompt"]) <= 70 else shot["prompt"][:69] + "…"
        lines.append(
            f"  {shot['id']:<7} {time_text(float((shot['stop'] - shot['start']) / rate)):>5}  "
            f"{shot['continuity']:<6} {state:<9} {prompt}"
        )
    lines += [
        f"  not filmed, line {passage['line']}: {passage['text'][:50]} ({passage['why']})"
        for passage in result["unfilmed"]
    ]
    guess = result["estimate"]
    lines.append(
        f"to render: {guess['segments']} segments, about {time_text(guess['seconds'])} "
        f"with {guess['workers']} workers"
    )
    if not resolved:
        lines.append("the weights are not on this machine yet, so the keys are provisional")
    return "\n".join(lines)


def _render(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from farm import parts
    from farm.ledger import load_takes
    from farm.order import plan_order
    from farm.run import claim

    conf, order, script = _take_order(args)
    # Weights are looked for before anything is written.
    plan = plan_order(script, conf, takes := load_takes(parts.build_store(conf), script.film), certain=True)
    store = parts.build_store(conf, writable=True)
    _confirm(args, conf, store, plan)
    claim(store, plan.film, parts.script_identity(conf, args.script))
    return _make(conf, store, order, takes, plan)


def _retake(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from farm import config, parts
    from farm.errors import suggest
    from farm.ledger import load_takes
    from farm.order import load_order, plan_order, read_order
    from farm.plan.naming import check_film_name
    from farm.plan.plan import take_seed
    from farm.script.takes import Take, Takes, add, circle

    check_film_name(args.film)
    conf = config.load(args.overrides)
    config.check(conf)
    order = load_order(parts.build_store(conf), args.film)
    if other := replace(order, overrides=tuple(args.overrides)).film_settings():
        raise BadInput(f"{other[0]} would change every shot: a retake keeps the film's settings")
    conf = config.load([*order.overrides, *args.overrides, f"film={args.film}"])
    config.check(conf)
    script = read_order(order, conf)
    shots = {shot.id.upper(): shot for shot in script.shots.shots}
    if (shot := shots.get(args.shot.upper())) is None:
        raise BadInput(f"{args.film} has no shot {args.shot}: {suggest(args.shot.upper(), shots)}")
    store = parts.build_store(conf, writable=True)
    takes = load_takes(store, args.film)
    if args.take is not None:
        if args.seed is not None or args.prompt is not None:
            raise BadInput(
                "--take circles a take that was made, with the seed and the words it has: give it alone"
            )
        takes = circle(takes, shot.id, args.take)
    else:
        before = takes.get(shot.id, Takes())
        seed = args.seed
        if seed is None:  # new words are said of the same picture; without them another picture is wanted
            fresh = take_seed(conf.seed if shot.seed is None else shot.seed, len(before.made) + 1)
            seed = before.current.seed if args.prompt else fresh
        takes = add(takes, shot.id, Take(seed=seed, prompt=args.prompt or before.current.prompt))
    plan = plan_order(script, conf, takes, certain=True)
    _confirm(args, conf, store, plan)
    result, uri = _make(conf, store, order, takes, plan)
    found = takes[shot.id]
    return {**result, "shot": shot.id, "take": found.circled, "takes": len(found.made)}, uri


def _make(conf: Any, store: Any, order: Any, takes: Any, plan: Any) -> tuple[dict[str, Any], str]:
    """Render a plan and write its report; what is told is on standard error."""
    from farm import parts
    from farm.clock import SystemClock
    from farm.order import order_record
    from farm.plan.plan import estimate
    from farm.progress import observer_for, time_text
    from farm.report import film_report, outcome_json, plan_json, unseen
    from farm.run import Driver, put_json
    from farm.script.takes import encode

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    observer = observer_for(sys.stderr)
    store = parts.patient(conf, store, observer.say, stop.is_set)
    records = {
        "order": order_record(order, store),
        "plan": plan_json(plan, frozenset(), estimate(plan)),
        "lock": {"weights": plan.settings.weights.identity, "versions": versions()},
        **({"takes": encode(takes)} if takes else {}),
    }
    driver = Driver(
        plan,
        store=store,
        clock=SystemClock(),
        observer=observer,
        stopped=stop.is_set,
        records=records,
    )
    try:
        outcome = driver.render(lambda: parts.start_workers(conf, plan.settings.weights, stop.is_set))
    finally:
        observer.close()
    put_json(store, f"films/{plan.film}/report.json", film_report(outcome, versions()))
    result = outcome_json(outcome)
    for line in unseen(outcome):
        print(line, file=sys.stderr)
    print(
        f"{result['rendered']} segments rendered, {result['reused']} reused, "
        f"{result['retried']} retried, in {time_text(result['wall_s'])}",
        file=sys.stderr,
    )
    return result, outcome.uri


def _confirm(args: argparse.Namespace, conf: Any, store: Any, plan: Any) -> None:
    """Ask before a render that may take longer than the configured minutes. Raises BadInput for a no."""
    from farm.plan.plan import estimate
    from farm.progress import time_text

    most = conf.ask_above_minutes
    if most is None or args.yes or (seconds := estimate(plan, _done(store, plan)).seconds) <= most * 60:
        return
    about = f"this will take about {time_text(seconds)}, more than ask_above_minutes={most:g}"
    if not sys.stdin.isatty():
        raise BadInput(f"{about}: say --yes to render all the same")
    print(f"farm: {about}. Render? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise BadInput("nothing was started")


def versions() -> dict[str, str]:
    """The versions of what changes pixels, read without importing any of it."""
    from importlib.metadata import version

    names = ("torch", "diffusers", "transformers", "av", "numpy")
    return {"longtake": __version__, **{name: version(name) for name in names}}


def _status(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from farm import config, parts
    from farm.clock import SystemClock
    from farm.plan.naming import check_film_name
    from farm.status import film_status, list_films, status_text

    film = args.film
    if film is not None and "=" in film:
        args.overrides.insert(0, film)
        film = None
    conf = config.load(args.overrides)
    config.check(conf)
    root = parts.store_root(conf)
    if conf.store.kind == "local" and not root.is_dir():
        raise BadInput(f"there is no store at {root}: render something, or say store.root=FOLDER")
    store = parts.build_store(conf)
    names = [check_film_name(film)] if film else list_films(store)
    films = [film_status(store, name, SystemClock()) for name in names]
    return {"films": films}, "\n".join(status_text(item) for item in films) or "no films yet"


def _doctor(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from farm import config
    from farm.doctor import examine

    conf = config.load(args.overrides)
    config.check(conf)
    checks = examine(conf)
    lines = []
    for check in checks:
        lines.append(f"{check.state:<8} {check.name:<10} {check.found}")
        if check.advice:
            lines.append(f"{'':<20}{check.advice}")
    result = {
        "ok": all(check.state != "fault" for check in checks),
        "checks": [{"name": c.name, "state": c.state, "found": c.found, "advice": c.advice} for c in checks],
    }
    return result, "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
