"""Say a scene in words: several wordings of each, as a screenplay or a prompt would have them.

What goes without saying may be left out: a subject that rests, a camera that is still, daylight, fair
weather, nobody else. The text encoder learns these as the meaning of silence.
"""

from __future__ import annotations

import random

from world import COLOURS, NOBODY, Scene

SUBJECT = {
    "boat": ("boat", "boat", "sailboat", "ship", "sailing boat", "yacht", "vessel", "sail"),
    "balloon": ("balloon", "balloon", "hot air balloon", "airship"),
    "fish": ("fish", "fish", "goldfish", "trout", "salmon"),
    "bird": ("bird", "bird", "songbird", "sparrow", "robin", "duck", "gull", "seagull"),
    "car": ("car", "car", "automobile", "taxi", "truck", "van", "jeep"),
    "rocket": ("rocket", "rocket", "rocket ship", "spaceship", "spacecraft"),
    "train": ("train", "train", "locomotive", "engine", "steam train"),
    "whale": ("whale", "whale", "great whale"),
    "cat": ("cat", "cat", "kitten", "tomcat"),
    "butterfly": ("butterfly", "butterfly", "moth"),
    "kite": ("kite", "kite", "paper kite"),
    "girl": ("girl", "girl", "woman", "child", "boy", "man", "person", "lady"),
}
COLOUR = {
    "red": ("red", "red", "scarlet", "crimson"),
    "orange": ("orange", "orange", "amber"),
    "yellow": ("yellow", "yellow", "golden", "lemon"),
    "green": ("green", "green", "emerald"),
    "blue": ("blue", "blue", "azure", "navy"),
    "purple": ("purple", "purple", "violet"),
    "pink": ("pink", "pink", "rose"),
    "white": ("white", "white", "ivory", "pale"),
}
SETTING = {
    "sea": ("sea", "sea", "ocean", "open sea", "water", "harbour", "harbor", "bay", "lake", "waves"),
    "city": ("city", "city", "town", "city street", "street", "rooftops", "village", "market"),
    "forest": ("forest", "forest", "woods", "pine forest", "wood", "trees", "pines"),
    "desert": ("desert", "desert", "dunes", "desert dunes", "sand", "beach"),
    "mountains": ("mountains", "mountains", "mountain", "peaks", "alps", "cliffs", "mountain pass"),
    "meadow": ("meadow", "meadow", "field", "fields", "hills", "garden", "park", "grassland"),
}
TIME = {
    "dawn": ("dawn", "dawn", "sunrise", "daybreak", "early morning"),
    "day": ("day", "day", "daylight", "noon", "morning", "afternoon"),
    "sunset": ("sunset", "sunset", "dusk", "evening"),
    "night": ("night", "night", "midnight", "moonlight"),
}
MOTION = {
    "rest": ("", "rests", "waits", "stands still", "sits", "stands", "lies still", "hovers"),
    "travel": (
        "travels on",
        "sails on",
        "moves along",
        "drives on",
        "flies on",
        "glides on",
        "swims on",
        "walks on",
        "runs on",
        "travels",
        "sails",
        "drives",
        "flies",
        "glides",
        "swims",
        "walks",
        "rolls on",
        "drifts",
        "sets out",
        "races on",
    ),
    "bob": ("bobs up and down", "rises and falls", "floats up and down", "bobs", "floats"),
    "sway": ("sways from side to side", "rocks from side to side", "swings to and fro", "sways", "rocks"),
    "hop": ("hops", "jumps along", "bounces", "hops to and fro", "jumps", "leaps", "skips"),
    "spin": ("spins", "turns round and round", "whirls around", "whirls", "tumbles", "rolls over"),
    "circle": ("circles", "flies in circles", "goes in a circle", "loops", "circles around", "orbits"),
    "pulse": ("grows and shrinks", "swells and shrinks", "pulses", "breathes", "throbs"),
}
CAMERA = {
    "static": ("", "", "", "the camera is still", "static shot", "the camera rests"),
    "pan": ("the camera pans", "pan", "the camera pans right", "slow pan", "the camera pans left"),
    "push": ("the camera pushes in", "push in", "slow push in", "the camera zooms in", "zoom in"),
    "pull": ("the camera pulls back", "pull back", "pull out", "the camera zooms out", "zoom out"),
}
WEATHER = {
    "clear": ("", "", "", "clear sky", "fair weather", "sunny"),
    "rain": ("rain", "it rains", "rain falls", "in the rain", "rainy", "a storm"),
    "snow": ("snow", "it snows", "snow falls", "in the snow", "snowy", "a blizzard"),
}
# Words that say nothing about the picture; the tokenizer knows none of them, on purpose.
FILLER = ("quietly", "again", "little", "folded", "lonely", "while", "nobody", "watches", "its", "old")
FORMS = (
    "{setting} {at_time}. {a} {subject} {motion}. {weather}. {camera}",
    "{setting}, {time}. {a} {subject} {motion} {over} the {setting}. {weather}. {camera}",
    "{setting}, {time}, {weather}. {a} {subject} {motion} {over} the {setting}. {camera}",
    "{a} {subject} {motion} {over} the {setting} {at_time}, {weather}. {camera}",
    "{camera}. {time}, {setting}: {a} {subject} {motion}. {weather}.",
    "{a} {subject} {motion}. {setting}, {time}. {camera}. {weather}",
)
OVER = ("over", "in", "across", "through", "by", "above", "on", "along", "past", "down")
BESIDE = ("beside", "next to", "with", "near", "followed by")


