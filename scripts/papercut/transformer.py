"""Train papercut's transformer and text encoder: rectified flow with a noise level per latent frame.

Single frames first, then windows of clips. Diffusion forcing (Chen et al., 2024, arXiv:2407.01392)
as SkyReels-V2 uses it: each latent frame has a level of its own, so that a window can be conditioned
on clean frames of its neighbour, denoised in step, or staggered, all with the same weights.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
from diffusers import SkyReelsV2Transformer3DModel
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from captions import caption, vocabulary
from latents import Bank
from progress import Checkpoint, Log, rate_at
from world import Scene

TOKENS = 48  # prompts are padded to this length, in training as in sampling
WINDOW = 9  # latent frames
SHIFT = 3.0


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word of the world's vocabulary; every other word is <unk>."""
    words = ["<pad>", "</s>", "<unk>", *vocabulary()]
    tokenizer = Tokenizer(
        models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>")
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=TOKENS,
    )


def make_text_encoder(words: int) -> UMT5EncoderModel:
    return UMT5EncoderModel(
        UMT5Config(
            vocab_size=words,
            d_model=128,
            d_kv=32,
            d_ff=256,
            num_layers=2,
            num_heads=4,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            is_encoder_decoder=False,
            use_cache=False,
            pad_token_id=0,
            eos_token_id=1,
        )
    )


def make_transformer(channels: int) -> SkyReelsV2Transformer3DModel:
    return SkyReelsV2Transformer3DModel(
        patch_size=(1, 1, 1),
        num_attention_heads=4,
        attention_head_dim=48,
        in_channels=channels,
        out_channels=channels,
        text_dim=128,
        freq_dim=128,
        ffn_dim=768,
        num_layers=6,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=128,
        inject_sample_info=False,
    )


class TextToVideo(nn.Module):
    """Text encoder and transformer, trained together."""

    def __init__(self, words: int, channels: int) -> None:
        super().__init__()
        self.text_encoder = make_text_encoder(words)
        self.transformer = make_transformer(channels)

    def forward(self, latents: Tensor, levels: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        """Predict the velocity of latents [B, z, T, h, w] at levels [B, T] in [0, 1]."""
        states = self.text_encoder(ids, mask).last_hidden_state * mask[..., None]
        return self.transformer(
            hidden_states=latents,
            timestep=(levels * 1000).floor(),
            encoder_hidden_states=states,
            enable_diffusion_forcing=True,
            return_dict=False,
        )[0]


def draw_levels(generator: torch.Generator, batch: int, length: int) -> Tensor:
    """Draw noise levels [batch, length]: in step, chained behind nearly clean frames, or free."""
    u = torch.rand(batch, length, generator=generator)
    together = u[:, :1].expand(-1, length)
    way = torch.rand(batch, generator=generator)
    levels = torch.where(way[:, None] < 0.75, together, u)
    levels = SHIFT * levels / (1 + (SHIFT - 1) * levels)
    if length > 1:
        given = torch.randint(1, max(2, length // 2 + 1), (batch,), generator=generator)
        chained = (way > 0.35) & (way < 0.75)
        held = (torch.arange(length)[None] < given[:, None]) & chained[:, None]
        quiet = 0.05 * torch.rand(batch, 1, generator=generator).expand(-1, length)
        levels = torch.where(held, quiet, levels)
    return levels


def _batch(bank: Bank, rng: random.Random, size: int, length: int) -> tuple[Tensor, Tensor, list[Scene]]:
    latents, masks, scenes = [], [], []
    for _ in range(size):
        index = rng.randrange(len(bank.scenes))
        room = bank.latents[index].shape[1] - length
        # Most windows begin an encoding (whose first latent is special), the others lie inside one.
        first = rng.choice((0, rng.randint(0, room)))
        latents.append(bank.latents[index][:, first : first + length])
        masks.append(bank.masks[index][first : first + length])
        scenes.append(bank.scenes[index])
    return torch.stack(latents).float(), torch.stack(masks).float(), scenes


def train(work: Path, *, stage: str, steps: int, batch: int, length: int, peak: float, seed: int) -> None:
    """Train one stage ("frames", "clips"), starting from the stage before it."""
    torch.manual_seed(seed)
    tokenizer = make_tokenizer()
    bank = Bank(work / f"bank_{stage}")
    bank.refresh()
    model = TextToVideo(len(tokenizer), bank.latents[0].shape[0])
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.997))
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, betas=(0.9, 0.98), weight_decay=0.01)
    checkpoint = Checkpoint(
        work / f"transformer_{stage}.pt", model=model, averaged=averaged, optimizer=optimizer
    )
    before = work / "transformer_frames.pt"
    if stage == "clips" and not checkpoint.path.exists():
        Checkpoint(before, model=model, averaged=averaged).load()
        model.load_state_dict(averaged.module.state_dict())
    log = Log(work / f"transformer_{stage}.jsonl", every=50)
    for step in range(checkpoint.load(), steps):
        if step % 50 == 0:
            bank.refresh()
        rng = random.Random(f"{seed}/{stage}/{step}")
        generator = torch.Generator().manual_seed(rng.randrange(2**31))
        latents, masks, scenes = _batch(bank, rng, batch, length)
        texts = ["" if rng.random() < 0.1 else caption(rng, scene) for scene in scenes]
        tokens = tokenizer(
            texts, padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt"
        )
        noise = torch.randn(latents.shape, generator=generator)
        levels = draw_levels(generator, batch, length)
        sigma = levels[:, None, :, None, None]
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, steps, peak)
        with torch.autocast("cpu", torch.bfloat16):
            velocity = model(
                latents * (1 - sigma) + noise * sigma,
                levels,
                tokens.input_ids,
                tokens.attention_mask,
            )
        error = (velocity.float() - (noise - latents)).square().mean(dim=1)
        loss = (error * (1 + 3 * masks)).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        averaged.update_parameters(model)
        log.add(step, loss=loss.item(), clips=len(bank.scenes))
        if (step + 1) % 100 == 0:
            checkpoint.save(step + 1)
    checkpoint.save(steps)
