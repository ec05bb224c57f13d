"""Puts a screenplay together, whatever kind of script it is read from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

from farm.script.cast import noted_members
from farm.script.durations import parse_seconds
from farm.script.model import Action, Scene, Screenplay, Source, Speech, Transition, Unfilmed


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
