"""The words of the papercut world: what a clip can show, and nothing about how it is drawn."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields

SUBJECTS = ("boat", "balloon", "fish", "bird", "car", "rocket")
COLOURS = ("red", "yellow", "green", "blue", "purple", "white")
SETTINGS = ("sea", "city", "forest", "desert")
TIMES = ("day", "sunset", "night")
# Every motion can go on for a minute: "travel" keeps the subject in frame while the scenery passes.
MOTIONS = ("travel", "bob", "sway", "hop", "spin")
CAMERAS = ("static", "pan", "push")

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
}
assert set(CHOICES) == {field.name for field in fields(Scene)} - {"seed"}


def draw_scene(rng: random.Random) -> Scene:
    """Draw a scene with every attribute equally likely."""
    return Scene(
        **{name: rng.choice(choices) for name, choices in CHOICES.items()},
        seed=rng.randrange(2**31),
    )
