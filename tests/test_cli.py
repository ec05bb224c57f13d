"""The command line on real input: answers, exit codes, one sentence for what is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from farm.cli import main
from farm.config import load
from farm.schema import FarmConf

GOOD = "EXT. SEA - DAY\n\nA red boat sails on. [[5s]]\n\nA white bird hops. [[2s]]\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.fountain").write_text(GOOD)
    return tmp_path


def test_plan_prints_what_others_rely_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "good.fountain", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["film"], plan["fps"], plan["width"], plan["height"]) == ("good", "16/1", 256, 144)
    assert plan["frames"] == 112
    shot = plan["shots"][0]
    assert (shot["id"], shot["start"], shot["stop"], shot["continuity"]) == ("1", 0, 80, "chain")
    assert shot["source"] == {"file": "good.fountain", "lines": [3, 3]}
    assert shot["segments"][0]["state"] == "todo"
    assert len(shot["segments"][0]["key"]) == 64
    assert shot["segments"][-1]["stop"] == 80
    assert plan["unfilmed"] == []
    assert plan["estimate"]["segments"] == len(shot["segments"]) + 2
    assert not Path("renders").exists(), "planning leaves nothing behind"


def test_settings_reach_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    args = ["plan", "good.fountain", "--json", "output.fps=24000/1001", "continuity=cut", "film=other"]
    assert main(args) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["film"], plan["fps"]) == ("other", "24000/1001")
    assert {shot["continuity"] for shot in plan["shots"]} == {"cut"}


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["none.fountain"], "none.fountain: no such file"),
        (["."], "are not read; these are"),
        (["empty.fountain"], "the file is empty"),
        (["binary.fountain"], "not a text file"),
        (["huge.fountain"], "a script may have 2,000,000"),
        (["film.mov"], "kind '.mov' are not read"),
        (["bomb.yaml"], "anchors and aliases"),
        (["long.fountain"], "line 3: a shot of 99999 seconds"),
        (["good.fountain", "modle=papercut"], "there is no key 'modle': did you mean 'model'?"),
        (["good.fountain", "model.stepz=3"], "there is no key 'model.stepz': did you mean 'steps'?"),
        (["good.fountain", "model=paper"], "model=paper: there is no such choice"),
        (["good.fountain", "model.steps=many"], "model.steps: Value 'many'"),
        (["good.fountain", "model.steps=0"], "model.steps=0 cannot be used"),
        (["good.fountain", "steps"], "'steps' is no override"),
        (["good.fountain", "film=../x"], "is no film name"),
        (["good.fountain", "seed=-1"], "seed=-1 cannot be used"),
        (["good.fountain", "output.fps=fast"], "'fast' is not a frame rate"),
        (["good.fountain", "model.width=250"], "give a multiple of 16"),
        (["good.fountain", "continuity.overlap=8"], "give 1 to 3"),
        (["good.fountain", "model.weights=nowhere"], "there is no such folder"),
        (["good.fountain", "+x=1"], "is no key"),
        (["good.fountain", "model.width=1" + "0" * 400], "model.width"),
        (["good.fountain", "seed=" + "1" * 5000], "is no override"),
        (["good.fountain", "seed=[1]"], "seed"),
        (["good.fountain", "model={}"], "model={}: there is no such choice"),
        (["good.fountain", "model.guidance=nan"], "give 0 to 100"),
        (["good.fountain", "output.fps="], "'' is not a frame rate"),
        (["good.fountain", "film="], "is no film name"),
        (["good.fountain", "store.root="], "store.root is empty"),
        (["good.fountain", "store.root=" + "x" * 300], "store.root"),
        (["good.fountain", "model.weights=a/b--c"], "no hub repository"),
        (["good.fountain", "model.negative_prompt=\udc80"], "is no override"),
        (["good.fountain", "model.window=1"], "at least 2 latent frames"),
        (["/dev/zero"], "are not read"),
        (["good.fountain", "model._target_=os.system"], "there is no key 'model._target_'"),
        (["good.fountain", "script.format=epub"], "epub"),
        (["good.fountain", "output.codec=divx"], "output.codec=divx: there is no such choice"),
        (["good.fountain", "output.crf=60"], "h264 takes 0 (best) to 51"),
        (["good.fountain", "output.width=640"], "give both or neither"),
        (["good.fountain", "output.width=641", "output.height=360"], "give an even number"),
        (["good.fountain", "output.preset=placebo"], "there is no such choice"),
        (["good.fountain", "ask_above_minutes=0"], "give more than 0"),
        (["good.fountain", "--shots", "7"], "--shots 7: there is no shot '7'"),
        (["good.fountain", "--scene", "2"], "--scene 2: there is no scene '2'"),
        (["good.fountain", "--takes", "0"], "--takes 0: give 1 to 100"),
    ],
)
@pytest.mark.parametrize("verb", ["plan", "render"])
def test_bad_input_gets_exit_code_2_and_one_sentence(
    verb: str, args: list[str], sentence: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "empty.fountain").write_text("")
    (here / "binary.fountain").write_bytes(bytes(range(256)))
    (here / "huge.fountain").write_bytes(b"x" * 10_000_000)
    (here / "bomb.yaml").write_text("a: &a [x]\nb: &b [*a,*a]\nc: [*b,*b]\n")
    (here / "long.fountain").write_text("EXT. SEA - DAY\n\nA boat. [[99999s]]\n")
    assert main([verb, *args]) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.err.startswith("farm: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not Path("renders").exists(), "nothing half-written stays behind"


def test_a_part_of_a_film_is_planned_as_a_film_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "good.fountain", "--json", "--shots", "1-2", "--takes", "2"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["film"] == "good-shots-1-2-takes-2"
    assert [shot["id"] for shot in plan["shots"]] == ["1-2", "1-2_take2"]


def test_a_long_render_is_not_begun_unasked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "good.fountain", "ask_above_minutes=0.01"]) == 2
    assert "more than ask_above_minutes=0.01: say --yes" in capsys.readouterr().err
    assert not list(Path().glob("renders/good*"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("film.csv", "id,prompt,duration\n1,A red boat sails on.,5s\n"),
        ("film.md", "| prompt | length |\n|---|---|\n| A red boat sails on. | 5s |\n"),
        ("film.txt", "A red boat sailed on at night. [[5s]]\n"),
        ("film.script", "EXT. SEA - DAY\n\nA red boat sails on. [[5s]]\n"),
    ],
)
def test_every_kind_of_script_is_planned(
    name: str, text: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / name).write_text(text)
    kind = ["script.format=fountain"] if name == "film.script" else []
    assert main(["plan", name, "--json", *kind]) == 0
    (shot,) = json.loads(capsys.readouterr().out)["shots"]
    assert (shot["start"], shot["stop"]) == (0, 80)
    assert "red boat" in shot["prompt"]


def test_an_unwritable_store_is_said_in_a_sentence(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "file").write_text("x")
    assert main(["render", "good.fountain", "store.root=file/renders"]) == 2
    error = capsys.readouterr().err
    assert "cannot be written" in error
    assert error.count("\n") == 1


def test_a_films_name_belongs_to_its_script(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = here / "renders" / "good"
    folder.mkdir(parents=True)
    (folder / "script.json").write_text('{"script": "another.fountain"}')
    assert main(["render", "good.fountain"]) == 2
    assert "belongs to the script another.fountain" in capsys.readouterr().err


def test_a_film_keeps_the_weights_it_was_begun_with(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = here / "renders" / "good"
    folder.mkdir(parents=True)
    identity = "Skywork/SkyReels-V2-DF-1.3B-540P-Diffusers@" + "ab" * 20
    (folder / "lock.json").write_text(json.dumps({"weights": identity}))
    assert main(["plan", "good.fountain", "model=skyreels_v2_df_1_3b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["weights"] == identity


def test_a_reader_that_goes_away_is_no_accident(here: Path) -> None:
    command = f"{sys.executable} -m farm.cli plan good.fountain --json | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout == "{"
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_status_of_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 2
    assert "there is no store" in capsys.readouterr().err
    (here / "renders").mkdir()
    assert main(["status", "nothing"]) == 2
    assert "there is no film 'nothing'" in capsys.readouterr().err
    assert main(["status"]) == 0


def test_doctor_is_content_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", "cluster=inline"]) == 0
    checks = {check["name"]: check["state"] for check in json.loads(capsys.readouterr().out)["checks"]}
    assert set(checks) == {"python", "packages", "memory", "device", "ray", "store", "weights"}
    assert "fault" not in checks.values()


def test_doctor_finds_a_store_that_lets_two_writers_win(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from farm import doctor
    from farm.store.memory import MemoryStore

    class Lax(MemoryStore):
        def create_if_absent(self, key: str, data: bytes) -> bool:
            self.put(key, data)
            return True

    Path("renders").mkdir()
    monkeypatch.setattr(doctor, "build_store", lambda conf, writable: Lax())
    assert main(["doctor", "cluster=inline"]) == 1
    assert "of 8 writers of one key 8 won" in capsys.readouterr().out


def test_the_schema_and_the_groups_agree() -> None:
    """Every key a group file sets exists, and papercut's file is what the schema defaults to."""
    conf = load([])
    assert conf.model.name == "papercut"
    assert conf == FarmConf()
    for name in ("skyreels_v2_df_1_3b", "skyreels_v2_df_14b"):
        model = load([f"model={name}"]).model
        assert model.weights.startswith("Skywork/SkyReels-V2-DF-")
        assert model.width % model.spatial_stride == model.height % model.spatial_stride == 0
    assert load(["quality=draft"]).quality.steps_percent < 100


def test_help_and_plan_need_neither_torch_nor_ray(here: Path) -> None:
    code = (
        "import sys; from farm.cli import main; code = main(sys.argv[1:]);"
        "heavy = {'torch', 'ray', 'diffusers', 'transformers', 'av', 'minio'} & set(sys.modules);"
        "assert not heavy, heavy; sys.exit(code)"
    )
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", code, "plan", "good.fountain"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "2 shots, 112 frames" in done.stdout
