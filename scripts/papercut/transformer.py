"""Train papercut's transformer: rectified flow with a noise level per latent frame.

Single frames first, then windows of clips. Diffusion forcing (Chen et al., 2024, arXiv:2407.01392)
as SkyReels-V2 uses it: each latent frame has a level of its own, so that a window can be conditioned
on clean frames of its neighbour, denoised in step, or staggered, all with the same weights. The
matrices of the blocks are stepped by Muon (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/),
everything else by AdamW.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from diffusers import SkyReelsV2Transformer3DModel
from torch import Tensor
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


def draw_levels(generator: torch.Generator, batch: int, length: int, inside: Tensor | None = None) -> Tensor:
    """Draw noise levels [batch, length]: in step, chained behind nearly clean frames, or free.

    Windows that lie `inside` a take (bool [batch]) are always chained.
    """
    u = torch.rand(batch, length, generator=generator)
    together_ = u[:, :1].expand(-1, length)
    way = torch.rand(batch, generator=generator)
    if inside is not None:
        way = torch.where(inside, 0.5 + 0.35 * way, way)
    levels = torch.where(way[:, None] < 0.85, together_, u)
    levels = SHIFT * levels / (1 + (SHIFT - 1) * levels)
    if length > 1:
        given = torch.randint(1, max(2, length // 2 + 1), (batch,), generator=generator)
        chained = (way >= 0.50) & (way < 0.85)
        held = (torch.arange(length)[None] < given[:, None]) & chained[:, None]
        quiet = 0.05 * torch.rand(batch, 1, generator=generator).expand(-1, length)
        levels = torch.where(held, quiet, levels)
    return levels


Batch = tuple[Tensor, Tensor, list[Scene], Tensor | None]


def _batch(bank: Bank, rng: random.Random, size: int, length: int) -> Batch:
    """Cut windows anywhere: latents, masks, scenes; every frame's level is then drawn freely."""
    latents, masks, scenes = [], [], []
    for _ in range(size):
        index = rng.randrange(len(bank.scenes))
        room = bank.latents[index].shape[1] - length
        # The first latent of an encoding is special. It stands for the moment a take begins, and is
        # seen nowhere else: windows of clips cut from later in a take never hold theirs.
        first = rng.choice((0, rng.randint(0, room))) if bank.starts[index] == 0 else rng.randint(1, room)
        latents.append(bank.latents[index][:, first : first + length])
        masks.append(bank.masks[index][first : first + length])
        scenes.append(bank.scenes[index])
    return torch.stack(latents).float(), torch.stack(masks).float(), scenes, None


def _takes(bank: Bank, rng: random.Random, size: int, length: int) -> Batch:
    """Cut windows as they are sampled: three in four begin a take, the others lie inside one, chained.

    A window without context is then always a beginning, which follows from its caption.
    """
    begins = [index for index, start in enumerate(bank.starts) if start == 0]
    latents, masks, scenes, inside = [], [], [], []
    for _ in range(size):
        within = rng.random() < 0.25
        index = rng.randrange(len(bank.scenes)) if within else rng.choice(begins)
        first = rng.randint(1, bank.latents[index].shape[1] - length) if within else 0
        latents.append(bank.latents[index][:, first : first + length])
        masks.append(bank.masks[index][first : first + length])
        scenes.append(bank.scenes[index])
        inside.append(within)
    return torch.stack(latents).float(), torch.stack(masks).float(), scenes, torch.tensor(inside)


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
    model: SkyReelsV2Transformer3DModel,
    latents: Tensor,
    masks: Tensor,
    states: Tensor,
    inside: Tensor | None,
    generator: torch.Generator,
) -> Tensor:
    """The squared error of the velocity at random levels; the subject's region weighs five times."""
    batch, _, length = latents.shape[:3]
    noise = torch.randn(latents.shape, generator=generator)
    levels = draw_levels(generator, batch, length, inside)
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
    return (error * (1 + 4 * masks)).mean()


def train(work: Path, *, stage: str, steps: int, batch: int, peak: float, seed: int) -> None:
    """Train one stage ("frames", "clips", "takes"), starting from the stage before it."""
    torch.manual_seed(seed)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(work / "tokenizer")
    encoder = UMT5EncoderModel.from_pretrained(work / "text_encoder").eval()
    bank = Bank(work / f"bank_{'frames' if stage == 'frames' else 'clips'}")
    bank.refresh()
    model = make_transformer(bank.latents[0].shape[0])
    decay = 0.99 if stage == "takes" else 0.998  # a short stage remembers a short time
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
    optimizers = _optimizers(model, peak)
    checkpoint = Checkpoint(work / f"transformer_{stage}.pt", model=model, averaged=averaged, **optimizers)
    before = {"clips": "frames", "takes": "clips"}.get(stage)
    if before and not checkpoint.path.exists():
        Checkpoint(work / f"transformer_{before}.pt", model=model, averaged=averaged).load()
        model.load_state_dict(averaged.module.state_dict())
    log = Log(work / f"transformer_{stage}.jsonl", every=50)
    for step in range(checkpoint.load(), steps):
        if step % 50 == 0:
            bank.refresh()
        # The processes agree on a step's length, so that none waits for another.
        length = 1 if stage == "frames" else random.Random(f"{seed}/{step}").choice((5, WINDOW))
        rng = random.Random(f"{seed}/{stage}/{step}/{together.rank()}")
        share = batch // together.count() + (length == 5)
        for optimizer in optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = rate_at(step, steps, peak)
            optimizer.zero_grad()
        cut = _takes if stage == "takes" else _batch
        latents, masks, scenes, inside = cut(bank, rng, share, length)
        texts = ["" if rng.random() < 0.1 else caption(rng, scene) for scene in scenes]
        with torch.no_grad():
            states = embed(encoder, tokenizer, texts)
        generator = torch.Generator().manual_seed(rng.randrange(2**31))
        loss = _loss(model, latents, masks, states, inside, generator)
        loss.backward()
        together.average_gradients(model)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers.values():
            optimizer.step()
        averaged.update_parameters(model)
        log.add(step, **{f"loss_{length}": loss.item()}, clips=len(bank.scenes))
        if (step + 1) % 100 == 0:
            checkpoint.save(step + 1)
    checkpoint.save(steps)
