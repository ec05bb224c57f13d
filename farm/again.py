"""Take up a film again: make one shot anew, or make a preview final.

Both go by the film's order, which is kept beside it, so neither needs the script's file.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import Any

from farm import config, parts, values
from farm.errors import BadInput, suggest
from farm.films import put_json
from farm.ledger import load_takes
from farm.order import Order, load_order, plan_order, read_order
from farm.patched import changes, changes_text
from farm.plan.naming import check_film_name
from farm.plan.rules import take_seed
from farm.promote import compare, final_order, likeness_text
from farm.render import confirm, make
from farm.schema import FarmConf
from farm.script.durations import parse_span
from farm.script.model import Shot
from farm.script.takes import FilmTakes, Take, Takes, add, circle, whole

Result = tuple[dict[str, Any], str]


def _find(args: argparse.Namespace) -> Order:
    """The order of the film that is named. What is said now may only be about where and with what."""
    check_film_name(args.film)
    conf = config.load(args.overrides)
    values.check(conf)
    order = load_order(parts.open_store(conf), args.film)
    if other := replace(order, overrides=tuple(args.overrides)).film_settings():
        raise BadInput(f"{other[0]} would change every shot: `farm {args.verb}` keeps the film's settings")
    return order


def _settings(args: argparse.Namespace, order: Order) -> FarmConf:
    conf = config.load([*order.overrides, *args.overrides, f"film={args.film}"])
    values.check(conf)
    return conf


def retake(args: argparse.Namespace) -> Result:
    """Make one shot of a film again, or circle another of its takes."""
    order = _find(args)
    conf = _settings(args, order)
    script = read_order(order, conf)
    shots = {shot.id.upper(): shot for shot in script.shots.shots}
    if (shot := shots.get(args.shot.upper())) is None:
        raise BadInput(f"{args.film} has no shot {args.shot}: {suggest(args.shot.upper(), shots)}")
    store = parts.build_store(conf, writable=True)
    before = load_takes(store, args.film)
    takes = _choose(args, before, shot, conf)
    plan = plan_order(script, conf, takes, certain=True)
    confirm(args, conf, store, plan)
    result, outcome = make(conf, store, order, takes, plan)
    found = takes.get(shot.id, Takes())
    result |= {"shot": shot.id, "take": found.circled, "takes": len(found.made)}
    if args.span is not None and takes != before:
        changed = changes(plan_order(script, conf, before, certain=True), outcome, store, shot.id)
        if changed is not None:
            result["changed"] = changed
            print(changes_text(changed), file=sys.stderr)
    return result, outcome.uri


def _choose(args: argparse.Namespace, takes: FilmTakes, shot: Shot, conf: FarmConf) -> FilmTakes:
    """The film's takes with the one that is asked for circled."""
    if args.take is not None:
        if args.seed is not None or args.prompt is not None or args.span is not None:
            raise BadInput(
                "--take circles a take that was made, with the seed and the words it has: give it alone"
            )
        return circle(takes, shot.id, args.take)
    before = takes.get(shot.id, Takes())
    whole_shot = whole(before)
    first = conf.seed if shot.seed is None else shot.seed
    new = args.seed
    if new is None:  # new words are said of the same picture; without them another picture is wanted
        said = first if whole_shot.seed is None else whole_shot.seed
        new = said if args.prompt else take_seed(first, len(before.made) + 1)
    if args.span is None:
        seed = whole_shot.seed if args.prompt and args.seed is None else new
        return add(takes, shot.id, Take(seed=seed, prompt=args.prompt or whole_shot.prompt))
    span = parse_span(args.span, shot.frames, config.film_rate(conf))
    take = Take(seed=new, prompt=args.prompt, span=span, of=before.circled)
    if take == replace(before.current, of=before.circled):
        return takes  # the very take that is circled, once more
    return add(takes, shot.id, take)


def promote(args: argparse.Namespace) -> Result:
    """Make a film final from its preview, and say how alike the two are."""
    before = _find(args)
    order = final_order(before, args.film)
    conf, preview = _settings(args, order), _settings(args, before)
    script = read_order(order, conf)
    store = parts.build_store(conf, writable=True)
    takes = load_takes(store, args.film)
    plan = plan_order(script, conf, takes, certain=True)
    confirm(args, conf, store, plan)
    result, outcome = make(conf, store, order, takes, plan)
    rows = compare(plan_order(script, preview, takes, certain=True), outcome, store)
    put_json(store, f"films/{args.film}/preview.json", {"shots": rows})
    print(likeness_text(rows), file=sys.stderr)
    return {**result, "preview": rows}, outcome.uri
