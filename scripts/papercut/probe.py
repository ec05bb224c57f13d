"""The probe: a small classifier that reads which attributes of the world a clip shows.

    probe.py train            train it on drawn clips (a few minutes on a CPU)
    probe.py read [--json]    what it reads in clips the shipped model generates from unseen captions,
                              beside what it reads in held-out drawn ones, and in those encoded and decoded

It sees six frames of a clip of 33, so it can tell motions and camera moves too. `farm render` reads
papercut's films with it.
"""

from __future__ import annotations

import argparse
import json
import random
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from torch import Tensor
from torch.nn import functional as F

from captions import caption
from draw import draw_clip, draw_frame
from farm.models.probe import SEEN, SIZE, Probe, to_look
from farm.models.skyreels_v2 import SkyReelsV2
from farm.models.weights import SHIPPED
from text import WIDTH, Reader, make_tokenizer
from world import CHOICES, Scene, draw_scene

CLIP = 33
# The colour of a second subject is only there where that is; it is left out.
ATTRIBUTES = {name: choices for name, choices in CHOICES.items() if name != "second_colour"}


def drawn(scene: Scene) -> Tensor:
    """The frames the probe sees of a drawn take: [6, 3, 72, 128]."""
    return to_look([draw_frame(scene, number) for number in SEEN])


def _labels(scenes: list[Scene]) -> dict[str, Tensor]:
    return {name: torch.tensor([scene.labels()[name] for scene in scenes]) for name in ATTRIBUTES}


