"""Draw the papercut world: layered paper, soft shadows, one large subject.

Everything is drawn at twice the size with OpenCV polygons and then reduced, and every frame is a
function of (scene, frame number) alone, so a clip may be cut from anywhere in a long take.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from world import FPS, HEIGHT, WIDTH, Scene

Image = NDArray[np.uint8]
Points = NDArray[np.float64]
Colour = tuple[float, float, float]
Shape = tuple[Points, Colour]

SCALE = 2  # supersampling
W, H = WIDTH * SCALE, HEIGHT * SCALE
SHIFT = 4  # fractional bits of OpenCV's polygon coordinates

PAINT: dict[str, Colour] = {
    "red": (216, 48, 44),
    "yellow": (246, 200, 44),
    "green": (56, 160, 72),
    "blue": (44, 96, 206),
    "purple": (140, 62, 172),
    "white": (246, 243, 236),
}
CREAM: Colour = (248, 234, 206)
INK: Colour = (52, 44, 58)

SKY: dict[str, tuple[Colour, Colour]] = {
    "day": ((116, 190, 232), (214, 236, 240)),
    "sunset": ((150, 84, 140), (252, 168, 96)),
    "night": ((16, 20, 56), (54, 62, 116)),
}
# What the light does to every paper but the sky: (gain, tint, share of the tint)
LIGHT: dict[str, tuple[float, Colour, float]] = {
    "day": (1.0, (255, 255, 255), 0.0),
    "sunset": (0.90, (226, 112, 84), 0.26),
    "night": (0.60, (40, 52, 116), 0.36),
}
# The subject keeps more of its own colour, as if a lamp stood by it.
SUBJECT_LIGHT: dict[str, tuple[float, Colour, float]] = {
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
}


def _lit(colour: Colour, light: tuple[float, Colour, float]) -> Colour:
    gain, tint, share = light
    mixed = [(c * (1 - share) + t * share) * gain for c, t in zip(colour, tint, strict=True)]
    return (mixed[0], mixed[1], mixed[2])


def _dim(colour: Colour, gain: float) -> Colour:
    return (colour[0] * gain, colour[1] * gain, colour[2] * gain)


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
def _sky(time: str, lean: float) -> Image:
    top, bottom = (np.array(c, np.float64) for c in SKY[time])
    ramp = (np.linspace(0, 1, H) ** (1.0 + lean))[:, None, None]
    return np.broadcast_to(top * (1 - ramp) + bottom * ramp, (H, W, 3)).astype(np.uint8)


def _circle(x: float, y: float, r: float, count: int = 40) -> Points:
    angle = np.linspace(0, 2 * math.pi, count, endpoint=False)
    return np.stack([x + r * np.cos(angle), y + r * np.sin(angle)], axis=1)


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
        self.sun = (float(rng.uniform(0.14, 0.86)), float(rng.uniform(0.12, 0.26)))
        self.size = float(rng.uniform(0.90, 1.12))
        self.x = float(rng.uniform(0.42, 0.58))
        self.y = float(rng.uniform(-0.03, 0.03))
        self.rate = float(rng.uniform(0.9, 1.15))
        self.phase = float(rng.uniform(0, 2 * math.pi))
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


OUTLINE: dict[str, Layer] = {"sea": _waves, "desert": _dunes, "forest": _pines, "city": _roofs}


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


# --- subjects: polygons around (0, 0), about 200 high at SCALE 2, facing right --------------------


def _poly(*points: tuple[float, float]) -> Points:
    return np.array(points, np.float64)


def _arc(x: float, y: float, rx: float, ry: float, start: float, stop: float) -> Points:
    angle = np.radians(np.linspace(start, stop, 28))
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def _boat(paint: Colour) -> list[Shape]:
    return [
        (_poly((-4, -76), (4, -76), (4, 24), (-4, 24)), INK),
        (_poly((8, -72), (8, 14), (70, 14)), CREAM),
        (_poly((-8, -60), (-8, 14), (-54, 14)), _dim(CREAM, 0.9)),
        (np.concatenate([_poly((-84, 22), (88, 22)), _arc(0, 22, 62, 48, 0, 180)]), paint),
        (_poly((-84, 22), (88, 22), (80, 34), (-77, 34)), _dim(paint, 0.78)),
    ]


def _balloon(paint: Colour) -> list[Shape]:
    return [
        (_poly((-30, 20), (-24, 20), (-12, 66), (-16, 66)), INK),
        (_poly((30, 20), (24, 20), (12, 66), (16, 66)), INK),
        (np.concatenate([_arc(0, -24, 62, 62, 150, 390), _poly((20, 44), (-20, 44))]), paint),
        (np.concatenate([_arc(0, -24, 22, 62, 180, 360), _arc(0, -24, 22, 66, 0, 180)]), CREAM),
        (_poly((-20, 62), (20, 62), (15, 90), (-15, 90)), (158, 104, 58)),
    ]


def _fish(paint: Colour) -> list[Shape]:
    return [
        (_poly((-44, 0), (-96, -44), (-82, 0), (-96, 44)), _dim(paint, 0.78)),
        (_poly((-20, -34), (10, -74), (36, -34)), _dim(paint, 0.78)),
        (np.concatenate([_arc(12, 0, 72, 48, 0, 360)]), paint),
        (np.concatenate([_arc(-6, 6, 22, 14, 0, 360)]), CREAM),
        (_circle(52, -12, 11), CREAM),
        (_circle(55, -12, 6), INK),
    ]


def _bird(paint: Colour) -> list[Shape]:
    return [
        (_poly((-50, -4), (-98, -30), (-92, 18)), _dim(paint, 0.78)),
        (_arc(-6, 4, 58, 38, 0, 360), paint),
        (_circle(50, -26, 27), paint),
        (_poly((72, -34), (102, -22), (72, -14)), (244, 158, 40)),
        (_poly((-30, -6), (28, -8), (-30, -86), (-52, -70)), CREAM),
        (_circle(57, -32, 6), INK),
    ]


def _car(paint: Colour) -> list[Shape]:
    return [
        (_poly((-50, -12), (-34, -58), (34, -58), (58, -12)), paint),
        (_poly((-36, -14), (-25, -48), (-3, -48), (-3, -14)), CREAM),
        (_poly((6, -14), (6, -48), (29, -48), (44, -14)), CREAM),
        (_poly((-90, -14), (92, -14), (96, 34), (-94, 34)), paint),
        (_poly((-94, 20), (96, 20), (96, 34), (-94, 34)), _dim(paint, 0.78)),
        (_circle(-50, 36, 25), INK),
        (_circle(52, 36, 25), INK),
        (_circle(-50, 36, 11), CREAM),
        (_circle(52, 36, 11), CREAM),
    ]


def _rocket(paint: Colour) -> list[Shape]:
    return [
        (_poly((-22, 62), (22, 62), (0, 104)), (246, 158, 40)),
        (_poly((-24, 20), (-62, 74), (-24, 62)), _dim(paint, 0.78)),
        (_poly((24, 20), (62, 74), (24, 62)), _dim(paint, 0.78)),
        (
            np.concatenate([_arc(0, -20, 36, 78, 180, 360), _poly((30, 64), (-30, 64))]),
            paint,
        ),
        (_circle(0, -22, 18), CREAM),
        (_circle(0, -22, 10), INK),
    ]


FIGURE: dict[str, Callable[[Colour], list[Shape]]] = {
    "boat": _boat,
    "balloon": _balloon,
    "fish": _fish,
    "bird": _bird,
    "car": _car,
    "rocket": _rocket,
}


def _motion(scene: Scene, layout: Layout, seconds: float) -> tuple[float, float, float, float]:
    """Return the subject's (dx, dy, turn in radians) and how far the scenery has passed."""
    cycle = 2 * math.pi * seconds * layout.rate + layout.phase
    match scene.motion:
        case "travel":
            return 0.0, 5 * math.sin(cycle * 0.5), 0.0, 130 * seconds * layout.rate
        case "bob":
            return 0.0, 34 * math.sin(cycle * 0.62), 0.0, 0.0
        case "sway":
            return 0.0, 0.0, 0.44 * math.sin(cycle * 0.62), 0.0
        case "hop":
            height = abs(math.sin(cycle * 0.5))
            return 64 * math.sin(cycle * 0.25), 20 - 66 * height, 0.0, 0.0
        case "spin":
            return 0.0, 0.0, cycle * 0.36, 0.0
    raise ValueError(f"no such motion: {scene.motion}")


