"""Promote a film: make it final from the preview that was approved, and measure how alike the two are."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from farm.errors import BadInput
from farm.ledger import Blobs
from farm.order import Order
from farm.plan.plan import Plan
from farm.ports import BlobStore
from farm.run import Outcome
from farm.snapshot import Kept
from farm.stock import reusable

PREVIEW, FINAL = "quality=previz", "quality=promoted"


def final_order(order: Order, film: str) -> Order:
    """The order of the film made final. Raises BadInput for one that is no preview."""
    if PREVIEW not in order.overrides:
        found = "promoted already" if FINAL in order.overrides else "not a preview"
        raise BadInput(f"{film} is {found}: render it with {PREVIEW} first, and promote what you approve")
    return replace(order, overrides=tuple(FINAL if item == PREVIEW else item for item in order.overrides))


def compare(preview: Plan, outcome: Outcome, store: BlobStore) -> list[dict[str, Any]]:
    """How alike each shot of a film is to its preview, where that is in the store still.

    A row a shot: {"id", "picture", "motion"} (see `farm.media.alike`), and where the model has a probe
    "labels", the share of attributes that it reads the same in both.
    """
    from farm.media.alike import alike

    blobs = Blobs(store)
    found = {task: item.commit for task, item in reusable(preview, store).items() if isinstance(item, Kept)}
    rows = []
    for item in outcome.plan.shots:
        before, after = found.get(item.finish), outcome.commits[item.finish]
        if before is None:
            continue
        with tempfile.TemporaryDirectory(prefix="longtake-") as folder:
            paths = [Path(folder, name) for name in ("before.mp4", "after.mp4")]
            for commit, path in zip((before, after), paths, strict=True):
                blobs.fetch(commit.main, path)
            row: dict[str, Any] = {"id": item.shot.name, **alike(*paths)}
        seen = [commit.facts.get("seen", {}) for commit in (before, after)]
        if seen[0] and seen[1]:
            same = [found["seen"] == seen[1][name]["seen"] for name, found in seen[0].items()]
            row["labels"] = round(sum(same) / len(same), 3)
        rows.append(row)
    return rows


def likeness_text(rows: list[dict[str, Any]]) -> str:
    """The comparison in a line."""
    if not rows:
        return "the preview is not in the store any more, so it was not compared"

    def mean(name: str) -> str:
        values = [row[name] for row in rows if row.get(name) is not None]
        return f"{sum(values) / len(values):.2f}" if values else "-"

    labels = f", labels {mean('labels')}" if any("labels" in row for row in rows) else ""
    return f"like the preview: pictures {mean('picture')}, motion {mean('motion')}{labels} (1 is the same)"
