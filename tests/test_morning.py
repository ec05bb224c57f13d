"""The morning report: nights that were really driven, with fakes, on workers that work side by side."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from conftest import make_settings
from helpers import FakeClock, FakeModel, TextMedia, make_driver, shot, shots
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from farm.errors import FarmError
from farm.media.encode import encode_shot
from farm.media.poster import MOST_BYTES, poster
from farm.media.sheet import draw_sheet
from farm.morning import STATES, Night, night_html, night_report, night_timeline
from farm.night import FilmEnd
from farm.plan.plan import Plan, make_plan
from farm.ports import Lease, Report, WorkerJoined, WorkerLost
from farm.store.memory import MemoryStore
from farm.timeline import LEFT, WIDTH, Timeline, Trouble, Work, draw
from farm.worker import Worker

MIDNIGHT = datetime(2026, 6, 13, tzinfo=UTC).timestamp()
HOSTILE = """</title><script>alert('x')</script>"><img src=x onerror='y'>{{ 7 * 7 }}{% raw %}&lt;\u202e"""


class SlowModel(FakeModel):
    """Takes two minutes a segment."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock

    def denoise(self, recipe, **more):
        self.clock.sleep(120)
        return super().denoise(recipe, **more)


class Jumpy(TextMedia):
    """Sees a jump before frame 29 of every shot of more than 60 frames, the larger the longer it is."""

    def encode_shot(self, recipe, frames, target):
        facts = super().encode_shot(recipe, frames, target)
        if recipe["frames"] > 60:
            facts["differences"][28] = recipe["frames"] / 10
        return facts


class SideBySide:
    """An Executor whose workers work at the same time, by the clock; `lost` are lost at their first lease."""

    def __init__(self, worker: Worker, clock: FakeClock, names: Sequence[str], lost: Sequence[str]) -> None:
        self.worker, self.clock, self.lost = worker, clock, lost
        self.coming: list[tuple[float, Report]] = [(clock.time, WorkerJoined(worker=name)) for name in names]

    def start(self, lease: Lease) -> None:
        began = self.clock.time
        if lease.worker in self.lost:
            self.coming.append((began + 30, WorkerLost(worker=lease.worker, reason=HOSTILE)))
            return
        report = self.worker.run(lease, lambda: False)
        self.coming.append((self.clock.time, report))
        self.clock.time = began

    def poll(self, timeout: float) -> Sequence[Report]:
        if not self.coming:
            self.clock.sleep(timeout)
            return []
        self.coming.sort(key=lambda item: item[0])
        at, report = self.coming.pop(0)
        self.clock.time = max(self.clock.time, at)
        return [report]

    def close(self) -> None: ...


class Nightly:
    """Drives films one after another, and keeps what is needed to report on them."""

    def __init__(self) -> None:
        self.store, self.clock = MemoryStore(), FakeClock()
        self.clock.time = MIDNIGHT
        self.films: list[FilmEnd] = []

    def film(
        self,
        plan: Plan,
        fail: Callable[[dict], Exception | None] = lambda recipe: None,
        lost: Sequence[str] = (),
    ) -> FilmEnd:
        model = SlowModel(self.clock)
        model.fail = fail
        worker = Worker(store=self.store, model=model, media=Jumpy(), clock=self.clock)
        began, state, reason = self.clock.time, "done", ""
        driver = make_driver(plan, self.store, clock=self.clock)
        try:
            driver.render(lambda: SideBySide(worker, self.clock, ("worker-2", "worker-10"), lost))
        except FarmError as error:
            state, reason = "failed", str(error)
        self.films.append(
            FilmEnd(
                outcome=driver.outcome(),
                state=state,
                reason=reason,
                began=began,
                ended=self.clock.time,
            )
        )
        return self.films[-1]

    def night(self) -> Night:
        return Night(
            name="2026-06-13",
            began=MIDNIGHT,
            ended=self.clock.time,
            until=None,
            workers=2,
            device="cpu",
            films=tuple(self.films),
            linked=True,
        )


def film_plan(name: str, *frames: int, prompt: str = "", **settings: object) -> Plan:
    listed = [
        shot(str(number), length, prompt=prompt and f"{prompt} {number}")
        for number, length in enumerate(frames, 1)
    ]
    return make_plan(name, shots(*listed), make_settings(**settings))


def once(shot_id: str) -> Callable[[dict], Exception | None]:
    """The first attempt at a shot fails."""
    left = [RuntimeError(f"hiccup {HOSTILE}")]
    return lambda recipe: left.pop() if recipe["shot"] == shot_id and left else None


def never(shot_id: str) -> Callable[[dict], Exception | None]:
    return lambda recipe: ValueError(f"cannot {HOSTILE}") if recipe["shot"] == shot_id else None


@pytest.fixture(scope="module")
def night() -> Night:
    """A film with a hiccup, one that fails, one that is there already, one that is never begun."""
    nightly = Nightly()
    nightly.film(film_plan("red", 100, 80, 40, prompt="red"), once("2"))
    nightly.film(film_plan("blue", 60, 70, prompt="blue"), never("1"), lost=["worker-2"])
    nightly.film(film_plan("again", 100, 80, 40, prompt="red"))
    nightly.film(film_plan("late", 60, 60, prompt="late"))
    driver = make_driver(film_plan("never", 60), nightly.store, clock=nightly.clock)
    now = nightly.clock.time
    nightly.films.append(
        FilmEnd(outcome=driver.outcome(), state="waiting", reason="over", began=now, ended=now)
    )
    return nightly.night()


def test_the_report_says_what_became_of_each_film(night: Night) -> None:
    report = night_report(night)
    json.dumps(report)
    red, blue, again, late, never_begun = report["films"]
    assert [film["state"] for film in report["films"]] == ["done", "failed", "done", "done", "waiting"]
    assert (red["rendered"], red["reused"], red["retried"], red["failed"]) == (red["segments"], 0, 1, 0)
    assert red["troubles"] == [{"why": f"RuntimeError: hiccup {HOSTILE}", "times": 1, "first": "denoise/2/0"}]
    assert (red["failures"], red["uri"]) == ([], "memory:films/red/film.mp4")
    assert red["wall_s"] == pytest.approx(night.films[0].ended - MIDNIGHT, abs=0.01)
    assert (blue["failed"], blue["uri"]) == (1, None)
    reason = f"ValueError: cannot {HOSTILE}"
    assert blue["failures"] == [{"why": reason, "times": 1, "first": "denoise/1/0"}]
    assert blue["troubles"] == [
        {"why": reason, "times": 3, "first": "denoise/1/0"},
        {"why": f"a worker was lost: {HOSTILE}", "times": 1, "first": "worker-2"},
    ]
    assert 0 < blue["rendered"] < blue["segments"]
    assert (again["rendered"], again["reused"]) == (0, again["segments"])
    assert (never_begun["rendered"], never_begun["reused"], never_begun["uri"]) == (0, 0, None)
    totals = report["totals"]
    assert (totals["films"], totals["done"]) == (5, 3)
    for key in ("segments", "rendered", "reused", "retried", "failed"):
        assert totals[key] == sum(film[key] for film in report["films"])


def test_hours_are_those_of_the_work_of_this_night(night: Night) -> None:
    report = night_report(night)
    red, blue, again, late, never_begun = report["films"]
    for film in (red, blue, late):
        assert film["worker_hours"] == pytest.approx(film["rendered"] * 120 / 3600, abs=0.01)
    # Of a film that is there already only the stitching is left, if that.
    assert again["worker_hours"] < 0.001
    assert never_begun["worker_hours"] == 0
    totals = report["totals"]
    made = sum(film["rendered"] for film in report["films"])
    assert totals["worker_hours"] == pytest.approx(made * 120 / 3600, abs=0.01)
    assert totals["busy"] == pytest.approx(totals["worker_hours"] * 3600 / 2 / report["wall_s"], abs=0.01)
    assert 0.3 < totals["busy"] < 1


def test_work_of_two_films_is_counted_once(night: Night) -> None:
    red = night.films[0]
    twice = replace(night, films=(red, replace(red, outcome=replace(red.outcome))))
    first, second = night_report(twice)["films"]
    assert (first["worker_hours"] > 0, second["worker_hours"]) == (True, 0)
    assert len(night_timeline(twice).work) == len(night_timeline(replace(night, films=(red,))).work)


def test_work_of_an_earlier_night_is_not_counted(night: Night) -> None:
    later = replace(night, began=night.ended + 60, ended=night.ended + 120)
    assert night_report(later)["totals"]["worker_hours"] == 0
    assert night_timeline(later).work == ()


def test_the_worst_seam_is_found_where_it_is(night: Night) -> None:
    red, blue, *_ = night_report(night)["films"]
    assert red["seams"] == sum(len(item.segments) - 1 for item in night.films[0].outcome.plan.shots)
    assert red["worst_seam"] == {
        "shot": "1",
        "prompt": "red 1",
        "frame": 29,
        "at_s": 1.812,
        "ratio": 10.0,
        "difference": 10.0,
    }
    # Of the film that failed, a shot is finished: the second, behind 60 frames of the first.
    assert (blue["worst_seam"]["shot"], blue["worst_seam"]["frame"]) == ("2", 60 + 29)


class Page(HTMLParser):
    """The tags of a page with the names of their attributes, its links, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.links += [(name, value or "") for name, value in attrs if name in ("href", "src", "xlink:href")]

    def handle_data(self, data):
        self.text.append(data)


