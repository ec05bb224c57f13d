"""A night from the command line: what is read in the evening, what there is in the morning."""

from __future__ import annotations

import json
import time
from datetime import datetime
from io import BytesIO
from pathlib import Path

import pytest
from helpers import FakeModel, farm
from pyarrow import parquet

from farm import cli, render
from farm.errors import StoreError
from farm.evening import _until
from farm.ports import BlobStore
from farm.programme import Programme, read_programme, sweep, variant
from farm.run import Outcome

SECOND = """\
title: Second
shots:
  - {id: 1, prompt: "a green train", duration: 4s}
"""
NIGHT = """\
name: Tuesday
settings: {quality: draft}
films:
  - script: small.yaml
    priority: 2
  - script: second.yaml
    sweep:
      seed: [1, 2]
"""


@pytest.fixture
def night(stand_in: FakeModel) -> FakeModel:
    Path("second.yaml").write_text(SECOND)
    Path("night.yaml").write_text(NIGHT)
    return stand_in


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(list(words)) == 2
    assert not Path("renders").exists()
    return capsys.readouterr().err


def test_a_night_renders_all_its_films_and_reports(
    night: FakeModel, capsys: pytest.CaptureFixture[str]
) -> None:
    result = farm(capsys, "night", "night.yaml")
    assert result["ok"] and result["night"] == "tuesday"
    assert [film["film"] for film in result["films"]] == ["small", "second-seed-1", "second-seed-2"]
    assert all(film["state"] == "done" and film["rendered"] > 0 for film in result["films"])
    folder = Path("renders/nights/tuesday")
    page = (folder / "report.html").read_text()
    assert "3 of 3 films are done" in page and "second-seed-2" in page
    report = json.loads((folder / "report.json").read_text())
    assert report["totals"]["done"] == 3
    rows = parquet.read_table(folder / "log.parquet").to_pylist()
    assert len(rows) == sum(film["rendered"] for film in result["films"])
    assert {row["film"] for row in rows} == {"small", "second-seed-1", "second-seed-2"}
    assert {row["seed"] for row in rows if row["film"] == "second-seed-2"} == {2}
    for film in result["films"]:
        assert Path(film["uri"]).is_file()
        alone = parquet.read_table(BytesIO((Path(film["uri"]).parent / "render.parquet").read_bytes()))
        assert alone.num_rows == film["rendered"]
    again = farm(capsys, "night", "night.yaml")
    assert [film["rendered"] for film in again["films"]] == [0, 0, 0]
    # And each of its films is one like any other.
    assert farm(capsys, "render", "second.yaml", "quality=draft", "film=second-seed-1")["reused"] > 0
    listed = farm(capsys, "list")["films"]
    assert {film["film"]: film["state"] for film in listed} == dict.fromkeys(
        ["small", "second-seed-1", "second-seed-2"], "done"
    )


def test_a_sweep_makes_a_film_for_each_choice(night: FakeModel, capsys: pytest.CaptureFixture[str]) -> None:
    result = farm(
        capsys, "render", "-m", "second.yaml", "seed=1,2", "quality=draft,standard", "output.crf=30"
    )
    assert [film["film"] for film in result["films"]] == [
        "second-seed-1-quality-draft",
        "second-seed-1-quality-standard",
        "second-seed-2-quality-draft",
        "second-seed-2-quality-standard",
    ]
    assert cli.main(["render", "-m", "second.yaml", "quality=draft"]) == 2
    assert "there is nothing to choose from: -m takes settings" in capsys.readouterr().err
    assert cli.main(["render", "-m", "second.yaml", "cluster.workers=1,2"]) == 2
    assert "cannot be swept over" in capsys.readouterr().err


