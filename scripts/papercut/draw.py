"""Draw the papercut world: layered paper, soft shadows, one large subject.

Everything is drawn at twice the size with OpenCV polygons and then reduced, and every frame is a
function of (scene, frame number) alone, so a clip may be cut from anywhere in a long take.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from figures import FIGURE, Colour, Points, circle, dim, poly
from world import FPS, HEIGHT, NOBODY, WIDTH, Scene

Image = NDArray[np.uint8]

SCALE = 2  # supersampling
W, H = WIDTH * SCALE, HEIGHT * SCALE
SHIFT = 4  # fractional bits of OpenCV's polygon coordinates

PAINT: dict[str, Colour] = {
    "red": (206, 30, 36),
    "orange": (250, 130, 24),
    "yellow": (252, 218, 50),
    "green": (30, 150, 62),
    "blue": (30, 84, 214),
    "purple": (118, 40, 158),
    "pink": (252, 130, 186),
    "white": (250, 248, 242),
}

SKY: dict[str, tuple[Colour, Colour]] = {
    "dawn": ((176, 168, 222), (255, 216, 204)),
    "day": ((116, 190, 232), (214, 236, 240)),
    "sunset": ((150, 84, 140), (252, 168, 96)),
    "night": ((16, 20, 56), (54, 62, 116)),
}
# What the light does to every paper but the sky: (gain, tint, share of the tint)
LIGHT: dict[str, tuple[float, Colour, float]] = {
    "dawn": (0.96, (255, 196, 214), 0.20),
    "day": (1.0, (255, 255, 255), 0.0),
    "sunset": (0.90, (226, 112, 84), 0.26),
    "night": (0.60, (40, 52, 116), 0.36),
}
# The subject keeps more of its own colour, as if a lamp stood by it.
SUBJECT_LIGHT: dict[str, tuple[float, Colour, float]] = {
    "dawn": (1.0, (255, 255, 255), 0.0),
    "day": (1.0, (255, 255, 255), 0.0),
    "sunset": (0.97, (226, 112, 84), 0.08),
    "night": (0.86, (60, 70, 140), 0.10),
}
# Far, middle and near paper of each setting.
GROUND: dict[str, tuple[Colour, Colour, Colour]] = {
    "sea": ((104, 178, 190), (48, 138, 162), (22, 98, 128)),
    "city": ((168, 160, 176), (120, 112, 132), (84, 80, 94)),
    "forest": ((132, 178, 128), (72, 136, 84), (34, 92, 60)),
    "desert": ((236, 196, 140), (222, 162, 98), (196, 126, 70)),
    "mountains": ((158, 170, 200), (108, 118, 156), (72, 82, 116)),
    "meadow": ((196, 214, 128), (160, 200, 92), (116, 168, 62)),
}
# What weather does to the sky and to the ground: (tint, share of the tint).
WEATHER_SKY: dict[str, tuple[Colour, float]] = {
    "clear": ((0, 0, 0), 0.0),
    "rain": ((92, 102, 118), 0.55),
    "snow": ((206, 212, 224), 0.35),
}
WEATHER_GROUND: dict[str, tuple[Colour, float]] = {
    "clear": ((0, 0, 0), 0.0),
    "rain": ((60, 70, 88), 0.28),
    "snow": ((238, 242, 250), 0.55),
}


def _lit(colour: Colour, light: tuple[float, Colour, float]) -> Colour:
    gain, tint, share = light
    mixed = [(c * (1 - share) + t * share) * gain for c, t in zip(colour, tint, strict=True)]
    return (mixed[0], mixed[1], mixed[2])


def _mixed(colour: Colour, tint: Colour, share: float) -> Colour:
    red, green, blue = (c * (1 - share) + t * share for c, t in zip(colour, tint, strict=True))
    return (red, green, blue)


def _fill(image: Image, points: Points, colour: Colour) -> None:
    """Fill a polygon with antialiased edges, in place."""
    fixed = np.round(points * (1 << SHIFT)).astype(np.int32)
    cv2.fillPoly(image, [fixed], colour, lineType=cv2.LINE_AA, shift=SHIFT)


def _shadow(image: Image, outlines: list[Points], offset: tuple[float, float], depth: float) -> None:
    """Darken what lies behind the outlines, softly, in place; drawn small, since it is blurred."""
    mask: Image = np.zeros((H // 8, W // 8), np.uint8)
    for points in outlines:
        _fill(mask, (points + offset) / 8, (255, 255, 255))
    soft = cv2.GaussianBlur(mask, (0, 0), 1.2)
    gain = 255 - cv2.resize(soft, (W, H), interpolation=cv2.INTER_LINEAR) * depth
    gain = cv2.merge([gain.astype(np.uint8)] * 3)
    cv2.multiply(image, gain, dst=image, scale=1 / 255)


def _paper(image: Image, points: Points, colour: Colour, shadow: float = 0.34) -> None:
    _shadow(image, [points], (0, -9), shadow)
    _fill(image, points, colour)


@lru_cache(maxsize=64)
def _sky(time: str, weather: str, lean: float) -> Image:
    tint, share = WEATHER_SKY[weather]
    if time == "night":
        tint = dim(tint, 0.45)
    top, bottom = (np.array(_mixed(c, tint, share), np.float64) for c in SKY[time])
    ramp = (np.linspace(0, 1, H) ** (1.0 + lean))[:, None, None]
    return np.broadcast_to(top * (1 - ramp) + bottom * ramp, (H, W, 3)).astype(np.uint8)


def _crescent(x: float, y: float, r: float) -> Points:
    outer = np.linspace(math.radians(20), math.radians(280), 30)
    ends = np.stack([np.cos(outer), np.sin(outer)], axis=1)
    bow = np.linspace(0, 1, 30)[:, None]
    inner = ends[-1] * (1 - bow) + ends[0] * bow - 0.62 * np.sin(math.pi * bow) * (ends[0] + ends[-1]) / 2
    return np.concatenate([ends, inner]) * r + (x, y)


def _below(xs: NDArray[np.float64], ys: NDArray[np.float64]) -> Points:
    """Close a skyline to the bottom of the picture."""
    outline = np.stack([xs, ys], axis=1)
    return np.concatenate([outline, [[W + 80, H + 80], [-80, H + 80]]])


class Layout:
    """What a caption leaves open, drawn once from the scene's seed."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.lean = float(rng.choice([0.0, 0.25, 0.5]))
        self.sun = (
            float(rng.choice([0.18, 0.82]) + rng.uniform(-0.05, 0.05)),
            float(rng.uniform(0.14, 0.22)),
        )
        self.scroll = float(rng.uniform(0, 4000))
        self.hills = rng.uniform(0, 2 * math.pi, (3, 3))
        self.shade = rng.uniform(0.94, 1.06, 3)
        self.rows = rng.uniform(0, 1, (3, 256))


