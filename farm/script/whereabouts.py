"""Where and when a passage of prose says it is, by the plain words for it."""

from __future__ import annotations

import re

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
PLACES = dict.fromkeys(_OUTSIDE.split(), "EXT") | dict.fromkeys(_INSIDE.split(), "INT")
TIMES = {
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
    rf"(?P<what>{'|'.join(sorted(PLACES))})\b",
    re.IGNORECASE,
)
_AROUND = {"near", "beside", "above", "around", "past", "beyond", "outside"}
_WHEN = "|".join(TIMES)
_TIME = re.compile(
    rf"\b(?:(?:at|by|before|in(?:\s+the)?|in\s+broad|that|this|one|(?:the\s+)?next|early|late|(?:it|this)\s+(?:is|was))"
    rf"\s+(?:early\s+|late\s+|still\s+|already\s+)?(?P<at>{_WHEN})\b(?!\s+before)"
    rf"|(?P<falls>{_WHEN})\s+(?:fell|falls|broke|breaks|came|comes|had\s+fallen|has\s+fallen)\b"
    r"|the\s+sun\s+(?P<sun>rose|rises|came\s+up|comes\s+up|set|sets|was\s+setting|went\s+down|goes\s+down)\b)",
    re.IGNORECASE,
)
BARE = re.compile(rf"\b(?:{'|'.join(sorted([*PLACES, *TIMES]))})\b", re.IGNORECASE)


def find_place(text: str) -> tuple[str, str] | None:
    """Where a paragraph says it is: ("EXT", "HARBOUR")."""
    match = _PLACE.search(text)
    if match is None:
        return None
    what = match["what"].lower()
    return ("EXT" if match["how"].lower() in _AROUND else PLACES[what]), what.upper()


def find_time(text: str) -> str | None:
    """When a paragraph says it is: "NIGHT"."""
    match = _TIME.search(text)
    if match is None:
        return None
    if match["sun"]:
        return "DAWN" if match["sun"].lower().startswith(("r", "c")) else "SUNSET"
    return TIMES[(match["at"] or match["falls"]).lower()]
