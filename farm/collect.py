"""`farm gc`: what the films of a store refer to, and what happens to the rest."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import Any

from farm import config, parts, values
from farm.clock import SystemClock
from farm.errors import BadInput, FarmError, Interrupted, NotFound, StoreAway, StoreError
from farm.garbage import Garbage, Wanted, collect_garbage, find_garbage
from farm.ledger import load_takes, name_blob
from farm.order import Order, load_order, plan_order, read_order
from farm.plan.plan import Plan
from farm.ports import BlobStore
from farm.records import named_by_records
from farm.script.takes import circle


def gc(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Show what no film refers to; with --delete, delete it."""
    if other := [item for item in args.overrides if item.partition("=")[0].partition(".")[0] != "store"]:
        raise BadInput(
            f"{other[0]}: `farm gc` takes settings of the store alone, since each film's order holds its own"
        )
    conf = config.load(args.overrides)
    values.check(conf)
    store = parts.find_store(conf)
    now = SystemClock().now()
    whole: dict[str, str] = {}

    def wanted() -> Wanted:
        found, unplanned = find_wanted(store, args.overrides)
        whole.update(unplanned)
        return found

    if args.delete:
        store = parts.build_store(conf, writable=True)
        found = collect_garbage(store, wanted, now)
    else:
        found = find_garbage(store, wanted(), now)
    films = len(film_names(store))
    result = {
        "ok": True,
        "films": films,
        "commits": len(found.commits),
        "blobs": len(found.blobs),
        "bytes": found.num_bytes,
        "leftovers": len(found.leftovers),
        "deleted": bool(args.delete),
        "kept_whole": whole,
    }
    return result, "\n".join([_text(found, films, args.delete), *_whole_text(whole)])


def film_names(store: BlobStore) -> list[str]:
    """The films of a store: whatever was begun to be rendered."""
    parted = (info.key.split("/") for info in store.list("films/"))
    return sorted({part[1] for part in parted if part[2:] in (["order.json"], ["plan.json"])})


def find_wanted(store: BlobStore, settings: Sequence[str]) -> tuple[Wanted, dict[str, str]]:
    """What the films of a store refer to: all that a render or a retake of them could use again.

    Returns too which films cannot be planned here as they were rendered, and why: another version of
    Longtake made them, say. They refer to all that their own records name.

    Raises:
        BadInput: when that cannot be told either. Nothing is guessed then.
    """
    keys: set[str] = set()
    blobs: set[str] = set()
    names: set[str] = set()
    whole: dict[str, str] = {}
    for film in film_names(store):
        try:
            order = _order(store, film)
            blobs.add(name_blob(order.data).key)
            planned: set[str] = set()
            for plan in _plans(store, film, order, settings):
                planned.update(task.key for task in plan.tasks)
            keys |= planned
            if not planned >= _rendered(store, film):
                raise BadInput("it would be planned otherwise today than when it was rendered last")
        except (StoreAway, Interrupted):
            raise
        except FarmError as error:
            names |= _named(store, film, error)
            whole[film] = str(error)
    return Wanted(keys=frozenset(keys), blobs=frozenset(blobs), names=frozenset(names)), whole


def _order(store: BlobStore, film: str) -> Order:
    if store.stat(f"films/{film}/order.json") is None:
        raise BadInput("it was rendered before orders were kept")
    return load_order(store, film)


def _named(store: BlobStore, film: str, why: FarmError) -> frozenset[str]:
    """What the records of a film name that cannot be planned. Raises BadInput where they are not whole."""
    try:
        return named_by_records(store, film)
    except StoreAway:
        raise
    except StoreError as error:
        folder = store.locate(f"films/{film}/order.json").rpartition("/")[0]
        raise BadInput(
            f"nothing is collected, since it cannot be told what the film {film!r} refers to "
            f"({why}; {error}): render it once more, or delete {folder} if it is not wanted"
        ) from error


def _plans(store: BlobStore, film: str, order: Order, settings: Sequence[str]) -> Iterator[Plan]:
    """A film's plan, and those with each other take of a shot in the place of the circled one."""
    conf = config.load([*order.overrides, *settings, f"film={film}"])
    values.check(conf)
    script, takes = read_order(order, conf), load_takes(store, film)
    others = [
        circle(takes, shot.id, number)
        for shot in script.shots.shots
        if (found := takes.get(shot.id)) is not None
        for number in range(1, len(found.made) + 1)
        if number != found.circled
    ]
    for choice in (takes, *others):
        plan = plan_order(script, conf, choice, certain=False)
        if not plan.settings.weights.resolved:
            raise BadInput(f"its weights {plan.settings.weights.source} are not on this machine")
        yield plan


def _rendered(store: BlobStore, film: str) -> set[str]:
    """The keys of a film's segments as they were planned when it was rendered last."""
    name = f"films/{film}/plan.json"
    try:
        shots = json.loads(store.get(name))["shots"]
        return {segment["key"] for shot in shots for segment in shot["segments"]}
    except NotFound:
        return set()  # it is just beginning
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{store.locate(name)} is damaged") from error


def _text(found: Garbage, films: int, deleted: bool) -> str:
    if not (found.commits or found.blobs or found.leftovers):
        return f"nothing to collect: what is older than a week belongs to a film (films: {films})"
    what = (
        f"{len(found.commits)} commits and {len(found.blobs)} blobs that no film refers to, and "
        f"{len(found.leftovers)} leftovers: {_size(found.num_bytes)} (films: {films})"
    )
    return f"deleted {what}" if deleted else f"{what}; --delete deletes them"


def _whole_text(whole: dict[str, str]) -> list[str]:
    """A line on the films that could not be planned, where there are any."""
    if not whole:
        return []
    films = "; ".join(f"{film} ({why})" for film, why in whole.items())
    return [f"kept whole, as their records name it, since they cannot be planned here: {films}"]


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.1f} MB"
