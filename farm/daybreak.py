"""Writes what a night came to: a page, the same as JSON, and the render log of all its films."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from farm import morning, parts
from farm.errors import NotFound
from farm.films import put_json
from farm.media.poster import poster
from farm.night import FilmEnd
from farm.ports import BlobStore
from farm.renderlog import encode_rows, render_rows
from farm.schema import FarmConf


def write_report(
    name: str,
    conf: FarmConf,
    store: BlobStore,
    ends: Sequence[FilmEnd],
    times: tuple[float, float, float | None],
) -> dict[str, Any]:
    """Write a night's report, and return it; `times` are when it began, when it ended, and when it had to."""
    posters = {end.outcome.plan.film: _poster(store, end) for end in ends}
    began, ended, until = times
    found = morning.Night(
        name=name,
        began=began,
        ended=ended,
        until=until,
        workers=parts.count_workers(conf),
        device=parts.device_of(conf),
        films=tuple(ends),
        linked=conf.store.kind == "local",
    )
    report = morning.night_report(found)
    zone = datetime.now().astimezone().tzinfo
    assert zone is not None
    page = morning.night_html(report, morning.night_timeline(found), posters, zone)
    folder = f"nights/{name}"
    store.put(f"{folder}/report.html", page.encode())
    store.put(f"{folder}/log.parquet", encode_rows([row for end in ends for row in render_rows(end.outcome)]))
    put_json(store, f"{folder}/report.json", report)
    return report


def _poster(store: BlobStore, end: FilmEnd) -> bytes | None:
    if end.state != "done":
        return None
    plan = end.outcome.plan
    try:
        sheet = store.get(f"films/{plan.film}/sheet.png")
    except NotFound:
        return None
    return poster(sheet, [item.shot.frames for item in plan.shots])
