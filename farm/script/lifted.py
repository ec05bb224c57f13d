"""A script without its notes and cut passages, and the lines of the file that what is left came from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from farm.errors import BadInput
from farm.script.model import Source

MAX_LINE = 5_000
_MARK = re.compile(r"/\*|\*/|\[\[|\]\]")
_CLOSES = {"/*": ("*/", "a passage cut"), "[[": ("]]", "a note")}
_CLOSED_UP = tuple(" \t.,;:!?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A note's text, where it stands, and the kept line (from 0) it belongs to."""

    text: str
    source: Source
    index: int


@dataclass(slots=True)
class _Kept:
    first: int
    last: int
    parts: list[str] = field(default_factory=list)
    notes: list[tuple[str, Source]] = field(default_factory=list)
    seen: bool = False
    cut: bool = False


class Lifted:
    """A script without its notes and cut passages: `lines`, and the lines of the file they came from."""

    def __init__(self, text: str, file: str, *, boneyard: bool) -> None:
        self.file = file
        self.lines: list[str] = []
        self.numbers: list[tuple[int, int]] = []
        self.notes: list[Note] = []
        self._line, self._kept = 1, _Kept(1, 1)
        at, opened, where = 0, "", 1
        for match in _MARK.finditer(text):
            mark = match[0]
            if opened:
                if mark == opened == "[[":
                    break
                if mark == _CLOSES[opened][0]:
                    self._cut(opened, text[at : match.start()], where)
                    at, opened = match.end(), ""
            elif mark == "[[" or (mark == "/*" and boneyard):
                self._keep(text[at : match.start()])
                at, opened, where = match.end(), mark, self._line
        if opened:
            close, what = _CLOSES[opened]
            raise BadInput(
                f"{file}, line {where}: {what} is opened with {opened} and never closed: add {close}"
            )
        self._keep(text[at:])
        self._end()

    def source(self, first: int, stop: int) -> Source:
        """The file's lines of the kept lines [first, stop), counted from 0, but for blank ones at the end."""
        while stop > first + 1 and not self.lines[stop - 1].strip():
            stop -= 1
        return Source(file=self.file, first=self.numbers[first][0], last=self.numbers[stop - 1][1])

    def _keep(self, text: str) -> None:
        for index, piece in enumerate(text.split("\n")):
            if index:
                self._end()
                self._line += 1
                self._kept = _Kept(self._line, self._line)
            kept = self._kept
            if kept.parts and piece[:1] in _CLOSED_UP:  # no gap where a note was taken out
                kept.parts[-1] = kept.parts[-1].rstrip(" \t")
            if piece.strip():
                if not kept.seen:
                    kept.first = self._line
                kept.seen, kept.last = True, self._line
            kept.parts.append(piece)

    def _cut(self, opened: str, text: str, line: int) -> None:
        self._line += text.count("\n")
        self._kept.cut = True
        if opened == "[[":
            self._kept.notes.append((text, Source(file=self.file, first=line, last=self._line)))

    def _end(self) -> None:
        kept, index = self._kept, len(self.lines)
        text = "".join(kept.parts)
        if len(text) > MAX_LINE:
            raise BadInput(
                f"{self.file}, line {kept.first}: a line may have {MAX_LINE:,} characters: break it up"
            )
        if kept.cut and not kept.seen:
            # Nothing is left of the line. Its notes mean the paragraph it touches, first the one above.
            index -= 1 if index and self.lines[-1].strip() else 0
        else:
            self.lines.append(text)
            self.numbers.append((kept.first, kept.last))
        self.notes += [Note(text=note, source=source, index=index) for note, source in kept.notes]
