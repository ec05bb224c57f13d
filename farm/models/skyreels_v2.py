"""The SkyReels-V2 diffusion-forcing family, of which papercut is a small one.

Stock diffusers and transformers classes over safetensors; the loop and the noise are ours. Follows
diffusers' `SkyReelsV2DiffusionForcingPipeline` in both its modes, to which the tests hold it equal.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from diffusers import SkyReelsV2Transformer3DModel
from torch import Tensor, dtype

from farm.models.denoise import Network
from farm.models.umt5_wan import DTYPES, Umt5Wan
from farm.ports import Recipe


class SkyReelsV2(Umt5Wan):
    """A VideoModel."""

    overwrites = True

    def _network(self, recipe: Recipe, negative: Tensor) -> tuple[Network, float]:
        form = DTYPES[recipe["dtype"]]
        transformer = self._load("transformer", SkyReelsV2Transformer3DModel, form)
        return network_of(transformer, form, Fraction(recipe["rate"])), recipe["guidance"]


def network_of(transformer: Any, form: dtype, rate: Fraction) -> Network:
    """Wrap a SkyReels-V2 transformer as the loop's network."""
    fps = [0 if rate == 16 else 1]

    def network(latents: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
        velocity: Tensor = transformer(
            hidden_states=latents.to(form),
            timestep=timesteps,
            encoder_hidden_states=text.to(form),
            enable_diffusion_forcing=True,
            fps=fps,
            return_dict=False,
        )[0]
        return velocity.float()

    return network
