"""Fountain to a screenplay, on the parser library `fountain-py`.

The library keeps line numbers and paragraphs but drops notes inside a paragraph, so notes and what is
cut are taken out first, with the lines they belong to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from fountain.elements import ElementType, FountainElement
from fountain.parser import FountainParser

from farm.script.assembly import Assembly
from farm.script.lifted import Lifted
from farm.script.model import Screenplay, Source

_UNFILMED = {
    ElementType.CENTERED: "centred text is not filmed",
    ElementType.LYRICS: "lyrics are not filmed",
}
_HEADING = re.compile(r"\s*(?:INT|EXT|EST|I/E|INT/EXT|INT\./EXT)[\s.]", re.IGNORECASE)
_STYLED = re.compile(rf"\s*[*_]{{1,4}}(?={_HEADING.pattern})", re.IGNORECASE)
# What the library takes for a cue; other capitals are told to it with an "@".
_PLAIN_CUE = re.compile(r"[A-Z0-9\s_.'#-]*")
_JOINED = re.compile(r"(?:^|\s)(?:and|&|with)(?:\s|$)", re.IGNORECASE)


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
