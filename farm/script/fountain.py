"""Fountain to a screenplay, on the parser library `fountain-py`.

The library keeps line numbers and paragraphs but drops notes inside a paragraph, so notes and what is
cut are taken out first, with the lines they belong to; the other readers of prose share that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction

from fountain.elements import ElementType, FountainElement
from fountain.parser import FountainParser

from farm.errors import BadInput
from farm.script.cast import noted_members
from farm.script.durations import parse_seconds
from farm.script.model import Action, Scene, Screenplay, Source, Speech, Transition, Unfilmed

MAX_LINE = 5_000
_UNFILMED = {
    ElementType.CENTERED: "centred text is not filmed",
    ElementType.LYRICS: "lyrics are not filmed",
}
_MARK = re.compile(r"/\*|\*/|\[\[|\]\]")
_CLOSES = {"/*": ("*/", "a passage cut"), "[[": ("]]", "a note")}
_HEADING = re.compile(r"\s*(?:INT|EXT|EST|I/E|INT/EXT|INT\./EXT)[\s.]", re.IGNORECASE)
_STYLED = re.compile(rf"\s*[*_]{{1,4}}(?={_HEADING.pattern})", re.IGNORECASE)
_CLOSED_UP = tuple(" \t.,;:!?")
# What the library takes for a cue; other capitals are told to it with an "@".
_PLAIN_CUE = re.compile(r"[A-Z0-9\s_.'#-]*")
_JOINED = re.compile(r"(?:^|\s)(?:and|&|with)(?:\s|$)", re.IGNORECASE)


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


def noted_length(note: str, source: Source) -> Fraction | None:
    """The duration on a line of a note, the last one if there are several. Raises BadInput as they do."""
    found = [parse_seconds(line, source) for line in note.split("\n")]
    return next((seconds for seconds in reversed(found) if seconds is not None), None)


class Assembly:
    """Puts a screenplay together, element by element, in the order of the script."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.scenes: list[Scene] = []
        self.unfilmed: list[Unfilmed] = []
        self.elements: list[Action | Speech | Transition] = []
        self.notes: list[str] = []
        self._heading: tuple[str, str | None, Source] | None = None

    def begin(self, heading: str, number: str | None, source: Source) -> None:
        """Begin a scene."""
        self._close()
        self._heading = (heading, number, source)

    def action(self, text: str, source: Source) -> None:
        """Add what is seen; nothing where the text is empty."""
        if text := " ".join(text.split()):
            self.elements.append(Action(text=text, source=source))

    def speech(self, character: str, text: str, source: Source, *, more: bool = False) -> None:
        """Add what is said; `more` of it joins the line before."""
        text = " ".join(text.split())
        last = self.elements[-1] if self.elements else None
        if more and text and isinstance(last, Speech):
            whole = replace(last.source, last=source.last)
            self.elements[-1] = replace(last, text=f"{last.text} {text}", source=whole)
        elif text:
            self.elements.append(Speech(character=character.strip(), text=text, source=source))

    def transition(self, text: str, source: Source) -> None:
        """Add a transition; nothing where the text is empty."""
        if text := " ".join(text.split()):
            self.elements.append(Transition(text=text, source=source))

    def leave_out(self, text: str, why: str, source: Source) -> None:
        """List what is not filmed."""
        if text := " ".join(text.split()):
            self.unfilmed.append(Unfilmed(text=text, why=why, source=source))

    def note(self, note: str, source: Source) -> None:
        """Take a note: a duration in it is that of the action before it, speech in between or not.

        Raises:
            BadInput: for a duration that cannot be.
        """
        self.notes.append(f"[[{note}]]")
        seconds = noted_length(note, source)
        if seconds is None:
            return
        for index in reversed(range(len(self.elements))):
            element = self.elements[index]
            if isinstance(element, Action):
                self.elements[index] = replace(element, seconds=seconds)
                return
            if isinstance(element, Transition):
                break
        self.leave_out(f"[[{note}]]", "there is no action above it to last so long", source)

    def _close(self) -> None:
        if self._heading is not None:
            heading, number, source = self._heading
            elements = tuple(self.elements)
            self.scenes.append(Scene(heading=heading, number=number, elements=elements, source=source))
        elif self.elements:
            where = replace(self.elements[0].source, last=self.elements[-1].source.last)
            self.scenes.append(Scene(heading="", number=None, elements=tuple(self.elements), source=where))
        self.elements = []

    def done(self, title: str | None, credits: Iterable[str]) -> Screenplay:
        """Close the last scene and return the whole."""
        self._close()
        return Screenplay(
            title=title or None,
            scenes=tuple(self.scenes),
            unfilmed=tuple(self.unfilmed),
            credits=tuple(credits),
            cast=noted_members("\n".join(self.notes)),
        )


