"""What a finished shot's figures say of its joins: does one show, or is it like any other place? Pure.

The figures are those of a FINISH task's commit (farm/media/measure.py). A commit of an earlier version has
only the frame differences: what is not known is left out.

A causal decoder makes several frames of each latent frame. It pulses a little where one ends and the next
begins, and it spreads whatever changes there over the frames behind. So a join is held against the other
latent boundaries nearby. Things can also move faster here than there, so a figure is first held against what
goes on beside it:

    contrast = figure at the boundary / the same beside it
    ratio    = contrast at the join / median contrast at up to PEERS boundaries on each side
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import dist
from statistics import fmean, median
from typing import Any

from farm.plan.planned import PlannedShot
from farm.plan.spec import Settings
from farm.series import unpack
from farm.timebase import first_showing, frames_of, source_frame

NEAR = 8  # frames on each side that a join's difference is compared with
PEERS = 6  # latent boundaries on each side that a join is compared with
FEWEST = 2  # of them, or nothing can be said
STILL = 0.1  # of a shot's usual difference: a frame that differs less from the one before is the same again
STILL_LATENT = 0.2  # likewise, of a latent frame: the decoder goes on to change for a while
NOTHING = 0.001  # below a similarity of 1: what is left of its changes then
LEAST_MOTION = 0.05  # levels of 255 in half a second: below, nothing moves
FREEZE_S = 0.25  # so long a run of them is a freeze

# What nobody sees. A figure below counts as this much, or something would be many times next to nothing.
FLOORS = {
    "difference": 0.25,  # levels of 255
    "shift": 0.1,  # per cent of the picture's width
    "ssim": 0.002,  # below 1, as is what follows
    "morph": 0.004,
    "colour": 0.2,  # CIE Lab
    "sharpness": 0.03,  # of the natural logarithm: three per cent
}
# From which ratio on a seam shows: hardly any place of a continuous take comes to as much
# (docs/continuity.md tells on what this was tried).
BARS = {"difference": 4.0, "shift": 4.0, "ssim": 5.0, "morph": 3.0, "colour": 4.0, "sharpness": 4.0}
DRIFTS = ("colour", "histogram", "sharpness", "saturation")  # from a shot's first second to its last
# Measures of a frame and not of a step, by the series they consist of.
LEVELS = {"colour": ("lightness", "green_red", "blue_yellow"), "sharpness": ("sharpness",)}

Point = tuple[float, ...]


def joins(item: PlannedShot, differences: Sequence[float]) -> list[dict[str, Any]]:
    """The frame difference at each join of a shot, beside the median of its neighbours.

    `differences[i]` is that of frame i + 1 to frame i; a ratio of 1 is a join nobody can see.
    """
    found = []
    for frame in sorted(item.joins):
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


@dataclass(frozen=True, slots=True)
class _Figure:
    """A measure at a boundary: its value across it, and the same beside it."""

    value: float
    beside: float


class Steps:
    """A finished shot's figures, step by step, and its latent boundaries.

    A step is known by the frame it leads to, counted within the shot; a boundary by the latent frame
    behind it.
    """

    def __init__(self, item: PlannedShot, settings: Settings, facts: Mapping[str, Any]) -> None:
        family, self.rate = settings.family, settings.output.rate
        self.differences: Sequence[float] = facts["differences"]
        self.series = series = {name: unpack(packed) for name, packed in facts.get("series", {}).items()}
        self.over = f"ssim_{family.temporal_stride}"
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
        self.joins = item.joins
        """The latent frames behind the joins, by the frame that shows each first."""
        self._known: dict[int, dict[str, _Figure]] = {}

    def measured(self, latent: int) -> dict[str, dict[str, float]]:
        """What there is at a boundary: of each measure the `value`, the `usual` one, and their `ratio`."""
        near = range(max(2, latent - PEERS), min(len(self.groups), latent + PEERS + 1))
        joined = frozenset(self.joins.values())
        # Before the first boundary a causal decoder makes one frame in place of several: it is no peer.
        peers = [
            self._boundary(other)
            for other in near
            if other != latent and other not in joined and self.kinds[other] == self.kinds[latent]
        ]
        here = self._boundary(latent)
        if len(peers) < FEWEST:
            return {}
        found = {}
        for name, figure in here.items():
            floor = FLOORS[name]
            contrasts = [max(floor, peer[name].value) / max(floor, peer[name].beside) for peer in peers]
            usual = median(contrasts) * max(floor, figure.beside)
            found[name] = {
                "value": round(figure.value, 4),
                "usual": round(usual, 4),
                "ratio": round(max(floor, figure.value) / usual, 3),
            }
        return found

    def still(self) -> Still:
        """Where the shot repeats a frame or stands still between frames that move.

        A decoder that pulses moves on when its latent frames do not. So these are looked at, too: two and
        more that come to look the same are a freeze.
        """
        steps = [frame for frame in range(1, self.frames) if self.skips[frame]]
        spans: list[tuple[int, int]] = []
        repeated: list[int] = []
        # Differences are taken of every other pixel alone, so a slow thing can escape them.
        seen = [_share([self.differences[frame - 1] for frame in steps])]
        if self.series:
            seen.append(_share([1 - self.series["ssim"][frame - 1] for frame in steps]))
        for run in _halts([max(shares) for shares in zip(*seen, strict=True)], STILL):
            span = steps[run.start], steps[run.stop - 1] + 1
            if span[1] - span[0] >= FREEZE_S * self.rate:
                spans.append(span)
            else:
                repeated += steps[run.start : run.stop]
        if self.over in self.series:
            alike = [self._morph(latent) for latent in range(2, len(self.groups))]
            for run in _halts(_share(alike, FLOORS["morph"]), STILL_LATENT):
                if len(run) > 1 and min(alike[run.start : run.stop]) <= NOTHING:
                    spans.append((self.groups[run.start + 2].start, self.groups[run.stop + 1].stop))
        frozen: list[tuple[int, int]] = []
        for span in sorted(spans):
            if frozen and span[0] <= frozen[-1][1]:
                first = frozen.pop()
                frozen.append((first[0], max(first[1], span[1])))
            else:
                frozen.append(span)
        return Still(repeated=tuple(repeated), frozen=tuple(frozen))

    def _boundary(self, latent: int) -> dict[str, _Figure]:
        if latent not in self._known:
            self._known[latent] = self._look(latent)
        return self._known[latent]

    def _look(self, latent: int) -> dict[str, _Figure]:
        """Take the figures at a boundary."""
        # A join is spread over the latent frame behind it, which can tell nothing of what is usual here.
        sides = self.groups[latent - 1 : latent + 2 : 2]
        beside = [frame for side in sides for frame in side[1:] if self.skips[frame]]
        start = self.groups[latent].start

        def figure(step: Callable[[int], float]) -> _Figure:
            return _Figure(step(start), median(map(step, beside)) if beside else 0.0)

        found = {"difference": figure(lambda to: self.differences[to - 1])}
        if self.series:
            found["shift"] = figure(self._astray(beside))
            found["ssim"] = figure(lambda to: 1 - self.series["ssim"][to - 1])
            if self.over in self.series:
                around = [self._morph(other) for other in (latent - 1, latent + 1) if self._has(other)]
                found["morph"] = _Figure(self._morph(latent), fmean(around) if around else 0.0)
            for name, points in self.levels.items():
                steps = figure(_stepping(points))
                # A pulse is over by the next frame, and what goes on all the time makes no step.
                found[name] = _Figure(min(self._level(points, latent), steps.value), steps.beside)
        return found

    def _astray(self, beside: Sequence[int]) -> Callable[[int], float]:
        """How far the picture as a whole is from where it would be had it moved on as it does beside."""
        speeds = [tuple(part / self.skips[to] for part in self.moves[to - 1]) for to in beside]
        across, down = _middle(speeds) or (0.0, 0.0)
        return lambda to: dist(self.moves[to - 1], (across * self.skips[to], down * self.skips[to]))

    def _has(self, latent: int) -> bool:
        return 1 <= latent < len(self.groups)

    def _morph(self, latent: int) -> float:
        """How little a latent frame's last picture is like the one before its first: pulse or no pulse."""
        return 1 - self.series[self.over][self.groups[latent][-1]]

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