def _roughen(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Blur and noise, so that the probe does not hang on edges no model keeps."""
    blur = torch.rand((), generator=generator)
    if blur < 0.7:
        small = F.interpolate(frames.flatten(0, 1), scale_factor=0.5 if blur < 0.4 else 0.33, mode="area")
        frames = F.interpolate(small, SIZE, mode="bilinear").view(frames.shape)
    return frames + 0.06 * torch.randn(frames.shape, generator=generator)


def _draw(seed: str) -> tuple[list[Scene], Tensor]:
    rng = random.Random(seed)
    scenes = [draw_scene(rng) for _ in range(250)]
    return scenes, torch.stack([drawn(scene) for scene in scenes]).half()


def train(work: Path, clips: int, epochs: int, seed: int) -> None:
    """Train the probe on drawn clips and save it, with the text encoder's readings, to `work/probe`."""
    with get_context("spawn").Pool(2) as pool:
        parts = pool.map(_draw, [f"{seed}/probe/{part}" for part in range(clips // 250)])
    scenes = [scene for found, _ in parts for scene in found]
    frames = torch.cat([found for _, found in parts])
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    probe = Probe(ATTRIBUTES, WIDTH)
    optimizer = torch.optim.AdamW(probe.look.parameters(), lr=2e-3, weight_decay=0.02)
    batch = 32
    total = epochs * (len(scenes) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=total)
    labels = _labels(scenes)
    for epoch in range(epochs):
        order = torch.randperm(len(scenes), generator=generator)
        losses = []
        for first in range(0, len(scenes) - batch + 1, batch):
            pick = order[first : first + batch]
            logits = probe.look(_roughen(frames[pick].float(), generator))
            loss = torch.stack(
                [F.cross_entropy(logits[name], labels[name][pick]) for name in ATTRIBUTES]
            ).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.3f}", flush=True)
    reader = Reader(len(make_tokenizer()))
    reader.load_state_dict(torch.load(work / "text.pt", weights_only=True)["reader"])
    probe.heads.load_state_dict(
        {k: v for k, v in reader.heads.state_dict().items() if "second_colour" not in k}
    )
    probe.save(work / "probe")


def _score(read: list[dict[str, str]], scenes: list[Scene]) -> dict[str, float]:
    """The share of clips in which each attribute is read as the scene has it."""
    return {
        name: round(
            float(np.mean([found[name] == getattr(s, name) for found, s in zip(read, scenes, strict=True)])),
            3,
        )
        for name in ATTRIBUTES
    }


def _generate(job: tuple[list[tuple[Scene, str]], int, Path, int]) -> list[np.ndarray]:
    """Generate clips with the model folder, as the farm does: uint8 [33, H, W, 3] each.

    The first latent frame is drawn alone, and the eight that follow are chained to it.
    """
    items, steps, folder, threads = job
    torch.set_num_threads(threads)
    family = SkyReelsV2(folder, "cpu")
    common = {"threads": threads, "dtype": "float32", "decode_dtype": "float32"}
    negative = family.embed({"text": "", "tokens": 48, **common})
    made = []
    for scene, text in items:
        recipe = {
            **dict(width=256, height=144, spatial_stride=16, rate="16", draft_level=None, context_level=20),
            **dict(guide_above=0, seed=scene.seed, shot="1", scene="1", scene_seed=1, scene_noise=0.0),
            **dict(steps=steps, guidance=3.0, shift=3.0, **common),
        }
        prompt = family.embed({"text": text, "tokens": 48, **common})
        latents: list[bytes] = []
        for span, given, way in (((0, 1), 0, "cut"), ((0, 9), 1, "chain")):
            latents.append(
                family.denoise(
                    {**recipe, "span": span, "given": given, "way": way},
                    prompt=prompt,
                    negative=negative,
                    context=latents[-1:],
                    stopped=lambda: False,
                )
            )
        made.append(np.stack(list(family.decode(common, latents))))
    return made


def _recoded(job: tuple[list[Scene], Path, int]) -> list[np.ndarray]:
    """Drawn clips, encoded and decoded by the model folder's autoencoder."""
    scenes, folder, threads = job
    torch.set_num_threads(threads)
    vae = AutoencoderKLWan.from_pretrained(folder, subfolder="vae").eval()
    made = []
    with torch.no_grad():
        for scene in scenes:
            video = torch.from_numpy(draw_clip(scene, 0, CLIP)).float() / 127.5 - 1
            out = vae.decode(vae.encode(video.movedim(-1, 0)[None]).latent_dist.mode()).sample.clamp(-1, 1)
            made.append(((out[0].movedim(0, -1) + 1) * 127.5).round().byte().numpy())
    return made


def _spread(items: list[Any], processes: int) -> list[list[Any]]:
    return [items[part::processes] for part in range(processes)]


def _gather(parts: list[list[Any]]) -> list[Any]:
    found: list[Any] = [None] * sum(map(len, parts))
    for number, part in enumerate(parts):
        found[number :: len(parts)] = part
    return found


def measure(
    folder: Path, count: int, steps: int, seed: int, sheet: Path | None, processes: int
) -> dict[str, Any]:
    """Read generated clips of unseen captions, drawn clips, and drawn clips through the autoencoder."""
    rng = random.Random(f"{seed}/held out")
    scenes = [draw_scene(rng) for _ in range(count)]
    items = [(scene, caption(rng, scene)) for scene in scenes]
    few = scenes[: max(24, count // 3)]
    with get_context("spawn").Pool(processes) as pool:
        jobs = [(part, steps, folder, 1) for part in _spread(items, processes)]
        generated = _gather(pool.map(_generate, jobs, chunksize=1))
        recoded = _gather(
            pool.map(_recoded, [(part, folder, 1) for part in _spread(few, processes)], chunksize=1)
        )
    probe = Probe.load(folder / "probe")
    real = [draw_clip(scene, 0, CLIP) for scene in scenes]
    if sheet is not None:
        _draw_sheet(
            [(text, clip[[2, 12, 22, 32]]) for (_, text), clip in zip(items, generated, strict=True)], sheet
        )

    def read(clips: list[np.ndarray], of: list[Scene]) -> dict[str, float]:
        return _score([probe.seen(list(clip[list(SEEN)])) for clip in clips], of)

    errors = [
        np.square(clip.astype(float) - drawn).mean() / 255**2
        for clip, drawn in zip(recoded, real, strict=False)
    ]
    with torch.no_grad():
        return {
            "n": count,
            **read(generated, scenes),
            "real": read(real, scenes),
            "recon": read(recoded, few),
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
    parser.add_argument("--model", type=Path, default=SHIPPED, help="the model folder to read")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--clips", type=int, default=6000, help="clips to train on")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--n", type=int, default=200, help="captions to generate and read")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--sheet", type=Path, help="draw the generated clips to this PNG")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.command == "train":
        args.work.mkdir(parents=True, exist_ok=True)
        train(args.work, args.clips, args.epochs, args.seed)
        return
    result = measure(args.model, args.n, args.steps, args.seed, args.sheet, args.processes)
    if args.json:
        print(json.dumps(result))
        return
    print(f"{'attribute':<10} {'generated':>9} {'drawn':>7} {'encoded and decoded':>20}")
    for name in ATTRIBUTES:
        print(f"{name:<10} {result[name]:>9.2f} {result['real'][name]:>7.2f} {result['recon'][name]:>20.2f}")
    print(f"{result['n']} captions; autoencoder {result['psnr_db']} dB")


if __name__ == "__main__":
    main()