def plain(text: str) -> str:
    """A line without its emphasis (`*…*`, `**…**`, `_…_`)."""
    read = FountainParser().parse(f"!{text}").elements
    return read[0].text if read and text.strip() else ""


def _prepare(lines: list[str]) -> Iterator[str]:
    """Force what the library would miss: headings in bold, and cues such as JOSÉ, O’BRIEN, BOB & SUE."""
    for index, line in enumerate(lines):
        name = line.partition("(")[0].rstrip(" \t^").strip()
        alone = not index or not lines[index - 1].strip()
        answered = index + 1 < len(lines) and lines[index + 1].strip()
        forced = (
            alone
            and answered
            and name.isupper()
            and not _PLAIN_CUE.fullmatch(name)
            and len(name.split()) <= 5
            and all(letter.isalnum() or letter in " _.'’#&/-" for letter in name)
            and not _HEADING.match(line)
        )
        if alone and _STYLED.match(line):
            yield plain(line.strip())
        else:
            yield f"@{line.strip()}" if forced else line


def _flat(elements: Iterable[FountainElement]) -> Iterator[FountainElement]:
    for element in elements:
        if element.type is ElementType.DUAL_DIALOGUE:
            for column in element.dual_dialogue_columns():
                yield from column
        else:
            yield element


def _credits(page: dict[str, str]) -> Iterator[str]:
    """The lines under the title, as title pages are set: "Written by Ann, Bo", the source, the draft."""
    values = {key: [plain(line.strip()) for line in value.split("\n")] for key, value in page.items()}
    authors = [name for key in ("author", "authors", "writers") for name in values.get(key, []) if name]
    glue = " " if any(_JOINED.search(name) for name in authors[1:]) else ", "
    byline = [*values.get("credit", []), glue.join(authors)]
    yield " ".join(part for part in byline if part)
    for key in ("source", "draft date"):
        yield " ".join(values.get(key, []))


class _Reader:
    def __init__(self, lifted: Lifted) -> None:
        self.lifted = lifted
        self.made = Assembly(lifted.file)
        self.speaker = ""
        self.speaking = False

    def read(self, element: FountainElement, source: Source) -> None:
        kind, text, speaking = element.type, element.text, self.speaking
        self.speaking = False
        if kind is ElementType.SCENE_HEADING:
            number = element.metadata.get("scene_number")
            line = replace(source, last=source.first)
            self.made.begin(" ".join(text.split()), str(number) if number else None, line)
        elif kind is ElementType.ACTION:
            self.made.action(text, source)
        elif kind is ElementType.CHARACTER:
            self.speaker = plain(text)
        elif kind is ElementType.DIALOGUE:
            self.made.speech(self.speaker, text, source, more=speaking)
            self.speaking = bool(text.strip())
        elif kind is ElementType.TRANSITION:
            self.made.transition(text, source)
        elif kind in _UNFILMED:
            self.made.leave_out(text, _UNFILMED[kind], source)

    def read_all(self, elements: list[FountainElement]) -> None:
        """Elements and notes in the order of their lines; sections, synopses and page breaks are silent."""
        notes = iter(self.lifted.notes)
        note = next(notes, None)
        starts = [max(1, element.line_number) - 1 for element in elements]
        stops = [*starts, len(self.lifted.lines)][1:]
        for element, start, stop in zip(elements, starts, stops, strict=True):
            while note is not None and note.index < start:
                self.made.note(note.text, note.source)
                note = next(notes, None)
            self.read(element, self.lifted.source(start, max(stop, start + 1)))
        while note is not None:
            self.made.note(note.text, note.source)
            note = next(notes, None)


def read_fountain(text: str, file: str) -> Screenplay:
    """Parse a Fountain screenplay.

    Raises:
        BadInput: for a note or a cut passage that is never closed, and a duration that cannot be.
    """
    lifted = Lifted(text, file, boneyard=True)
    document = FountainParser().parse("\n".join(_prepare(lifted.lines)))
    reader = _Reader(lifted)
    reader.read_all(list(_flat(document.elements)))
    page = {key.lower(): value for key, value in document.metadata.items()}
    title = " ".join(plain(line.strip()) for line in page.get("title", "").split("\n"))
    return reader.made.done(" ".join(title.split()), (line for line in _credits(page) if line))
