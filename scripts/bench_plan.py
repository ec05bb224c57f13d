"""How planning grows: time and memory for films of 100 to a million shots.

Every shot is 8 seconds, five segments. Each size is planned in a process of its own, so that its peak
memory is its own. `ratio` is the time a shot of the largest film takes to plan over that of a film of
1,000 shots: 1 is linear. It compares with nothing, since nobody else plans.

    python scripts/bench_plan.py                        # up to 100,000 shots, about a minute
    python scripts/bench_plan.py --most 1000000         # the bar: under two minutes, under 4 GB
    python scripts/bench_plan.py --sizes 1000 20000
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import re
import time
from pathlib import Path
from statistics import median
from typing import Any

from farm import config
from farm.plan.plan import make_plan
from farm.plan.spec import Settings, Weights
from farm.script.model import Shot, ShotList, Source

SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
BASE = 1_000
REPEATED = 10_000  # larger films are long enough to be timed once
BAR_SECONDS, BAR_GB, BAR_SHOTS = 120, 4, 1_000_000


def settings() -> Settings:
    """What a plain `farm render` would plan with; the weights are not read, only named."""
    return config.settings(config.load([]), Weights(source="papercut", identity="sha256:0"), 2)


def shots(count: int) -> ShotList:
    source = Source(file="film.fountain", first=1, last=1)
    return ShotList(
        title=None,
        shots=tuple(
            Shot(id=str(index), scene="1", prompt=f"prompt {index}", frames=128, source=source)
            for index in range(count)
        ),
    )


def memory(name: str) -> int:
    """A memory figure of this process (VmRSS, VmHWM) in bytes.

    Not getrusage's, which would count what the parent held when it started this process.
    """
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def measure(count: int) -> dict[str, float]:
    """Plan a film of `count` shots once, in this process."""
    made = settings()
    make_plan("film", shots(10), made)  # what is done once, such as compiling patterns, is not planning
    items = shots(count)
    gc.collect()
    before, began = memory("VmRSS"), time.process_time()
    plan = make_plan("film", items, made)
    seconds = time.process_time() - began
    assert len(plan.shots) == count
    return {"seconds": seconds, "peak": memory("VmHWM"), "grown": memory("VmHWM") - before}


def apart(count: int) -> dict[str, float]:
    """Measure in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (count,))


def compare(sizes: list[int], runs: int) -> dict[str, Any]:
    found: dict[int, list[dict[str, float]]] = {size: [] for size in sizes}
    for run in range(runs):
        for size in sizes:
            if run == 0 or size <= REPEATED:
                found[size].append(apart(size))
    rows = []
    for size, tries in found.items():
        seconds = median(item["seconds"] for item in tries)
        rows.append(
            {
                "shots": size,
                "seconds": round(seconds, 3),
                "us_per_shot": round(seconds / size * 1e6, 1),
                "peak_gb": round(max(item["peak"] for item in tries) / 1e9, 2),
                "bytes_per_shot": round(max(item["grown"] for item in tries) / size),
            }
        )
    base = next((row for row in rows if row["shots"] == BASE), rows[0])
    largest = rows[-1]
    result = {
        "ratio": round(largest["us_per_shot"] / base["us_per_shot"], 2),
        "compared": f"processor time a shot, {largest['shots']:,} shots over {base['shots']:,}",
        "rows": rows,
    }
    if largest["shots"] >= BAR_SHOTS:
        result["bar"] = {"seconds": BAR_SECONDS, "peak_gb": BAR_GB}
        result["met"] = largest["seconds"] <= BAR_SECONDS and largest["peak_gb"] <= BAR_GB
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--most", type=int, default=100_000, help="the largest of the usual sizes")
    parser.add_argument("--sizes", type=int, nargs="+", help="sizes instead of the usual ones")
    parser.add_argument("--runs", type=int, default=3, help=f"runs of films of up to {REPEATED:,} shots")
    args = parser.parse_args()
    sizes = sorted(args.sizes or [size for size in SIZES if size <= args.most])
    if not sizes or sizes[0] < 1 or args.runs < 1:
        parser.error("give sizes and runs of at least 1 (--most: at least 100)")
    result = compare(sizes, args.runs)
    if args.json:
        print(json.dumps(result))
        return
    print(f"{'shots':>9} {'seconds':>9} {'µs a shot':>10} {'peak GB':>8} {'bytes a shot':>13}")
    for row in result["rows"]:
        print(
            f"{row['shots']:>9,} {row['seconds']:>9} {row['us_per_shot']:>10} {row['peak_gb']:>8} "
            f"{row['bytes_per_shot']:>13,}"
        )
    print(f"ratio {result['ratio']}: {result['compared']}")
    if "met" in result:
        print(f"bar {'met' if result['met'] else 'missed'}: {BAR_SECONDS} s, {BAR_GB} GB")


if __name__ == "__main__":
    main()
