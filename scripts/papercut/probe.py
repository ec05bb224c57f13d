"""The probe: a small classifier that reads which attributes of the world a clip shows.

    probe.py train            train it on drawn clips (a few minutes on a CPU)
    probe.py read [--json]    what it reads in clips the shipped model generates, beside what it
                              reads in held-out drawn ones, and in those encoded and decoded

It sees six frames of a clip of 33, so it can tell motions and camera moves too.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoencoder import to_video
from captions import FORMS, _words
from draw import draw_frame
from farm.models.skyreels_v2 import SkyReelsV2
from farm.models.weights import SHIPPED
from world import CHOICES, Scene, draw_scene

CLIP = 33
SEEN = tuple(range(2, CLIP, 6))  # the frames it looks at
SIZE = (72, 128)


class Probe(nn.Module):
    """Frames [B, 6, 3, 72, 128] in [-1, 1] -> logits for each attribute."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 24, 48, 96, 128)
        layers: list[nn.Module] = []
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.GELU()]
        self.look = nn.Sequential(*layers)  # to 5 x 8
        self.place = nn.Linear(128 * 5 * 8, 192)
        self.time = nn.Sequential(nn.Linear(192 * len(SEEN), 256), nn.GELU())
        self.heads = nn.ModuleDict(
            {name: nn.Linear(256 + 128, len(choices)) for name, choices in CHOICES.items()}
        )

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        batch = frames.shape[0]
        seen = self.look(frames.flatten(0, 1))
        whole = seen.amax(dim=(2, 3)).view(batch, len(SEEN), -1).mean(dim=1)
        moving = self.time(F.gelu(self.place(seen.flatten(1))).view(batch, -1))
        return {name: head(torch.cat([moving, whole], dim=1)) for name, head in self.heads.items()}


def shrink(frames: Tensor) -> Tensor:
    """Frames [n, 3, H, W] to the probe's size."""
    return F.interpolate(frames, SIZE, mode="area")


def drawn(scene: Scene, start: int) -> Tensor:
    """The frames the probe sees of a drawn clip: [6, 3, 72, 128]."""
    frames = np.stack([draw_frame(scene, start + number) for number in SEEN])
    return shrink(to_video(frames).movedim(1, 0))


def _labels(scenes: list[Scene]) -> dict[str, Tensor]:
    return {name: torch.tensor([scene.labels()[name] for scene in scenes]) for name in CHOICES}


