"""Train papercut's text encoder: it learns what a caption names before anything is drawn from it.

Every token's state must tell every attribute of the scene, so whichever words the transformer's
attention falls on, it is told the same; and synonyms come out alike. Afterwards it is frozen.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

import together
from captions import caption, vocabulary
from progress import Checkpoint, Log, rate_at
from world import CHOICES, NOBODY, Scene, draw_scene

TOKENS = 48  # prompts are padded to this length, in training as in sampling
WIDTH = 128


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
            d_model=WIDTH,
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


def embed(encoder: UMT5EncoderModel, tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> Tensor:
    """Texts -> states [B, TOKENS, WIDTH], zero where the padding is, as the pipelines make them."""
    tokens = tokenizer(texts, padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt")
    states = encoder(tokens.input_ids, tokens.attention_mask).last_hidden_state
    return states * tokens.attention_mask[..., None]


class Reader(nn.Module):
    """The encoder, and one linear reading of each attribute from any token's state."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.encoder = make_text_encoder(words)
        self.heads = nn.ModuleDict({name: nn.Linear(WIDTH, len(found)) for name, found in CHOICES.items()})


def _error(
    reader: Reader, tokenizer: PreTrainedTokenizerFast, texts: list[str], scenes: list[Scene]
) -> tuple[Tensor, float]:
    """The mean cross entropy, and the share of captions of which every attribute is read rightly."""
    tokens = tokenizer(texts, padding=True, max_length=TOKENS, truncation=True, return_tensors="pt")
    states = reader.encoder(tokens.input_ids, tokens.attention_mask).last_hidden_state
    mask = tokens.attention_mask.float()
    loss = torch.zeros(())
    right = torch.ones(len(texts), dtype=torch.bool)
    alone = torch.tensor([scene.second == NOBODY for scene in scenes])
    for name, head in reader.heads.items():
        labels = torch.tensor([scene.labels()[name] for scene in scenes])
        logits = head(states)
        error = F.cross_entropy(
            logits.transpose(1, 2), labels[:, None].expand(-1, mask.shape[1]), reduction="none"
        )
        counted = mask * (~alone)[:, None] if name == "second_colour" else mask
        loss = loss + (error * counted).sum() / counted.sum().clamp(min=1)
        whole = ((logits * mask[..., None]).sum(1)).argmax(1) == labels
        right &= whole | alone if name == "second_colour" else whole
    return loss, right.float().mean().item()


def train(work: Path, *, steps: int, batch: int, seed: int) -> None:
    """Train and write `work/text_encoder` and `work/tokenizer`; go on from a checkpoint if any."""
    torch.manual_seed(seed)
    tokenizer = make_tokenizer()
    reader = Reader(len(tokenizer))
    optimizer = torch.optim.AdamW(reader.parameters(), lr=2e-3, betas=(0.9, 0.98), weight_decay=0.01)
    checkpoint = Checkpoint(work / "text.pt", reader=reader, optimizer=optimizer)
    log = Log(work / "text.jsonl", every=50)
    for step in range(checkpoint.load(), steps):
        rng = random.Random(f"{seed}/text/{step}/{together.rank()}")
        scenes = [draw_scene(rng) for _ in range(batch // together.count())]
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, steps, 2e-3)
        loss, right = _error(reader, tokenizer, [caption(rng, scene) for scene in scenes], scenes)
        optimizer.zero_grad()
        loss.backward()
        together.average_gradients(reader)
        torch.nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimizer.step()
        log.add(step, loss=loss.item(), right=right)
        if (step + 1) % 200 == 0:
            checkpoint.save(step + 1)
    checkpoint.save(steps)
    if together.rank() == 0:
        reader.encoder.save_pretrained(work / "text_encoder")
        tokenizer.save_pretrained(work / "tokenizer")
