"""How fast the state machine is, and how much a large job takes: events a second, bytes a segment.

Plans a film of long shots, then plays it from the first lease to the last commit with as many workers as
asked: every event goes through `step`, every command is answered with the event that follows from it.
Each size runs in a process of its own, so that its peak memory is its own (plan and state together).
`ratio` is the events a second over the bar of 20,000. It compares with nothing else: other farms keep
this in a database.

    python scripts/bench_machine.py                              # 10,000 and 100,000 segments
    python scripts/bench_machine.py --segments 1000000           # the bar: under 2 GB
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from typing import Any

from bench_plan import memory, settings

from farm.job.events import Finished, Joined
from farm.job.leasing import Run
from farm.job.machine import step
from farm.job.state import begin
from farm.plan.plan import make_plan
from farm.script.model import Shot, ShotList, Source

BAR_EVENTS, BAR_GB, BAR_SEGMENTS = 20_000, 2.0, 1_000_000
PER_SHOT = 100  # segments of one shot, about two and a half minutes


def film(segments: int) -> ShotList:
    """A film of so many segments, as the planner splits its shots."""
    source = Source(file="film.fountain", first=1, last=1)
    frames = 4 * (6 * (PER_SHOT - 1) + 2) + 1
    return ShotList(
        title=None,
        shots=tuple(
            Shot(id=str(index), scene="1", prompt=f"prompt {index % 100}", frames=frames, source=source)
            for index in range(max(1, segments // PER_SHOT))
        ),
    )


def play(segments: int, workers: int) -> dict[str, float]:
    """Play one film in this process, and measure it."""
    plan = make_plan("film", film(segments), settings())
    state = begin(plan.tasks)
    made = sum(len(item.windows) for item in plan.shots)
    running: list[Run] = []
    events = 0
    began = time.process_time()
    for number in range(workers):
        running += step(state, Joined(at=0.0, worker=f"worker-{number}"))
        events += 1
    while running:
        # First in, first out: all workers are busy all the time.
        done, running = running[:workers], running[workers:]
        for run in done:
            event = Finished(
                at=float(events),
                worker=run.worker,
                task=run.task,
                attempt=run.attempt,
                generation=run.generation,
                output=f"{events:064x}",
            )
            running += step(state, event)
            events += 1
    seconds = time.process_time() - began
    assert state.complete
    return {"segments": made, "events": events, "seconds": seconds, "peak": memory("VmHWM")}


def apart(segments: int, workers: int) -> dict[str, float]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(play, (segments, workers))


def compare(sizes: list[int], workers: int) -> dict[str, Any]:
    rows = []
    for size in sizes:
        found = apart(size, workers)
        rows.append(
            {
                "segments": found["segments"],
                "events": found["events"],
                "seconds": round(found["seconds"], 2),
                "events_per_s": round(found["events"] / found["seconds"]),
                "peak_gb": round(found["peak"] / 1e9, 2),
            }
        )
    last = rows[-1]
    result: dict[str, Any] = {
        "ratio": round(last["events_per_s"] / BAR_EVENTS, 2),
        "compared": f"events a second of one core, over the bar of {BAR_EVENTS:,}",
        "workers": workers,
        "rows": rows,
    }
    result["met"] = last["events_per_s"] >= BAR_EVENTS and (
        last["segments"] < BAR_SEGMENTS or last["peak_gb"] <= BAR_GB
    )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--segments", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--workers", type=int, default=32)
    args = parser.parse_args()
    if min(args.segments) < 1 or args.workers < 1:
        parser.error("give segments and workers of at least 1")
    result = compare(sorted(args.segments), args.workers)
    if args.json:
        print(json.dumps(result))
        return
    print(f"{'segments':>10} {'events':>10} {'seconds':>8} {'events/s':>9} {'peak GB':>8}")
    for row in result["rows"]:
        print(
            f"{row['segments']:>10,} {row['events']:>10,} {row['seconds']:>8} "
            f"{row['events_per_s']:>9,} {row['peak_gb']:>8}"
        )
    print(f"ratio {result['ratio']}: {result['compared']}")
    print(
        f"bar {'met' if result['met'] else 'missed'}: {BAR_EVENTS:,} events a second, {BAR_GB} GB a million"
    )


if __name__ == "__main__":
    main()
