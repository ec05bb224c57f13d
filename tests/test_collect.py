"""`farm gc` on films that were rendered: what they refer to stays, and what cannot be told is refused."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest
from helpers import SCRIPT, FakeModel, farm

from farm import cli

STORE = Path("renders/.longtake")


def age(days: float = 8) -> None:
    """Make everything in the store so old."""
    then = time.time() - days * 86400
    for path in STORE.rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))


def files() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path("renders").rglob("*") if path.is_file()}


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    before = files()
    assert cli.main(["gc", "--delete", *words]) == 2
    assert files() == before
    return capsys.readouterr().err


def test_what_a_render_or_a_retake_could_use_stays(
    stand_in: FakeModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    farm(capsys, "render", "small.yaml")
    farm(capsys, "retake", "small", "2")
    farm(capsys, "retake", "small", "3", "--prompt", "a pink boat")
    farm(capsys, "retake", "small", "3", "--seed", "9")
    age()
    shown = farm(capsys, "gc")
    assert (shown["ok"], shown["deleted"], shown["films"], shown["leftovers"]) == (True, False, 1, 0)
    done = farm(capsys, "gc", "--delete")
    assert done == {**shown, "deleted": True}
    # The film of both first takes, which no one retake comes to: it would be stitched again.
    assert (done["commits"], done["blobs"]) == (1, 1)
    stand_in.denoised.clear()
    for words in (("3", "1"), ("2", "1"), ("3", "2"), ("2", "2"), ("3", "3")):
        assert farm(capsys, "retake", "small", words[0], "--take", words[1])["rendered"] == 0
    assert farm(capsys, "render", "small.yaml")["rendered"] == 0
    assert stand_in.denoised == []


def test_what_a_changed_script_left_behind_goes(
    stand_in: FakeModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    farm(capsys, "render", "small.yaml")
    Path("small.yaml").write_text(SCRIPT.replace("blue", "black"))
    farm(capsys, "render", "small.yaml")
    assert farm(capsys, "gc", "--delete")["commits"] == 0  # it is young
    age()
    (STORE / "tmp" / ("0" * 32)).write_bytes(b"half")
    os.utime(STORE / "tmp" / ("0" * 32), (0, 0))
    (STORE / "tmp" / ("1" * 32)).write_bytes(b"being written")
    assert cli.main(["gc"]) == 0
    text = capsys.readouterr().out
    assert re.fullmatch(
        r"\d+ commits and \d+ blobs that no film refers to, and 1 leftovers: 0.\d MB \(films: 1\); .*\n", text
    )
    done = farm(capsys, "gc", "--delete")
    # One shot's embedding, segments and frames, the film, and the script as it was.
    assert done["commits"] > 3
    assert done["blobs"] > done["commits"]
    assert done["bytes"] > 0
    assert done["leftovers"] == 1
    assert (STORE / "tmp" / ("1" * 32)).exists()
    again = farm(capsys, "gc", "--delete")
    assert (again["commits"], again["blobs"], again["bytes"]) == (0, 0, 0)
    assert cli.main(["gc"]) == 0
    assert capsys.readouterr().out.startswith("nothing to collect")
    assert all(any(folder.iterdir()) for folder in (STORE / "commits").iterdir())
    stand_in.denoised.clear()
    assert farm(capsys, "render", "small.yaml")["rendered"] == 0
    film = Path("renders/small/film.mp4").read_bytes()
    Path("small.yaml").write_text(SCRIPT)
    made = farm(capsys, "render", "small.yaml")
    assert {name for name, _ in stand_in.denoised} == {"2"}
    assert made["reused"] > made["rendered"]
    assert Path("renders/small/film.mp4").read_bytes() != film


def test_a_film_whose_folder_is_deleted_refers_to_nothing(
    stand_in: FakeModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    farm(capsys, "render", "small.yaml")
    farm(capsys, "render", "small.yaml", "film=other", "seed=8", "cluster.threads=2")
    age()
    assert farm(capsys, "gc", "--delete")["blobs"] == 0
    for path in sorted(Path("renders/other").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert farm(capsys, "gc", "--delete")["commits"] > 0
    assert farm(capsys, "render", "small.yaml")["rendered"] == 0
    assert farm(capsys, "render", "small.yaml", "film=other", "seed=8", "cluster.threads=2")["reused"] == 0


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda: Path("renders/small/order.json").unlink(), "it was rendered before orders were kept"),
        (lambda: Path("renders/small/order.json").write_text("{}"), "order.json is damaged"),
        (lambda: [path.unlink() for path in STORE.glob("blobs/*")], "the script of 'small': blob"),
        (lambda: Path("renders/small/takes.json").write_text("[]"), "takes.json cannot be understood"),
        (lambda: Path("renders/small/lock.json").write_text("[]"), "lock.json cannot be understood"),
        (lambda: Path("renders/small/plan.json").write_text("[]"), "plan.json is damaged"),
        (lambda: change_order("model=skyreels_v2_df_14b"), "its weights"),
        (lambda: change_order("model.weights=/no/such/folder"), "there is no such folder"),
        (lambda: change_order("model.bananas=3"), "there is no key 'model.bananas'"),
        (
            lambda: change_order("seed=5"),
            "it would be planned otherwise today than when it was rendered last",
        ),
    ],
)
def test_what_cannot_be_told_is_refused_and_nothing_goes(
    stand_in: FakeModel,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    damage,
    why: str,
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(Path("hub").absolute()))
    farm(capsys, "render", "small.yaml")
    age()
    damage()
    said = refused(capsys)
    assert "nothing is collected, since it cannot be told what the film 'small' refers to (" in said
    assert why in said
    folder = Path("renders/small").absolute()
    assert said.endswith(f"render it once more, or delete {folder} if it is not wanted\n")


def change_order(setting: str) -> None:
    path = Path("renders/small/order.json")
    order = json.loads(path.read_text())
    path.write_text(json.dumps({**order, "overrides": [*order["overrides"], setting]}))


def test_what_else_is_refused(
    stand_in: FakeModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["gc"]) == 2
    assert "there is no store at" in capsys.readouterr().err
    farm(capsys, "render", "small.yaml")
    age()
    assert "seed=7: `farm gc` takes settings of the store alone" in refused(capsys, "seed=7")
    assert "cluster.threads=2" in refused(capsys, "cluster.threads=2")
    (STORE / "format.json").write_text('{"format": 99}')
    assert "was written by a newer Longtake" in refused(capsys)
    for words in (["status"], ["plan", "small.yaml"], ["render", "small.yaml"], ["retake", "small", "1"]):
        assert cli.main(words) == 2
        assert "was written by a newer Longtake" in capsys.readouterr().err


def test_a_folder_that_is_no_film_is_none(
    stand_in: FakeModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    farm(capsys, "render", "small.yaml")
    Path("renders/notes").mkdir()
    Path("renders/notes/todo.txt").write_text("x")
    assert farm(capsys, "gc")["films"] == 1


def test_threads_are_the_films(
    stand_in: FakeModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    farm(capsys, "render", "small.yaml", "cluster.threads=2", "cluster.workers=1")
    assert json.loads(Path("renders/small/order.json").read_text())["overrides"] == ["cluster.threads=2"]
    made = farm(capsys, "retake", "small", "2")
    assert made["reused"] > made["rendered"] > 0
    assert cli.main(["retake", "small", "2", "cluster.threads=1"]) == 2
    assert "would change every shot" in capsys.readouterr().err
