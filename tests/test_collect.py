"""`farm gc` on films that were rendered: what they refer to stays, and nothing is guessed."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from pathlib import Path

import pytest
from helpers import SCRIPT, FakeModel, farm

from farm import cli
from farm.plan import recipe

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
def test_a_film_that_cannot_be_planned_is_kept_whole_and_the_rest_goes(
    stand_in: FakeModel,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    damage,
    why: str,
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(Path("hub").absolute()))
    left_behind(capsys)
    farm(capsys, "render", "small.yaml")
    kept = {path for path in files() if path.parts[:2] == ("renders", "small")}
    age()
    damage()
    made = set(STORE.glob("commits/*/*"))
    assert cli.main(["gc"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 2
    assert said[1].startswith(
        "kept whole, as their records name it, since they cannot be planned here: small ("
    )
    assert why in said[1]
    done = farm(capsys, "gc", "--delete")
    assert done["kept_whole"].keys() == {"small"}
    assert len(done["kept_whole"]) == 1 and why in done["kept_whole"]["small"]
    assert done["commits"] > 3
    assert len(made) - len(set(STORE.glob("commits/*/*"))) == done["commits"]
    assert all(path.exists() for path in kept if path.name != "order.json")
    for name in ("order.json", "plan.json", "takes.json", "lock.json"):  # and as it was before the damage
        Path(f"renders/small/{name}").unlink(missing_ok=True)
    if "blob" not in why:
        assert farm(capsys, "render", "small.yaml")["rendered"] == 0


def left_behind(capsys: pytest.CaptureFixture[str]) -> None:
    """Leave in the store what another film was made of, whose folder is deleted."""
    Path("other.yaml").write_text(SCRIPT.replace("boat", "train").replace("Small", "Other"))
    farm(capsys, "render", "other.yaml")
    shutil.rmtree("renders/other")


def another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on it is a Longtake whose algorithms all have another number."""
    for kind, number in recipe.ALGORITHM.items():
        monkeypatch.setitem(recipe.ALGORITHM, kind, number + 1)


def test_a_film_of_another_version_is_kept_whole_with_all_its_takes(
    stand_in: FakeModel, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left_behind(capsys)
    farm(capsys, "render", "small.yaml")
    farm(capsys, "retake", "small", "2")
    farm(capsys, "retake", "small", "3", "--prompt", "a pink boat")
    Path("new.yaml").write_text(SCRIPT.replace("boat", "kite").replace("Small", "New"))
    with monkeypatch.context() as upgraded:
        another_version(upgraded)
        farm(capsys, "render", "new.yaml")
        Path("new.yaml").write_text(SCRIPT.replace("boat", "bird").replace("Small", "New"))
        farm(capsys, "render", "new.yaml")
        age()
        done = farm(capsys, "gc", "--delete")
        assert done["films"] == 2
        assert done["kept_whole"] == {
            "small": "it would be planned otherwise today than when it was rendered last"
        }
        assert done["commits"] > 20, "two films: that without a folder, and the new one as it was before"
        assert farm(capsys, "render", "new.yaml")["rendered"] == 0
        again = farm(capsys, "gc", "--delete")
        assert (again["commits"], again["blobs"]) == (0, 0)
    stand_in.denoised.clear()
    for shot, take in (("3", "1"), ("2", "1"), ("3", "2"), ("2", "2")):
        assert farm(capsys, "retake", "small", shot, "--take", take)["rendered"] == 0
    assert stand_in.denoised == []


def test_what_is_half_rendered_by_another_version_can_be_gone_on_with(
    stand_in: FakeModel, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.job.machine.BACKOFF_S", 0.01)
    left_behind(capsys)
    stand_in.fail = lambda recipe: ValueError("no") if recipe["shot"] == "3" else None
    assert cli.main(["render", "small.yaml"]) == 1
    # As if its driver had died before it wrote down that these were made: the first shot's segments are in
    # the plan, and the second shot is known by what it was made of.
    journal = sorted(Path("renders/small/journal").iterdir())
    told = [json.loads(line) for path in journal for line in path.read_bytes().splitlines()]
    lost = {
        event["task"]: event["output"].encode()
        for event in told
        if event["event"] == "finished" and event["task"].startswith(("denoise/1/", "finish/1", "finish/2"))
    }
    shot = lost["finish/2"].decode()
    for path in journal:
        lines = [
            line
            for line in path.read_bytes().splitlines(keepends=True)
            if not any(output in line for output in lost.values())
        ]
        path.write_bytes(b"".join(lines) or b'{"event":"tick","at":0.0}\n')
    Path("renders/small/commits.jsonl.gz").unlink()
    made = {name for name, _ in stand_in.denoised}
    assert made >= {"1", "2"}
    age()
    with monkeypatch.context() as upgraded:
        another_version(upgraded)
        done = farm(capsys, "gc", "--delete")
        assert done["kept_whole"].keys() == {"small"} and done["commits"] > 3
    assert (STORE / "blobs" / shot).exists()
    stand_in.fail = lambda recipe: None
    stand_in.denoised.clear()
    farm(capsys, "render", "small.yaml")
    assert {name for name, _ in stand_in.denoised} == {"3"}


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda: shutil.rmtree("renders/small/journal"), "it has no journal"),
        (lambda: journal_file(1).unlink(), "a part of its journal is gone"),
        (lambda: journal_file(0).unlink(), "a part of its journal is gone"),
        (lambda: journal_file(1).write_bytes(journal_file(1).read_bytes()[:-9]), "000000001 is damaged"),
        (lambda: journal_file(1).write_bytes(b""), "000000001 is damaged"),
        (lambda: journal_file(1).write_bytes(b"[]\n"), "000000001 is damaged"),
    ],
)
def test_without_a_whole_journal_it_is_refused_and_nothing_goes(
    stand_in: FakeModel,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    damage,
    why: str,
) -> None:
    farm(capsys, "render", "small.yaml")
    age()
    damage()
    assert farm(capsys, "gc")["kept_whole"] == {}  # while it can be planned, it is not asked for
    another_version(monkeypatch)
    said = refused(capsys)
    assert "nothing is collected, since it cannot be told what the film 'small' refers to (" in said
    assert "it would be planned otherwise today than when it was rendered last; " in said
    assert why in said
    folder = Path("renders/small").absolute()
    assert said.endswith(f"): render it once more, or delete {folder} if it is not wanted\n")


def test_an_event_of_a_kind_that_is_not_known_here_is_read_for_its_names(
    stand_in: FakeModel, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    farm(capsys, "render", "small.yaml")
    for path in Path("renders/small/journal").iterdir():
        path.write_bytes(path.read_bytes().replace(b'"finished"', b'"came-out"'))
    age()
    another_version(monkeypatch)
    done = farm(capsys, "gc", "--delete")
    assert (done["commits"], done["blobs"], list(done["kept_whole"])) == (0, 0, ["small"])


def journal_file(number: int) -> Path:
    return Path(f"renders/small/journal/{number:09d}")


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
