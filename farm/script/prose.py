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
from farm.script.fountain import MAX_LINE, Assembly, Lifted
from farm.script.model import Screenplay, Source

MAX_PARAGRAPH = 2 * MAX_LINE
_OUTSIDE = """
    alley avenue battlefield bay beach bridge campsite canyon cemetery churchyard city clearing cliff
    cliffs coast courtyard crossroads desert dock docks dunes farm farmyard field fields forest garden
    glacier graveyard harbor harbour hill hills hillside hilltop island jetty jungle lake lane lawn market
    marketplace marsh meadow meadows moor mountain mountains ocean orchard park path pavement pier
    playground pond promenade quay river riverbank road roadside roof rooftop rooftops sea seashore shore
    sky square stream street streets swamp terrace town valley village vineyard volcano waterfall wood
    woods yard
"""
_INSIDE = """
    attic bakery bar barn basement bathroom bedroom cabin cafe café carriage castle cathedral cave cellar
    chapel church cinema classroom corridor cottage dungeon elevator factory garage greenhouse hall
    hallway hospital hotel house hut inn kitchen lab laboratory library lift lighthouse museum office
    palace parlour prison pub restaurant room school shed shop spaceship stable stairwell station studio
    submarine tavern temple tent theater theatre tower tunnel warehouse workshop
"""
_PLACES = dict.fromkeys(_OUTSIDE.split(), "EXT") | dict.fromkeys(_INSIDE.split(), "INT")
_TIMES = {
    "night": "NIGHT",
    "nightfall": "NIGHT",
    "midnight": "MIDNIGHT",
    "dawn": "DAWN",
    "daybreak": "DAWN",
    "sunrise": "DAWN",
    "morning": "MORNING",
    "noon": "NOON",
    "midday": "NOON",
    "daylight": "DAY",
    "afternoon": "AFTERNOON",
    "dusk": "DUSK",
    "twilight": "DUSK",
    "sunset": "SUNSET",
    "sundown": "SUNSET",
    "evening": "EVENING",
    "moonlight": "MOONLIGHT",
}
_PLACE = re.compile(
    r"\b(?P<how>in|inside|into|on|onto|at|to|through|across|along|over|under|by|near|beside|above|around|"
    r"down|up|past|towards?|beyond|outside|within)\s+"
    r"(?:(?:the|an?|her|his|their|its|this|that|our|my)\s+)?(?:(?!(?:from|of|off|out|the|and|or|for|with|as)\b)[\w'’-]+\s+){0,2}?"
    rf"(?P<what>{'|'.join(sorted(_PLACES))})\b",
    re.IGNORECASE,
)
_AROUND = {"near", "beside", "above", "around", "past", "beyond", "outside"}
_WHEN = "|".join(_TIMES)
_TIME = re.compile(
    rf"\b(?:(?:at|by|before|in(?:\s+the)?|in\s+broad|that|this|one|(?:the\s+)?next|early|late|(?:it|this)\s+(?:is|was))"
    rf"\s+(?:early\s+|late\s+|still\s+|already\s+)?(?P<at>{_WHEN})\b(?!\s+before)"
    rf"|(?P<falls>{_WHEN})\s+(?:fell|falls|broke|breaks|came|comes|had\s+fallen|has\s+fallen)\b"
    r"|the\s+sun\s+(?P<sun>rose|rises|came\s+up|comes\s+up|set|sets|was\s+setting|went\s+down|goes\s+down)\b)",
    re.IGNORECASE,
)
_BARE = re.compile(rf"\b(?:{'|'.join(sorted([*_PLACES, *_TIMES]))})\b", re.IGNORECASE)
_SLUG = re.compile(r"(?:INT|EXT|EST|I/E|INT\.?/EXT)[.\s]+\S")
_CHAPTER = re.compile(
    r"(?:(?:chapter|part|book|act|scene)\s+(?:\d{1,4}|[ivxlc]{1,8}|[a-z]{3,9}(?:-[a-z]{3,5})?)|prologue|epilogue|"
    r"\d{1,3}\.?|[ivxlc]{1,8}\.?)(?:\s*[.:–—-]\s*\S.{0,100})?",
    re.IGNORECASE,
)
_BYLINE = re.compile(r"(?:(?:written|a (?:film|story|tale))\s+)?by\s+\S.{0,100}", re.IGNORECASE)