def page_of(night: Night, posters: dict[str, bytes | None] | None = None) -> str:
    return night_html(night_report(night), night_timeline(night), posters or {}, timezone(timedelta(hours=2)))


def test_the_page_tells_it_all(night: Night) -> None:
    html = page_of(night, {"red": b"jpeg", "blue": None})
    page = Page(html)
    text = " ".join(" ".join(page.text).split())
    assert "3 of 5 films are done" in text
    assert "Sat 13 Jun 2026, 02:00" in text, "in the zone that was asked for"
    for word in ("red", "blue", "failed", "not begun", "tried again", "worker-hours", "UTC+02:00"):
        assert word in text
    assert "the worst moves 10.00 times as much as the frames around it, at 0:02 in shot 1" in text
    assert text.count("3 times, first at denoise/1/0 : ValueError") == 1
    assert page.links == [
        ("src", "data:image/jpeg;base64,anBlZw=="),
        *(
            ("href", f"../../{film}/{file}")
            for film in ("red", "again", "late")
            for file in ("film.mp4", "sheet.png", "report.json")
        ),
    ]
    picture = html[html.index("<svg") :]
    assert picture.index("worker-2<") < picture.index("worker-10<"), "as people count"
    assert "(denoise), 120.0 s" in html
    assert html.count('class="miss"') + html.count('class="lost"') >= 3


