"""The words of the papercut world: what a clip can show, and nothing about how it is drawn."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields

SUBJECTS = (
    "boat",
    "balloon",
    "fish",
    "bird",
    "car",
    "rocket",
    "train",
    "whale",
    "cat",
    "butterfly",
    "kite",
    "girl",
)
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
SETTINGS = ("sea", "city", "forest", "desert", "mountains", "meadow")
TIMES = ("dawn", "day", "sunset", "night")
# Every motion begins where the subject rests and can go on for a minute: "travel" keeps the subject
# in frame while the scenery passes.
MOTIONS = ("rest", "travel", "bob", "sway", "hop", "spin", "circle", "pulse")
CAMERAS = ("static", "pan", "push", "pull")
WEATHERS = ("clear", "rain", "snow")
NOBODY = "nobody"  # no second subject

FPS = 16
WIDTH, HEIGHT = 256, 144


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One clip of the world: what its caption names, and a seed for what it leaves open."""

    subject: str
    colour: str
    setting: str
    time: str
    motion: str
    camera: str
    weather: str
    second: str  # a smaller subject beside the first, or NOBODY
    second_colour: str
    seed: int

    def labels(self) -> dict[str, int]:
        """Return the index of each named attribute in its tuple of choices, for the probe."""
        return {name: CHOICES[name].index(getattr(self, name)) for name in CHOICES}


CHOICES: dict[str, tuple[str, ...]] = {
    "subject": SUBJECTS,
    "colour": COLOURS,
    "setting": SETTINGS,
    "time": TIMES,
    "motion": MOTIONS,
    "camera": CAMERAS,
    "weather": WEATHERS,
    "second": (NOBODY, *SUBJECTS),
    "second_colour": COLOURS,
}
assert set(CHOICES) == {field.name for field in fields(Scene)} - {"seed"}


def draw_scene(rng: random.Random) -> Scene:
    """Draw a scene: every choice equally likely, but fair weather and one subject more often."""
    drawn = {name: rng.choice(choices) for name, choices in CHOICES.items()}
    drawn["weather"] = rng.choice(("clear", "clear", "clear", "rain", "snow"))
    if rng.random() < 0.8:
        drawn["second"] = NOBODY
    return Scene(**drawn, seed=rng.randrange(2**31))