# --- settings: three layers each, as functions of the scrolled world coordinate -------------------

Layer = Callable[[Layout, int, float], tuple[NDArray[np.float64], NDArray[np.float64]]]
BASE = (0.62, 0.74, 0.88)  # height of each layer's horizon, as a share of the picture


def _waves(layout: Layout, depth: int, scroll: float) -> tuple[Points, Points]:
    length = (64.0, 88.0, 120.0)[depth]
    xs = np.arange(-80, W + 81, 4.0)
    phase = (xs + scroll) / length * math.pi + layout.hills[depth, 0]
    return xs, (BASE[depth] + 0.02) * H - np.abs(np.sin(phase)) * (10, 14, 18)[depth]


def _dunes(layout: Layout, depth: int, scroll: float) -> tuple[Points, Points]:
    xs = np.arange(-80, W + 81, 8.0)
    world = xs + scroll
    first, second, _ = layout.hills[depth]
    ys = np.sin(world / (150 + 40 * depth) + first) + 0.5 * np.sin(world / 71 + second)
    return xs, (BASE[depth] - 0.02) * H - ys * (20, 16, 10)[depth]


def _pines(layout: Layout, depth: int, scroll: float) -> tuple[Points, Points]:
    width = (52.0, 76.0, 0.0)[depth]
    if not width:
        return _dunes(layout, depth, scroll)
    first = math.floor((scroll - 80) / width)
    xs: list[float] = []
    ys: list[float] = []
    for tree in range(first, first + int((W + 160) / width) + 3):
        left = tree * width - scroll
        height = (46, 66)[depth] * (0.75 + 0.5 * layout.rows[depth][tree % 256])
        xs += [left, left + width / 2, left + width * 0.98]
        ys += [BASE[depth] * H, BASE[depth] * H - height, BASE[depth] * H]
    return np.array(xs), np.array(ys)