def test_a_film_that_fails_is_told_and_the_others_are_there(
    night: FakeModel, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.job.machine.BACKOFF_S", 0.01)
    night.fail = lambda recipe: ValueError("too red") if recipe["seed"] == 2 else None
    assert cli.main(["night", "night.yaml", "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert [film["state"] for film in result["films"]] == ["done", "done", "failed"]
    assert "too red" in result["films"][2]["reason"]
    page = Path("renders/nights/tuesday/report.html").read_text()
    assert "2 of 3 films are done" in page and "too red" in page


def test_a_report_that_cannot_be_written_costs_no_film(
    night: FakeModel, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def conclude(store: BlobStore, outcome: Outcome) -> None:
        if outcome.plan.film == "small":
            raise StoreError("cannot write: no space left on device")
        render.conclude(store, outcome)

    monkeypatch.setattr("farm.evening.conclude", conclude)
    assert cli.main(["night", "night.yaml"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert "small: its report could not be written: cannot write: no space left on device" in told
    assert told.count("small: done") == 1
    assert not Path("renders/small/report.json").exists()
    assert Path("renders/small/film.mp4").exists()
    assert Path("renders/second-seed-1/report.json").exists()


def test_what_is_wrong_is_said_in_the_evening(night: FakeModel, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("night.yaml")
    for text, said in (
        ("films:\n  - script: gone.yaml\n", "gone.yaml: no such file"),
        ("films: []\n", "line 1: a night has a list of `films:`"),
        ("films:\n  - scrpt: small.yaml\n", "line 2: a film takes no key 'scrpt': did you mean 'script'?"),
        ("films:\n  - script: small.yaml\n    priority: high\n", "line 3: priority must be a whole number"),
        ("films:\n  - script: small.yaml\n    settings: {store.root: x}\n", "line 2: store.root=x is of the"),
        ("until: noon\nfilms:\n  - script: small.yaml\n", "line 1: until is a time of day"),
        ("films:\n  - script: small.yaml\n  - script: small.yaml\n", "would both be the film 'small'"),
        ("films:\n  - script: small.yaml\n    settings: {qualty: draft}\n", "there is no key 'qualty'"),
        ("films:\n  - script: small.yaml\n    sweep: {seed: 'range(1,'}\n", "line 3:"),
        ("films:\n  - script: small.yaml\n    sweep: {cluster.workers: [1, 2]}\n", "is of the whole night"),
        ("settings: {film: x}\nfilms:\n  - script: small.yaml\n", "film=x: the films of a night"),
        ("", "the file is empty: write `films:`"),
    ):
        path.write_text(text)
        assert said in refused(capsys, "night", "night.yaml"), text
    assert "no such file" in refused(capsys, "night", "tomorrow.yaml")


def test_a_programme_holds_what_is_written() -> None:
    data = b"""\
until: 07:30
settings: {quality: draft, script.style: "it's a, style", model.looks_at: [1, 2], limits.hours: null}
films:
  - {script: sub/a.fountain, settings: {film: x}}
  - {script: b.fountain, sweep: {seed: "range(1,3)"}}
"""
    found = read_programme(Path("/here/evening.yaml"), data)
    assert (found.name, found.until) == ("evening", (7, 30))
    assert found.settings == (
        "quality=draft",
        r"script.style='it\'s a, style'",
        "model.looks_at=[1,2]",
        "limits.hours=null",
    )
    assert [(str(entry.script), entry.settings, entry.variant) for entry in found.entries] == [
        ("/here/sub/a.fountain", ("film=x",), ""),
        ("/here/b.fountain", ("seed=1",), "seed-1"),
        ("/here/b.fountain", ("seed=2",), "seed-2"),
    ]


def test_names_of_variants_are_short_and_differ() -> None:
    long = [variant([f"script.style={'very ' * 20}{number}", "seed=1"]) for number in range(9)]
    assert len(set(long)) == 9 and max(map(len, long)) <= 40
    assert [entry.variant for entry in sweep(Path("x.yaml"), ["model.steps=4,8", "seed=3"]).entries] == [
        "steps-4",
        "steps-8",
    ]


def test_the_night_ends_at_the_next_such_hour() -> None:
    programme = Programme(name="n", until=(7, 30), settings=(), entries=())
    evening = datetime(2026, 3, 4, 22, 0)
    ends = datetime.fromtimestamp(_until(programme, evening.timestamp()) or 0)
    assert (ends.day, ends.hour, ends.minute) == (5, 7, 30)
    early = datetime(2026, 3, 4, 6, 0)
    assert datetime.fromtimestamp(_until(programme, early.timestamp()) or 0).day == 4


@pytest.mark.parametrize("night", [datetime(2026, 3, 28, 22, 0), datetime(2026, 10, 24, 22, 0)])
def test_a_night_in_which_the_clocks_change_ends_by_the_clock(
    night: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        ends = _until(Programme(name="n", until=(7, 30), settings=(), entries=()), night.timestamp())
        found = datetime.fromtimestamp(ends or 0)
        assert (found.day, found.hour, found.minute) == (night.day + 1, 7, 30)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_no_film_lies_where_nights_do(night: FakeModel, capsys: pytest.CaptureFixture[str]) -> None:
    Path("nights.yaml").write_text(SECOND.replace("Second", "Nights"))
    assert "a store keeps its nights under that name" in refused(capsys, "render", "nights.yaml")
