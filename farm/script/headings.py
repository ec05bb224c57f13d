"""Scene headings: place and time of day out of "EXT. OPEN SEA - SUNSET"."""

from __future__ import annotations

import re

_INSIDE = re.compile(r"^(int\.?/ext|ext\.?/int|i/e|int|ext|est)[.\s]+", re.IGNORECASE)
_SPLIT = re.compile(r"\s+[-–—]+\s+|,\s+")
# Words that say when; those mapped to None take the time of the scene before.
TIMES: dict[str, str | None] = {
    "day": "day",
    "morning": "morning",
    "noon": "noon",
    "midday": "noon",
    "afternoon": "day",
    "daylight": "daylight",
    "dawn": "dawn",
    "sunrise": "dawn",
    "dusk": "dusk",
    "sunset": "sunset",
    "evening": "evening",
    "magic hour": "sunset",
    "night": "night",
    "midnight": "midnight",
    "moonlight": "moonlight",
    "continuous": None,
    "later": None,
    "moments later": None,
    "same": None,
    "same time": None,
}


def read_heading(heading: str, earlier: str | None) -> tuple[str, str | None]:
    """Split a heading into (place, time of day); `earlier` is the time of the scene before.

    "INT." becomes "inside"; whatever follows a dash and is no known time stays part of the place.
    """
    match = _INSIDE.match(heading.strip())
    inside = match is not None and match[1].lower() == "int"
    rest = heading.strip()[match.end() :] if match else heading.strip()
    parts = [part.strip() for part in _SPLIT.split(rest) if part.strip()]
    time: str | None = None
    if len(parts) > 1 and (word := parts[-1].lower().strip(".")) in TIMES:
        time = TIMES[word] or earlier
        parts.pop()
    place = ", ".join(parts).lower() or "somewhere"
    return (f"inside {place}" if inside else place), time
