"""Write docs/reliability.md: what can happen, what it ends in, and the test that shows it.

Runs the tests that are marked `fault`, slow ones too, and writes their table; `--from FILE …` reads the JUnit
XML of runs (`pytest -m fault --junitxml=FILE`) in place of that. `--check` runs nothing: it fails where the
page does not list just the tests that are marked.
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as Xml
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "reliability.md"

INTRODUCTION = """\
# Reliability

<!-- Written by scripts/write_reliability.py from a run of the tests: change those, then run it again. -->

**What is promised.** What is committed is kept, whatever happens: a segment that was finished is not
rendered again, and the same command goes on from there. A film ends in the same bytes, however often it was
disturbed, on one kind of device and with one set of versions ([what that
means](how-a-film-is-made.md#what-same-bytes-means)). Where it cannot go on, it ends in one sentence that
says what happened and what to do ([trouble and cure](trouble.md)).

**What is not.** A segment that is being made when its worker dies is begun again: what is kept is finished
segments, not steps. Asked to stop, what runs has 15 seconds. A worker that hangs without dying is noticed
when its attempt takes longer than `limits.task_minutes` (120). A store that says it has kept what it has
not, or that lets two writers win where one may, cannot be made good; the second is looked for, and refused. A
machine whose disk for temporary files is full fails what it is given; with others beside it, take it out of
the pool. If Ray's own head dies, the driver dies with it, and the same command goes on.

Each row is a test of that name. "The same film" means that its bytes were compared with those of a film
that nothing happened to. Faults that need many rounds are met with fake models and virtual time; killed
actors, removed nodes and signals are real ones. Beside these, random histories of all kinds of faults at
once are played (`tests/test_histories.py`; ten thousand of them in `make test-slow`), and journals of every
released format are replayed (`tests/test_journals.py`).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A test that is marked `fault`."""

    what: str
    end: str
    file: str
    name: str

    @property
    def link(self) -> str:
        return f"[`{self.name}`](../tests/{self.file})"


def marked_tests() -> list[Marked]:
    """All marked tests, in the order of files and lines; read from the source, as importing takes seconds."""
    found = []
    for path in sorted((ROOT / "tests").glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fault":
                        what, end = map(ast.literal_eval, mark.args)
                        found.append(Marked(what=what, end=end, file=path.name, name=node.name))
    return found


def results(files: list[Path]) -> dict[tuple[str, str], tuple[str, float]]:
    """What became of each test, its parameters taken together: (file, name) to how many passed, seconds."""
    cases: dict[tuple[str, str], list[tuple[bool, float]]] = {}
    for case in (case for file in files for case in Xml.parse(file).iter("testcase")):
        name = (f"{case.attrib['classname'].split('.')[-1]}.py", case.attrib["name"].partition("[")[0])
        passed = all(case.find(kind) is None for kind in ("failure", "error", "skipped"))
        cases.setdefault(name, []).append((passed, float(case.attrib["time"])))
    return {
        name: (f"{sum(passed for passed, _ in runs)} of {len(runs)}", sum(seconds for _, seconds in runs))
        for name, runs in cases.items()
    }


def page(tests: list[Marked], found: dict[tuple[str, str], tuple[str, float]]) -> str:
    lines = [INTRODUCTION, "| what happens | what it ends in | test | passed | seconds |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for test in tests:
        passed, seconds = found.get((test.file, test.name), ("not run", 0.0))
        lines.append(f"| {test.what} | {test.end} | {test.link} | {passed} | {seconds:.1f} |")
    return "\n".join(lines) + "\n"


def check() -> int:
    """Whether the page holds the text and the rows it should, whatever the figures in them."""
    if not TARGET.is_file():
        print("docs/reliability.md is missing: run scripts/write_reliability.py", file=sys.stderr)
        return 1
    figures = re.compile(r"\| (\d+ of \d+|not run) \| \d+\.\d \|$", re.MULTILINE)
    there, wanted = TARGET.read_text(encoding="utf-8"), page(marked_tests(), {})
    if figures.sub("|", there) == figures.sub("|", wanted) and "| not run |" not in there:
        return 0
    print("docs/reliability.md is stale: run scripts/write_reliability.py", file=sys.stderr)
    return 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="run nothing; fail where the page is stale")
    parser.add_argument(
        "--from", dest="files", type=Path, nargs="+", metavar="FILE", help="JUnit XML of runs"
    )
    args = parser.parse_args()
    if args.check:
        return check()
    with tempfile.TemporaryDirectory() as folder:
        files, code = args.files, 0
        if files is None:
            files = [Path(folder) / "run.xml"]
            command = [sys.executable, "-m", "pytest", "-m", "fault", f"--junitxml={files[0]}"]
            code = subprocess.run(command, cwd=ROOT, check=False).returncode
        TARGET.write_text(page(marked_tests(), results(files)), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
