"""Completion as a shell drives it: by argcomplete's environment variables, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_type_hints

import pytest

from farm.completion import ENDINGS, ROOT, SCHEMA, choices, read_keys
from farm.schema import FarmConf
from farm.script.read import READERS

ASK = "from farm.cli import main; main()"
HEAVY = "import sys, farm.completion as c; c.complete_setting('model.st'); c.complete_setting('model='); "


def ask(line: str, folder: Path) -> list[str]:
    """The words a shell would offer at the end of `line`."""
    answer = folder / "answer"
    result = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={
            **os.environ,
            "_ARGCOMPLETE": "1",
            "_ARGCOMPLETE_IFS": "\n",
            "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
            "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
            "COMP_LINE": line,
            "COMP_POINT": str(len(line.encode())),
        },
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    words = answer.read_text().split("\n")
    answer.unlink()
    return [word for word in words if word]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.fountain").write_text("EXT. SEA - DAY\n")
    (tmp_path / "notes.pdf").write_text("")
    (tmp_path / "scenes").mkdir()
    for film in ("one", "other"):
        (tmp_path / "renders" / film).mkdir(parents=True)
        (tmp_path / "renders" / film / "plan.json").write_text("{}")
    (tmp_path / "renders" / "unfinished").mkdir()
    return tmp_path


def test_verbs(folder: Path) -> None:
    assert {"render", "plan", "status", "doctor"} <= set(ask("farm ", folder))
    assert ask("farm re", folder)[0].startswith("re")


def test_flags_once_a_dash_is_typed(folder: Path) -> None:
    assert "--json" in ask("farm plan good.fountain --", folder)
    assert not [word for word in ask("farm plan good.fountain ", folder) if word.startswith("-")]


def test_scripts_and_folders_but_no_other_files(folder: Path) -> None:
    words = ask("farm render ", folder)
    assert "good.fountain" in words
    assert "scenes/" in words
    assert "notes.pdf" not in words


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("qual", {"quality=", "quality."}),
        ("quality=", {"quality=draft", "quality=standard"}),
        ("quality=d", {"quality=draft"}),
        ("model.st", {"model.steps="}),
        ("see", {"seed="}),
        ("continuity.control=", {"continuity.control=true", "continuity.control=false"}),
        ("nothing=", set()),
        ("nothing.", set()),
    ],
)
def test_settings(folder: Path, typed: str, offered: set[str]) -> None:
    assert set(ask(f"farm render good.fountain seed=7 {typed}", folder)) >= offered
    if not offered:
        assert not ask(f"farm plan good.fountain {typed}", folder)


def test_settings_of_the_doctor(folder: Path) -> None:
    assert set(ask("farm doctor store.root=x cluster=", folder)) >= {"cluster=inline", "cluster=local"}


def test_films_of_the_usual_store(folder: Path) -> None:
    assert set(ask("farm status o", folder)) >= {"one", "other"}
    assert "unfinished" not in ask("farm status ", folder)
    (folder / "renders").rename(folder / "elsewhere")
    assert "one" not in ask("farm status o", folder)
    assert "quality=" in ask("farm status qual", folder)


def test_nothing_heavy_is_imported() -> None:
    names = "['hydra', 'omegaconf', 'torch', 'ray', 'yaml', 'farm.config']"
    code = HEAVY + f"print([name for name in {names} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_keys_are_those_of_the_schemas() -> None:
    hints = get_type_hints(FarmConf)
    expected = []
    for item in fields(FarmConf):
        expected.append(item.name)
        if is_dataclass(hints[item.name]):
            expected += [f"{item.name}.{inner.name}" for inner in fields(hints[item.name])]
    assert list(read_keys(SCHEMA.read_text())) == expected
    assert FarmConf.__name__ == ROOT


def test_meanings_stand_above_or_behind() -> None:
    source = '''
class Inner:
    """A group. With more.

    Than one line.
    """

    #: Above it,
    #: in two lines.
    one: int = 1
    two: str | None = None  #: Behind it.
    three: bool = False

class FarmConf:
    inner: Inner = field(default_factory=Inner)
'''
    keys = read_keys(source)
    assert [key.help for key in keys.values()] == [
        "A group. With more.",
        "Above it, in two lines.",
        "Behind it.",
        "",
    ]
    assert keys["inner"].is_group
    assert keys["inner.two"].kind == "str | None"


def test_choices_and_endings_are_those_there_are() -> None:
    assert {"draft", "standard"} <= set(choices("quality"))
    assert choices("nothing") == []
    assert set(ENDINGS) == set(READERS)