def _roughen(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Blur and noise, so that the probe does not hang on edges no model keeps."""
    if torch.rand((), generator=generator) < 0.6:
        small = F.interpolate(frames.flatten(0, 1), scale_factor=0.5, mode="area")
        frames = F.interpolate(small, SIZE, mode="bilinear").view(frames.shape)
    return frames + 0.06 * torch.randn(frames.shape, generator=generator)


def train(work: Path, clips: int, epochs: int, seed: int) -> None:
    """Train the probe and save it to `work/probe.pt`."""
    rng = random.Random(f"{seed}/probe")
    scenes = [draw_scene(rng) for _ in range(clips)]
    frames = torch.stack([drawn(scene, rng.choice((0, rng.randrange(160)))) for scene in scenes]).half()
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    probe = Probe()
    optimizer = torch.optim.AdamW(probe.parameters(), lr=2e-3, weight_decay=0.02)
    batch = 32
    total = epochs * (clips // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=total)
    labels = _labels(scenes)
    for epoch in range(epochs):
        order = torch.randperm(clips, generator=generator)
        losses = []
        for first in range(0, clips - batch + 1, batch):
            pick = order[first : first + batch]
            logits = probe(_roughen(frames[pick].float(), generator))
            loss = sum(F.cross_entropy(logits[name], labels[name][pick]) for name in CHOICES)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.3f}", flush=True)
    torch.save(probe.state_dict(), work / "probe.pt")


@torch.no_grad()
def read(probe: Probe, clips: list[Tensor], scenes: list[Scene]) -> dict[str, float]:
    """The share of clips in which each attribute is read as the scene has it."""
    logits = probe(torch.stack(clips))
    labels = _labels(scenes)
    return {
        name: round((logits[name].argmax(1) == labels[name]).float().mean().item(), 3) for name in CHOICES
    }


@torch.no_grad()
def measure(work: Path, count: int, steps: int, seed: int, sheet: Path | None) -> dict[str, Any]:
    """Read generated clips of unseen captions, drawn clips, and drawn clips through the autoencoder."""
    probe = Probe().eval()
    probe.load_state_dict(torch.load(work / "probe.pt", weights_only=True))
    rng = random.Random(f"{seed}/held out")
    scenes = [draw_scene(rng) for _ in range(count)]
    family = SkyReelsV2(SHIPPED, "cpu")
    threads = {"threads": torch.get_num_threads(), "dtype": "float32"}
    negative = family.embed({"text": "", "tokens": 48, **threads})
    made: list[Tensor] = []
    pictures = []
    for scene in scenes:
        text = _words(rng, scene, FORMS[0])
        latents = family.denoise(
            {
                **dict(span=(0, 9), given=0, way="cut", width=256, height=144, spatial_stride=16),
                **dict(seed=scene.seed, shot="1", scene="1", scene_seed=1, scene_noise=0.0, rate="16"),
                **dict(steps=steps, guidance=3.0, shift=3.0, **threads),
            },
            prompt=family.embed({"text": text, "tokens": 48, **threads}),
            negative=negative,
            before=None,
            stopped=lambda: False,
        )
        frames = np.stack(list(family.decode(threads, [latents])))
        pictures.append((text, frames[[2, 12, 22, 32]]))
        made.append(shrink(to_video(frames[list(SEEN)]).movedim(1, 0)))
    real = [drawn(scene, 0) for scene in scenes]
    vae = family._parts["vae"]
    recon, errors = [], []
    for scene in scenes[: max(8, count // 4)]:
        frames = np.stack([draw_frame(scene, number) for number in range(CLIP)])
        video = to_video(frames)[None]
        out = vae.decode(vae.encode(video).latent_dist.mode()).sample.clamp(-1, 1)
        errors.append((out - video).square().mean().item() / 4)
        recon.append(shrink(out[0][:, list(SEEN)].movedim(1, 0)))
    if sheet is not None:
        _draw_sheet(pictures, sheet)
    return {
        "n": count,
        **read(probe, made, scenes),
        "real": read(probe, real, scenes),
        "recon": read(probe, recon, scenes[: len(recon)]),
        "psnr_db": round(float(np.mean([-10 * np.log10(error) for error in errors])), 2),
    }


def _draw_sheet(pictures: list[tuple[str, np.ndarray]], target: Path) -> None:
    from PIL import Image, ImageDraw

    height = 144 + 18
    sheet = Image.new("RGB", (4 * 256, len(pictures) * height), (24, 24, 28))
    draw = ImageDraw.Draw(sheet)
    for row, (text, frames) in enumerate(pictures):
        draw.text((4, row * height + 2), text, fill=(230, 226, 214))
        for column, frame in enumerate(frames):
            sheet.paste(Image.fromarray(frame), (column * 256, row * height + 18))
    sheet.save(target)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["train", "read"])
    parser.add_argument("--work", type=Path, default=Path("build/papercut"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clips", type=int, default=3000, help="clips to train on")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--n", type=int, default=48, help="captions to generate and read")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--sheet", type=Path, help="draw the generated clips to this PNG")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    if args.command == "train":
        train(args.work, args.clips, args.epochs, args.seed)
        return
    result = measure(args.work, args.n, args.steps, args.seed, args.sheet)
    if args.json:
        print(json.dumps(result))
        return
    print(f"{'attribute':<10} {'generated':>9} {'drawn':>7} {'encoded and decoded':>20}")
    for name in CHOICES:
        print(f"{name:<10} {result[name]:>9.2f} {result['real'][name]:>7.2f} {result['recon'][name]:>20.2f}")
    print(f"{result['n']} captions; autoencoder {result['psnr_db']} dB")


if __name__ == "__main__":
    main()
