"""Camera cues and transitions, as screenplays write them."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Literal

Way = Literal["dissolve", "black", "white"]

# In this order: the first that is found names the move.
_CAMERA: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        ("push in", r"\b(push(es|ing)?|zoom(s|ing)?|doll(y|ies))\s+in\b|\bcamera\s+(tracks|moves)\s+in\b"),
        ("pull out", r"\b(pull(s|ing)?|zoom(s|ing)?|doll(y|ies))\s+(out|back)\b"),
        (
            "pan",
            r"\bcamera\s+pans?\b|\bslow\s+pan\b|\bpan(s|ning)?\s+(left|right|to|across|over|along)\b|^PAN\b",
        ),
        ("tilt", r"\btilt(s|ing)?\s+(up|down)\b"),
        ("tracking", r"\btracking\s+shot\b|\bthe\s+camera\s+(follows|tracks)\b"),
        ("static", r"\bstatic(\s+shot)?\b|\bthe\s+camera\s+is\s+still\b|\blocked[- ]off\b"),
    )
)
# A cue that begins a new camera set-up inside one paragraph.
_SETUP = re.compile(
    r"(?<=[.!?])\s+(?=(?:CLOSE(?:[- ]UP)?(?: ON)?|ANGLE ON|WIDE(?: SHOT| ON)?|INSERT|POV|BACK TO|"
    r"REVERSE(?: ANGLE)?|AERIAL(?: SHOT)?|NEW ANGLE)\b)"
)
_HARD_CUT = re.compile(r"\b(cut|jump cut|smash cut|match cut|back)\b", re.IGNORECASE)
_DISSOLVE = re.compile(r"\b(dissolve|cross[- ]?fade|mix)\b", re.IGNORECASE)
_FADE = re.compile(r"\bfade\b", re.IGNORECASE)
_WHITE = re.compile(r"\bwhite\b", re.IGNORECASE)
_COMES = re.compile(r"\bfade\s+(in|up|from)\b", re.IGNORECASE)
_GOES = re.compile(r"\bfade\s+out\b|\bto\s+(black|white)\b", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'“])")
LONG_WORDS = 45


def camera_move(text: str) -> str | None:
    """Name the camera move a passage asks for, if it asks for one."""
    return next((name for name, pattern in _CAMERA if pattern.search(text)), None)


def is_cut(transition: str) -> bool:
    """Whether a transition is played as a hard cut, which needs no frames of its own."""
    return _HARD_CUT.search(transition) is not None


def read_transition(text: str) -> tuple[Way | None, Way | None]:
    """Return how the shot before a transition goes, and how the shot after it comes.

    None is a cut. "FADE TO:", which names no colour, goes to black and comes from it.
    """
    if is_cut(text) and not _DISSOLVE.search(text):
        return None, None
    if _DISSOLVE.search(text):
        return None, "dissolve"
    if not _FADE.search(text):
        return None, None
    way: Way = "white" if _WHITE.search(text) else "black"
    if _COMES.search(text):
        return None, way
    return way, None if _GOES.search(text) else way


def is_known_transition(text: str) -> bool:
    """Whether a transition can be played as it is written."""
    return any(pattern.search(text) for pattern in (_HARD_CUT, _DISSOLVE, _FADE))


def is_bare_transition(text: str) -> bool:
    """Whether a line of action is a transition that parsers miss, such as "FADE TO WHITE."."""
    return text.isupper() and len(text.split()) <= 4 and text[-1] in ".:" and is_known_transition(text)


def split_setups(text: str) -> list[str]:
    """Split a paragraph of action where the camera is set up anew, and where it runs on too long.

    A paragraph is one shot, as screenwriters mean it, unless it says otherwise or holds more than
    LONG_WORDS words, in which case its sentences are shared out evenly.
    """
    parts: list[str] = []
    for setup in _SETUP.split(text):
        words = len(setup.split())
        sentences = _SENTENCE.split(setup)
        pieces = min(len(sentences), -(-words // LONG_WORDS))
        cuts = [round(index * len(sentences) / pieces) for index in range(pieces + 1)]
        parts += [" ".join(sentences[a:b]) for a, b in pairwise(cuts)]
    return [part for part in parts if part.strip()]
