"""The cast: what the names in a script look like, said again in every prompt that names them.

A model forgets between prompts, so a girl in a red coat must be one each time she is named. Places
are cast in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from farm.script.model import Action, Member, Screenplay, Shot, ShotList, Speech

# A name as screenplays introduce it, in capitals, with what it looks like behind it: in brackets, or
# between commas. The words between commas must begin as a description does, or "MIRA, run" is one.
_NAME = r"(?P<name>[A-Z][A-Z'’.-]+(?: [A-Z][A-Z'’.-]+){0,3})"
_INTRODUCED = re.compile(
    rf"\b{_NAME}(?: \((?P<within>[^()]{{2,200}})\)|"
    r", (?P<beside>(?:an?|the|in|with|all)\b[^,.;:()]{2,200})[,.;])"
)
# Written out: a note such as [[cast: MIRA = a girl in a red coat]].
_NOTED = re.compile(
    r"\[\[\s*cast:\s*(?P<name>[^=\[\]]{1,60}?)\s*=\s*(?P<words>[^\[\]]{1,300}?)\s*\]\]", re.IGNORECASE
)
_AGE = re.compile(r"(?:\d{1,3}|\d0s|(?:early|mid|late)[ -]\d0s)")


def noted_members(text: str) -> tuple[Member, ...]:
    """Find the cast notes of a script's text: [[cast: MIRA = a girl in a red coat]]."""
    return tuple(Member(name=_plain(m["name"]), words=_plain(m["words"])) for m in _NOTED.finditer(text))


def collect(screenplay: Screenplay) -> tuple[Member, ...]:
    """Collect a screenplay's cast: from its notes, then from where names are introduced in the action.

    The first description of a name counts. Who only speaks is listed without words.
    """
    found: dict[str, Member] = {member.name.lower(): member for member in screenplay.cast}
    spoken: list[str] = []
    for scene in screenplay.scenes:
        for element in scene.elements:
            if isinstance(element, Action):
                for match in _INTRODUCED.finditer(element.text):
                    words = _describing(match["within"] or match["beside"])
                    if words:
                        found.setdefault(match["name"].lower(), Member(name=match["name"], words=words))
            elif isinstance(element, Speech) and element.character:
                spoken.append(element.character)
    for name in spoken:
        found.setdefault(name.lower(), Member(name=name, words=""))
    return tuple(found.values())


def _plain(text: str) -> str:
    return " ".join(text.split())


def _describing(text: str) -> str:
    """The words that can be seen: an age alone cannot."""
    parts = [part.strip() for part in text.split(",")]
    return ", ".join(part for part in parts if part and not _AGE.fullmatch(part))


class _Describer:
    """Says each member's words behind its name, once a prompt."""

    def __init__(self, cast: Iterable[Member]) -> None:
        self.words = {member.name.lower(): member.words for member in cast if member.words}
        # Longer names first, so that "OLD MIRA" is not read as "MIRA".
        names = sorted(self.words, key=lambda name: (-len(name), name))
        pattern = "|".join(re.escape(name) for name in names)
        self.pattern = re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE) if names else None

    def __call__(self, prompt: str) -> str:
        if self.pattern is None:
            return prompt
        said: set[str] = set()

        def describe(match: re.Match[str]) -> str:
            name = match[0].lower()
            words = self.words[name]
            if name in said or words.lower() in prompt.lower():
                return match[0]
            said.add(name)
            return f"{match[0]} ({words})"

        return self.pattern.sub(describe, prompt)


def dress(shots: ShotList, style: str | None = None, negative: str | None = None) -> ShotList:
    """Make the film's prompts whole: the style before each, the cast's words behind their names.

    `style` and `negative` stand in for the script's own where they are given.
    """
    style = style or shots.style
    describe = _Describer(shots.cast)

    def prompt(shot: Shot) -> str:
        text = describe(shot.prompt)
        return f"{style.rstrip('.')}. {text}" if style else text

    dressed = tuple(replace(shot, prompt=prompt(shot)) for shot in shots.shots)
    return replace(shots, shots=dressed, style=style, negative=negative or shots.negative)
