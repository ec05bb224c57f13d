"""Any script file to shots, by the ending of its name or by the kind it is said to be."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import PurePath

from farm.errors import BadInput, suggest
from farm.script.director import direct
from farm.script.fdx import read_fdx
from farm.script.fountain import read_fountain
from farm.script.lifted import MAX_LINE
from farm.script.model import MAX_BYTES, ShotList
from farm.script.prose import read_prose
from farm.script.shotlist import read_shot_list
from farm.script.tables import holds_shots, read_csv, read_markdown_table

MAX_NOTES, MAX_SPACES = 20, 200
# All that ends a line for one reader or another; line numbers count these.
_LINE_END = re.compile("\r\n?|[\f\v\x85\u2028\u2029]")
_SLUG = re.compile(r"\s*(?:INT|EXT|EST|I/E|INT\.?/EXT)(?:\.\s*|\s+)[^a-z]*")

Reader = Callable[[str, str, Fraction], ShotList]


def _fountain(text: str, file: str, rate: Fraction) -> ShotList:
    return direct(read_fountain(text, file), rate)


def _fdx(text: str, file: str, rate: Fraction) -> ShotList:
    return direct(read_fdx(text, file), rate)


def _shot_list(text: str, file: str, rate: Fraction) -> ShotList:
    is_json = PurePath(file).suffix.lower() == ".json"
    return read_shot_list(text, file, rate, is_json=is_json)


def _markdown(text: str, file: str, rate: Fraction) -> ShotList:
    if holds_shots(text):
        return read_markdown_table(text, file, rate)
    return direct(read_prose(text, file, markdown=True), rate)


def _prose(text: str, file: str, rate: Fraction) -> ShotList:
    markdown = KINDS_BY_ENDING.get(PurePath(file).suffix.lower()) == "markdown"
    return direct(read_prose(text, file, markdown=markdown), rate)


def _text(text: str, file: str, rate: Fraction) -> ShotList:
    """A .txt with scene headings on lines of their own is a screenplay; any other is prose."""
    lines = ["", *text.split("\n"), ""]
    for before, line, behind in zip(lines, lines[1:], lines[2:], strict=False):
        if not before.strip() and not behind.strip() and _SLUG.fullmatch(line):
            return _fountain(text, file, rate)
    return _prose(text, file, rate)


KINDS: dict[str, Reader] = {
    "fountain": _fountain,
    "fdx": _fdx,
    "shotlist": _shot_list,
    "csv": read_csv,
    "markdown": _markdown,
    "prose": _prose,
}
KINDS_BY_ENDING = {
    ".fountain": "fountain",
    ".spmd": "fountain",
    ".fdx": "fdx",
    ".yaml": "shotlist",
    ".yml": "shotlist",
    ".json": "shotlist",
    ".csv": "csv",
    ".tsv": "csv",
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "prose",
}
READERS: dict[str, Reader] = {ending: KINDS[kind] for ending, kind in KINDS_BY_ENDING.items()}
READERS[".txt"] = _text


def check_kind(file: str, kind: str | None = None) -> Reader:
    """Return the reader for a kind of script, else for a file name.

    Raises:
        BadInput: for a kind that is not read.
    """
    if kind is not None:
        if kind not in KINDS:
            raise BadInput(f"script.format={kind}: scripts of this kind are not read: {suggest(kind, KINDS)}")
        return KINDS[kind]
    ending = PurePath(file).suffix.lower()
    if ending not in READERS:
        raise BadInput(
            f"{file}: scripts of kind {ending or '(no ending)'!r} are not read; these are: "
            f"{', '.join(sorted(READERS))}; or say what it is with script.format= ({', '.join(KINDS)})"
        )
    return READERS[ending]


def _decode(data: bytes, file: str) -> str:
    if len(data) > MAX_BYTES:
        raise BadInput(f"{file}: it has {len(data):,} bytes; a script may have {MAX_BYTES:,}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: not a text file in UTF-8 (byte {error.start}): save it as UTF-8") from error
    if any(ord(letter) < 32 and letter not in "\t\n\r\f\v" for letter in text):
        raise BadInput(f"{file}: it holds control characters, so it is no text file")
    if not text.strip():
        raise BadInput(f"{file}: the file is empty")
    return _LINE_END.sub("\n", text)


def _check_lines(text: str, file: str) -> None:
    """The parsers take time that grows with the square of such lines."""
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > MAX_LINE or line.count("[[") > MAX_NOTES or " " * MAX_SPACES in line:
            raise BadInput(
                f"{file}, line {number}: a line may have {MAX_LINE:,} characters, {MAX_NOTES} notes and "
                f"{MAX_SPACES - 1} spaces in a row: break it up"
            )


def read_script(data: bytes, file: str, rate: Fraction, kind: str | None = None) -> ShotList:
    """Read a script's bytes into shots; `kind` stands in for what the file's name says.

    Raises:
        BadInput: for an unknown kind, a file that is empty, binary or too large, or what its
            reader refuses; the sentence names the file and, where there is one, the line.
    """
    reader = check_kind(file, kind)
    text = _decode(data, file)
    if reader is not _fdx:  # XML may be one long line; its paragraphs are checked one by one
        _check_lines(text, file)
    made = reader(text, file, rate)
    if not made.shots:
        raise BadInput(f"{file}: nothing in it can be filmed: write a scene heading and some action")
    return made
