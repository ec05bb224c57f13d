"""Addressed noise: every latent frame's noise is a function of its address, never of the moment.

Any worker can rebuild any window's noise exactly, in any order and after any interruption. The
generator is Philox (Salmon et al., 2011, "Parallel random numbers: as easy as 1, 2, 3"), keyed by a
hash of the address, on the CPU whatever the device; a golden hash in the tests guards the stream.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where noise belongs: `frame` counts latent frames within the shot (or look) named by `owner`."""

    seed: int
    owner: str
    frame: int
    purpose: str
    step: int = 0


def draw(address: Address, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Draw standard normal noise of a shape for one address."""
    text = f"{address.seed}\0{address.owner}\0{address.frame}\0{address.purpose}\0{address.step}"
    key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")
    generator = np.random.Generator(np.random.Philox(key=key))
    return generator.standard_normal(shape, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSource:
    """The noise of one shot: √a of its scene's and √(1−a) of its own, so a scene's shots look related.

    Both parts are drawn for each latent frame, so the sum is standard normal and independent from
    frame to frame, as models are trained: a part that stood still would be drawn into the picture.
    """

    seed: int
    shot: str
    scene_seed: int
    scene: str
    scene_share: float

    def initial(self, start: int, stop: int, shape: tuple[int, int, int]) -> NDArray[np.float32]:
        """Initial noise of latent frames [start, stop): float32 [channels, stop - start, h, w]."""
        own = _frames(self.seed, f"shot {self.shot}", "initial", start, stop, shape)
        if not self.scene_share:
            return own
        look = _frames(self.scene_seed, f"scene {self.scene}", "look", start, stop, shape)
        a = self.scene_share
        return np.float32(math.sqrt(a)) * look + np.float32(math.sqrt(1 - a)) * own

    def context(self, start: int, stop: int, shape: tuple[int, int, int]) -> NDArray[np.float32]:
        """The noise that given latent frames [start, stop) are held with, the same at every step."""
        return _frames(self.seed, f"shot {self.shot}", "context", start, stop, shape)


def _frames(
    seed: int, owner: str, purpose: str, start: int, stop: int, shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    frames = [
        draw(Address(seed=seed, owner=owner, frame=frame, purpose=purpose), shape)
        for frame in range(start, stop)
    ]
    return np.stack(frames, axis=1)
