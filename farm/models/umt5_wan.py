"""What SkyReels-V2 and Wan have in common: UMT5 reads their words, Wan's autoencoder shows their latents.

Stock diffusers and transformers classes over safetensors, each loaded when first needed.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import ftfy
import numpy as np
import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler
from diffusers.utils import logging as diffusers_logging
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoTokenizer, UMT5EncoderModel
from transformers.utils import logging as transformers_logging

from farm.models.decode import stream_frames, to_pixels
from farm.models.denoise import Network, begin_from, denoise, levels_of
from farm.models.heap import keep_heap
from farm.models.memory import lean
from farm.models.noise import NoiseSource
from farm.models.probe import Probe, compare
from farm.models.tensors import pack, unpack
from farm.models.ways.build import build_rows
from farm.ports import Recipe

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Progress is the farm's to tell, once, not each library's in each worker.
diffusers_logging.disable_progress_bar()
transformers_logging.disable_progress_bar()

Method = TypeVar("Method", bound=Callable[..., Any])


def leanly(method: Method) -> Method:
    """A method of the model that lets go of the parts where memory runs out."""

    @functools.wraps(method)
    def wrapped(self: Umt5Wan, *args: Any, **more: Any) -> Any:
        with lean(self._parts, self.device):
            return method(self, *args, **more)

    return cast(Method, wrapped)


class Umt5Wan:
    """A VideoModel but for its network. The text encoder is let go after its work, for it is large.

    `overwrites` is what the loop is told of the published pipeline (see `denoise`).
    """

    overwrites = False

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

    @leanly
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

    @leanly
    @torch.no_grad()
    def denoise(
        self,
        recipe: Recipe,
        *,
        prompt: bytes,
        negative: bytes,
        context: Sequence[bytes],
        stopped: Callable[[], bool],
        draft: bytes | None = None,
    ) -> bytes:
        torch.set_num_threads(recipe["threads"])
        for key in [key for key in self._parts if key.startswith("text_encoder ")]:
            del self._parts[key]
        without = unpack(negative).to(self.device)
        network, guidance = self._network(recipe, without)
        scheduler = UniPCMultistepScheduler.from_pretrained(
            self.folder, subfolder="scheduler", flow_shift=recipe["shift"]
        )
        start, stop = recipe["span"]
        columns, given = stop - start, recipe["given"]
        levels = levels_of(scheduler, recipe["steps"])
        if draft is not None:
            levels = levels.below(recipe["draft_level"])
        source = NoiseSource(
            seed=recipe["seed"],
            shot=recipe["shot"],
            scene_seed=recipe["scene_seed"],
            scene=recipe["scene"],
            scene_share=recipe["scene_noise"],
        )
        stride = recipe["spatial_stride"]
        shape = (
            AutoencoderKLWan.load_config(self.folder, subfolder="vae")["z_dim"],
            recipe["height"] // stride,
            recipe["width"] // stride,
        )
        after = recipe.get("after", 0)
        held, held_noise = given_latents(recipe, context), None
        if held is not None:
            held = held.to(self.device)
            ends = ((start, start + given), (stop - after, stop))
            held_noise = self._tensor(
                np.concatenate([source.context(*end, shape) for end in ends if end[0] < end[1]], axis=1)
            )
        noise = self._tensor(source.initial(start, stop, shape))
        if draft is not None:
            noise = begin_from(unpack(draft).to(self.device), noise, levels.sigmas[0])
        latents = denoise(
            network,
            scheduler,
            build_rows(levels, columns, given, recipe),
            noise,
            prompt=unpack(prompt).to(self.device),
            negative=without,
            guidance=guidance,
            guide_above=recipe["guide_above"],
            given=held,
            # The same noise at every step, where the stock pipelines draw anew or none.
            context_noise=(lambda step: held_noise) if held_noise is not None else None,
            overwrites=self.overwrites,
            stopped=stopped,
        )
        return pack(latents[:, :, given : columns - after])

    def _network(self, recipe: Recipe, negative: Tensor) -> tuple[Network, float]:
        """The network of a DENOISE recipe, and how strongly the loop has to guide it.

        A network with guidance of its own, for which it is handed the `negative` text, leaves 1 to the loop.
        """
        raise NotImplementedError

    def _tensor(self, array: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array))[None].to(self.device)

    def decode(self, recipe: Recipe, latents: Sequence[bytes]) -> Iterator[NDArray[np.uint8]]:
        torch.set_num_threads(recipe["threads"])
        # The published pipelines run the autoencoder in float32: half precision bands, if a preview may.
        vae = self._load("vae", AutoencoderKLWan, DTYPES[recipe["decode_dtype"]])
        with lean(self._parts, self.device):
            for frames in stream_frames(vae, _pieces(recipe, latents)):
                yield from to_pixels(frames)

    @leanly
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


def given_latents(recipe: Recipe, context: Sequence[bytes]) -> Tensor | None:
    """The latents that a DENOISE recipe's given columns are: [1, z, given + after, h, w]; None without any.

    Raises:
        ValueError: when `context` does not hold them.
    """
    # A window on its own makes its first columns too, and lets go of them.
    wanted = 0 if recipe["way"] == "cut" else recipe["given"] + recipe.get("after", 0)
    if not wanted:
        return None
    if "context" in recipe:
        held = torch.cat([unpack(context[at])[:, :, start:stop] for at, start, stop in recipe["context"]], 2)
    elif context:
        held = unpack(context[0])[:, :, -wanted:]
    else:
        raise ValueError(f"a segment made by {recipe['way']} needs the latents of the one before it")
    if held.shape[2] != wanted:
        raise ValueError(f"{held.shape[2]} latent frames are there where {wanted} are to be given")
    return held


def _pieces(recipe: Recipe, latents: Sequence[bytes]) -> Iterator[Tensor]:
    """A shot's latents in order: all that its segments made, or the pieces that the recipe takes of it."""
    if "pieces" not in recipe:
        yield from (unpack(data) for data in latents)
    for at, start, stop in recipe.get("pieces", ()):
        yield unpack(latents[at])[:, :, start:stop]


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
