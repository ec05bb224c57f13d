"""How two workers share a machine: segments a second from two at once, against one on its own.

Two processes hold the model that ships, as two actors of the farm do, with one thread each. In turn one
of them, then both at the same time, denoise the same segments; the model is loaded and warm before.
`ratio` is the throughput of two over that of one (bar: at least 1.6; 2 would be perfect). A third row is
what the other way to use two cores gives: one process with two threads.

    python scripts/bench_cpu.py                                          # some minutes
    python scripts/bench_cpu.py --segments 1 --runs 1 model.steps=2
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from statistics import median
from typing import Any

from farm import config, values
from farm.models.weights import fetch, resolve
from farm.plan.plan import Plan, make_plan
from farm.plan.task import Kind
from farm.script.model import Shot, ShotList, Source

BAR = 1.6
_HELD: dict[str, Any] = {}  # a worker process's model and embedding


def segments(count: int, overrides: Sequence[str]) -> Plan:
    """Plan a shot of `count` whole windows that need nothing from one another."""
    conf = config.load(["continuity=cut", *overrides])
    values.check(conf)
    latents = (conf.model.window - 1) * count + 1
    source = Source(file="film.fountain", first=1, last=1)
    frames = (latents - 1) * conf.model.temporal_stride + 1
    prompt = "Open sea, day. A red boat sails on across the sea."
    shot = Shot(id="1", scene="1", prompt=prompt, frames=frames, source=source)
    weights = resolve(conf.model.weights, conf.model.revision)
    return make_plan("film", ShotList(title=None, shots=(shot,)), config.settings(conf, weights, 2))


def hold(plan: Plan, threads: int) -> None:
    """Load the model into this process and run it once."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # before torch is imported, as the pool does
    from farm.models.skyreels_v2 import SkyReelsV2

    model = SkyReelsV2(fetch(plan.settings.weights), "cpu")
    texts = {task.id: model.embed(json.loads(task.recipe)) for task in plan.tasks if task.kind is Kind.EMBED}
    tasks = [task for task in plan.tasks if task.kind is Kind.DENOISE]
    recipes = [{**json.loads(task.recipe), "threads": threads} for task in tasks]
    _HELD.update(model=model, recipes=recipes, texts=[texts[need] for need in tasks[0].needs])
    denoise([{**recipes[0], "steps": 2}])


def denoise(recipes: Sequence[dict[str, Any]] | None = None) -> tuple[float, float]:
    """Denoise the segments; returns when it began and ended, on the machine's monotonic clock."""
    prompt, negative = _HELD["texts"]
    began = time.monotonic()
    for recipe in recipes or _HELD["recipes"]:
        _HELD["model"].denoise(recipe, prompt=prompt, negative=negative, context=(), stopped=lambda: False)
    return began, time.monotonic()


def together(workers: Sequence[ProcessPoolExecutor]) -> float:
    """Let workers denoise at the same time; returns the seconds until the last one is done."""
    spans = [call.result() for call in [worker.submit(denoise) for worker in workers]]
    return max(end for _, end in spans) - min(begin for begin, _ in spans)


def compare(count: int, runs: int, overrides: Sequence[str]) -> dict[str, Any]:
    plan = segments(count, overrides)
    context = multiprocessing.get_context("spawn")
    workers = [
        ProcessPoolExecutor(1, mp_context=context, initializer=hold, initargs=(plan, threads))
        for threads in (1, 1, 2)
    ]
    ways = {"one": workers[:1], "two": workers[:2], "one, two threads": workers[2:]}
    found: dict[str, list[float]] = {way: [] for way in ways}
    try:
        for worker in workers:
            worker.submit(os.getpid).result()  # until its model stands
        for run in range(runs):
            # Each of the two is the one in its turn, should their cores differ.
            turns = {**ways, "one": [workers[run % 2]]}
            for way, team in turns.items():
                found[way].append(len(team) * count / together(team))
    finally:
        for worker in workers:
            worker.shutdown()
    rates = {way: median(items) for way, items in found.items()}
    ratio = rates["two"] / rates["one"]
    return {
        "ratio": round(ratio, 3),
        "compared": "segments a second, two workers of one thread at once over one on its own",
        "bar": BAR,
        "met": ratio >= BAR,
        "threads_ratio": round(rates["one, two threads"] / rates["one"], 3),
        "segments": count,
        "cores": len(os.sched_getaffinity(0)),
        "rows": [
            {
                "workers": way,
                "segments_per_s": round(rate, 4),
                "runs": [round(item, 4) for item in found[way]],
            }
            for way, rate in rates.items()
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--segments", type=int, default=3, help="segments a worker denoises in a run")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings, as of `farm render`")
    args = parser.parse_args()
    if args.segments < 1 or args.runs < 1:
        parser.error("give at least one segment and one run")
    result = compare(args.segments, args.runs, args.overrides)
    if args.json:
        print(json.dumps(result))
        return
    print(f"{result['segments']} segments a worker and run, on {result['cores']} cores")
    print(f"{'workers':<18} {'segments/s':>10}   runs")
    for row in result["rows"]:
        print(f"{row['workers']:<18} {row['segments_per_s']:>10}   {row['runs']}")
    met = "met" if result["met"] else "missed"
    print(f"ratio {result['ratio']} (bar {BAR} {met}): {result['compared']}")


if __name__ == "__main__":
    main()
