"""An order: a script, settings and a choice of its shots. What a film is planned from, and kept beside it.

With its order in the store, a film can be taken up again where its script is not: a shot made anew, a
preview made final.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from farm import config, parts
from farm.errors import BadInput, CorruptBlob, NotFound, StoreError
from farm.ledger import Blobs
from farm.plan.naming import check_film_name, film_name
from farm.plan.plan import Plan, make_plan
from farm.ports import BlobRef, BlobStore
from farm.schema import FarmConf
from farm.script.cast import dress
from farm.script.choice import Choice, choose
from farm.script.model import ShotList
from farm.script.read import read_script
from farm.script.takes import FilmTakes, apply


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """`file` is the script's name and `data` what is in it; `overrides` are settings as they were said."""

    file: str
    data: bytes
    overrides: tuple[str, ...]
    choice: Choice

    def film_settings(self) -> tuple[str, ...]:
        """The settings that make the film what it is: not where it is kept, and not what renders it.

        But for the threads of a worker: other counts give other last bits, so they are part of every key.
        """
        moment = ("store", "cluster", "limits", "film", "ask_above_minutes")
        keys = (override.partition("=")[0] for override in self.overrides)
        return tuple(
            override
            for override, key in zip(self.overrides, keys, strict=True)
            if key == "cluster.threads" or key.partition(".")[0] not in moment
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """An order's script as read: its film's name, and its shots before anything is changed in them."""

    film: str
    shots: ShotList


def read_order(order: Order, conf: FarmConf) -> Script:
    """Read an order's script and name its film. Raises BadInput."""
    shots = read_script(order.data, order.file, config.film_rate(conf), conf.script.format)
    name = check_film_name(conf.film or film_name(shots.title, order.file))
    if not order.choice.whole:
        shots = choose(shots, order.choice)
        # A film that is taken up again has its choice in its name already.
        slug = f"-{order.choice.slug}"
        if not name.endswith(slug):
            name = check_film_name(f"{name[: 63 - len(slug)].rstrip('-')}{slug}")
    return Script(film=name, shots=shots)


def plan_order(script: Script, conf: FarmConf, takes: FilmTakes, *, certain: bool) -> Plan:
    """Plan a film with these takes circled. `certain` makes sure of the weights, so that keys are final."""
    shots = dress(apply(script.shots, takes, config.film_rate(conf)), conf.script.style, conf.script.negative)
    weights = parts.find_weights(conf, certain=certain, film=script.film)
    plan = make_plan(script.film, shots, config.settings(conf, weights, parts.count_workers(conf)))
    _check_times(plan, conf)
    return plan


def _check_times(plan: Plan, conf: FarmConf) -> None:
    """Refuse what would be broken off each time it is tried: a woven shot is a single task."""
    minutes = conf.limits.task_minutes
    if minutes is None:
        return
    for task in plan.tasks:
        if task.cost > 60 * minutes:
            raise BadInput(
                f"{task.id} is estimated at {task.cost / 60:.0f} minutes, and an attempt is ended after "
                f"limits.task_minutes={minutes:g}: raise it, or give a shot that is woven another continuity"
            )


def order_record(order: Order, store: BlobStore) -> dict[str, object]:
    """What is written beside the film, its script being put into the store."""
    return {
        "file": order.file,
        "script": asdict(Blobs(store).put(order.data)),
        "overrides": order.film_settings(),
        "choice": asdict(order.choice),
    }


def load_order(store: BlobStore, film: str) -> Order:
    """Read the order of a film.

    Raises:
        BadInput: when there is no such film, or it was rendered before orders were kept.
        StoreError: when its order is damaged.
    """
    key = f"films/{film}/order.json"
    try:
        found = json.loads(store.get(key))
        return Order(
            file=found["file"],
            data=Blobs(store).get(BlobRef(**found["script"])),
            overrides=tuple(found["overrides"]),
            choice=Choice(**found["choice"]),
        )
    except NotFound as error:
        raise BadInput(
            f"there is no film {film!r} in this store that was rendered: `farm status` lists what there is"
        ) from error
    except CorruptBlob as error:
        raise StoreError(
            f"the script of {film!r}: {error}; render the film once more from its script"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{store.locate(key)} is damaged: render the film once more from its script"
        ) from error
