"""Prose to a screenplay: a paragraph is what is seen, what stands in quotes is said.

A new chapter or a scene break begins a scene, and so does a paragraph that says plainly where or when it
is ("in the harbour", "at night"); both are carried on until they change. Always the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from markdown_it import MarkdownIt

from farm.errors import BadInput
from farm.script.assembly import Assembly
from farm.script.lifted import MAX_LINE, Lifted
from farm.script.model import Screenplay, Source
from farm.script.quotes import part_speech
from farm.script.whereabouts import BARE, PLACES, TIMES, find_place, find_time

MAX_PARAGRAPH = 2 * MAX_LINE
_SLUG = re.compile(r"(?:INT|EXT|EST|I/E|INT\.?/EXT)[.\s]+\S")
_CHAPTER = re.compile(
    r"(?:(?:chapter|part|book|act|scene)\s+(?:\d{1,4}|[ivxlc]{1,8}|[a-z]{3,9}(?:-[a-z]{3,5})?)|prologue|epilogue|"
    r"\d{1,3}\.?|[ivxlc]{1,8}\.?)(?:\s*[.:–—-]\s*\S.{0,100})?",
    re.IGNORECASE,
)
_BYLINE = re.compile(r"(?:(?:written|a (?:film|story|tale))\s+)?by\s+\S.{0,100}", re.IGNORECASE)

_BLOCKS = MarkdownIt("commonmark").enable("table").disable("inline")
_PLAIN_BLOCKS = (
    MarkdownIt("commonmark")
    .disable(["code", "fence", "html_block", "list", "blockquote", "reference", "lheading"])
    .disable("inline")
)
_INLINE = MarkdownIt("commonmark")
_PLAIN_INLINE = MarkdownIt("commonmark").disable(["escape", "entity", "html_inline", "autolink", "backticks"])
_CONTROL = re.compile(r"[\x00-\x20\x7f-\x9f]+")


def say(text: str, *, markdown: bool = True) -> str:
    """The words of a paragraph without its marks: emphasis, links, code, HTML and pictures."""
    words: list[str] = []
    for token in (_INLINE if markdown else _PLAIN_INLINE).parseInline(text):
        for part in token.children or []:
            if part.type in ("text", "code_inline"):
                words.append(part.content)
            elif part.type in ("softbreak", "hardbreak"):
                words.append(" ")
    return _CONTROL.sub(" ", "".join(words)).strip()


@dataclass(frozen=True, slots=True)
class _Block:
    kind: str  # heading, paragraph, break, or the reason why it is left out
    text: str
    level: int
    first: int
    stop: int


def _blocks(lines: list[str], *, markdown: bool) -> Iterator[_Block]:
    parser = _BLOCKS if markdown else _PLAIN_BLOCKS
    text = "\n".join(lines if markdown else [line.strip() for line in lines])
    level, table = 0, False
    for token in parser.parse(text):
        first, stop = token.map or (0, 0)
        if token.type == "heading_open":
            level = int(token.tag[1:])
        elif token.type == "heading_close":
            level = 0
        elif token.type == "table_open":
            table = True
            content = " ".join(lines[first:stop])
            yield _Block("a table without a column `prompt` is not filmed", content, 0, first, stop)
        elif token.type == "table_close":
            table = False
        elif token.type in ("fence", "code_block"):
            yield _Block("code is not filmed", token.content, 0, first, stop)
        elif token.type == "hr":
            yield _Block("break", "", 0, first, stop)
        elif token.type == "inline" and not table:
            if len(token.content) > MAX_PARAGRAPH:
                yield _Block("long", "", 0, first, stop)
                continue
            words = say(token.content, markdown=markdown)
            if level or (stop - first == 1 and _CHAPTER.fullmatch(words)):
                yield _Block("heading", words, level or 2, first, stop)
            elif not any(letter.isalnum() for letter in words):
                yield _Block("break" if words else "nothing", "", 0, first, stop)
            else:
                yield _Block("paragraph", words, 0, first, stop)


def _front_matter(lines: list[str]) -> dict[str, str]:
    """Take the `title:` and `author:` lines between `---` off the top of a Markdown file."""
    if not lines or lines[0].strip() != "---":
        return {}
    stop = next((at for at, line in enumerate(lines[1:40], start=1) if line.strip() in ("---", "...")), None)
    if stop is None or not all(":" in line or not line.strip() or line[0] in " -" for line in lines[1:stop]):
        return {}
    pairs = [line.partition(":") for line in lines[1:stop]]
    lines[: stop + 1] = [""] * (stop + 1)
    return {key.strip().lower(): value.strip().strip("\"'") for key, _, value in pairs}


class _Director:
    def __init__(self, made: Assembly) -> None:
        self.made = made
        self.place: tuple[str, str] | None = None
        self.time: str | None = None
        self.slug = ""
        self.fresh = True

    def heading(self, text: str) -> None:
        self.fresh = True
        if _SLUG.match(text):
            self.slug = text
            return
        for match in BARE.finditer(text):
            word = match[0].lower()
            if word in PLACES:
                self.place, self.slug = (PLACES[word], word.upper()), ""
            else:
                self.time, self.slug = TIMES[word], ""

    def paragraph(self, text: str, source: Source) -> None:
        told, said = part_speech(text)
        place, time = find_place(told) or self.place, find_time(told) or self.time
        if (place, time) != (self.place, self.time):
            self.place, self.time, self.slug, self.fresh = place, time, "", True
        if self.fresh:
            where = f"{self.place[0]}. {self.place[1]}" if self.place else ""
            heading = self.slug or " - ".join(part for part in (where, self.time) if part)
            self.made.begin(heading, None, source)
            self.fresh = False
        self.made.action(told, source)
        for who, words in said:
            self.made.speech(who, words, source)


def _is_title(blocks: list[_Block], *, markdown: bool) -> bool:
    """Whether a text opens with its title: its only heading of level 1, or a short line, no sentence."""
    if len(blocks) < 2 or _CHAPTER.fullmatch(blocks[0].text) or _SLUG.match(blocks[0].text):
        return False
    head = blocks[0]
    if head.kind == "heading":
        return head.level == 1 and sum(block.level == 1 for block in blocks) == 1
    short = head.kind == "paragraph" and head.stop - head.first == 1 and len(head.text.split()) <= 10
    return not markdown and short and head.text[-1] not in ".!?…,;:\"'”’" and head.text[0] not in "\"“‘'"


def read_prose(text: str, file: str, *, markdown: bool) -> Screenplay:
    """Read prose, in Markdown or as plain text.

    Raises:
        BadInput: for a note that is never closed, a duration that cannot be, a paragraph without end.
    """
    lifted = Lifted(text, file, boneyard=False)
    lines = list(lifted.lines)
    front = _front_matter(lines) if markdown else {}
    blocks = list(_blocks(lines, markdown=markdown))
    made = Assembly(file)
    title, credits = front.get("title"), [front["author"]] if front.get("author") else []
    if _is_title(blocks, markdown=markdown):
        title = title or blocks[0].text
        del blocks[0]
    if title and blocks and blocks[0].kind == "paragraph" and _BYLINE.fullmatch(blocks[0].text):
        credits = [blocks.pop(0).text]
    director = _Director(made)
    notes = iter(lifted.notes)
    note = next(notes, None)
    for block in blocks:
        while note is not None and note.index < block.first:
            made.note(note.text, note.source)
            note = next(notes, None)
        source = lifted.source(block.first, max(block.stop, block.first + 1))
        if block.kind == "heading":
            director.heading(block.text)
        elif block.kind == "break":
            director.fresh = True
        elif block.kind == "paragraph":
            director.paragraph(block.text, source)
        elif block.kind == "long":
            raise BadInput(f"{source}: a paragraph may have {MAX_PARAGRAPH:,} characters: break it up")
        elif block.kind != "nothing":
            made.leave_out(block.text[:200], block.kind, source)
    while note is not None:
        made.note(note.text, note.source)
        note = next(notes, None)
    return made.done(title, credits)
