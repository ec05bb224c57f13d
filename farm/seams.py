"""What a finished shot's figures say of its joins: does one show, or is it like any other place? Pure.

The figures are those of a FINISH task's commit (farm/media/measure.py). A commit of an earlier version has
only the frame differences: what is not known is left out.

A causal decoder makes several frames of each latent frame, and pulses a little where one ends and the next
begins. So a join is held against the other latent boundaries nearby. Things can also move faster here than
there. So a figure is first held against the steps beside it, which lie within latent frames:

    contrast = step at the boundary / usual step within the latent frames on its two sides
    ratio    = contrast at the join / median contrast at up to PEERS boundaries on each side
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import dist, hypot
from statistics import fmean, median
from typing import Any

from farm.plan.planned import PlannedShot
from farm.plan.spec import Settings
from farm.series import unpack
from farm.timebase import first_showing, frames_of, source_frame

NEAR = 8  # frames on each side that a join's difference is compared with
PEERS = 6  # latent boundaries on each side that a join is compared with
FEWEST = 2  # of them, or nothing can be said
BAR = 4.0  # times the usual: such a seam shows
STILL = 0.1  # of a shot's usual difference: a frame that differs less from the one before is the same again
FREEZE_S = 0.25  # so long a run of them is a freeze

# What nobody sees. A figure below counts as this much, or something would be many times next to nothing.
FLOORS = {
    "difference": 0.25,  # levels of 255
    "shift": 0.1,  # per cent of the picture's width
    "ssim": 0.002,  # below 1
    "colour": 0.2,  # CIE Lab
    "sharpness": 0.03,  # of the natural logarithm: three per cent
}
# Measures of a frame and not of a step, by the series they consist of.
LEVELS = {"colour": ("lightness", "green_red", "blue_yellow"), "sharpness": ("sharpness",)}

Point = tuple[float, ...]


def joins(item: PlannedShot, differences: Sequence[float]) -> list[dict[str, Any]]:
    """The frame difference at each join of a shot, beside the median of its neighbours.

    `differences[i]` is that of frame i + 1 to frame i; a ratio of 1 is a join nobody can see.
    """
    found = []
    for segment in item.segments[1:]:
        frame = segment.frames.start
        at = frame - 1
        near = [
            differences[index]
            for index in range(max(0, at - NEAR), min(len(differences), at + NEAR + 1))
            if index != at and differences[index] > 0  # frames repeated for the rate say nothing
        ]
        if 0 <= at < len(differences) and near:
            usual = median(near)
            found.append(
                {
                    "frame": frame,
                    "difference": differences[at],
                    "neighbours": round(usual, 4),
                    "ratio": round(differences[at] / usual, 3) if usual else None,
                }
            )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """Frames that show again what the one before them shows, where the rate does not ask for it."""

    repeated: tuple[int, ...]
    frozen: tuple[tuple[int, int], ...]
    """Half-open spans of frames, each at least FREEZE_S long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Boundary:
    """The figures at a boundary: `at` the step across it, and the usual size of one `within` either side.

    `level` is how far the means of both sides are apart beyond what goes on anyway, for the measures that
    have a level. A pulse has none, and goes by the next frame.
    """

    at: dict[str, Point]
    within: dict[str, float]
    level: dict[str, float]

    def value(self, name: str, pulse: Point) -> float:
        """How large a step is; where there is a level, only what is no usual pulse and stays counts."""
        if name not in self.level:
            return hypot(*self.at[name])
        return min(self.level[name], dist(self.at[name], pulse))


