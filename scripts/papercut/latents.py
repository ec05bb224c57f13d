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

import together
from autoencoder import to_video
from draw import draw_clip, subject_mask
from world import Scene, draw_scene

BATCH = {"frames": 10, "clips": 1}
CLIP_LATENTS = 11  # longer than a window, so that windows can be cut from inside an encoding


def _encode(model: AutoencoderKLWan, frames: NDArray[np.uint8]) -> torch.Tensor:
    """Frames uint8 [B, T, H, W, 3] -> latents [B, z, t, h, w], normalised as the families do."""
    mean = torch.tensor(model.config.latents_mean).view(1, -1, 1, 1, 1)
    std = torch.tensor(model.config.latents_std).view(1, -1, 1, 1, 1)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        latents = model.encode(to_video(frames)).latent_dist.mode().float()
    return (latents - mean) / std


def _mask(scene: Scene, start: int, latents: int) -> torch.Tensor:
    """Where the subjects are, at the latents' size: float [latents, h, w]."""
    numbers = [start] + [start + 4 * index - 1 for index in range(1, latents)]
    masks = torch.from_numpy(np.stack([subject_mask(scene, number) for number in numbers]))
    return F.avg_pool2d(masks[:, None], 16)[:, 0]


def make(work: Path, *, kind: str, shards: int, size: int, seed: int) -> None:
    """Write shards of `size` clips each (`kind` "frames": one latent; "clips": CLIP_LATENTS).

    Frames are the first of their take; of the clips, three in five begin one and the others lie later
    in it. Each shard is a torch file {"latents": fp16 [size, z, T, h, w], "masks": fp16 [size, T, h, w],
    "starts": the first frame's number in its take, "scenes": JSON}. Shards that exist are kept; the
    processes share them out.
    """
    model = AutoencoderKLWan.from_pretrained(work / "autoencoder").float().eval()
    folder = work / f"bank_{kind}"
    folder.mkdir(parents=True, exist_ok=True)
    length = 1 if kind == "frames" else CLIP_LATENTS
    for shard in range(together.rank(), shards, together.count()):
        target = folder / f"{shard:04d}.pt"
        if target.exists():
            continue
        rng = random.Random(f"{seed}/{kind}/{shard}")
        scenes = [draw_scene(rng) for _ in range(size)]
        starts = [0 if length == 1 or rng.random() < 0.6 else rng.randrange(1, 160) for _ in scenes]
        takes = list(zip(scenes, starts, strict=True))
        latents = []
        for first in range(0, size, BATCH[kind]):
            some = takes[first : first + BATCH[kind]]
            frames = np.stack([draw_clip(scene, start, 1 + 4 * (length - 1)) for scene, start in some])
            latents.append(_encode(model, frames).half())
        temporary = target.with_suffix(".part")
        torch.save(
            {
                "latents": torch.cat(latents),
                "masks": torch.stack([_mask(scene, start, length).half() for scene, start in takes]),
                "starts": torch.tensor(starts),
                "scenes": json.dumps([asdict(scene) for scene in scenes]),
            },
            temporary,
        )
        temporary.replace(target)
        print(target.name, flush=True)


class Bank:
    """The shards written so far, all in memory (a clip is 40 kB a latent frame at most)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: set[Path] = set()
        self.latents: list[torch.Tensor] = []
        self.masks: list[torch.Tensor] = []
        self.starts: list[int] = []
        self.scenes: list[Scene] = []
        self.begins: list[int] = []  # which of them begin a take

    def refresh(self) -> int:
        """Read new shards and return how many clips there are."""
        for path in sorted(set(self.folder.glob("*.pt")) - self.seen):
            shard = torch.load(path, weights_only=True)
            self.latents += list(shard["latents"])
            self.masks += list(shard["masks"])
            self.starts += shard["starts"].tolist()
            self.scenes += [Scene(**scene) for scene in json.loads(shard["scenes"])]
            self.seen.add(path)
        self.begins = [index for index, start in enumerate(self.starts) if start == 0]
        return len(self.scenes)
