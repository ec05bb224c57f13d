"""Train papercut's transformer: rectified flow with a noise level per latent frame.

Single frames first, then windows of clips. Diffusion forcing (Chen et al., 2024, arXiv:2407.01392)
as SkyReels-V2 uses it: each latent frame has a level of its own, so that a window can be conditioned
on clean frames of its neighbour, denoised in step, or staggered, all with the same weights. The
matrices of the blocks are stepped by Muon (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/),
everything else by AdamW.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from diffusers import SkyReelsV2Transformer3DModel
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import PreTrainedTokenizerFast, UMT5EncoderModel

import together
from captions import caption
from latents import Bank
from progress import Checkpoint, Log, rate_at
from text import WIDTH, embed
from world import Scene

WINDOW = 9  # latent frames
SHIFT = 3.0


def make_transformer(channels: int) -> SkyReelsV2Transformer3DModel:
    return SkyReelsV2Transformer3DModel(
        patch_size=(1, 1, 1),
        num_attention_heads=3,
        attention_head_dim=64,
        in_channels=channels,
        out_channels=channels,
        text_dim=WIDTH,
        freq_dim=128,
        ffn_dim=768,
        num_layers=6,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=128,
        inject_sample_info=False,
    )


Window = tuple[Tensor, Tensor, Scene, tuple[int, int]]
"""Latents [z, t, h, w], masks [t, h, w], the scene, how many frames are given at its start and its end."""


def _opening(bank: Bank, rng: random.Random, index: int, length: int) -> Window:
    """The first window of a take. Mostly its first frame is given, since that one is drawn alone."""
    given = rng.choices((0, 1, 2, 3), weights=(1, 7, 1, 1))[0]
    return bank.latents[index][:, :length], bank.masks[index][:length], bank.scenes[index], (given, 0)


def _inside(bank: Bank, rng: random.Random, index: int, length: int) -> Window:
    """A window from inside an encoding, chained to its neighbour's tail; one in four to the next too."""
    first = rng.randint(1, bank.latents[index].shape[1] - length)
    cut = slice(first, first + length)
    given = rng.choices((1, 2, 3, 4), weights=(1, 4, 4, 1))[0]
    after = rng.choice((1, 2, 3)) if rng.random() < 0.25 else 0
    if given + after >= length:
        given, after = 2, 1
    return bank.latents[index][:, cut], bank.masks[index][cut], bank.scenes[index], (given, after)


def _frame(bank: Bank, rng: random.Random) -> Window:
    index = rng.randrange(len(bank.scenes))
    return bank.latents[index], bank.masks[index], bank.scenes[index], (0, 0)


def _draw(bank: Bank, rng: random.Random, indices: Sequence[int]) -> int:
    """Draw one of these clips, those that travel three times as likely: all of their picture moves."""
    index = rng.choice(indices)
    while bank.scenes[index].motion != "travel" and rng.random() < 2 / 3:
        index = rng.choice(indices)
    return index


def draw_windows(bank: Bank, rng: random.Random, size: int, length: int) -> list[Window]:
    """Draw windows as they are sampled: two in three begin a take, the others lie inside one.

    The first latent of an encoding is special in a causal autoencoder. It stands for the moment a take
    begins and is seen nowhere else, so a window without context is always a beginning.
    """
    windows = []
    for _ in range(size):
        begins = rng.random() < 0.67
        index = _draw(bank, rng, bank.begins if begins else range(len(bank.scenes)))
        windows.append((_opening if begins else _inside)(bank, rng, index, length))
    return windows


