"""Decode a whole shot in one pass, a latent frame at a time, with the autoencoder's own cache.

Chunks decoded apart jump at their joins, and a whole shot decoded at once fills the memory. A causal
autoencoder keeps what it needs of the past in a cache, so neither is necessary: this is the loop of
diffusers' `AutoencoderKLWan._decode`, handing out the frames instead of gathering them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import unpatchify
from numpy.typing import NDArray
from torch import Tensor


@torch.no_grad()
def stream_frames(vae: Any, latents: Iterable[Tensor]) -> Iterator[Tensor]:
    """Decode latents [1, z, f, h, w], given piece by piece in order and normalised as the network's.

    Yields float frames [1, 3, n, H, W] in [-1, 1], one for the first latent frame, `temporal stride`
    for each that follows.
    """
    parameter = next(vae.parameters())
    shape = (1, vae.config.z_dim, 1, 1, 1)
    mean = torch.tensor(vae.config.latents_mean, device=parameter.device).view(shape)
    std = torch.tensor(vae.config.latents_std, device=parameter.device).view(shape)
    vae.clear_cache()
    first = True
    try:
        for piece in latents:
            scaled = piece.to(parameter.device) * std + mean
            for column in scaled.to(parameter.dtype).split(1, dim=2):
                vae._conv_idx = [0]
                frames = vae.decoder(
                    vae.post_quant_conv(column),
                    feat_cache=vae._feat_map,
                    feat_idx=vae._conv_idx,
                    first_chunk=first,
                )
                first = False
                if vae.config.patch_size is not None:
                    frames = unpatchify(frames, patch_size=vae.config.patch_size)
                yield frames.float().clamp(-1, 1)
    finally:
        vae.clear_cache()


def to_pixels(frames: Tensor) -> Iterator[NDArray[np.uint8]]:
    """Turn float frames [1, 3, n, H, W] in [-1, 1] into n arrays uint8 [H, W, 3]."""
    pixels = ((frames[0] + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    yield from pixels.permute(1, 2, 3, 0).contiguous().cpu().numpy()