# What is said. Single quotes count only round a whole remark, or apostrophes would.
_QUOTE = re.compile(
    r"“([^“”]*)(?:”|$)|(?<!\w)\"([^\"]*)(?:\"|$)|"
    r"(?<!\w)[‘'](?=\S)((?:[^‘’'\"“”]|(?<=\w)[’'](?=\w))+[,.!?…–—-])[’'](?!\w)"
)
_SAYS = (
    r"(?:sa(?:id|ys)|ask(?:ed|s)|repl(?:ied|ies)|answer(?:ed|s)|whisper(?:ed|s)|shout(?:ed|s)|cr(?:ied|ies)|"
    r"call(?:ed|s)|murmur(?:ed|s)|mutter(?:ed|s)|yell(?:ed|s)|add(?:ed|s)|beg[ai]n(?:s)?|continue[ds]|"
    r"explain(?:ed|s)|announce[ds]|agree[ds]|sigh(?:ed|s)|s[aiu]ngs?|exclaim(?:ed|s)|insist(?:ed|s)|"
    r"repeat(?:ed|s)|snap(?:ped|s)|demand(?:ed|s)|scream(?:ed|s)|laugh(?:ed|s))"
)
_CAPS = r"[A-ZÀ-ÖØ-Þ][\w'’-]*"
_NAME = rf"(?:(?:Mrs?|Ms|Dr|St|Prof|Capt)\.\s)?{_CAPS}(?:\s{_CAPS}){{0,2}}"
_OF = r"(?:the|an?|his|her|their|my|our)"
_WHO = (
    rf"(?:{_NAME}|{_OF}\s(?:(?:old|young|little|tall|small|other|first|second)\s)?[a-z]+(?:\s{_NAME})?|"
    r"s?he|they|it)"
)
_AFTER = re.compile(
    rf"\s*(?:{_SAYS}\s+(?P<after>{_WHO})|(?P<before>{_WHO})\s+(?:\w+ly\s+)?{_SAYS}\b(?!\s+(?:nothing|no)\b))"
    r"(?:\s+\w+ly\b)?(?P<end>\s*(?:[.,;:–—-]|$))?"
)
_BEFORE = re.compile(
    rf"(?<!\S)(?P<who>{_WHO})\s+(?:\w+ly\s+)?{_SAYS}(?:\s+\w+ly)?(?:\s+to\s+(?:the\s+)?\w+)?\s*[,:]?\s*$"
)
_AND_SAID = re.compile(rf",?\s+(?:and|then|and\s+then)\s+{_SAYS}(?:\s+\w+ly)?\s*[,:]?\s*$")
_SUBJECT = re.compile(rf"(?:^|[.!?]\s+)(?P<who>{_NAME})\b[^.!?]*$")
_NOBODY = {"he", "she", "it", "they", "i", "we", "you"}
_LINKS = {"Then", "And", "But", "So", "When", "As", "Suddenly", "Finally", "Later", "Now", "Again", "Still"}

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


def _speaker(who: str) -> str:
    words = who.split()
    while len(words) > 1 and words[0] in _LINKS:
        del words[0]
    if re.fullmatch(_OF, words[0]):  # "his daughter Mira" is Mira, "the captain" has no other name
        del words[0]
        words = [word for word in words if word[0].isupper()] or words
    return "" if words[0].lower() in _NOBODY or words[0] in _LINKS else " ".join(words)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentence(text: str) -> str:
    text = re.sub(r" +([,.;:!?…])", r"\1", " ".join(text.split())).strip(" ,;:–—-")
    if not any(letter.isalnum() for letter in text):
        return ""
    return _capital(text) if text[-1] in ".!?…”)" else f"{_capital(text)}."


def _after(match: re.Match[str], rest: str) -> str:
    """What is left of "said Mira, turning away." behind a quote: "Mira, turning away."."""
    who, end = _capital(match["after"] or match["before"]), (match["end"] or "").strip()
    if end == "." or not rest.strip():
        return rest
    if end:
        return f"{who}, {rest.strip()}"
    tail = re.match(r"\s+(?:to|with|in|from|at|for|through)\s[^.!?]{0,60}(?:[.!?]|$)", rest)
    return rest[tail.end() :] if tail else f"{who}{rest}"


def part_speech(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Part a paragraph into what is told and what is said: (narration, [(character, words), …]).

    The character is "" where nobody is named; quotes that are no remark (the "Bluebird") stay told.
    """
    told: list[str] = [""]
    said: list[str] = []
    at = 0
    for match in _QUOTE.finditer(text):
        words = next(group for group in match.groups() if group is not None).strip()
        told[-1] += text[at : match.start()]
        at = match.end()
        alone = not told[-1].strip() and not text[at:].strip()
        named = _AFTER.match(text, at) or _BEFORE.search(told[-1][-200:])
        if words and (words[-1] in ",.!?…–—-" or alone or named):
            said.append(words)
            told.append("")
        else:
            told[-1] += words
    told[-1] += text[at:]
    speech: list[tuple[str, str]] = []
    who = ""
    for index, words in enumerate(said):
        behind, ahead = told[index + 1], told[index]
        after = _AFTER.match(behind)
        if after and not (after["before"] and words.endswith(".")):
            who = _speaker(after["after"] or after["before"]) or who
            told[index + 1] = _after(after, behind[after.end() :])
        elif before := _BEFORE.search(ahead, max(0, len(ahead) - 200)):
            who = _speaker(before["who"]) or who
            told[index] = _ended(ahead[: before.start()])
            if going := re.match(r"\s*,?\s*(?:and|then)\s+(?=\S)", behind):
                told[index] += f" {_capital(before['who'])}"
                told[index + 1] = f" {behind[going.end() :]}"
        elif also := _AND_SAID.search(ahead, max(0, len(ahead) - 200)):
            told[index] = _ended(ahead[: also.start()])
            subject = _SUBJECT.search(ahead[: also.start()][-300:])
            who = (_speaker(subject["who"]) if subject else "") or who
        speech.append((who, f"{words[:-1]}." if words.endswith(",") else words))
    return _sentence(" ".join(told)), speech


def _ended(text: str) -> str:
    text = text.rstrip(" ,;:–—-")
    return f"{text}." if text and text[-1] not in ".!?…" else text


def find_place(text: str) -> tuple[str, str] | None:
    """Where a paragraph says it is: ("EXT", "HARBOUR")."""
    match = _PLACE.search(text)
    if match is None:
        return None
    what = match["what"].lower()
    return ("EXT" if match["how"].lower() in _AROUND else _PLACES[what]), what.upper()


def find_time(text: str) -> str | None:
    """When a paragraph says it is: "NIGHT"."""
    match = _TIME.search(text)
    if match is None:
        return None
    if match["sun"]:
        return "DAWN" if match["sun"].lower().startswith(("r", "c")) else "SUNSET"
    return _TIMES[(match["at"] or match["falls"]).lower()]


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
        for match in _BARE.finditer(text):
            word = match[0].lower()
            if word in _PLACES:
                self.place, self.slug = (_PLACES[word], word.upper()), ""
            else:
                self.time, self.slug = _TIMES[word], ""

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