def draw_levels(generator: torch.Generator, given: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Draw noise levels [batch, length], and whether each frame counts in the loss (bool, alike).

    Of `given` [batch, 2] frames at the start and at the end all are nearly clean, as context is held, and
    do not count: their noise is too slight to be told. The others stand in step or, in one window of six,
    each at its own level, so that windows can be woven and staggered too.
    """
    batch = len(given)
    u = torch.rand(batch, length, generator=generator)
    free = torch.rand(batch, 1, generator=generator) < 1 / 6
    u = torch.where(free, u, u[:, :1])
    levels = SHIFT * u / (1 + (SHIFT - 1) * u)
    column = torch.arange(length)[None]
    held = (column < given[:, :1]) | (column >= length - given[:, 1:])
    quiet = 0.05 * torch.rand(batch, 1, generator=generator)
    return torch.where(held, quiet, levels), ~held


@contextmanager
def _attention(length: int) -> Iterator[None]:
    """On a CPU the plain attention is the faster one for a single frame, the fused one for a window."""
    if length > 1:
        yield
    else:
        with sdpa_kernel(SDPBackend.MATH):
            yield


def _optimizers(model: SkyReelsV2Transformer3DModel, peak: float) -> dict[str, torch.optim.Optimizer]:
    blocks = {id(p) for p in model.blocks.parameters() if p.ndim == 2}
    matrices = [p for p in model.parameters() if id(p) in blocks]
    others = [p for p in model.parameters() if id(p) not in blocks]
    return {
        "muon": torch.optim.Muon(matrices, lr=peak, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        "adamw": torch.optim.AdamW(others, lr=peak, betas=(0.9, 0.98), weight_decay=0.01),
    }


def _loss(
    model: SkyReelsV2Transformer3DModel, windows: list[Window], states: Tensor, generator: torch.Generator
) -> Tensor:
    """The squared error of the velocity at random levels.

    The subject's region weighs three times, and what changes from frame to frame up to five times: most
    of a picture stands still, and a mean over it hardly feels a motion that is wrong.
    """
    latents = torch.stack([found for found, *_ in windows]).float()
    masks = torch.stack([found for _, found, *_ in windows]).float()
    given = torch.tensor([found for *_, found in windows])
    length = latents.shape[2]
    noise = torch.randn(latents.shape, generator=generator)
    levels, counts = draw_levels(generator, given, length)
    sigma = levels[:, None, :, None, None]
    with torch.autocast("cpu", torch.bfloat16), _attention(length):
        velocity = model(
            hidden_states=latents * (1 - sigma) + noise * sigma,
            timestep=(levels * 1000).floor(),
            encoder_hidden_states=states,
            enable_diffusion_forcing=True,
            return_dict=False,
        )[0]
    error = (velocity.float() - (noise - latents)).square().mean(dim=1)
    change = (latents[:, :, 1:] - latents[:, :, :-1]).square().mean(dim=1).clamp(max=4)
    weight = (1 + 2 * masks + F.pad(change, (0, 0, 0, 0, 1, 0))) * counts[:, :, None, None]
    return (error * weight).sum() / weight.sum()


def train(
    work: Path, *, stage: str, steps: int, batch: int, peak: float, seed: int, base: Path | None
) -> None:
    """Train a stage: "frames", or "takes" on from it (or from `base`, a folder of trained weights)."""
    torch.manual_seed(seed)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(work / "tokenizer")
    encoder = UMT5EncoderModel.from_pretrained(work / "text_encoder").float().eval()
    frames, clips = Bank(work / "bank_frames"), Bank(work / "bank_clips")
    frames.refresh()
    model = make_transformer(frames.latents[0].shape[0])
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.998))
    optimizers = _optimizers(model, peak)
    checkpoint = Checkpoint(work / f"transformer_{stage}.pt", model=model, averaged=averaged, **optimizers)
    if base is not None and not checkpoint.path.exists():
        trained = SkyReelsV2Transformer3DModel.from_pretrained(base).float()
        model.load_state_dict(trained.state_dict())
    elif stage == "takes" and not checkpoint.path.exists():
        Checkpoint(work / "transformer_frames.pt", model=model, averaged=averaged).load()
        model.load_state_dict(averaged.module.state_dict())
    log = Log(work / f"transformer_{stage}.jsonl", every=50)
    for step in range(checkpoint.load(), steps):
        if step % 50 == 0 and stage == "takes":
            clips.refresh()
        rng = random.Random(f"{seed}/{stage}/{step}/{together.rank()}")
        for optimizer in optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = rate_at(step, steps, peak)
            optimizer.zero_grad()
        # Of the takes' steps one in four is of single frames, which cost a ninth: what a take begins with.
        # The processes agree on a step's kind, so that none waits for another.
        single = stage == "frames" or step % 4 == 0
        if single:
            share = batch if stage == "frames" else 2 * batch
            windows = [_frame(frames, rng) for _ in range(share // together.count())]
        else:  # most of them short, for half the time: how things begin to move is soon told
            long = random.Random(f"{seed}/{step}").random() < 0.25
            length, share = (WINDOW, batch) if long else (5, 3 * batch // 2)
            windows = draw_windows(clips, rng, share // together.count(), length)
        texts = ["" if rng.random() < 0.1 else caption(rng, scene) for _, _, scene, _ in windows]
        with torch.no_grad():
            states = embed(encoder, tokenizer, texts)
        loss = _loss(model, windows, states, torch.Generator().manual_seed(rng.randrange(2**31)))
        loss.backward()
        together.average_gradients(model)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers.values():
            optimizer.step()
        averaged.update_parameters(model)
        log.add(step, **{"frame" if single else "take": loss.item()}, clips=len(clips.scenes))
        if (step + 1) % 100 == 0:
            checkpoint.save(step + 1)
    checkpoint.save(steps)
