"""Final Draft (.fdx) to a screenplay.

The file is XML, read as a stream with `defusedxml`, which takes neither document types nor entities;
the stream knows the line of every paragraph. (`screenplay-tools`, the parser library for FDX, loses
scene numbers, styled text, dual dialogue and the title page, and knows no lines.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.sax import SAXException, SAXParseException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl

from defusedxml import DefusedXmlException
from defusedxml.sax import parseString

from farm.errors import BadInput
from farm.script.assembly import Assembly
from farm.script.lifted import MAX_LINE
from farm.script.model import Screenplay, Source

_DECLARED = re.compile(r"\s*<\?xml\s[^>]*\?>")
_ENCODING = re.compile(r"""\sencoding\s*=\s*["']([^"']*)["']""")
_BODY, _PAGE = ["FinalDraft", "Content"], ["FinalDraft", "TitlePage", "Content"]
_DUAL = [*_BODY, "Paragraph", "DualDialogue"]
_NOTE = re.compile(r" ?\[\[([^\[\]]*)\]\](?=[ .,;:!?]|$)|\[\[([^\[\]]*)\]\]")
_EXTENSION = re.compile(r" ?\([^()]*\)?$")  # (V.O.), (CONT'D)
# Working matter that nobody expects to see on the screen.
_SILENT = {"Parenthetical", "Cast List", "New Act", "End of Act", "Outline Body"}
_UNFILMED = {"Lyrics": "lyrics are not filmed", "Singing": "lyrics are not filmed"}


@dataclass(slots=True)
class _Paragraph:
    kind: str
    number: str | None
    centred: bool
    first: int
    last: int
    parts: list[str] = field(default_factory=list)


class _Handler(ContentHandler):
    """Collects the paragraphs of the script and of its title page, and passes all others by.

    Notes, summaries and omitted scenes hold paragraphs too, but elsewhere in the tree.
    """

    def __init__(self) -> None:
        super().__init__()
        self.body: list[_Paragraph] = []
        self.page: list[_Paragraph] = []
        self._locator = None
        self._path: list[str] = []
        self._open: list[tuple[int, _Paragraph]] = []
        self._text: int | None = None

    def _line(self) -> int:
        locator = self._locator
        return (locator.getLineNumber() if locator else None) or 1

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802
        path, depth = self._path, len(self._path)
        if not path and name != "FinalDraft":
            raise SAXException(f"it begins with <{name[:40]}>")
        if name == "Paragraph" and depth <= len(_DUAL) and path in (_BODY, _DUAL, _PAGE):
            centred = attrs.get("Alignment") == "Center"
            line = self._line()
            made = _Paragraph(attrs.get("Type", "Action"), attrs.get("Number"), centred, line, line)
            (self.page if path == _PAGE else self.body).append(made)
            self._open.append((depth, made))
        elif (
            name == "Text"
            and self._text is None
            and self._open
            and depth == self._open[-1][0] + 1
            and "Strikeout" not in attrs.get("Style", "")
        ):
            self._text = depth
        path.append(name)

    def endElement(self, name: str) -> None:  # noqa: N802
        self._path.pop()
        depth = len(self._path)
        if self._text == depth:
            self._text = None
        if self._open and self._open[-1][0] == depth:
            self._open.pop()[1].last = self._line()

    def characters(self, content: str) -> None:
        if self._text is not None:
            self._open[-1][1].parts.append(content)


def _parse(text: str, file: str) -> _Handler:
    declared = _DECLARED.match(text)
    if declared and (encoding := _ENCODING.search(declared[0])) and encoding[1].lower() != "utf-8":
        raise BadInput(f"{file}, line 1: it is declared to be in {encoding[1]!r}: save it as UTF-8")
    if declared:  # expat would believe it; the lines stay
        text = "\n" * declared[0].count("\n") + text[declared.end() :]
    handler = _Handler()
    try:
        parseString(text.encode(), handler, forbid_dtd=True)
    except DefusedXmlException as error:
        raise BadInput(
            f"{file}: document types and entities (<!DOCTYPE>) are not taken: remove them"
        ) from error
    except SAXParseException as error:
        problem = error.getMessage()
        raise BadInput(
            f"{file}, line {error.getLineNumber()}: not valid XML: {problem}: export it anew"
        ) from error
    except SAXException as error:
        raise BadInput(f"{file}: no Final Draft script: {error.getMessage()}: export it as .fdx") from error
    return handler


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = file
        self.made = Assembly(file)
        self.speaker = ""
        self.shot: tuple[str, Source] | None = None

    def text(self, paragraph: _Paragraph) -> tuple[str, Source, list[str]]:
        """A paragraph's text without its notes, where it is, and the notes."""
        source = Source(file=self.file, first=paragraph.first, last=max(paragraph.first, paragraph.last))
        text = " ".join("".join(paragraph.parts).split())
        if len(text) > MAX_LINE:
            raise BadInput(f"{source}: a paragraph may have {MAX_LINE:,} characters: break it up")
        notes = [match[1] if match[1] is not None else match[2] for match in _NOTE.finditer(text)]
        text = _NOTE.sub("", text).strip()
        if "[[" in text:
            raise BadInput(f"{source}: a note is opened with [[ and never closed: add ]]")
        return text, source, notes

    def read(self, paragraph: _Paragraph) -> None:
        kind = paragraph.kind.removesuffix(" (Top of Page)")
        text, source, notes = self.text(paragraph)
        if text and self.shot and kind != "Action":
            self.end_shot()
        if text:
            self.element(kind, text, paragraph, source)
        for note in notes:
            self.made.note(note.strip(), source)

    def element(self, kind: str, text: str, paragraph: _Paragraph, source: Source) -> None:
        if kind == "Scene Heading":
            number = (paragraph.number or "").strip()
            self.made.begin(text, number or None, source)
        elif kind == "Shot":
            self.shot = (text, source)
        elif kind == "Character":
            self.speaker = _EXTENSION.sub("", _EXTENSION.sub("", text))
        elif kind == "Dialogue":
            self.made.speech(self.speaker, text, source)
        elif kind == "Transition":
            self.made.transition(text, source)
        elif kind == "General" and paragraph.centred:
            self.made.leave_out(text, "centred text is not filmed", source)
        elif kind == "Action" and self.shot:
            (words, where), self.shot = self.shot, None
            whole = Source(file=self.file, first=where.first, last=source.last)
            self.made.action(f"{_ended(words)} {text}", whole)
        elif kind in ("Action", "General"):
            self.made.action(text, source)
        elif kind not in _SILENT:
            why = _UNFILMED.get(kind, f"a paragraph of type {kind[:40]!r} is not filmed")
            self.made.leave_out(text, why, source)

    def end_shot(self) -> None:
        """A camera set-up that no action follows is a shot of its own."""
        if self.shot:
            self.made.action(*self.shot)
        self.shot = None


def _ended(text: str) -> str:
    """A camera set-up as a sentence: "ANGLE ON THE BOAT:" and what is seen there."""
    return text if text[-1] in ".!?:…-–—" else f"{text}."


def _credits(lines: list[str]) -> Iterator[str]:
    """A title page breaks "Written by" from the name behind it; a card does not."""
    held = ""
    for line in lines:
        if line.lower().endswith(("by", "by:")):
            held = f"{held} {line}".strip()
        else:
            yield f"{held} {line}".strip()
            held = ""


def read_fdx(text: str, file: str) -> Screenplay:
    """Parse a Final Draft script. Sources are lines of the XML file.

    Raises:
        BadInput: for what is no such file, another encoding than UTF-8, document types and entities, a
            note that is never closed, and a duration that cannot be.
    """
    handler = _parse(text, file)
    reader = _Reader(file)
    for paragraph in handler.body:
        reader.read(paragraph)
    reader.end_shot()
    # The corners of a title page hold addresses and dates; title and names are in the middle.
    page = [paragraph for paragraph in handler.page if paragraph.centred] or handler.page
    lines = [words for paragraph in page if (words := reader.text(paragraph)[0])]
    return reader.made.done(lines[0] if lines else None, _credits(lines[1:]))
