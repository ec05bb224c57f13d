"""The SkyReels-V2 diffusion-forcing family, of which papercut is a small one.

Stock diffusers and transformers classes over safetensors; the loop and the noise are ours. Follows
diffusers' `SkyReelsV2DiffusionForcingPipeline` in synchronous mode, to which the tests hold it equal.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar, cast

import ftfy
import numpy as np
import torch
from diffusers import (
    AutoencoderKLWan,
    SkyReelsV2Transformer3DModel,
    UniPCMultistepScheduler,
)
from diffusers.utils import logging as diffusers_logging
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoTokenizer, UMT5EncoderModel
from transformers.utils import logging as transformers_logging

from farm.models.decode import stream_frames, to_pixels
from farm.models.denoise import Network, begin_from, denoise, levels_of
from farm.models.heap import keep_heap
from farm.models.matrix import Row, chain, cut
from farm.models.memory import lean
from farm.models.noise import NoiseSource
from farm.models.probe import Probe, compare
from farm.models.tensors import pack, unpack
from farm.ports import Recipe

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Progress is the farm's to tell, once, not each library's in each worker.
diffusers_logging.disable_progress_bar()
transformers_logging.disable_progress_bar()


Method = TypeVar("Method", bound=Callable[..., Any])


def _lean(method: Method) -> Method:
    """A method of the model that lets go of the parts where memory runs out."""

    @functools.wraps(method)
    def wrapped(self: SkyReelsV2, *args: Any, **more: Any) -> Any:
        with lean(self._parts, self.device):
            return method(self, *args, **more)

    return cast(Method, wrapped)


class SkyReelsV2:
    """A VideoModel. Parts are loaded when first needed, and the text encoder let go after its work."""

    def __init__(self, folder: Path, device: str) -> None:
        self.folder, self.device = folder, torch.device(device)
        self._parts: dict[str, Any] = {}
        if self.device.type == "cpu":
            keep_heap()

    def _load(self, name: str, kind: Any, dtype: torch.dtype) -> Any:
        # One in another format is another part: converted to and fro, weights would lose bits.
        key = f"{name} {dtype}"
        if key not in self._parts:
            part = kind.from_pretrained(self.folder, subfolder=name, torch_dtype=dtype, use_safetensors=True)
            self._parts[key] = part.to(self.device).eval().requires_grad_(False)
        return self._parts[key]

    @_lean
    @torch.no_grad()
    def embed(self, recipe: Recipe) -> bytes:
        torch.set_num_threads(recipe["threads"])
        return pack(self._encode(recipe["text"], recipe["tokens"], DTYPES[recipe["dtype"]]))

    def _encode(self, text: str, tokens: int, dtype: torch.dtype) -> Tensor:
        if "tokenizer" not in self._parts:
            self._parts["tokenizer"] = AutoTokenizer.from_pretrained(
                self.folder, subfolder="tokenizer", trust_remote_code=False
            )
        encoder = self._load("text_encoder", UMT5EncoderModel, dtype)
        return encode_text(self._parts["tokenizer"], encoder, text, tokens)

    @_lean
    @torch.no_grad()
    def denoise(
        self,
        recipe: Recipe,
        *,
        prompt: bytes,
        negative: bytes,
        before: bytes | None,
        stopped: Callable[[], bool],
        draft: bytes | None = None,
    ) -> bytes:
        torch.set_num_threads(recipe["threads"])
        for key in [key for key in self._parts if key.startswith("text_encoder ")]:
            del self._parts[key]
        dtype = DTYPES[recipe["dtype"]]
        transformer = self._load("transformer", SkyReelsV2Transformer3DModel, dtype)
        scheduler = UniPCMultistepScheduler.from_pretrained(
            self.folder, subfolder="scheduler", flow_shift=recipe["shift"]
        )
        start, stop = recipe["span"]
        columns, given = stop - start, recipe["given"]
        levels = levels_of(scheduler, recipe["steps"])
        source = NoiseSource(
            seed=recipe["seed"],
            shot=recipe["shot"],
            scene_seed=recipe["scene_seed"],
            scene=recipe["scene"],
            scene_share=recipe["scene_noise"],
        )
        stride = recipe["spatial_stride"]
        shape = (
            transformer.config.in_channels,
            recipe["height"] // stride,
            recipe["width"] // stride,
        )
        tail: Tensor | None = None
        context: Callable[[int], Tensor] | None = None
        rows: tuple[Row, ...]
        if recipe["way"] == "chain":
            if before is None:
                raise ValueError("a chained segment needs the latents of the segment before it")
            tail = unpack(before)[:, :, -given:].to(self.device)
            rows = chain(levels, columns, given, recipe["context_level"])
            context = _always(self._tensor(source.context(start, start + given, shape)))
        else:
            rows = cut(levels, columns)
        noise, skip = self._tensor(source.initial(start, stop, shape)), 0
        if draft is not None:
            noise, skip = begin_from(unpack(draft).to(self.device), noise, rows, recipe["draft_level"])
        latents = denoise(
            network_of(transformer, dtype, Fraction(recipe["rate"])),
            scheduler,
            rows,
            noise,
            prompt=unpack(prompt).to(self.device),
            negative=unpack(negative).to(self.device),
            guidance=recipe["guidance"],
            guide_above=recipe["guide_above"],
            given=tail,
            context_noise=context,
            skip=skip,
            stopped=stopped,
        )
        return pack(latents[:, :, given:])

    def _tensor(self, array: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array))[None].to(self.device)

    def decode(self, recipe: Recipe, latents: Sequence[bytes]) -> Iterator[NDArray[np.uint8]]:
        torch.set_num_threads(recipe["threads"])
        # The published pipelines run the autoencoder in float32: half precision bands, if a preview may.
        vae = self._load("vae", AutoencoderKLWan, DTYPES[recipe["decode_dtype"]])
        with lean(self._parts, self.device):
            for frames in stream_frames(vae, (unpack(data) for data in latents)):
                yield from to_pixels(frames)

    @_lean
    @torch.no_grad()
    def look(self, recipe: Recipe, frames: Sequence[NDArray[np.uint8]]) -> dict[str, Any]:
        torch.set_num_threads(recipe["threads"])
        if not (self.folder / "probe").is_dir():
            return {}  # other weights in papercut's place
        if "probe" not in self._parts:
            self._parts["probe"] = Probe.load(self.folder / "probe")
        probe: Probe = self._parts["probe"]
        states = self._encode(recipe["prompt"], recipe["look"]["tokens"], DTYPES[recipe["dtype"]])
        return compare(probe.asked(states), probe.seen(frames))


def _always(noise: Tensor) -> Callable[[int], Tensor]:
    """The same noise at every step, where the stock pipeline draws anew."""
    return lambda step: noise


def network_of(transformer: Any, dtype: torch.dtype, rate: Fraction) -> Network:
    """Wrap a SkyReels-V2 transformer as the loop's network."""
    fps = [0 if rate == 16 else 1]

    def network(latents: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
        velocity: Tensor = transformer(
            hidden_states=latents.to(dtype),
            timestep=timesteps,
            encoder_hidden_states=text.to(dtype),
            enable_diffusion_forcing=True,
            fps=fps,
            return_dict=False,
        )[0]
        return velocity.float()

    return network


def encode_text(tokenizer: Any, encoder: Any, text: str, tokens: int) -> Tensor:
    """Encode one text: [1, tokens, width], zero behind its end, as these families are trained."""
    # The cleaning of the published pipelines, without which a curly quote is another prompt.
    plain = html.unescape(html.unescape(ftfy.fix_text(text)))
    clean = re.sub(r"\s+", " ", plain).strip()
    inputs = tokenizer(
        [clean],
        padding="max_length",
        max_length=tokens,
        truncation=True,
        add_special_tokens=True,
        return_attention_mask=True,
        return_tensors="pt",
    )
    device = next(encoder.parameters()).device
    mask = inputs.attention_mask.to(device)
    states: Tensor = encoder(inputs.input_ids.to(device), mask).last_hidden_state
    return states * mask[..., None].to(states.dtype)