def test_an_address_that_cannot_be_followed_is_only_shown(night: Night) -> None:
    page = Page(page_of(replace(night, linked=False)))
    text = " ".join(page.text)
    assert page.links == []
    assert "memory:films/late/film.mp4" in text
    assert "memory:films/blue/film.mp4" not in text, "what is not there is not shown"


def test_the_page_needs_nothing_but_itself(night: Night) -> None:
    html = page_of(night)
    assert {tag for tag, _ in Page(html).tags}.isdisjoint({"script", "link", "iframe", "object", "base"})
    assert "http://" not in html
    assert "https://" not in html
    assert "url(" not in html
    assert "prefers-color-scheme: dark" in html


def test_no_words_of_a_script_become_part_of_the_page() -> None:
    def page(word: str, linked: bool) -> Page:
        nightly = Nightly()
        fail = iter([RuntimeError(word)])
        done = nightly.film(film_plan("one", 100, prompt=word), lambda recipe: next(fail, None))
        broken = nightly.film(film_plan("two", 100, prompt=f"2 {word}"), lambda recipe: ValueError(word))
        named = replace(done.outcome, plan=replace(done.outcome.plan, film=word), uri=f"s3://b/{word}")
        nightly.films[:] = [
            replace(done, outcome=named),
            replace(broken, reason=word),
        ]
        night = replace(nightly.night(), name=word, device=word, linked=linked)
        return Page(page_of(night, {word: b"jpeg"}))

    for linked in (True, False):
        plain, hostile = page("plain", linked), page(HOSTILE, linked)
        assert hostile.tags == plain.tags
        text = " ".join("".join(hostile.text).split())
        assert text.count("{{ 7 * 7 }}{% raw %}&lt;") >= 6, "and it is there to be read"


