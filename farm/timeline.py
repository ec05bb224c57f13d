"""The timeline of a night: who worked on what, and when, laid out as a picture. Pure geometry.

A night of many tasks has to stay a small picture: what is narrower than a pixel is drawn together with
its neighbours of the same film.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TypeVar

LEFT, WIDTH, RIGHT = 96, 900, 24  # pixels: for the workers' names, for the time, and to spare
TOP, ROW = 22, 22  # for the hours, and for one worker
_PIXEL, _MARK = 1.0, 8.0  # the narrowest bar, and the nearest that two marks come
_MOST_BARS, _MOST_MARKS = 5000, 1000  # more of them are drawn more coarsely
_MOST_HOURS = 10  # written along the top
_DAY = 86400
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, _DAY)
_MOST_TEXT = 160

Happening = TypeVar("Happening", "Work", "Trouble")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A task that a worker made; `film` is the number of its film in the night."""

    worker: str
    film: int
    task: str
    kind: str
    began: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """An attempt that failed, or (`lost`) a worker that was lost."""

    worker: str
    at: float
    text: str
    lost: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """What happened from `began` to `ended`, in seconds since the epoch; `films` are their names."""

    began: float
    ended: float
    until: float | None
    films: tuple[str, ...]
    work: tuple[Work, ...]
    troubles: tuple[Trouble, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A task, or several of one film; `title` says which."""

    film: int
    tasks: int
    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A trouble, or several of a kind that lie too near for two marks."""

    x: float
    lost: bool
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one worker did; `y` is the middle of its row."""

    worker: str
    y: float
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A timeline in pixels. `hours` are the times along the top, and `until` where the night was to end."""

    width: int
    height: int
    rows: tuple[Row, ...]
    hours: tuple[tuple[float, str], ...]
    until: float | None


def draw(timeline: Timeline, zone: tzinfo) -> Picture:
    """Lay a timeline out, with the times of a time zone."""
    scale = _Scale(timeline, zone)
    work, troubles = _by_worker(timeline.work), _by_worker(timeline.troubles)
    workers = sorted({*work, *troubles}, key=_natural)
    fine = _grain(len(timeline.work), len(workers), _PIXEL, _MOST_BARS)
    apart = _grain(len(timeline.troubles), len(workers), _MARK, _MOST_MARKS)
    rows = [
        Row(
            worker=worker,
            y=TOP + index * ROW + ROW / 2,
            bars=tuple(scale.bars(work.get(worker, []), fine)),
            marks=tuple(scale.marks(troubles.get(worker, []), apart)),
        )
        for index, worker in enumerate(workers)
    ]
    until = timeline.until
    return Picture(
        width=LEFT + WIDTH + RIGHT,
        height=TOP + len(rows) * ROW,
        rows=tuple(rows),
        hours=tuple(scale.hours()),
        until=scale.x(until) if until is not None and scale.began <= until <= scale.ended else None,
    )


def _by_worker(items: Iterable[Happening]) -> dict[str, list[Happening]]:
    found: dict[str, list[Happening]] = defaultdict(list)
    for item in items:
        found[item.worker].append(item)
    return found


def _natural(worker: str) -> list[tuple[int, str]]:
    """So that worker-10 comes behind worker-2."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", worker)]


def _grain(count: int, rows: int, least: float, most: int) -> float:
    """How wide the narrowest thing is drawn, so that there are about `most` of them at most."""
    return least if count <= most else max(least, rows * WIDTH / most)


class _Scale:
    """Turns times into pixels and into words."""

    def __init__(self, timeline: Timeline, zone: tzinfo) -> None:
        self.films, self.zone = timeline.films, zone
        self.began = timeline.began
        self.ended = max(timeline.ended, self.began + 1)

    def x(self, at: float) -> float:
        share = (at - self.began) / (self.ended - self.began)
        return LEFT + WIDTH * min(1.0, max(0.0, share))

    def clock(self, at: float, form: str = "%H:%M:%S") -> str:
        return datetime.fromtimestamp(at, self.zone).strftime(form)

    def hours(self) -> Iterator[tuple[float, str]]:
        """Round times of the clock on the wall, as far apart as there is room for."""
        length = self.ended - self.began
        step = next((step for step in _STEPS if length / step <= _MOST_HOURS), None)
        step = step or _DAY * -(-int(length) // (_DAY * _MOST_HOURS))
        form = "%H:%M:%S" if step < 60 else "%H:%M" if step < _DAY else "%d %b"
        first = datetime.fromtimestamp(self.began, self.zone)
        at = first.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        at += step * -(-(self.began - at) // step)
        while at <= self.ended:
            yield self.x(at), self.clock(at, form)
            at += step

    def bars(self, work: Iterable[Work], grain: float) -> Iterator[Bar]:
        """A bar for each task that is as wide as the grain, then those for the others, run by run."""
        narrow: dict[int, dict[int, list[Work]]] = defaultdict(lambda: defaultdict(list))
        last_column = max(0, int(WIDTH // grain) - 1)
        for item in work:
            left, right = self.x(item.began), self.x(item.began + item.seconds)
            if right - left >= grain:
                yield self._bar([item], left, right)
            else:
                narrow[min(last_column, int((left - LEFT) // grain))][item.film].append(item)
        run: list[Work] = []
        first = last = -1
        for column in sorted(narrow):
            # The film that took the most of it: there is room for one colour.
            most = max(narrow[column].values(), key=lambda items: sum(item.seconds for item in items))
            if run and (column > last + 1 or most[0].film != run[0].film):
                yield self._bar(run, LEFT + first * grain, LEFT + (last + 1) * grain)
                run = []
            if not run:
                first = column
            run += most
            last = column
        if run:
            yield self._bar(run, LEFT + first * grain, LEFT + (last + 1) * grain)

    def _bar(self, work: list[Work], left: float, right: float) -> Bar:
        first = work[0]
        seconds = sum(item.seconds for item in work)
        what = f"{first.task} ({first.kind})" if len(work) == 1 else f"{len(work)} tasks"
        title = f"{self.clock(first.began)} {self.films[first.film]}: {what}, {seconds:.1f} s"
        return Bar(film=first.film, tasks=len(work), x=left, width=right - left, title=_short(title))

    def marks(self, troubles: Iterable[Trouble], apart: float) -> Iterator[Mark]:
        near: dict[tuple[int, bool], list[Trouble]] = defaultdict(list)
        for trouble in troubles:
            near[int((self.x(trouble.at) - LEFT) // apart), trouble.lost].append(trouble)
        for (_, lost), found in near.items():
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            title = f"{self.clock(found[0].at)} {_short(found[0].text)}{more}"
            yield Mark(x=self.x(found[0].at), lost=lost, title=title)


def _short(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT - 1]}…"