def _pick(rng: random.Random, choices: tuple[str, ...]) -> str:
    return rng.choice(choices)


def wording(rng: random.Random, scene: Scene, form: str) -> str:
    """Say the scene in the words of one form."""
    colour = _pick(rng, COLOUR[scene.colour])
    article = rng.choice(("a", "the"))
    subject = f"{colour} {_pick(rng, SUBJECT[scene.subject])}"
    motion = _pick(rng, MOTION[scene.motion])
    if scene.second != NOBODY:
        second = f"{_pick(rng, COLOUR[scene.second_colour])} {_pick(rng, SUBJECT[scene.second])}"
        if rng.random() < 0.5:
            subject = f"{subject} and a {second}"
        else:
            motion = f"{motion} {rng.choice(BESIDE)} a {second}"
    time = _pick(rng, TIME[scene.time])
    if scene.time == "day" and rng.random() < 0.25:
        time = ""
    text = form.format(
        a=article,
        subject=subject,
        setting=_pick(rng, SETTING[scene.setting]),
        time=time,
        at_time=f"at {time}" if time else "",
        motion=motion,
        camera=_pick(rng, CAMERA[scene.camera]),
        weather=_pick(rng, WEATHER[scene.weather]),
        over=rng.choice(OVER),
    )
    return " ".join(text.split()).strip(" .") + "."


def caption(rng: random.Random, scene: Scene) -> str:
    """Return one wording of the scene, now and then with words the model does not know."""
    words = wording(rng, scene, rng.choice(FORMS)).split()
    for _ in range(rng.choice((0, 0, 1, 2, 4))):
        words.insert(rng.randrange(len(words) + 1), rng.choice(FILLER))
    return " ".join(words)


def vocabulary() -> list[str]:
    """Every word the model is taught, in a fixed order."""
    words: set[str] = {".", ",", ":", "a", "the", "at", "and", *COLOURS}
    for table in (SUBJECT, COLOUR, SETTING, TIME, MOTION, CAMERA, WEATHER):
        for phrases in table.values():
            for phrase in phrases:
                words |= set(phrase.split())
    for phrase in (*OVER, *BESIDE):
        words |= set(phrase.split())
    return sorted(words)