def draw_frame(scene: Scene, number: int) -> Image:
    """Draw frame `number` of a take of the scene: uint8 [HEIGHT, WIDTH, 3]."""
    layout = Layout(scene.seed)
    seconds = number / FPS
    light = LIGHT[scene.time]
    dx, dy, turn, passed = _motion(scene, layout, seconds)
    # Camera moves come to rest, as an operator would let them, so a take of a minute can hold one.
    eased = 1 - math.exp(-seconds / 3.0)
    pan = (170 * eased - 85) if scene.camera == "pan" else 0.0
    zoom = 1 + 0.45 * eased if scene.camera == "push" else 1.0

    image = _sky(scene.time, layout.lean).copy()
    sun_x, sun_y = layout.sun[0] * W - 0.15 * pan, layout.sun[1] * H
    if scene.time == "night":
        for star in range(7):
            x = (layout.rows[2][star] * W - 0.1 * pan) % W
            star_y = layout.rows[1][star] * 0.4 * H + 8
            _fill(image, _circle(x, star_y, 4.0, 8), (232, 228, 200))
        _fill(image, _crescent(sun_x, sun_y, 27), (246, 238, 200))
    elif scene.time == "sunset":
        _paper(image, _circle(sun_x, 0.46 * H, 48), (252, 214, 110), 0.14)
    else:
        _paper(image, _circle(sun_x, sun_y, 30), (255, 240, 170), 0.14)

    outline = OUTLINE[scene.setting]
    depth_scroll = (0.3, 0.6, 1.15)
    for depth in range(3):
        scroll = layout.scroll + (passed + 0.9 * pan) * depth_scroll[depth]
        if depth == 2:
            _draw_subject(image, scene, layout, dx - pan * 0.8, dy, turn)
        colour = _dim(_lit(GROUND[scene.setting][depth], light), float(layout.shade[depth]))
        _paper(image, _below(*outline(layout, depth, scroll)), colour)
        if scene.setting == "city" and depth == 1:
            pane = (250, 214, 120) if scene.time != "day" else (206, 222, 230)
            for points in _windows(layout, scroll):
                _fill(image, points, pane)
    if zoom != 1.0:
        about = np.array([[zoom, 0, (1 - zoom) * layout.x * W], [0, zoom, (1 - zoom) * 0.56 * H]], np.float64)
        image = cv2.warpAffine(image, about, (W, H), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def _draw_subject(image: Image, scene: Scene, layout: Layout, dx: float, dy: float, turn: float) -> None:
    size = 0.74 * layout.size
    cos, sin = math.cos(turn) * size, math.sin(turn) * size
    matrix = np.array([[cos, sin], [-sin, cos]])
    place = np.array([layout.x * W + dx, (0.56 + layout.y) * H + dy])
    shapes = [(pts @ matrix + place, c) for pts, c in FIGURE[scene.subject](PAINT[scene.colour])]
    _shadow(image, [points for points, _ in shapes], (7, 9), 0.36)
    for points, colour in shapes:
        _fill(image, points, _lit(colour, SUBJECT_LIGHT[scene.time]))


def subject_mask(scene: Scene, number: int) -> NDArray[np.float32]:
    """Where the subject is, softly: float32 [HEIGHT, WIDTH] in [0, 1], to weigh the loss with."""
    layout = Layout(scene.seed)
    dx, dy, _, _ = _motion(scene, layout, number / FPS)
    eased = 1 - math.exp(-number / FPS / 3.0)
    pan = (170 * eased - 85) if scene.camera == "pan" else 0.0
    x = layout.x * WIDTH + (dx - 0.8 * pan) / SCALE
    y = (0.56 + layout.y) * HEIGHT + dy / SCALE
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    return np.clip(2.0 - np.hypot(columns - x, rows - y) / 30.0, 0.0, 1.0).astype(np.float32)


def draw_clip(scene: Scene, start: int, count: int, step: int = 1) -> Image:
    """Draw frames start, start + step, …: uint8 [count, HEIGHT, WIDTH, 3]."""
    return np.stack([draw_frame(scene, start + step * index) for index in range(count)])