def _roofs(layout: Layout, depth: int, scroll: float) -> tuple[Points, Points]:
    width = (60.0, 84.0, 0.0)[depth]
    if not width:
        xs = np.array([-80.0, W + 80.0])
        return xs, np.full(2, (BASE[depth] - 0.01) * H)
    first = math.floor((scroll - 80) / width)
    xs_: list[float] = []
    ys_: list[float] = []
    for house in range(first, first + int((W + 160) / width) + 3):
        left = house * width - scroll
        top = BASE[depth] * H - (96, 76)[depth] * (0.35 + 0.75 * layout.rows[depth][house % 256])
        xs_ += [left, left, left + width * 0.86, left + width * 0.86, left + width]
        ys_ += [BASE[depth] * H, top, top, BASE[depth] * H, BASE[depth] * H]
    return np.array(xs_), np.array(ys_)


def _peaks(layout: Layout, depth: int, scroll: float) -> tuple[Points, Points]:
    width = (180.0, 130.0, 0.0)[depth]
    if not width:
        return _dunes(layout, depth, scroll)
    first = math.floor((scroll - 80) / width)
    xs: list[float] = []
    ys: list[float] = []
    for peak in range(first - 1, first + int((W + 160) / width) + 3):
        left = peak * width - scroll
        height = (128, 74)[depth] * (0.7 + 0.5 * layout.rows[depth][peak % 256])
        xs += [left, left + width / 2, left + width * 0.98]
        ys += [BASE[depth] * H, BASE[depth] * H - height, BASE[depth] * H]
    return np.array(xs), np.array(ys)


def _snowcaps(layout: Layout, scroll: float) -> list[Points]:
    """The white tops of the far peaks."""
    xs, ys = _peaks(layout, 0, scroll)
    caps = []
    for index in range(1, len(xs), 3):
        x, top = xs[index], ys[index]
        slope = 90.0 / (BASE[0] * H - top)  # half a peak's width over its height
        caps.append(
            np.array([[x, top], [x + 34 * slope, top + 34], [x, top + 26], [x - 34 * slope, top + 34]])
        )
    return caps


def _flowers(layout: Layout, scroll: float) -> list[Points]:
    """A row of large round flowers on the near meadow."""
    first = math.floor((scroll - 80) / 74.0)
    return [
        circle(n * 74.0 - scroll, (0.935 + 0.02 * (n % 2)) * H, 9.0, 12)
        for n in range(first, first + int((W + 160) / 74) + 2)
    ]


OUTLINE: dict[str, Layer] = {
    "sea": _waves,
    "desert": _dunes,
    "forest": _pines,
    "city": _roofs,
    "mountains": _peaks,
    "meadow": _dunes,
}


def _windows(layout: Layout, scroll: float) -> list[Points]:
    """The windows of the middle row of houses: two columns, large enough for the autoencoder."""
    width = 84.0
    first = math.floor((scroll - 80) / width)
    panes = []
    for house in range(first, first + int((W + 160) / width) + 3):
        left = house * width - scroll
        top = BASE[1] * H - 76 * (0.35 + 0.75 * layout.rows[1][house % 256])
        for row in range(2):
            y = top + 12 + row * 26
            if y + 16 > BASE[1] * H:
                break
            for x in (left + 13, left + 42):
                panes.append(np.array([[x, y], [x + 16, y], [x + 16, y + 16], [x, y + 16]]))
    return panes


