"""Encode clips of the world into a bank of latents to train the transformer on.

A bank is a folder of shards that only ever grows, so encoding and training can run side by side.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from numpy.typing import NDArray
from torch.nn import functional as F

from autoencoder import to_video
from draw import draw_clip, subject_mask
from world import Scene, draw_scene

CLIP_LATENTS = 11  # longer than a window, so that windows can be cut from inside an encoding


def _encode(model: AutoencoderKLWan, frames: NDArray[np.uint8]) -> torch.Tensor:
    mean = torch.tensor(model.config.latents_mean).view(1, -1, 1, 1, 1)
    std = torch.tensor(model.config.latents_std).view(1, -1, 1, 1, 1)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        latents = model.encode(to_video(frames[None])).latent_dist.mode().float()
    return ((latents - mean) / std)[0]


def _mask(scene: Scene, start: int, latents: int) -> torch.Tensor:
    """Where the subject is, at the latents' size: float [latents, h, w]."""
    numbers = [start] + [start + 4 * index - 1 for index in range(1, latents)]
    masks = torch.from_numpy(np.stack([subject_mask(scene, number) for number in numbers]))
    return F.avg_pool2d(masks[:, None], 16)[:, 0]


def make(work: Path, *, kind: str, shards: int, size: int, seed: int) -> None:
    """Write shards of `size` clips each (`kind` "frames": one latent; "clips": CLIP_LATENTS).

    Each shard is a torch file {"latents": fp16 [size, z, T, h, w], "masks": fp16 [size, T, h, w],
    "scenes": JSON}. Shards that exist are kept.
    """
    model = AutoencoderKLWan.from_pretrained(work / "autoencoder").eval()
    folder = work / f"bank_{kind}"
    folder.mkdir(parents=True, exist_ok=True)
    length = 1 if kind == "frames" else CLIP_LATENTS
    for shard in range(shards):
        target = folder / f"{shard:04d}.pt"
        if target.exists():
            continue
        rng = random.Random(f"{seed}/{kind}/{shard}")
        latents, masks, scenes = [], [], []
        for _ in range(size):
            scene = draw_scene(rng)
            start = rng.choice((0, rng.randrange(160)))
            frames = draw_clip(scene, start, 1 + 4 * (length - 1))
            latents.append(_encode(model, frames).half())
            masks.append(_mask(scene, start, length).half())
            scenes.append(asdict(scene))
        temporary = target.with_suffix(".part")
        torch.save(
            {
                "latents": torch.stack(latents),
                "masks": torch.stack(masks),
                "scenes": json.dumps(scenes),
            },
            temporary,
        )
        temporary.replace(target)


class Bank:
    """The shards written so far, all in memory (a clip is 40 kB a latent frame at most)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: set[Path] = set()
        self.latents: list[torch.Tensor] = []
        self.masks: list[torch.Tensor] = []
        self.scenes: list[Scene] = []

    def refresh(self) -> int:
        """Read new shards and return how many clips there are."""
        for path in sorted(set(self.folder.glob("*.pt")) - self.seen):
            shard = torch.load(path, weights_only=True)
            self.latents += list(shard["latents"])
            self.masks += list(shard["masks"])
            self.scenes += [Scene(**scene) for scene in json.loads(shard["scenes"])]
            self.seen.add(path)
        return len(self.scenes)