def test_a_word_that_the_page_does_not_know_is_an_error(night: Night) -> None:
    from jinja2 import UndefinedError

    report = night_report(night)
    del report["films"][0]["seams"]
    with pytest.raises(UndefinedError):
        night_html(report, night_timeline(night), {}, UTC)


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_its_words(night: Night, state: str) -> None:
    film = replace(night.films[4], state=state, reason="because")
    text = " ".join(Page(page_of(replace(night, films=(film,)))).text)
    assert STATES[state] in text
    assert "because" in text


def test_a_night_without_films_and_without_length() -> None:
    empty = Night(
        name="n",
        began=MIDNIGHT,
        ended=MIDNIGHT,
        until=MIDNIGHT,
        workers=0,
        device="cpu",
        films=(),
        linked=True,
    )
    assert night_report(empty)["totals"]["busy"] is None
    assert "0 of 0 films" in page_of(empty)


def big_timeline(tasks: int, films: int, workers: int) -> Timeline:
    """A night of short tasks, every one of another film than the one before."""
    seconds = 8 * 3600 * workers / tasks
    work = [
        Work(
            worker=f"worker-{index % workers}",
            film=index // workers % films,
            task=f"denoise/{index}/0",
            kind="denoise",
            began=MIDNIGHT + index // workers * seconds,
            seconds=seconds,
        )
        for index in range(tasks)
    ]
    troubles = [
        Trouble(worker=item.worker, at=item.began, text="it failed " * 50, lost=index % 2 == 0)
        for index, item in enumerate(work[::10])
    ]
    return Timeline(
        began=MIDNIGHT,
        ended=MIDNIGHT + 8 * 3600,
        until=MIDNIGHT + 7 * 3600,
        films=tuple(f"film-{number}" for number in range(films)),
        work=tuple(work),
        troubles=tuple(troubles),
    )


@pytest.mark.parametrize("workers", [1, 8, 64])
def test_the_page_of_a_hundred_thousand_tasks_is_small(night: Night, workers: int) -> None:
    html = night_html(night_report(night), big_timeline(100_000, 5, workers), {}, UTC)
    assert len(html.encode()) < 2_000_000
    assert html.count("<rect") > 100, "and not empty either"


TIMES = st.floats(-600, 7200, allow_nan=False)
WORK = st.lists(
    st.builds(
        Work,
        worker=st.sampled_from(["worker-2", "worker-10", "²", ""]),
        film=st.integers(0, 1),
        task=st.just("denoise/1/0"),
        kind=st.just("denoise"),
        began=TIMES,
        seconds=st.floats(0, 900),
    ),
    max_size=60,
)


@given(work=WORK, length=st.floats(0, 7200), until=st.none() | TIMES)
def test_all_work_is_in_the_picture(work: list[Work], length: float, until: float | None) -> None:
    one_film = [replace(item, film=0) for item in work]
    for listed in (one_film, work):
        picture = draw(
            Timeline(began=0.0, ended=length, until=until, films=("a", "b"), work=tuple(listed), troubles=()),
            UTC,
        )
        assert {row.worker for row in picture.rows} == {item.worker for item in listed}
        for row in picture.rows:
            for bar in row.bars:
                assert bar.x >= LEFT
                assert bar.x + bar.width <= LEFT + WIDTH + 1e-6
                assert bar.width > 0
        if listed is one_film:
            drawn = {row.worker: sum(bar.tasks for bar in row.bars) for row in picture.rows}
            assert drawn == Counter(item.worker for item in listed)


