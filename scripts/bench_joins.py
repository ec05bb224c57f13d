"""The joins of a long shot: every way of continuing it against `cut`, at the same seeds, in one run.

Renders a take each way with the model that ships and prints the frame difference at the joins over the
median of its neighbours, and every measure over what it is at other latent boundaries (docs/continuity.md),
the middle one of all joins and the worst. 1 is a join nobody can see; the join behind a shot's single first
frame is left out of these. `shows` counts the seams over a bar, `motion` is what moves in the takes. `cut`,
segments made on their own, is what a loop around a pipeline gives. `calls` is how often the network is
asked. `ratio` is the median of `chain`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from farm.seams import BARS

WAYS = ("chain", "stagger", "weave", "cut")
PROMPTS = (
    "Open sea, day. A red boat sails on across the sea.",
    "City, night. A yellow balloon floats up and down over the rooftops.",
)


def farm(*words: str) -> dict[str, Any]:
    """Run the command line and return its result."""
    run = [sys.executable, "-m", "farm.cli", *words, "--json"]
    return json.loads(subprocess.run(run, check=True, stdout=subprocess.PIPE).stdout)


def render(folder: Path, way: str, seconds: int, prompts: tuple[str, ...]) -> tuple[dict[str, Any], int]:
    """Render the takes one way; returns the film's report, and how often the network was asked."""
    script = folder / f"{way}.json"
    takes = [{"prompt": prompt, "duration": f"{seconds}s", "continuity": way} for prompt in prompts]
    script.write_text(json.dumps({"title": f"joins {way}", "shots": takes}))
    store = f"store.root={folder / 'renders'}"
    calls = farm("plan", str(script), store)["estimate"]["evaluations"]
    farm("render", str(script), store)
    return json.loads((folder / "renders" / f"joins-{way}" / "report.json").read_text()), calls


def row(way: str, shots: list[dict[str, Any]]) -> dict[str, Any]:
    """What is printed of one way."""
    joins = [join for shot in shots for join in shot["joins"]]
    found = [join["ratio"] for join in joins]
    ratios = {
        name: [
            join["measures"][name]["ratio"]
            for join in joins
            if join["frame"] > 1 and name in join["measures"]
        ]
        for name in BARS
    }
    return {
        "way": way,
        "joins": len(found),
        "median": round(median(found), 3),
        "worst": max(found),
        "shows": sum(bool(join["shows"]) for join in joins),
        "motion": round(median(shot["motion"] for shot in shots), 2),
        "measures": {
            name: {"median": round(median(values), 3), "worst": max(values)}
            for name, values in ratios.items()
            if values
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=int, default=12)
    parser.add_argument("--takes", type=int, default=len(PROMPTS), choices=range(1, len(PROMPTS) + 1))
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for way in args.ways:
            report, calls = render(Path(folder), way, args.seconds, PROMPTS[: args.takes])
            rows.append({**row(way, report["shots"]), "calls": calls})
    first = rows[0]
    result = {
        "ratio": first["median"],
        "compared": f"{first['way']}, with the others beside it",
        "rows": rows,
    }
    if args.json:
        print(json.dumps(result))
        return
    print(f"{'way':<7} {'joins':>5} {'median':>7} {'worst':>7} {'shows':>5} {'motion':>6} {'calls':>6}")
    for found in rows:
        print(
            f"{found['way']:<7} {found['joins']:>5} {found['median']:>7} {found['worst']:>7} "
            f"{found['shows']:>5} {found['motion']:>6} {found['calls']:>6}"
        )
    print()
    print(f"{'way':<7} " + " ".join(f"{name:>13}" for name in BARS) + "   (median, worst)")
    for found in rows:
        pairs = (f"{value['median']:.2f} {value['worst']:.2f}" for value in found["measures"].values())
        print(f"{found['way']:<7} " + " ".join(f"{pair:>13}" for pair in pairs))
    print(f"ratio {result['ratio']}: {result['compared']}")


if __name__ == "__main__":
    main()
