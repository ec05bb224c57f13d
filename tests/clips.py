"""Moving pictures of which it is known what they show: a texture that pans, and a decoder's pulse on it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from PIL import Image, ImageFilter

HEIGHT, WIDTH = 96, 160
STRIDE = 4
WAVES = 40


def texture(across: float, down: float, seed: int = 0, columns: int = WIDTH) -> np.ndarray:
    """A picture uint8 [HEIGHT, columns, 3] that has moved to the right and down by so many pixels."""
    source = np.random.default_rng(seed)
    sizes = np.exp(source.uniform(np.log(5), np.log(80), WAVES))  # pixels a wave
    angles, phases = source.uniform(0, 2 * np.pi, WAVES), source.uniform(0, 2 * np.pi, (3, WAVES))
    y, x = np.mgrid[0:HEIGHT, 0:columns]
    turns = (x - across)[..., None] * np.cos(angles) + (y - down)[..., None] * np.sin(angles)
    turns *= 2 * np.pi / sizes
    heights = 3 * np.sqrt(sizes)
    waves = np.sin(turns) @ (np.cos(phases) * heights).T + np.cos(turns) @ (np.sin(phases) * heights).T
    return (128 + waves).clip(0, 255).astype(np.uint8)


@cache
def _canvas(seed: int) -> np.ndarray:
    return texture(0, 0, seed, 6 * WIDTH)


@cache
def _pattern(phase: int) -> np.ndarray:
    return np.random.default_rng(phase).normal(0, 1, (HEIGHT, WIDTH, 3))


def clip(count: int, *, speed: int, pulse: float = 0.0, seed: int = 0) -> Iterator[np.ndarray]:
    """A pan of so many pixels a frame, with a pulse of so many levels wherever a latent frame begins.

    The pulse is a pattern and a little light, and is gone by the end of each latent frame.
    """
    for number in range(count):
        phase = (number - 1) % STRIDE
        left = 5 * WIDTH - speed * number
        frame = _canvas(seed)[:, left : left + WIDTH]
        fading = pulse * (STRIDE - 1 - phase) / (STRIDE - 1)
        yield (frame + fading * (_pattern(phase) + 0.5)).clip(0, 255).astype(np.uint8)


def blurred(frame: np.ndarray, radius: float) -> np.ndarray:
    return np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(radius)))
