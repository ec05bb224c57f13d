"""Fountain to a screenplay, on the parser library `fountain-py`.

The library keeps line numbers and paragraphs but drops notes inside a paragraph, so durations are
read from the source lines it points at.
"""

from __future__ import annotations

import re

from fountain.elements import ElementType, FountainElement
from fountain.parser import FountainParser

from farm.script.durations import noted_seconds
from farm.script.model import Action, Scene, Screenplay, Source, Speech, Transition, Unfilmed

_CUT = re.compile(r"/\*.*?\*/", re.DOTALL)
_UNFILMED = {
    ElementType.CENTERED: "centred text is not filmed",
    ElementType.LYRICS: "lyrics are not filmed",
}
# Working matter that nobody expects to see on the screen.
_SILENT = {
    ElementType.SECTION,
    ElementType.SYNOPSIS,
    ElementType.BONEYARD,
    ElementType.PAGE_BREAK,
    ElementType.TITLE_PAGE,
}


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self.lines = text.split("\n")
        self.file = file
        self.scenes: list[Scene] = []
        self.unfilmed: list[Unfilmed] = []
        self.elements: list[Action | Speech | Transition] = []
        self.heading: tuple[str, str | None, Source] | None = None
        self.speaker = ""

    def source(self, element: FountainElement) -> Source:
        """The paragraph that begins at the element's line."""
        first = last = max(1, element.line_number)
        while last < len(self.lines) and self.lines[last].strip():
            last += 1
        return Source(file=self.file, first=first, last=last)

    def raw(self, source: Source) -> str:
        """The passage as written, but for what is cut (`/* … */`)."""
        return _CUT.sub("", "\n".join(self.lines[source.first - 1 : source.last]))

    def close_scene(self) -> None:
        if self.heading is None:
            if self.elements:
                first, last = self.elements[0].source, self.elements[-1].source
                where = Source(file=self.file, first=first.first, last=last.last)
                self.scenes.append(
                    Scene(heading="", number=None, elements=tuple(self.elements), source=where)
                )
        else:
            heading, number, source = self.heading
            self.scenes.append(
                Scene(heading=heading, number=number, elements=tuple(self.elements), source=source)
            )
        self.elements = []

    def read(self, element: FountainElement) -> None:
        source, kind, text = self.source(element), element.type, " ".join(element.text.split())
        if kind is ElementType.SCENE_HEADING:
            self.close_scene()
            number = element.metadata.get("scene_number")
            line = Source(file=self.file, first=source.first, last=source.first)
            self.heading = (text, str(number) if number else None, line)
        elif kind is ElementType.ACTION:
            if text:
                seconds = noted_seconds(self.raw(source), source)
                self.elements.append(Action(text=text, source=source, seconds=seconds))
        elif kind is ElementType.NOTE:
            self.read_note(source)
        elif kind is ElementType.CHARACTER:
            self.speaker = text.strip()
        elif kind is ElementType.DIALOGUE:
            self.elements.append(Speech(character=self.speaker, text=text, source=source))
        elif kind is ElementType.DUAL_DIALOGUE:
            for column in element.dual_dialogue_columns():
                for part in column:
                    self.read(part)
        elif kind is ElementType.TRANSITION:
            self.elements.append(Transition(text=text, source=source))
        elif kind in _UNFILMED:
            self.unfilmed.append(Unfilmed(text=text, why=_UNFILMED[kind], source=source))
        elif kind not in _SILENT and kind is not ElementType.PARENTHETICAL:
            why = f"{kind.value.replace('_', ' ')} is not filmed"
            self.unfilmed.append(Unfilmed(text=text, why=why, source=source))

    def read_note(self, source: Source) -> None:
        """A note on its own that says how long: it means the action above it."""
        seconds = noted_seconds(self.raw(source), source)
        if seconds is None or not self.elements or not isinstance(self.elements[-1], Action):
            return
        action = self.elements[-1]
        self.elements[-1] = Action(text=action.text, source=action.source, seconds=seconds)


def read_fountain(text: str, file: str) -> Screenplay:
    """Parse a Fountain screenplay. Raises BadInput for a duration that cannot be."""
    document = FountainParser().parse(text)
    reader = _Reader(text, file)
    for element in document.elements:
        reader.read(element)
    reader.close_scene()
    title = document.metadata.get("Title") or document.metadata.get("title")
    return Screenplay(
        title=" ".join(str(title).split()) if title else None,
        scenes=tuple(reader.scenes),
        unfilmed=tuple(reader.unfilmed),
    )
