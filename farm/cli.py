"""The command line, and the composition root: it builds the parts and hands them in."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from farm import __version__
from farm.errors import FarmError, Interrupted

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
        ("night", "render many films unattended through one pool, with a report in the morning", False),
        ("promote", "make a film final from its preview (quality=previz)", False),
        ("retake", "make one shot of a film again, or circle another of its takes", False),
        ("plan", "show what would be rendered, what is reused, and an estimate", True),
        ("status", "show how far a film is: what runs where, what waits and why", False),
        ("list", "show all films, in a line each", False),
        ("pause", "start nothing new of a film that is being rendered, or of one of its shots", False),
        ("resume", "go on with a film, or a shot, that was paused", False),
        ("cancel", "give up a film that is being rendered, or one of its shots", False),
        ("priority", "say what goes first: a film among those of a night, or a shot in its film", False),
        ("gc", "show what no film refers to, and delete it with --delete", False),
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
            if verb == "render":
                sub.add_argument(
                    "-m", "--many", action="store_true", help="a film for each choice, such as seed=1,2,3"
                )
        elif verb == "night":
            sub.add_argument("programme", metavar="NIGHT", help="a YAML file that lists the films")
        elif verb == "status":
            sub.add_argument("film", metavar="FILM", nargs="?", help="a film's name (default: all)")
            sub.add_argument("--watch", action="store_true", help="follow it while it is rendered")
        elif verb in ("pause", "resume", "cancel", "priority"):
            sub.add_argument("film", metavar="FILM", help="a film's name")
            if verb == "priority":
                sub.add_argument("number", metavar="N", type=int, help="the higher goes first; 0 unless said")
            sub.add_argument("shot", metavar="SHOT", nargs="?", help="a shot's id (default: the film)")
        elif verb == "retake":
            sub.add_argument("film", metavar="FILM", help="a film's name")
            sub.add_argument("shot", metavar="SHOT", help="the shot's id, such as 12A")
            sub.add_argument("--take", metavar="K", type=int, help="circle take K, which was made before")
            sub.add_argument("--seed", metavar="N", type=_seed, help="the new take's seed")
            sub.add_argument("--prompt", metavar="WORDS", help="the new take's words")
            sub.add_argument("--span", metavar="A-B", help="just this part of the shot, such as 2s-4.5s")
        elif verb == "promote":
            sub.add_argument("film", metavar="FILM", help="a film that was rendered with quality=previz")
        elif verb == "gc":
            sub.add_argument("--delete", action="store_true", help="delete it")
        if verb in ("render", "promote", "retake"):
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
            "render": _evening("many") if args.verb == "render" and args.many else _render,
            "night": _evening("night"),
            "promote": _again("promote"),
            "retake": _again("retake"),
            "plan": _plan,
            "status": _look("status"),
            "list": _look("films"),
            **dict.fromkeys(("pause", "resume", "cancel", "priority"), _ask),
            "gc": _gc,
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
    from farm import config, parts, values
    from farm.order import Order, read_order
    from farm.script.choice import Choice
    from farm.script.model import MAX_BYTES
    from farm.script.read import check_kind

    conf = config.load(args.overrides)
    values.check(conf)
    check_kind(args.script, conf.script.format)
    order = Order(
        file=Path(args.script).name,
        data=parts.read_file(args.script, MAX_BYTES),
        overrides=tuple(args.overrides),
        choice=Choice(shots=args.shots, scenes=args.scene, takes=args.takes),
    )
    return conf, order, read_order(order, conf)


def _plan(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from farm import parts
    from farm.ledger import load_takes
    from farm.order import plan_order
    from farm.plan.estimate import estimate
    from farm.render import done_tasks
    from farm.report import plan_json

    conf, _, script = _take_order(args)
    store = parts.open_store(conf)
    plan = plan_order(script, conf, load_takes(store, script.film), certain=False)
    done = done_tasks(store, plan)
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
    from farm.films import claim
    from farm.ledger import load_takes
    from farm.order import plan_order
    from farm.render import confirm, make

    conf, order, script = _take_order(args)
    # Weights are looked for before anything is written.
    plan = plan_order(script, conf, takes := load_takes(parts.open_store(conf), script.film), certain=True)
    store = parts.build_store(conf, writable=True)
    confirm(args, conf, store, plan)
    claim(store, plan.film, parts.script_identity(conf, args.script))
    result, outcome = make(conf, store, order, takes, plan)
    return result, outcome.uri


def _again(verb: str) -> Callable[[argparse.Namespace], tuple[dict[str, Any], str]]:
    """A verb that takes up a film again; what it needs is imported when it runs."""

    def run(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
        from farm import again

        return {"promote": again.promote, "retake": again.retake}[verb](args)

    return run


def _evening(verb: str) -> Callable[[argparse.Namespace], tuple[dict[str, Any], str]]:
    """A verb that renders many films."""

    def run(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
        from farm import evening

        return {"night": evening.night, "many": evening.many}[verb](args)

    return run


def _look(verb: str) -> Callable[[argparse.Namespace], tuple[dict[str, Any], str]]:
    """A verb that shows how far films are."""

    def run(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
        from farm import watch

        return {"status": watch.status, "films": watch.films}[verb](args)

    return run


def _ask(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from farm.control import ask

    return ask(args)


def _gc(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from farm.collect import gc

    return gc(args)


def _doctor(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from farm import config, values
    from farm.doctor import examine

    conf = config.load(args.overrides)
    values.check(conf)
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
