"""Train papercut's autoencoder: a small Wan 2.2-style causal video autoencoder, 16x16x4.

Single frames first (cheap, most of what it must learn), then short clips. The subject's region
weighs more than the rest, since a good PSNR hides a lost subject, and the latents the decoder sees
are slightly noised, so that it forgives what a diffusion model leaves.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from numpy.typing import NDArray
from torch import Tensor

import together
from draw import draw_clip, subject_mask
from progress import Checkpoint, Log, rate_at
from world import HEIGHT, WIDTH, draw_scene

Z = 24
CONFIG = dict(
    is_residual=True,
    patch_size=4,
    in_channels=48,
    out_channels=48,
    base_dim=48,
    decoder_base_dim=48,
    z_dim=Z,
    dim_mult=[1, 2, 2],
    temperal_downsample=[True, True],
    num_res_blocks=1,
    attn_scales=[],
    scale_factor_spatial=16,
    scale_factor_temporal=4,
    latents_mean=[0.0] * Z,
    latents_std=[1.0] * Z,
)
CROP = 96
CLIP = 9  # frames: three latents, the special first one and two others


def make_bank(path: Path, clips: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Draw (once) the clips to train on: frames uint8 [clips, 9, H, W, 3], masks [clips, H, W]."""
    frames_file, masks_file = path / f"ae_frames_{clips}.npy", path / f"ae_masks_{clips}.npy"
    if not masks_file.exists() and together.rank() == 0:
        rng = random.Random(seed)
        frames = np.empty((clips, CLIP, HEIGHT, WIDTH, 3), np.uint8)
        masks = np.empty((clips, HEIGHT, WIDTH), np.float32)
        for index in range(clips):
            scene, start = draw_scene(rng), rng.randrange(160)
            frames[index] = draw_clip(scene, start, CLIP)
            masks[index] = subject_mask(scene, start + CLIP // 2)
        path.mkdir(parents=True, exist_ok=True)
        np.save(frames_file, frames)
        np.save(masks_file, masks)
    together.wait()
    return np.load(frames_file, mmap_mode="r"), np.load(masks_file, mmap_mode="r")


def to_video(frames: NDArray[np.uint8]) -> Tensor:
    """Turn uint8 [..., T, H, W, 3] into float32 [..., 3, T, H, W] in [-1, 1]."""
    video = torch.from_numpy(np.ascontiguousarray(frames)).float() / 127.5 - 1
    return video.movedim(-1, -4)


def _crops(
    rng: random.Random,
    bank: tuple[NDArray[np.uint8], NDArray[np.float32]],
    batch: int,
    count: int,
) -> tuple[Tensor, Tensor]:
    """Cut random crops: video [B, 3, count, CROP, CROP] and weights [B, 1, 1, CROP, CROP]."""
    frames, masks = bank
    videos, weights = [], []
    for _ in range(batch):
        clip, first = rng.randrange(len(frames)), rng.randrange(CLIP - count + 1)
        # Two crops in three look at the middle of the picture, where the subject lives.
        middle = rng.random() < 0.66
        x = rng.randrange(48, 113) if middle else rng.randrange(WIDTH - CROP + 1)
        y = rng.randrange(8, 41) if middle else rng.randrange(HEIGHT - CROP + 1)
        videos.append(frames[clip, first : first + count, y : y + CROP, x : x + CROP])
        weights.append(masks[clip, y : y + CROP, x : x + CROP])
    return to_video(np.stack(videos)), 1 + 3 * torch.from_numpy(np.stack(weights))[:, None, None]


def _loss(output: Tensor, video: Tensor, weight: Tensor) -> Tensor:
    error = output - video
    edges_x = error[..., :, 1:] - error[..., :, :-1]
    edges_y = error[..., 1:, :] - error[..., :-1, :]
    pixel = (weight * (error.abs() + 2 * error.square())).mean()
    edge = (weight[..., :, 1:] * edges_x.abs()).mean() + (weight[..., 1:, :] * edges_y.abs()).mean()
    return pixel + 0.5 * edge


def train(
    work: Path,
    *,
    frame_steps: int,
    clip_steps: int,
    seed: int,
    base: Path | None = None,
    decoder_only: bool = False,
    clips: int = 1600,
) -> None:
    """Train and write `work/autoencoder` (a diffusers folder); go on from a checkpoint if any.

    With `base`, a folder of an autoencoder trained before, start from its weights at a lower rate.
    `decoder_only` leaves the encoder and the latents' scale as they are, so that what was trained on its
    latents stays good.
    """
    torch.manual_seed(seed)
    model = AutoencoderKLWan(**CONFIG)
    peak = 2.5e-3
    if base is not None:
        model.load_state_dict(AutoencoderKLWan.from_pretrained(base).float().state_dict())
        peak = 1.2e-3
    if decoder_only:
        model.encoder.requires_grad_(False)
        model.quant_conv.requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, betas=(0.9, 0.98), weight_decay=1e-4)
    checkpoint = Checkpoint(work / "autoencoder.pt", model=model, optimizer=optimizer)
    log = Log(work / "autoencoder.jsonl", every=50)
    bank = make_bank(work, clips, seed)
    total = frame_steps + clip_steps
    for step in range(checkpoint.load(), total):
        rng = random.Random(f"{seed}/{step}/{together.rank()}")
        generator = torch.Generator().manual_seed(rng.randrange(2**31))
        single = step < frame_steps
        video, weight = _crops(rng, bank, (8 if single else 4) // together.count(), 1 if single else CLIP)
        if single:
            rate = rate_at(step, frame_steps, peak, floor=0.4)
        else:
            rate = rate_at(step - frame_steps, clip_steps, 0.5 * peak, warmup=50)
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16):
            with torch.set_grad_enabled(not decoder_only):
                latents = model.encode(video).latent_dist.mode().float()
            # So that the decoder bears latents that a network drew; at the end less, for it blurs.
            noise = 0.04 if decoder_only else 0.08
            noised = latents + noise * torch.randn(latents.shape, generator=generator)
            output = model.decode(noised).sample.float()
        loss = _loss(output, video, weight) + 2e-3 * (latents.square() - 1).relu().mean()
        optimizer.zero_grad()
        loss.backward()
        together.average_gradients(model)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        mse = (output.detach() - video).square().mean().item() / 4
        log.add(step, loss=loss.item(), psnr=-10 * float(np.log10(mse)), rate=rate)
        if (step + 1) % 200 == 0:
            checkpoint.save(step + 1)
    checkpoint.save(total)
    if together.rank() == 0:
        if decoder_only and base is not None:
            before = AutoencoderKLWan.load_config(base)
            scale = {name: before[name] for name in ("latents_mean", "latents_std")}
        else:
            scale = _scale(model, bank[0])
        model.register_to_config(**scale)
        model.save_pretrained(work / "autoencoder")


@torch.no_grad()
def _scale(model: AutoencoderKLWan, frames: NDArray[np.uint8]) -> dict[str, list[float]]:
    """The latents' mean and spread, which the families divide by."""
    with torch.autocast("cpu", torch.bfloat16):
        latents = torch.cat(
            [model.encode(to_video(f[None])).latent_dist.mode().float() for f in frames[:120]]
        )
    over = (0, 2, 3, 4)
    return {"latents_mean": latents.mean(dim=over).tolist(), "latents_std": latents.std(dim=over).tolist()}
