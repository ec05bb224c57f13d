"""The subjects, cut from paper: polygons around (0, 0), about 200 high, facing right."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Colour = tuple[float, float, float]
Shape = tuple[Points, Colour]

CREAM: Colour = (248, 234, 206)
INK: Colour = (52, 44, 58)


def dim(colour: Colour, gain: float) -> Colour:
    return (colour[0] * gain, colour[1] * gain, colour[2] * gain)


def circle(x: float, y: float, r: float, count: int = 40) -> Points:
    angle = np.linspace(0, 2 * math.pi, count, endpoint=False)
    return np.stack([x + r * np.cos(angle), y + r * np.sin(angle)], axis=1)


def poly(*points: tuple[float, float]) -> Points:
    return np.array(points, np.float64)


def _arc(x: float, y: float, rx: float, ry: float, start: float, stop: float) -> Points:
    angle = np.radians(np.linspace(start, stop, 28))
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def _boat(paint: Colour) -> list[Shape]:
    return [
        (poly((-4, -92), (4, -92), (4, 24), (-4, 24)), INK),
        (poly((8, -84), (8, 14), (74, 14)), paint),
        (poly((-8, -60), (-8, 14), (-54, 14)), dim(CREAM, 0.9)),
        (np.concatenate([poly((-84, 22), (88, 22)), _arc(0, 22, 62, 48, 0, 180)]), paint),
        (poly((-84, 22), (88, 22), (80, 34), (-77, 34)), dim(paint, 0.78)),
    ]


def _balloon(paint: Colour) -> list[Shape]:
    return [
        (poly((-30, 20), (-24, 20), (-12, 66), (-16, 66)), INK),
        (poly((30, 20), (24, 20), (12, 66), (16, 66)), INK),
        (np.concatenate([_arc(0, -24, 62, 62, 150, 390), poly((20, 44), (-20, 44))]), paint),
        (np.concatenate([_arc(0, -24, 22, 62, 180, 360), _arc(0, -24, 22, 66, 0, 180)]), CREAM),
        (poly((-20, 62), (20, 62), (15, 90), (-15, 90)), (158, 104, 58)),
    ]


def _fish(paint: Colour) -> list[Shape]:
    return [
        (poly((-44, 0), (-96, -44), (-82, 0), (-96, 44)), dim(paint, 0.78)),
        (poly((-20, -34), (10, -74), (36, -34)), dim(paint, 0.78)),
        (np.concatenate([_arc(12, 0, 72, 48, 0, 360)]), paint),
        (np.concatenate([_arc(-6, 6, 22, 14, 0, 360)]), CREAM),
        (circle(52, -12, 11), CREAM),
        (circle(55, -12, 6), INK),
    ]


def _bird(paint: Colour) -> list[Shape]:
    return [
        (poly((-50, -4), (-98, -30), (-92, 18)), dim(paint, 0.78)),
        (_arc(-6, 4, 58, 38, 0, 360), paint),
        (circle(50, -26, 27), paint),
        (poly((72, -34), (102, -22), (72, -14)), (244, 158, 40)),
        (poly((-30, -6), (28, -8), (-30, -86), (-52, -70)), CREAM),
        (circle(57, -32, 6), INK),
    ]


def _car(paint: Colour) -> list[Shape]:
    return [
        (poly((-50, -12), (-34, -58), (34, -58), (58, -12)), paint),
        (poly((-36, -14), (-25, -48), (-3, -48), (-3, -14)), CREAM),
        (poly((6, -14), (6, -48), (29, -48), (44, -14)), CREAM),
        (poly((-90, -14), (92, -14), (96, 34), (-94, 34)), paint),
        (poly((-94, 20), (96, 20), (96, 34), (-94, 34)), dim(paint, 0.78)),
        (circle(-50, 36, 25), INK),
        (circle(52, 36, 25), INK),
        (circle(-50, 36, 11), CREAM),
        (circle(52, 36, 11), CREAM),
    ]


def _rocket(paint: Colour) -> list[Shape]:
    return [
        (poly((-22, 62), (22, 62), (0, 104)), (246, 158, 40)),
        (poly((-24, 20), (-62, 74), (-24, 62)), dim(paint, 0.78)),
        (poly((24, 20), (62, 74), (24, 62)), dim(paint, 0.78)),
        (
            np.concatenate([_arc(0, -20, 36, 78, 180, 360), poly((30, 64), (-30, 64))]),
            paint,
        ),
        (circle(0, -22, 18), CREAM),
        (circle(0, -22, 10), INK),
    ]


def _train(paint: Colour) -> list[Shape]:
    return [
        (poly((50, -22), (54, -66), (78, -66), (82, -22)), INK),
        (poly((-88, -72), (-14, -72), (-14, 32), (-88, 32)), paint),
        (poly((-98, -86), (-6, -86), (-6, -70), (-98, -70)), dim(paint, 0.7)),
        (poly((-72, -58), (-32, -58), (-32, -22), (-72, -22)), CREAM),
        (np.concatenate([_arc(74, 0, 22, 28, -90, 90), poly((-16, 28), (-16, -28))]), paint),
        (poly((-94, 26), (104, 26), (104, 40), (-94, 40)), INK),
        (circle(-58, 46, 26), INK),
        (circle(12, 50, 22), INK),
        (circle(68, 50, 22), INK),
        (circle(-58, 46, 11), CREAM),
        (circle(12, 50, 9), CREAM),
        (circle(68, 50, 9), CREAM),
    ]


def _whale(paint: Colour) -> list[Shape]:
    return [
        (poly((44, -52), (30, -92), (44, -82), (50, -96), (56, -82), (70, -92), (56, -52)), (150, 214, 240)),
        (poly((-66, 10), (-104, -40), (-78, -44), (-70, -60), (-52, -40), (-40, 0)), dim(paint, 0.8)),
        (np.concatenate([_arc(22, 4, 76, 58, 180, 360), _arc(10, 4, 88, 46, 0, 180)]), paint),
        (np.concatenate([_arc(20, 18, 72, 32, 0, 180)]), CREAM),
        (circle(66, -10, 9), INK),
    ]


def _cat(paint: Colour) -> list[Shape]:
    return [
        (
            np.concatenate([_arc(-52, 30, 44, 56, 60, 250), _arc(-52, 30, 24, 36, 250, 60)]),
            dim(paint, 0.78),
        ),
        (np.concatenate([_arc(0, 30, 48, 60, 180, 360), poly((54, 86), (-54, 86))]), paint),
        (poly((-8, -60), (-2, -104), (28, -74)), paint),
        (poly((72, -60), (66, -104), (36, -74)), paint),
        (_arc(32, -42, 46, 40, 0, 360), paint),
        (_arc(4, 56, 20, 30, 0, 360), CREAM),
        (circle(16, -46, 8), INK),
        (circle(48, -46, 8), INK),
        (poly((24, -30), (40, -30), (32, -20)), (236, 120, 120)),
    ]


def _butterfly(paint: Colour) -> list[Shape]:
    return [
        (_arc(-48, -34, 46, 42, 0, 360), paint),
        (_arc(48, -34, 46, 42, 0, 360), paint),
        (_arc(-38, 40, 34, 38, 0, 360), dim(paint, 0.78)),
        (_arc(38, 40, 34, 38, 0, 360), dim(paint, 0.78)),
        (circle(-52, -34, 17), CREAM),
        (circle(52, -34, 17), CREAM),
        (_arc(0, 6, 11, 62, 0, 360), INK),
        (circle(0, -58, 15), INK),
    ]


def _kite(paint: Colour) -> list[Shape]:
    return [
        (poly((-2, 40), (4, 40), (-18, 102), (-24, 100)), INK),
        (poly((-24, 62), (12, 82), (12, 62), (-24, 82)), dim(paint, 0.78)),
        (poly((0, -100), (66, -30), (0, 52), (-66, -30)), paint),
        (poly((0, -100), (66, -30), (0, -30)), CREAM),
        (poly((0, 52), (-66, -30), (0, -30)), CREAM),
    ]


def _girl(paint: Colour) -> list[Shape]:
    skin: Colour = (240, 190, 150)
    hair: Colour = (92, 56, 40)
    return [
        (poly((-22, 50), (-8, 50), (-8, 100), (-22, 100)), INK),
        (poly((8, 50), (22, 50), (22, 100), (8, 100)), INK),
        (poly((-14, -22), (-64, 14), (-54, 26), (-10, 2)), skin),
        (poly((14, -22), (64, 14), (54, 26), (10, 2)), skin),
        (poly((-18, -30), (18, -30), (58, 62), (-58, 62)), paint),
        (_arc(0, -62, 40, 42, 130, 410), hair),
        (circle(0, -58, 29), skin),
        (_arc(0, -66, 32, 26, 180, 360), hair),
        (circle(-10, -54, 5), INK),
        (circle(12, -54, 5), INK),
    ]


FIGURE: dict[str, Callable[[Colour], list[Shape]]] = {
    "boat": _boat,
    "balloon": _balloon,
    "fish": _fish,
    "bird": _bird,
    "car": _car,
    "rocket": _rocket,
    "train": _train,
    "whale": _whale,
    "cat": _cat,
    "butterfly": _butterfly,
    "kite": _kite,
    "girl": _girl,
}
