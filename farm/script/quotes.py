"""What is said in a paragraph of prose, and by whom."""

from __future__ import annotations

import re

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