SIZE = 0.86  # of a subject, to the figures' own coordinates
PLACE = (0.5 * W, 0.54 * H)
SECOND_SIZE = 0.46
SECOND_PLACE = (0.15 * W, 0.56 * H)


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the subject and the camera are at one moment, in picture coordinates at SCALE."""

    dx: float = 0.0
    dy: float = 0.0
    turn: float = 0.0  # radians
    size: float = 1.0
    passed: float = 0.0  # how far the scenery has gone by
    pan: float = 0.0
    zoom: float = 1.0


def pose(scene: Scene, number: int) -> Pose:
    """The pose at frame `number`: every motion begins at rest, and every move is gentle."""
    seconds = number / FPS
    cycle = 2 * math.pi * seconds
    match scene.motion:
        case "rest":  # not quite: paper on a string is never still
            found = Pose(dy=-7 * math.sin(cycle * 0.25))
        case "travel":
            found = Pose(dy=5 * math.sin(cycle * 0.5), passed=130 * seconds)
        case "bob":
            found = Pose(dy=-38 * math.sin(cycle * 0.6))
        case "sway":
            found = Pose(turn=0.46 * math.sin(cycle * 0.6))
        case "hop":
            found = Pose(dx=52 * math.sin(cycle * 0.25), dy=-62 * abs(math.sin(cycle * 0.5)))
        case "spin":
            found = Pose(turn=cycle * 0.36)
        case "circle":
            found = Pose(dx=64 * math.sin(cycle * 0.5), dy=-34 * (1 - math.cos(cycle * 0.5)))
        case "pulse":
            found = Pose(size=1 + 0.26 * math.sin(cycle * 0.6))
        case _:
            raise ValueError(f"no such motion: {scene.motion}")
    # The camera swings or comes to rest, as an operator would let it, so a take of a minute can hold one.
    eased = 1 - math.exp(-seconds / 1.8)
    match scene.camera:
        case "pan":
            found = replace(found, pan=100 * math.sin(cycle / 10))
        case "push":
            found = replace(found, zoom=1 + 0.4 * eased)
        case "pull":
            found = replace(found, zoom=1.4 - 0.4 * eased)
    return found


def _falling(scene: Scene, seconds: float) -> list[Points]:
    """Paper drops or flakes on a regular lattice that falls, so that a small model can follow it."""
    shapes = []
    speed = 150.0 if scene.weather == "rain" else 56.0
    for column in range(-1, 7):
        for row in range(-1, 4):
            x = column * 104.0 + 30
            y = row * 96.0 + (column % 2) * 48 + (seconds * speed) % 96
            if scene.weather == "rain":
                x -= ((seconds * speed) % 96 + row * 96) * 0.2
                shapes.append(poly((x, y), (x + 7, y), (x, y + 34), (x - 7, y + 34)))
            else:
                shapes.append(circle(x, y, 8.0, 12))
    return shapes


def _draw_sun(image: Image, scene: Scene, layout: Layout, pan: float) -> None:
    x, y = layout.sun[0] * W - 0.15 * pan, layout.sun[1] * H
    if scene.time == "night":
        for star in range(7):
            across = (layout.rows[2][star] * W - 0.1 * pan) % W
            _fill(image, circle(across, layout.rows[1][star] * 0.4 * H + 8, 4.0, 8), (232, 228, 200))
        _fill(image, _crescent(x, y, 27), (246, 238, 200))
    elif scene.time == "sunset":
        _paper(image, circle(x, 0.46 * H, 48), (252, 196, 90), 0.14)
    elif scene.time == "dawn":
        _paper(image, circle(x, 0.60 * H, 44), (255, 248, 214), 0.14)
    elif scene.weather == "clear":
        _paper(image, circle(x, y, 30), (255, 240, 150), 0.14)


def draw_frame(scene: Scene, number: int) -> Image:
    """Draw frame `number` of a take of the scene: uint8 [HEIGHT, WIDTH, 3]."""
    layout = Layout(scene.seed)
    seconds = number / FPS
    light = LIGHT[scene.time]
    at = pose(scene, number)
    image = _sky(scene.time, scene.weather, layout.lean).copy()
    _draw_sun(image, scene, layout, at.pan)

    outline = OUTLINE[scene.setting]
    depth_scroll = (0.3, 0.6, 1.15)
    for depth in range(3):
        scroll = layout.scroll + (at.passed + 0.9 * at.pan) * depth_scroll[depth]
        if depth == 2:
            if scene.weather != "clear":
                drop = (206, 226, 240) if scene.weather == "rain" else (252, 252, 255)
                for points in _falling(scene, seconds):
                    _fill(image, points, _lit(drop, SUBJECT_LIGHT[scene.time]))
            _draw_subjects(image, scene, at)
        ground = _mixed(GROUND[scene.setting][depth], *WEATHER_GROUND[scene.weather])
        _paper(image, _below(*outline(layout, depth, scroll)), dim(_lit(ground, light), layout.shade[depth]))
        if scene.setting == "city" and depth == 1:
            pane = (206, 222, 230) if scene.time in ("day", "dawn") else (250, 214, 120)
            for points in _windows(layout, scroll):
                _fill(image, points, pane)
        if scene.setting == "mountains" and depth == 0:
            for points in _snowcaps(layout, scroll):
                _fill(image, points, _lit((248, 250, 255), light))
        if scene.setting == "meadow" and depth == 2:
            for points in _flowers(layout, scroll):
                _fill(image, points, _lit((252, 238, 246), light))
    if at.zoom != 1.0:
        about = np.array([[at.zoom, 0, (1 - at.zoom) * PLACE[0]], [0, at.zoom, (1 - at.zoom) * PLACE[1]]])
        image = cv2.warpAffine(image, about, (W, H), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def _draw_subjects(image: Image, scene: Scene, at: Pose) -> None:
    if scene.second != NOBODY:
        place = (SECOND_PLACE[0] - at.pan * 0.6, SECOND_PLACE[1])
        _draw_figure(image, scene.second, scene.second_colour, scene.time, place, 0.0, SECOND_SIZE)
    place = (PLACE[0] + at.dx - at.pan * 0.8, PLACE[1] + at.dy)
    _draw_figure(image, scene.subject, scene.colour, scene.time, place, at.turn, SIZE * at.size)


def _draw_figure(
    image: Image, subject: str, colour: str, time: str, place: tuple[float, float], turn: float, size: float
) -> None:
    cos, sin = math.cos(turn) * size, math.sin(turn) * size
    matrix = np.array([[cos, sin], [-sin, cos]])
    shapes = [(points @ matrix + place, paint) for points, paint in FIGURE[subject](PAINT[colour])]
    _shadow(image, [points for points, _ in shapes], (7, 9), 0.36)
    for points, paint in shapes:
        _fill(image, points, _lit(paint, SUBJECT_LIGHT[time]))


def subject_mask(scene: Scene, number: int) -> NDArray[np.float32]:
    """Where the subjects are, softly: float32 [HEIGHT, WIDTH] in [0, 1], to weigh the loss with."""
    at = pose(scene, number)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)

    def disc(x: float, y: float, radius: float) -> NDArray[np.float32]:
        x = (x - PLACE[0]) * at.zoom + PLACE[0]
        y = (y - PLACE[1]) * at.zoom + PLACE[1]
        away = np.hypot(columns - x / SCALE, rows - y / SCALE) / (radius * at.zoom)
        return np.asarray(np.clip(2.0 - away, 0.0, 1.0), np.float32)

    mask = disc(PLACE[0] + at.dx - 0.8 * at.pan, PLACE[1] + at.dy, 32.0 * at.size)
    if scene.second != NOBODY:
        mask = np.maximum(mask, disc(SECOND_PLACE[0] - 0.6 * at.pan, SECOND_PLACE[1], 17.0))
    return mask


def draw_clip(scene: Scene, start: int, count: int, step: int = 1) -> Image:
    """Draw frames start, start + step, …: uint8 [count, HEIGHT, WIDTH, 3]."""
    return np.stack([draw_frame(scene, start + step * index) for index in range(count)])