@given(
    began=st.floats(0, 2e9),
    length=st.floats(0, 60 * 86400),
    zone=st.sampled_from([UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kathmandu")]),
)
def test_the_hours_are_round_and_in_their_order(began: float, length: float, zone: ZoneInfo) -> None:
    picture = draw(
        Timeline(began=began, ended=began + length, until=None, films=(), work=(), troubles=()), zone
    )
    places = [x for x, _ in picture.hours]
    assert places == sorted(places)
    assert len(places) <= 11
    assert all(LEFT <= x <= LEFT + WIDTH for x in places)
    if length >= 10:
        assert places


def test_only_neighbours_are_drawn_together() -> None:
    """Short tasks in the first minutes and in the last ones are two bars, and a long one is its own."""
    began = [0.0, 5.0, 10.0, 28000.0, 28005.0]
    lengths = [1.0, 1.0, 1.0, 1.0, 700.0]
    work = [
        Work(worker="w", film=0, task=f"denoise/{index}/0", kind="denoise", began=at, seconds=seconds)
        for index, (at, seconds) in enumerate(zip(began, lengths, strict=True))
    ]
    timeline = Timeline(began=0.0, ended=28800.0, until=None, films=("a",), work=tuple(work), troubles=())
    (row,) = draw(timeline, UTC).rows
    assert sorted(bar.tasks for bar in row.bars) == [1, 1, 3]
    assert {bar.title for bar in row.bars} == {
        "00:00:00 a: 3 tasks, 3.0 s",
        "07:46:40 a: denoise/3/0 (denoise), 1.0 s",
        "07:46:45 a: denoise/4/0 (denoise), 700.0 s",
    }


def test_hours_are_those_of_the_clock_on_the_wall() -> None:
    timeline = big_timeline(10, 1, 1)
    hours = [text for _, text in draw(timeline, ZoneInfo("Asia/Kathmandu")).hours]
    assert hours == [f"{hour:02d}:00" for hour in range(6, 14)], "from 05:45 to 13:45"


COLOURS = [(200, 40, 40), (40, 160, 60), (40, 60, 200), (220, 200, 60)]


def sheet_of(folder: Path, lengths: Sequence[int], height: int = 48) -> bytes:
    """The sheet of a film whose shots are each of one colour, and begin in black."""
    pixels = [
        np.full((height, 64, 3), COLOURS[number % 4] if frame >= length // 4 else 0, np.uint8)
        for number, length in enumerate(lengths)
        for frame in range(length)
    ]
    encoding = {
        "width": 64,
        "height": height,
        "rate": "16/1",
        "codec": "h264",
        "crf": 12,
        "preset": "veryfast",
        "threads": 1,
    }
    film, sheet = folder / "film.mp4", folder / "sheet.png"
    encode_shot({"frames": len(pixels), "encoding": encoding, "keys": ()}, iter(pixels), film)
    starts = np.cumsum([0, *lengths])
    rows = [(str(n), "words " * 40, int(starts[n]), length) for n, length in enumerate(lengths)]
    draw_sheet(film, rows, sheet)
    return sheet.read_bytes()


@pytest.mark.parametrize("lengths", [[9], [1, 2, 3, 9], [9] * 8, [3] * 21])
def test_a_poster_shows_shots_from_all_over_the_film(tmp_path: Path, lengths: list[int]) -> None:
    data = poster(sheet_of(tmp_path, lengths), lengths)
    assert data is not None
    strip = Image.open(BytesIO(data))
    count = min(8, len(lengths))
    width = (strip.width + 4) / count
    shown = [strip.getpixel((int((index + 0.5) * width), strip.height // 2)) for index in range(count)]
    wanted = [COLOURS[(2 * index + 1) * len(lengths) // (2 * count) % 4] for index in range(count)]
    assert np.abs(np.array(shown) - np.array(wanted)).max() < 30, "no label, no margin, no other shot"
    corners = [strip.getpixel((int(index * width) + 3, y)) for index in range(count) for y in (2, 117)]
    assert np.abs(np.array(corners) - np.repeat(wanted, 2, axis=0)).max() < 30


def test_a_poster_of_the_worst_pictures_is_small() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (8 * 485 + 8, 1064, 3), np.uint8)
    target = BytesIO()
    Image.fromarray(noise).save(target, format="PNG", compress_level=1)
    data = poster(target.getvalue(), [9] * 8)
    assert data is not None
    assert len(data) <= MOST_BYTES


def test_what_is_no_sheet_of_these_shots_gives_no_poster(tmp_path: Path) -> None:
    sheet = sheet_of(tmp_path, [9, 9])
    assert poster(sheet, [9, 9]) is not None
    assert poster(sheet, [9] * 7) is None
    assert poster(sheet[:300], [9, 9]) is None
    assert poster(b"sheet", [9]) is None
    assert poster(b"", [9]) is None