def _share(values: Sequence[float], least: float = 0.0) -> list[float]:
    """Values as shares of the usual one, the third quartile of those that are not nothing, or the least."""
    moving = sorted(value for value in values if value > 0)
    usual = max(least, moving[len(moving) * 3 // 4] if moving else 1.0)
    return [value / usual for value in values]


def _halts(shares: Sequence[float], most: float) -> list[range]:
    """Where shares of the usual fall to at most so much, all at once: runs of their numbers.

    To come to rest is no halt: what is beside one must be at least a quarter of the usual.
    """
    found, start = [], 0
    for is_still, run in groupby(shares, lambda share: share <= most):
        stop = start + len(list(run))
        beside = [shares[at] for at in (start - 1, stop) if 0 <= at < len(shares)]
        if is_still and all(share >= 0.25 for share in beside):
            found.append(range(start, stop))
        start = stop
    return found


def _stepping(points: Sequence[Point]) -> Callable[[int], float]:
    """How far each point is from the one before it."""
    return lambda to: dist(points[to], points[to - 1])


def _minus(one: Point, other: Point) -> Point:
    return tuple(a - b for a, b in zip(one, other, strict=True))


def _middle(points: Sequence[Point]) -> Point:
    """The median of points, each part on its own; empty where there are none."""
    return tuple(median(part) for part in zip(*points, strict=True))


def figures(item: PlannedShot, settings: Settings, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a finished shot's facts say of its continuity; what an old commit does not hold is None or empty.

    `joins` are as `joins` gives them, each with what all measures say of it: `measures` holds the `value`,
    the `usual` one here and their `ratio` for each; `worst` the one that comes nearest to its bar, or
    farthest over it; `shows` those that reach their bars, and "repeated" or "frozen" where frames are that
    beside it. `repeated` and `frozen` are frames and spans of them; `drift` and `motion` are as the facts
    have them (farm/media/measure.py).
    """
    steps = Steps(item, settings, facts)
    still = steps.still()
    return {
        "joins": [_judged(join, steps, still) for join in joins(item, facts["differences"])],
        "drift": facts.get("drift"),
        "motion": facts.get("motion"),
        "repeated": list(still.repeated),
        "frozen": [list(span) for span in still.frozen],
    }


def _judged(join: dict[str, Any], steps: Steps, still: Still) -> dict[str, Any]:
    frame, latent = join["frame"], steps.joins[join["frame"]]
    measures = steps.measured(latent)
    worst = max(measures, key=lambda name: measures[name]["ratio"] / BARS[name], default=None)
    shows = [name for name, found in measures.items() if found["ratio"] >= BARS[name]]
    if latent == 1:
        # Behind a single first frame the decoder alone accounts for a step, and the cut before it hides it.
        shows = []
    if any(abs(frame - again) <= 1 for again in still.repeated):
        shows.append("repeated")
    if any(start <= frame <= stop for start, stop in still.frozen):
        shows.append("frozen")
    return {
        **join,
        "measures": measures,
        "worst": {"measure": worst, "ratio": measures[worst]["ratio"]} if worst else None,
        "shows": shows,
    }
