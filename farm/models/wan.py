"""The Wan family: text to video by Wan 2.1 (1.3B, 14B) and by Wan 2.2 (TI2V-5B, and A14B with two networks).

Follows diffusers' `WanPipeline`, and `WanImageToVideoPipeline` where it tells TI2V-5B a level for each
latent frame; the tests hold it equal to both. Paper: Wan Team, 2025, arXiv:2503.20314.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from farm.errors import BadInput
from farm.models.denoise import Network
from farm.models.umt5_wan import DTYPES, Umt5Wan
from farm.ports import Recipe


class Wan(Umt5Wan):
    """A VideoModel. Of two networks each is loaded when its levels are reached, and both are kept."""

    def _network(self, recipe: Recipe, negative: Tensor) -> tuple[Network, float]:
        dtype = DTYPES[recipe["dtype"]]
        boundary = recipe.get("boundary")
        if (boundary is not None) != (self.folder / "transformer_2").is_dir():
            if boundary is None:
                found, advice = "two networks", "model.boundary and model.guidance_2"
            else:
                found, advice = "one network", "model.boundary=null and model.guidance_2=null"
            raise BadInput(f"the weights in {self.folder} have {found}: say {advice}")

        def load(name: str) -> Any:
            return self._load(name, WanTransformer3DModel, dtype)

        if boundary is None:
            return network_of(load("transformer"), dtype), recipe["guidance"]
        experts = guided_experts(
            (lambda: load("transformer"), lambda: load("transformer_2")),
            dtype,
            boundary=boundary,
            negative=negative,
            guidance=(recipe["guidance"], recipe["guidance_2"]),
            guide_above=recipe["guide_above"],
        )
        return experts, 1.0


def network_of(transformer: Any, dtype: torch.dtype) -> Network:
    """Wrap a Wan transformer as the loop's network.

    Columns that all stand at one level are told it once, as Wan 2.1 and A14B must be; else every patch is
    told its column's, as only TI2V-5B was trained.
    """
    _, high, wide = transformer.config.patch_size

    def network(latents: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
        alike = bool((timesteps == timesteps[:, :1]).all())
        patches = (latents.shape[3] // high) * (latents.shape[4] // wide)
        velocity: Tensor = transformer(
            hidden_states=latents.to(dtype),
            timestep=timesteps[:, 0] if alike else timesteps.repeat_interleave(patches, dim=1),
            encoder_hidden_states=text.to(dtype),
            return_dict=False,
        )[0]
        return velocity.float()

    return network


def guided_experts(
    experts: Sequence[Callable[[], Any]],
    dtype: torch.dtype,
    *,
    boundary: int,
    negative: Tensor,
    guidance: Sequence[float],
    guide_above: int = 0,
) -> Network:
    """Two transformers as one network, its answers guided already, since each has a strength of its own.

    The first is asked from the level `boundary`, of 1000, upwards, the second below.

    Raises:
        ValueError: at a step whose columns stand on both sides of the boundary.
    """

    def network(latents: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
        told: list[float] = timesteps[0].tolist()
        sides = {int(timestep < boundary) for timestep in told}
        if len(sides) > 1:
            raise ValueError(
                f"latent frames at levels from {min(told):.0f} to {max(told):.0f} of 1000 stand on both "
                f"sides of the boundary at {boundary}, where another network takes over: use "
                "continuity=weave, or cut"
            )
        side = sides.pop()
        ask, strength = network_of(experts[side](), dtype), guidance[side]
        velocity = ask(latents, timesteps, text)
        if strength > 1 and max(told) > guide_above:
            without = ask(latents, timesteps, negative)
            velocity = without + strength * (velocity - without)
        return velocity

    return network
