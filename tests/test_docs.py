"""What the documents say is so: the generated page is fresh, links lead somewhere, commands parse."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.cli import parser
from farm.config import load
from farm.programme import read_programme, sweep
from farm.values import check

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```.*?\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def commands() -> Iterator[tuple[str, str]]:
    """Every `farm …` line in a fenced block, without a prompt, settings of the environment, or a comment."""
    for page in PAGES:
        for block in FENCE.findall(page.read_text(encoding="utf-8")):
            for line in block.splitlines():
                found = re.match(r"(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?farm ([a-z].*)", line)
                if found:
                    yield page.name, found[1]


def slugs(page: Path) -> set[str]:
    """The names under which a page's headings can be linked to."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("script", ["write_docs.py", "write_reliability.py"])
def test_the_generated_page_is_fresh(script: str) -> None:
    result = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / script), "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_what_is_there(page: Path) -> None:
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue  # another site's: not ours to promise
        file, _, part = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), f"{page.name}: {link}"
        if part:
            assert part in slugs(target), f"{page.name}: {link}"


@pytest.mark.parametrize(("page", "line"), list(commands()))
def test_commands_parse(page: str, line: str) -> None:
    args, rest = parser().parse_known_args(shlex.split(line, comments=True))
    assert not [word for word in rest if word.startswith("-")]
    settings = [*args.overrides, *rest]
    if getattr(args, "many", False):
        entries = sweep(Path(args.script), settings)
        settings = [*entries.settings, *entries.entries[0].settings]
    check(load(settings))


def test_the_programme_of_the_page_is_one() -> None:
    (block,) = [text for text in FENCE.findall((ROOT / "docs/nights.md").read_text()) if "films:" in text]
    programme = read_programme(Path("tuesday.yaml"), block.encode())
    assert [entry.variant for entry in programme.entries[1:3]] == [
        "seed-1-quality-draft",
        "seed-1-quality-standard",
    ]
    assert len(programme.entries) == 7
    check(load([*programme.settings, *programme.entries[0].settings]))


def test_there_are_commands_to_check() -> None:
    assert len(list(commands())) >= 8
