"""Say a scene in words: several wordings of each, as a screenplay or a prompt would have them."""

from __future__ import annotations

import random

from world import Scene

SUBJECT = {
    "boat": ("boat", "sailboat", "ship"),
    "balloon": ("balloon", "hot air balloon"),
    "fish": ("fish",),
    "bird": ("bird",),
    "car": ("car",),
    "rocket": ("rocket", "rocket ship"),
}
SETTING = {
    "sea": ("sea", "ocean", "open sea", "water", "harbour"),
    "city": ("city", "town", "city street", "rooftops"),
    "forest": ("forest", "woods", "pine forest"),
    "desert": ("desert", "dunes", "desert dunes"),
}
TIME = {
    "day": ("day", "daylight", "noon", "morning"),
    "sunset": ("sunset", "dusk", "evening"),
    "night": ("night", "midnight", "moonlight"),
}
MOTION = {
    "travel": ("travels on", "sails on", "moves along", "drives on", "flies on", "glides on"),
    "bob": ("bobs up and down", "rises and falls", "floats up and down"),
    "sway": ("sways from side to side", "rocks from side to side", "swings to and fro"),
    "hop": ("hops", "jumps along", "bounces", "hops to and fro"),
    "spin": ("spins", "turns round and round", "whirls around"),
}
CAMERA = {
    "static": ("", "", "the camera is still", "static shot"),
    "pan": ("the camera pans", "pan", "the camera pans right", "slow pan"),
    "push": ("the camera pushes in", "push in", "slow push in", "the camera zooms in"),
}
# Words that say nothing about the picture; the tokenizer knows none of them, on purpose.
FILLER = (
    "quietly",
    "again",
    "little",
    "paper",
    "lonely",
    "while",
    "nobody",
    "watches",
    "its",
    "old",
)
FORMS = (
    "{setting} at {time}. a {colour} {subject} {motion}. {camera}",
    "{setting}, {time}. the {colour} {subject} {motion} {over} the {setting}. {camera}",
    "a {colour} {subject} {motion} {over} the {setting} at {time}. {camera}",
    "{camera}. {time}, {setting}: a {colour} {subject} {motion}.",
    "the {colour} {subject} {motion}. {setting}, {time}. {camera}",
)
OVER = ("over", "in", "across", "through", "by")


def _words(rng: random.Random, scene: Scene, form: str) -> str:
    text = form.format(
        subject=rng.choice(SUBJECT[scene.subject]),
        colour=scene.colour,
        setting=rng.choice(SETTING[scene.setting]),
        time=rng.choice(TIME[scene.time]),
        motion=rng.choice(MOTION[scene.motion]),
        camera=rng.choice(CAMERA[scene.camera]),
        over=rng.choice(OVER),
    )
    return " ".join(text.split()).strip(" .") + "."


def caption(rng: random.Random, scene: Scene) -> str:
    """Return one wording of the scene, now and then with words the model does not know."""
    words = _words(rng, scene, rng.choice(FORMS)).split()
    for _ in range(rng.choice((0, 0, 1, 2, 4))):
        words.insert(rng.randrange(len(words) + 1), rng.choice(FILLER))
    return " ".join(words)


def vocabulary() -> list[str]:
    """Every word the model is taught, in a fixed order."""
    words: set[str] = {".", ",", ":", "a", "the", "at"} | set(OVER)
    for table in (SUBJECT, SETTING, TIME, MOTION, CAMERA):
        for phrases in table.values():
            for phrase in phrases:
                words |= set(phrase.split())
    from world import COLOURS

    return sorted(words | set(COLOURS))
