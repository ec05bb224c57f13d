"""What the farm costs: a film through Ray, driver and store, against a bare loop over the same segments.

Two comparisons, each with its runs one after the other in turn, and medians of them.

*Film.* The model that ships renders the same shots at the same seeds with one worker of one thread.
`bare` is one process that embeds, denoises, decodes, encodes and stitches in a loop through the same
model and the same encoder, and keeps what it makes in memory: no store, no keys, no journal, no Ray.
`farm` is the real thing: `Driver`, `RayPool` with one actor, directory store. Start-up is left out of
both alike: time runs from the start of the first DENOISE to the end of the last task. Both begin in a
fresh process and load the model's parts when first needed, so both count that. `ratio` is farm over bare
(bar: at most 1.05).

*Tasks.* A model and a medium that cost nothing render a film of a few hundred tasks, so that all the
time is the farm's own: milliseconds a task with one Ray worker, and with the inline executor (bar: at
most 20). Most of it is the disk's: each task is a blob, a commit, a journal entry and a log, each one
flushed. `--store` says where that is measured.

    python scripts/bench_tax.py                                           # about a quarter of an hour
    python scripts/bench_tax.py --cores 1                                 # the driver gets no core beside
    python scripts/bench_tax.py --seconds 1 --runs 1 --tasks 30 model.steps=2
    python scripts/bench_tax.py --only tasks
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from stand_ins import null_worker

from farm import config, parts, values
from farm.clock import SystemClock
from farm.job import events
from farm.models.weights import resolve
from farm.plan.plan import Plan, make_plan
from farm.plan.task import Kind
from farm.ports import Executor
from farm.run import Driver
from farm.schema import FarmConf
from farm.script.model import Shot, ShotList, Source
from farm.store.directory import DirectoryStore

PROMPTS = (
    "Open sea, day. A red boat sails on across the sea.",
    "City, night. A yellow balloon floats up and down over the rooftops.",
)
BAR, TASK_BAR_MS = 1.05, 20.0


def film(conf: FarmConf, lengths: Sequence[int], name: str = "film") -> Plan:
    """Plan shots of so many frames each, with the weights that the configuration names."""
    source = Source(file="film.fountain", first=1, last=1)
    shots = tuple(
        Shot(
            id=str(index + 1),
            scene=str(index + 1),
            prompt=PROMPTS[index % len(PROMPTS)],
            frames=frames,
            source=source,
        )
        for index, frames in enumerate(lengths)
    )
    weights = resolve(conf.model.weights, conf.model.revision)
    workers = parts.count_workers(conf)
    return make_plan(name, ShotList(title=None, shots=shots), config.settings(conf, weights, workers))


def bare(plan: Plan, folder: Path) -> float:
    """Render a plan in a loop in this process; returns the seconds from the first DENOISE on.

    What somebody would write who has the model and the encoder and no farm.
    """
    # Before torch is imported, and as a worker has it.
    os.environ["OMP_NUM_THREADS"] = str(plan.settings.sampling.threads)
    from farm.media.studio import Studio
    from farm.models.skyreels_v2 import SkyReelsV2
    from farm.models.weights import fetch
    from farm.worker import shown_frames

    model, media = SkyReelsV2(fetch(plan.settings.weights), "cpu"), Studio()
    tensors: dict[str, bytes] = {}
    shots: dict[str, Path] = {}
    for task in plan.tasks:
        if task.kind is Kind.EMBED:
            tensors[task.id] = model.embed(json.loads(task.recipe))
    began = time.monotonic()
    for task in plan.tasks:
        recipe = json.loads(task.recipe)
        if task.kind is Kind.DENOISE:
            prompt, negative, *before = (tensors[need] for need in task.needs)
            tensors[task.id] = model.denoise(
                recipe,
                prompt=prompt,
                negative=negative,
                context=before,
                stopped=lambda: False,
            )
        elif task.kind is Kind.FINISH:
            frames = model.decode(recipe, [tensors[need] for need in task.needs])
            shots[task.id] = folder / f"{len(shots)}.mp4"
            media.encode_shot(recipe, shown_frames(frames, recipe), shots[task.id])
        elif task.kind is Kind.STITCH:
            media.stitch(recipe, [shots[need] for need in task.needs], folder)
    return time.monotonic() - began


def bare_apart(plan: Plan) -> float:
    """Run the loop in a fresh process, with as many threads as its recipes say."""
    with (
        tempfile.TemporaryDirectory(prefix="longtake-bench-") as folder,
        multiprocessing.get_context("spawn").Pool(1) as pool,
    ):
        return pool.apply(bare, (plan, Path(folder)))


class Stopwatch:
    """An Observer that keeps when the last task was done."""

    def __init__(self) -> None:
        self.last = 0.0

    def begin(self, plan: object, state: object) -> None: ...

    def event(self, event: object, state: object) -> None:
        if isinstance(event, events.Finished):
            self.last = event.at


def drive(plan: Plan, root: Path, start: Callable[[], Executor], kinds: Sequence[str]) -> float:
    """Render a plan through the driver; returns the seconds from the first task of `kinds` on."""
    watch = Stopwatch()
    driver = Driver(
        plan, store=DirectoryStore(root), clock=SystemClock(), observer=watch, stopped=lambda: False
    )
    outcome = driver.render(start)
    if outcome.retried or outcome.reused:
        raise SystemExit(f"{outcome.retried} attempts were retried and {outcome.reused} segments reused")
    return watch.last - min(item.started for item in outcome.commits.values() if item.kind in kinds)


def farm(plan: Plan, overrides: Sequence[str], where: str | None) -> float:
    """Render a plan as `farm render` does with one Ray worker."""
    with tempfile.TemporaryDirectory(prefix="longtake-bench-", dir=where) as folder:
        conf = config.load([*overrides, f"store.root={folder}"])
        values.check(conf)
        start = functools.partial(parts.start_workers, conf, [plan.settings.weights], lambda: False)
        return drive(plan, Path(folder), start, ("denoise",))


def null_run(plan: Plan, inline: bool, where: str | None) -> float:
    """Milliseconds a task of a film that costs nothing to make."""
    with tempfile.TemporaryDirectory(prefix="longtake-bench-", dir=where) as folder:
        build = functools.partial(null_worker, Path(folder))

        def start() -> Executor:
            if inline:
                from farm.executor import InlineExecutor

                return InlineExecutor(build(), lambda: False)
            from actors.pool import PoolSpec, RayPool

            return RayPool(PoolSpec(workers=1, threads=1, gpus=0, address=None), build)

        kinds = tuple(kind.value for kind in Kind)
        return drive(plan, Path(folder), start, kinds) / len(plan.tasks) * 1000


def spread(runs: Sequence[float]) -> dict[str, Any]:
    return {"median": round(median(runs), 3), "runs": [round(run, 3) for run in runs]}


def compare_film(args: argparse.Namespace) -> dict[str, Any]:
    overrides = ["cluster.workers=1", "cluster.threads=1", "cluster.device=cpu", *args.overrides]
    conf = config.load(overrides)
    values.check(conf)
    # One long shot and one half as long: a chain of segments, and a seam between two shots.
    frames = max(2, round(args.seconds * config.film_rate(conf)))
    plan = film(conf, [frames, max(1, frames // 2)])
    found: dict[str, list[float]] = {"farm": [], "bare": []}
    for run in range(args.runs):
        order = ("bare", "farm") if run % 2 == 0 else ("farm", "bare")
        for way in order:
            found[way].append(bare_apart(plan) if way == "bare" else farm(plan, overrides, args.store))
    ratio = median(found["farm"]) / median(found["bare"])
    return {
        "ratio": round(ratio, 4),
        "compared": "seconds from the first DENOISE to the film: Ray, driver and directory store with one "
        "worker of one thread, over a bare loop in one process",
        "bar": BAR,
        "met": ratio <= BAR,
        "segments": sum(task.kind is Kind.DENOISE for task in plan.tasks),
        "tasks": len(plan.tasks),
        "farm_s": spread(found["farm"]),
        "bare_s": spread(found["bare"]),
    }


def compare_tasks(args: argparse.Namespace) -> dict[str, Any]:
    conf = config.load(["cluster.workers=1"])
    # A shot of 128 frames is five segments and a FINISH, so six tasks.
    plan = film(conf, [128] * max(1, args.tasks // 6))
    found: dict[str, list[float]] = {"ray": [], "inline": []}
    for _ in range(args.runs):
        for way, times in found.items():
            times.append(null_run(plan, way == "inline", args.store))
    return {
        "tasks": len(plan.tasks),
        "ray_ms": spread(found["ray"]),
        "inline_ms": spread(found["inline"]),
        "bar_ms": TASK_BAR_MS,
        "met": median(found["ray"]) <= TASK_BAR_MS and median(found["inline"]) <= TASK_BAR_MS,
        "store": args.store or tempfile.gettempdir(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=float, default=8, help="the long shot; the other is half of it")
    parser.add_argument("--tasks", type=int, default=300, help="tasks of the film that costs nothing")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--cores", type=int, help="keep everything on so many cores (default: all)")
    parser.add_argument("--store", help="a folder for the stores (default: the system's temporary one)")
    parser.add_argument("--only", choices=("film", "tasks"), help="only one of the two comparisons")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings of the film")
    args = parser.parse_args()
    if args.seconds <= 0 or args.tasks < 1 or args.runs < 1:
        parser.error("give seconds of more than 0, and at least one task and one run")
    if args.cores:
        # Inherited by all that is started from here, Ray's processes too.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.cores])
    result: dict[str, Any] = {"cores": len(os.sched_getaffinity(0)), "runs": args.runs}
    if args.only != "tasks":
        result = {**compare_film(args), **result}
    if args.only != "film":
        tasks = compare_tasks(args)
        result["per_task"] = tasks
        if args.only == "tasks":
            ratio = round(tasks["ray_ms"]["median"] / tasks["inline_ms"]["median"], 2)
            result = {"ratio": ratio, "compared": "time a task, through Ray over inline", **result}
    if args.json:
        print(json.dumps(result))
        return
    if "farm_s" in result:
        print(f"a film of {result['segments']} segments on {result['cores']} cores, {args.runs} runs each")
        for way in ("bare", "farm"):
            print(f"  {way:<7} {result[f'{way}_s']['median']:>9} s   {result[f'{way}_s']['runs']}")
        met = "met" if result["met"] else "missed"
        print(f"ratio {result['ratio']} (bar {BAR} {met}): {result['compared']}")
    if "per_task" in result:
        tasks = result["per_task"]
        print(f"a film of {tasks['tasks']} tasks that cost nothing, in {tasks['store']}")
        for way in ("ray", "inline"):
            print(f"  {way:<7} {tasks[f'{way}_ms']['median']:>9} ms a task   {tasks[f'{way}_ms']['runs']}")
        print(f"bar {TASK_BAR_MS:g} ms a task {'met' if tasks['met'] else 'missed'}")


if __name__ == "__main__":
    main()
