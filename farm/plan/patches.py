"""Spans of a shot that are made again: their latent frames, and whose each one is afterwards. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby

from farm.plan.spec import FamilySpec
from farm.plan.task import Task
from farm.script.model import Patch
from farm.timebase import Span, source_frame

Columns = Sequence[tuple[Task, int]]
"""For each latent frame of a shot, the task that makes it, and which of that task's latent frames it is."""
Piece = tuple[int, int, int]
"""Latent frames [start, stop) of an input: its number, start, stop."""


def patch_span(patch: Patch, latents: int, family: FamilySpec, rate: Fraction) -> Span:
    """The latent frames, of `latents`, that show a patch. The first one stays: all else is drawn from it."""

    def latent(frame: int) -> int:
        return -(-source_frame(frame, family.rate, rate) // family.temporal_stride)

    start = min(max(1, family.opening, latent(patch.start)), latents - 1)
    return Span(start, max(start + 1, min(latents, latent(patch.stop - 1) + 1)))


def owned_columns(tasks: Sequence[Task], spans: Sequence[Span]) -> list[tuple[Task, int]]:
    """The columns of a shot made by `tasks`, each of which owns the span beside it."""
    return [(task, number) for task, span in zip(tasks, spans, strict=True) for number in range(len(span))]


def gather(columns: Columns) -> tuple[tuple[Task, ...], list[Piece]]:
    """The tasks that make some columns, each once, and in which pieces of what they make these lie."""
    tasks = {task.id: task for task, _ in columns}
    numbers = {name: number for number, name in enumerate(tasks)}
    pieces = []
    # Of a run, the place in the task's output goes up with the place among the columns.
    runs = groupby(enumerate(columns), lambda item: (item[1][0].id, item[1][1] - item[0]))
    for (name, _), run in runs:
        places = [place for _, (_, place) in run]
        pieces.append((numbers[name], places[0], places[-1] + 1))
    return tuple(tasks.values()), pieces
