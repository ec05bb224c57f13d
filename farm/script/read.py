"""Any script file to shots, by the ending of its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import PurePath

from farm.errors import BadInput
from farm.script.director import direct
from farm.script.fountain import read_fountain
from farm.script.model import MAX_BYTES, ShotList
from farm.script.shotlist import read_shot_list

MAX_LINE, MAX_NOTES, MAX_SPACES = 5_000, 20, 200
# All that ends a line for one reader or another; line numbers count these.
_LINE_END = re.compile("\r\n?|[\f\v\x85\u2028\u2029]")

Reader = Callable[[str, str, Fraction], ShotList]


def _fountain(text: str, file: str, rate: Fraction) -> ShotList:
    return direct(read_fountain(text, file), rate)


READERS: dict[str, Reader] = {
    ".fountain": _fountain,
    ".spmd": _fountain,
    ".yaml": lambda text, file, rate: read_shot_list(text, file, rate, is_json=False),
    ".yml": lambda text, file, rate: read_shot_list(text, file, rate, is_json=False),
    ".json": lambda text, file, rate: read_shot_list(text, file, rate, is_json=True),
}


def check_kind(file: str) -> Reader:
    """Return the reader for a file name. Raises BadInput for a kind that is not read."""
    ending = PurePath(file).suffix.lower()
    if ending not in READERS:
        kinds = ", ".join(sorted(READERS))
        raise BadInput(
            f"{file}: scripts of kind {ending or '(no ending)'!r} are not read; these are: {kinds}"
        )
    return READERS[ending]


def read_script(data: bytes, file: str, rate: Fraction) -> ShotList:
    """Read a script's bytes into shots.

    Raises:
        BadInput: for an unknown kind, a file that is empty, binary or too large, or what its
            reader refuses; the sentence names the file and, where there is one, the line.
    """
    reader = check_kind(file)
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
    text = _LINE_END.sub("\n", text)
    for number, line in enumerate(text.split("\n"), start=1):
        # The parsers take time that grows with the square of such lines.
        if len(line) > MAX_LINE or line.count("[[") > MAX_NOTES or " " * MAX_SPACES in line:
            raise BadInput(
                f"{file}, line {number}: a line may have {MAX_LINE:,} characters, {MAX_NOTES} notes and "
                f"{MAX_SPACES - 1} spaces in a row: break it up"
            )
    made = reader(text, file, rate)
    if not made.shots:
        raise BadInput(f"{file}: nothing in it can be filmed: write a scene heading and some action")
    return made