class Steps:
    """A finished shot's figures, step by step, and its latent boundaries.

    A step is known by the frame it leads to, counted within the shot; a boundary by the latent frame
    behind it.
    """

    def __init__(self, item: PlannedShot, settings: Settings, facts: Mapping[str, Any]) -> None:
        family, self.rate = settings.family, settings.output.rate
        self.differences: Sequence[float] = facts["differences"]
        self.series = series = {name: unpack(packed) for name, packed in facts.get("series", {}).items()}
        self.moves = list(zip(series["across"], series["down"], strict=True)) if series else []
        self.levels = {
            name: list(zip(*(series[part] for part in parts), strict=True))
            for name, parts in (LEVELS if series else {}).items()
        }
        self.frames = min(item.shot.frames, len(self.differences) + 1)
        shown = [source_frame(frame, family.rate, self.rate) for frame in range(self.frames)]
        self.skips = [0, *(after - before for before, after in pairwise(shown))]
        """By how many source frames a step goes on: by none where a frame is repeated for the rate."""
        sources = [frames_of(latent, family.temporal_stride) for latent in range(item.latents + 1)]
        starts = [min(self.frames, first_showing(source, family.rate, self.rate)) for source in sources]
        self.groups = [range(start, stop) for start, stop in pairwise(starts) if start < stop]
        """The frames that show each latent frame."""
        # The rate can leave out source frames at one boundary and not at another: those are no peers.
        self.kinds = [
            (self.skips[group.start], shown[group.start] - source)
            for group, source in zip(self.groups, sources, strict=False)
        ]
        self.joins = frozenset(segment.window.owned.start for segment in item.segments[1:])
        self._known: dict[int, _Boundary] = {}

    def measured(self, latent: int) -> dict[str, dict[str, float]]:
        """What there is at a boundary: of each measure the `value`, the `usual` one, and their `ratio`."""
        near = range(max(2, latent - PEERS), min(len(self.groups), latent + PEERS + 1))
        # Before the first boundary a causal decoder makes one frame in place of several: it is no peer.
        peers = [
            self._boundary(other)
            for other in near
            if other != latent and other not in self.joins and self.kinds[other] == self.kinds[latent]
        ]
        here = self._boundary(latent)
        if len(peers) < FEWEST:
            return {}
        found = {}
        for name, within in here.within.items():
            floor, pulse = FLOORS[name], _middle([peer.at[name] for peer in peers])
            contrasts = [
                max(floor, peer.value(name, pulse)) / max(floor, peer.within[name]) for peer in peers
            ]
            usual = median(contrasts) * max(floor, within)
            value = here.value(name, pulse)
            found[name] = {
                "value": round(value, 4),
                "usual": round(usual, 4),
                "ratio": round(max(floor, value) / usual, 3),
            }
        return found

    def still(self) -> Still:
        """Where the shot repeats a frame or stands still between frames that move.

        To come to rest is no freeze, so what is beside it must move at least half as much as is usual.
        """
        steps = [frame for frame in range(1, self.frames) if self.skips[frame]]
        moving = sorted(found for frame in steps if (found := self.differences[frame - 1]) > 0)
        usual = moving[len(moving) * 3 // 4] if moving else 0.0
        repeated: list[int] = []
        frozen: list[tuple[int, int]] = []
        runs = groupby(steps, lambda frame: self.differences[frame - 1] <= STILL * usual)
        parts = [(is_still, list(run)) for is_still, run in runs]
        for number, (is_still, run) in enumerate(parts):
            beside = [parts[number - 1][1][-1]] if number else []
            beside += [parts[number + 1][1][0]] if number + 1 < len(parts) else []
            if not is_still or any(self.differences[frame - 1] < usual / 2 for frame in beside):
                continue
            if run[-1] + 1 - run[0] >= FREEZE_S * self.rate:
                frozen.append((run[0], run[-1] + 1))
            else:
                repeated += run
        return Still(repeated=tuple(repeated), frozen=tuple(frozen))

    def _boundary(self, latent: int) -> _Boundary:
        if latent not in self._known:
            self._known[latent] = self._look(latent)
        return self._known[latent]

    def _look(self, latent: int) -> _Boundary:
        """Take the figures at a boundary."""
        sides = self.groups[latent - 1 : latent + 1]
        inner = [frame for side in sides for frame in side[1:] if self.skips[frame]]
        # How fast the picture as a whole moves: to go on like that is no shift.
        speeds = [tuple(part / self.skips[to] for part in self.moves[to - 1]) for to in inner if self.moves]
        speed = _middle(speeds) or (0.0, 0.0)

        def taken(name: str, to: int) -> Point:
            if name == "difference":
                return (self.differences[to - 1],)
            if name == "ssim":
                return (1 - self.series["ssim"][to - 1],)
            if name == "shift":
                return _minus(self.moves[to - 1], tuple(part * self.skips[to] for part in speed))
            return _minus(self.levels[name][to], self.levels[name][to - 1])

        names = list(FLOORS) if self.series else ["difference"]
        start = self.groups[latent].start
        return _Boundary(
            at={name: taken(name, start) for name in names},
            within={
                name: median(hypot(*taken(name, to)) for to in inner) if inner else 0.0 for name in names
            },
            level={name: self._level(points, latent) for name, points in self.levels.items()},
        )

    def _level(self, points: Sequence[Point], latent: int) -> float:
        """How far the means of two neighbouring latent frames are apart, less what goes on on both sides."""
        means = [
            tuple(fmean(part) for part in zip(*(points[frame] for frame in group), strict=True))
            for group in self.groups[max(0, latent - 2) : latent + 2]
        ]
        gaps = [_minus(after, before) for before, after in pairwise(means)]
        here = gaps.pop(min(latent - 1, 1))
        trend = tuple(fmean(part) for part in zip(*gaps, strict=True)) if gaps else (0.0,) * len(here)
        return dist(here, trend)


def _minus(one: Point, other: Point) -> Point:
    return tuple(a - b for a, b in zip(one, other, strict=True))


def _middle(points: Sequence[Point]) -> Point:
    """The median of points, each part on its own; empty where there are none."""
    return tuple(median(part) for part in zip(*points, strict=True))


def seams(item: PlannedShot, settings: Settings, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The joins of a finished shot, as `joins` gives them, each with what all measures say of it.

    `measures` holds the `value`, the `usual` one and their `ratio` for each; `worst` the measure with the
    largest ratio; `shows` those at or over BAR, and "repeated" or "frozen" where frames are that beside it.
    A join behind a shot's single first frame is measured and never said to show: the cut before it hides
    it, and the decoder alone would account for it.
    """
    steps = Steps(item, settings, facts)
    still = steps.still()
    latents = {segment.frames.start: segment.window.owned.start for segment in item.segments[1:]}
    found = []
    for join in joins(item, facts["differences"]):
        frame = join["frame"]
        measures = steps.measured(latents[frame])
        worst = max(measures, key=lambda name: measures[name]["ratio"], default=None)
        shows = [name for name, figures in measures.items() if figures["ratio"] >= BAR]
        if any(abs(frame - again) <= 1 for again in still.repeated):
            shows.append("repeated")
        if any(start <= frame <= stop for start, stop in still.frozen):
            shows.append("frozen")
        found.append(
            {
                **join,
                "measures": measures,
                "worst": {"measure": worst, "ratio": measures[worst]["ratio"]} if worst else None,
                "shows": shows if latents[frame] > 1 else [],
            }
        )
    return found
