"""A film of 64 seconds on the cores there are: how long it takes, how soon there is something to see.

Writes a small Fountain script, renders it with `farm render` as anybody would, and measures from outside:
the wall time of the whole command, the time until the first shot is finished (from the film's journal),
and the memory of the driver and of its workers, looked at twice a second. Resident memory counts what
processes share in each one that shares it, so the sum of the workers is more than they take. `ratio` is the
time to the first finished shot over that of the film (bar: at most 1/6); the film's bar is 480 s.

With `--bare` the same script is also rendered by the loop one would write without a farm (see
bench_tax.py): one process with as many threads as there are cores, over the same shots and the same model,
its own start counted as the farm's is.

    python scripts/bench_film.py                                       # some minutes
    python scripts/bench_film.py --bare --runs 3
    python scripts/bench_film.py --seconds 3 model.steps=2 quality=draft
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from bench_tax import bare_apart

from farm import config, values
from farm.job import events
from farm.ledger import Journal
from farm.models.weights import resolve
from farm.plan.naming import film_name
from farm.plan.plan import Plan, make_plan
from farm.script.read import read_script
from farm.store.directory import DirectoryStore

TITLE = "Bench"
# Scenes as the model that ships knows them, and the seconds of their shots: 64 in all.
SCENES = (
    ("EXT. OPEN SEA - DAY", "A red boat sails on across the sea.", 12),
    ("EXT. CITY - SUNSET", "A yellow balloon floats up and down over the rooftops.", 6),
    ("EXT. DESERT - DAY", "A green car hops over the dunes. The camera pans.", 8),
    ("EXT. PINE FOREST - NIGHT", "A white bird rocks from side to side in the woods.", 5),
    ("EXT. CITY - NIGHT", "A blue car drives on through the city street.", 7),
    ("EXT. DESERT - SUNSET", "A purple rocket spins over the desert.", 4),
    ("EXT. OPEN SEA - NIGHT", "A white bird flies on over the water.", 9),
    ("EXT. PINE FOREST - DAY", "A yellow fish hops to and fro through the forest.", 5),
    ("EXT. OPEN SEA - SUNSET", "A red boat sails on. The camera pushes in.", 8),
)
BAR, WALL_BAR = 1 / 6, 480.0
LOOK_S = 0.5


def script(seconds: int) -> str:
    """A Fountain script of so many seconds: the scenes in turn, the last one cut off."""
    lines, left = [f"Title: {TITLE}", ""], seconds
    for heading, action, usual in itertools.cycle(SCENES):
        length = min(left, usual)
        lines += [heading, "", f"{action} [[{length}s]]", ""]
        left -= length
        if not left:
            return "\n".join(lines)
    raise AssertionError("a cycle does not end")


class Memory:
    """Peaks of resident memory, in bytes, by what a process is for."""

    def __init__(self) -> None:
        self.peaks = {"driver": 0, "worker": 0, "workers": 0, "ray": 0, "all": 0}

    def look(self, driver: psutil.Process) -> None:
        """Look at a process and all that it started."""
        workers, others, own = [], [], 0
        try:
            own = driver.memory_info().rss
            children = driver.children(recursive=True)
        except psutil.Error:  # it has just ended
            return
        for child in children:
            try:
                # A Ray worker is named for its actor, or is called idle before it has one.
                team = workers if child.cmdline()[:1][0].startswith("ray::Render") else others
                team.append(child.memory_info().rss)
            except (psutil.Error, IndexError):
                continue
        now = {
            "driver": own,
            "worker": max(workers, default=0),
            "workers": sum(workers),
            "ray": sum(others),
            "all": own + sum(workers) + sum(others),
        }
        self.peaks = {name: max(peak, now[name]) for name, peak in self.peaks.items()}


def render(folder: Path, path: Path, overrides: list[str]) -> dict[str, Any]:
    """Render a script into a store of its own and measure it from outside."""
    command = [sys.executable, "-m", "farm.cli", "render", str(path), "--json", f"store.root={folder}"]
    memory = Memory()
    with (folder / "progress.txt").open("w+") as progress:
        began, start = time.time(), time.monotonic()
        with subprocess.Popen(
            [*command, *overrides], stdout=subprocess.PIPE, stderr=progress, text=True
        ) as process:
            try:
                driver = psutil.Process(process.pid)
                while True:
                    memory.look(driver)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(LOOK_S)
                        break
            except BaseException:
                process.terminate()  # it stops in order, and takes its workers with it
                raise
            wall = time.monotonic() - start
            assert process.stdout is not None
            out = process.stdout.read()
        if process.returncode:
            progress.seek(0)
            raise SystemExit(f"farm render failed: {progress.read()[-2000:]}")
    result = json.loads(out)
    happened = Journal(DirectoryStore(folder), result["film"]).read()
    shots = [
        event.at - began
        for event in happened
        if isinstance(event, events.Finished) and event.task.startswith("finish/")
    ]
    joined = [event.at - began for event in happened if isinstance(event, events.Joined)]
    return {
        "wall": wall,
        "first": min(shots),
        "shots": sorted(shots),
        "startup": min(joined),
        "workers": len({event.worker for event in happened if isinstance(event, events.Joined)}),
        "duration": result["duration_s"],
        "segments": result["rendered"],
        "memory": memory.peaks,
    }


def plan_of(path: Path, overrides: list[str]) -> Plan:
    """The plan that `farm render` makes of a script, for as many threads as there are cores."""
    conf = config.load([*overrides, "cluster.workers=1"])
    values.check(conf)
    shots = read_script(path.read_bytes(), path.name, config.film_rate(conf))
    settings = config.settings(conf, resolve(conf.model.weights, conf.model.revision), 1)
    threads = len(os.sched_getaffinity(0))
    settings = replace(settings, sampling=replace(settings.sampling, threads=threads))
    return make_plan(film_name(shots.title, path.name), shots, settings)


def compare(args: argparse.Namespace) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    bare: list[float] = []
    for _ in range(args.runs):
        with tempfile.TemporaryDirectory(prefix="longtake-bench-") as name:
            folder = Path(name)
            path = folder / "bench.fountain"
            path.write_text(script(args.seconds))
            found.append(render(folder, path, args.overrides))
            if args.bare:
                plan = plan_of(path, args.overrides)
                start = time.monotonic()
                bare_apart(plan)
                bare.append(time.monotonic() - start)
    wall = median(item["wall"] for item in found)
    first = median(item["first"] for item in found)
    ratio = median(item["first"] / item["wall"] for item in found)
    last = found[-1]
    result = {
        "ratio": round(ratio, 4),
        "compared": "time to the first finished shot over the time of the whole film, start-up in both",
        "bar": {"ratio": round(BAR, 4), "wall_s": WALL_BAR},
        "met": ratio <= BAR and wall <= WALL_BAR,
        "film_s": last["duration"],
        "segments": last["segments"],
        "cores": len(os.sched_getaffinity(0)),
        "workers": last["workers"],
        "runs": args.runs,
        "wall_s": round(wall, 1),
        "first_shot_s": round(first, 1),
        "shots_done_s": [round(at, 1) for at in last["shots"]],
        "startup_s": round(median(item["startup"] for item in found), 1),
        "peak_mb": {
            name: round(max(item["memory"][name] for item in found) / 2**20) for name in last["memory"]
        },
    }
    if bare:
        result["bare_s"] = round(median(bare), 1)
        result["speed_up"] = round(median(bare) / wall, 2)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=int, default=64, help="how long the film is")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--bare", action="store_true", help="render it without the farm too")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings, as of `farm render`")
    args = parser.parse_args()
    if args.seconds < 1 or args.runs < 1:
        parser.error("give at least one second and one run")
    result = compare(args)
    if args.json:
        print(json.dumps(result))
        return
    print(
        f"{result['film_s']:g} s of film, {result['segments']} segments, {result['workers']} workers on "
        f"{result['cores']} cores"
    )
    print(f"  whole film      {result['wall_s']:>8} s   (bar {WALL_BAR:g})")
    print(f"  first shot      {result['first_shot_s']:>8} s   then {result['shots_done_s'][1:]}")
    print(f"  first worker    {result['startup_s']:>8} s")
    for name, label in (
        ("driver", "driver"),
        ("worker", "largest worker"),
        ("workers", "all workers"),
        ("ray", "Ray's own"),
        ("all", "everything"),
    ):
        print(f"  {label:<15} {result['peak_mb'][name]:>8} MB at its peak")
    if "bare_s" in result:
        print(f"  bare loop       {result['bare_s']:>8} s   the farm is {result['speed_up']} times as fast")
    print(f"ratio {result['ratio']}: {result['compared']}")
    print(f"bar {'met' if result['met'] else 'missed'}: ratio {BAR:.3f}, wall {WALL_BAR:g} s")


if __name__ == "__main__":
    main()
