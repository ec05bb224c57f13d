"""Tiny parts of the true classes with random weights, which every family's tests build a model of."""

from __future__ import annotations

from typing import Any

from diffusers import AutoencoderKLWan, UniPCMultistepScheduler
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

TEXT_WIDTH = 16
Z = 4  # channels of a latent


def text_parts() -> dict[str, Any]:
    """A tokenizer that knows four words, and a UMT5 of one layer."""
    words = {word: index for index, word in enumerate(["<pad>", "</s>", "<unk>", "a", "red", "boat"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    config = UMT5Config(
        vocab_size=6, d_model=TEXT_WIDTH, d_kv=8, d_ff=32, num_layers=1, num_heads=2, pad_token_id=0
    )
    return {
        "tokenizer": PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
        ),
        "text_encoder": UMT5EncoderModel(config).eval(),
    }


def unipc(shift: float = 3.0) -> UniPCMultistepScheduler:
    """The sampler as the published weights have it."""
    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)


def autoencoder(**more: Any) -> AutoencoderKLWan:
    """Wan's autoencoder, of `Z` channels."""
    return AutoencoderKLWan(
        base_dim=4,
        z_dim=Z,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=[0.1] * Z,
        latents_std=[0.7] * Z,
        **more,
    ).eval()
