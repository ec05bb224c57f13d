"""The render log of a film: a row for each segment, for whoever works with tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from typing import Any

from farm.job.events import Lost
from farm.plan.planned import PlannedShot
from farm.plan.rules import take_seed
from farm.run import Outcome
from farm.seams import BARS, DRIFTS, figures

_VALUES = [name for name in BARS if name != "difference"]  # which has had its column from the first


def render_rows(outcome: Outcome) -> list[dict[str, Any]]:
    """A row for each segment of each shot, in the film's order; what is not known yet is None.

    `start` and `stop` count frames of the film. `seed` is the one its recipe holds: that of the shot's
    take. `state` is "done", "failed" or "not made", and `made` tells whether it was done in this run.
    A seam is the join to the segment before, once the shot is finished: `seam_difference` with `seam_ratio`
    to the steps beside it, and every measure of farm/seams.py with its ratio to other latent boundaries. All
    rows of a shot say how far it drifts, how much moves in it, and how many of its frames are repeated or
    frozen. Lost workers are no attempts here: who is lost does not say at what.
    """
    film = _Film(outcome)
    return [row for item in outcome.plan.shots for row in film.rows(item)]


class _Film:
    """What the rows of a film have in common."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.keys = {task.id: task.key for task in outcome.plan.tasks}
        self.failed = {task for task, _ in outcome.failures}
        self.attempts = Counter(event.task for event in outcome.troubles if not isinstance(event, Lost))

    def rows(self, item: PlannedShot) -> Iterator[dict[str, Any]]:
        plan, shot = self.outcome.plan, item.shot
        seed = take_seed(plan.settings.seed if shot.seed is None else shot.seed, shot.take)
        found = self._figures(item)
        seams = found.get("joins", ())
        drift, still = found.get("drift") or {}, found.get("frozen")
        for segment in item.segments:
            task = segment.task
            commit = self.outcome.commits.get(task)
            # At its beginning or, where windows are woven in it, the worst within.
            stop = segment.frames.stop if item.panes and segment.patch is None else segment.frames.start + 1
            own = (seam for seam in seams if segment.frames.start <= seam["frame"] < stop)
            nothing: dict[str, Any] = {}
            seam = max(own, key=lambda seam: seam["ratio"] or 0, default=nothing)
            measures = seam.get("measures", {})
            yield {
                "film": plan.film,
                "shot": shot.name,
                "scene": shot.scene,
                "segment": segment.id,
                "prompt": segment.patch.prompt if segment.patch else shot.prompt,
                "seed": segment.patch.seed if segment.patch else seed,
                "continuity": "bridge" if segment.patch else item.continuity,
                "start": item.span.start + segment.frames.start,
                "stop": item.span.start + segment.frames.stop,
                "key": self.keys[task],
                "state": "done" if commit else "failed" if task in self.failed else "not made",
                "made": task in self.outcome.made,
                "generation": commit.generation if commit else None,
                "worker": commit.worker if commit else None,
                "started": datetime.fromtimestamp(commit.started, UTC) if commit else None,
                "seconds": commit.seconds if commit else None,
                "failed_attempts": self.attempts[task],
                "seam_difference": seam.get("difference"),
                "seam_ratio": seam.get("ratio"),
                **{f"seam_{name}_ratio": measures.get(name, {}).get("ratio") for name in BARS},
                **{f"seam_{name}": measures.get(name, {}).get("value") for name in _VALUES},
                "seam_shows": ", ".join(seam["shows"]) if seam else None,
                "shot_motion": found.get("motion"),
                "shot_repeated": len(found["repeated"]) if found else None,
                "shot_frozen": sum(stop - start for start, stop in still) if still is not None else None,
                **{f"drift_{name}": drift.get(name) for name in DRIFTS},
            }

    def _figures(self, item: PlannedShot) -> dict[str, Any]:
        """What is known of a finished shot's continuity."""
        finish = self.outcome.commits.get(item.finish)
        return figures(item, self.outcome.plan.settings, finish.facts) if finish else {}


@cache
def _schema() -> Any:
    import pyarrow as pa

    text, whole, real = pa.string(), pa.int64(), pa.float64()
    kinds = {
        "film": text,
        "shot": text,
        "scene": text,
        "segment": text,
        "prompt": text,
        "seed": whole,
        "continuity": text,
        "start": whole,
        "stop": whole,
        "key": text,
        "state": text,
        "made": pa.bool_(),
        "generation": whole,
        "worker": text,
        "started": pa.timestamp("us", tz="UTC"),
        "seconds": real,
        "failed_attempts": whole,
        "seam_difference": real,
        "seam_ratio": real,
        **{f"seam_{name}_ratio": real for name in BARS},
        **{f"seam_{name}": real for name in _VALUES},
        "seam_shows": text,
        "shot_motion": real,
        "shot_repeated": whole,
        "shot_frozen": whole,
        **{f"drift_{name}": real for name in DRIFTS},
    }
    return pa.schema(kinds.items())


def encode_rows(rows: Sequence[dict[str, Any]]) -> bytes:
    """Write rows as Parquet. The columns are the same for every film, and where there are no rows."""
    # It takes a while to import, and most commands write no log.
    import pyarrow as pa
    from pyarrow import parquet

    target = BytesIO()
    parquet.write_table(pa.Table.from_pylist(list(rows), schema=_schema()), target, compression="zstd")
    return target.getvalue()
