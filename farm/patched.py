"""What a shot's frames come to where a span of it was made again."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import fmean

from farm.errors import FarmError
from farm.ledger import Blobs
from farm.plan.plan import Plan
from farm.ports import BlobStore
from farm.run import Outcome
from farm.snapshot import Kept
from farm.stock import reusable

Changes = dict[str, float | None]


def changes(before: Plan, outcome: Outcome, store: BlobStore, shot: str) -> Changes | None:
    """How much a shot's frames differ from the take before, ahead of its last patch, within it and behind it.

    {"ahead", "within", "behind"}, each a mean in grey levels of 255, None where there are no frames. Latents
    behind the span are the same, but a causal decoder carries what changed on into their frames. None where
    the take before is not in the store any more.
    """
    from farm.media.alike import differences

    item = next(item for item in outcome.plan.shots if item.shot.id == shot)
    found = reusable(before, store).get(item.finish)
    if not isinstance(found, Kept) or not item.shot.patches:
        return None
    blobs = Blobs(store)
    with tempfile.TemporaryDirectory(prefix="longtake-") as folder:
        paths = [Path(folder, name) for name in ("before.mp4", "after.mp4")]
        try:
            for commit, path in zip((found.commit, outcome.commits[item.finish]), paths, strict=True):
                blobs.fetch(commit.main, path)
        except FarmError:  # the film is there; this is only about it
            return None
        values = differences(*paths)
    start, stop = item.shot.patches[-1].start, item.shot.patches[-1].stop
    parts = {"ahead": values[:start], "within": values[start:stop], "behind": values[stop:]}
    return {name: round(fmean(part), 2) if part else None for name, part in parts.items()}


def changes_text(found: Changes) -> str:
    """The same in a line."""
    said = ", ".join(f"{name} {'-' if value is None else value}" for name, value in found.items())
    return f"frames changed, in grey levels of 255: {said}"
