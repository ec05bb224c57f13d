"""The joins of a long shot: `chain` against `cut`, the same shots at the same seeds, in one run.

Renders a take both ways with the model that ships and prints, for every join, the frame difference
over the median of its neighbours. 1 is a join nobody can see. `cut`, segments made on their own, is
what a loop around a pipeline gives. `ratio` is the median of `chain`.
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

PROMPTS = (
    "Open sea, day. A red boat sails on across the sea.",
    "City, night. A yellow balloon floats up and down over the rooftops.",
)


def render(folder: Path, way: str, seconds: int, prompts: tuple[str, ...]) -> dict[str, Any]:
    """Render the takes one way and return the film's report."""
    script = folder / f"{way}.json"
    takes = [{"prompt": prompt, "duration": f"{seconds}s", "continuity": way} for prompt in prompts]
    script.write_text(json.dumps({"title": f"joins {way}", "shots": takes}))
    store = f"store.root={folder / 'renders'}"
    subprocess.run(
        [sys.executable, "-m", "farm.cli", "render", str(script), store],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return json.loads((folder / "renders" / f"joins-{way}" / "report.json").read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=int, default=12)
    parser.add_argument("--takes", type=int, default=len(PROMPTS), choices=range(1, len(PROMPTS) + 1))
    args = parser.parse_args()
    ways: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for way in ("chain", "cut"):
            report = render(Path(folder), way, args.seconds, PROMPTS[: args.takes])
            ways[way] = [join["ratio"] for shot in report["shots"] for join in shot["joins"]]
    rows = [
        {"way": way, "joins": len(found), "median": round(median(found), 3), "worst": max(found)}
        for way, found in ways.items()
    ]
    result = {"ratio": rows[0]["median"], "compared": "chain, with cut as the control", "rows": rows}
    if args.json:
        print(json.dumps(result))
        return
    print(f"{'way':<6} {'joins':>5} {'median':>7} {'worst':>7}")
    for row in rows:
        print(f"{row['way']:<6} {row['joins']:>5} {row['median']:>7} {row['worst']:>7}")
    print(f"ratio {result['ratio']}: {result['compared']}")


if __name__ == "__main__":
    main()
