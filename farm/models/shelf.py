"""Several models on one worker, of which one is loaded: a night may hold films of different ones."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from farm.ports import Recipe, VideoModel


class Shelf:
    """A VideoModel that takes the one a recipe names from the shelf, and puts the one before back.

    `models` make the model of each identity of weights.
    """

    def __init__(self, models: Mapping[str, Callable[[], VideoModel]]) -> None:
        self.models = models
        self.model: VideoModel | None = None
        self.identity = ""

    def _take(self, recipe: Recipe) -> VideoModel:
        identity = recipe["weights"]
        if self.model is None or identity != self.identity:
            self.model = None
            gc.collect()  # two large models would not fit beside each other
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()
            self.model, self.identity = self.models[identity](), identity
        return self.model

    def embed(self, recipe: Recipe) -> bytes:
        """Encode the text of an EMBED recipe."""
        return self._take(recipe).embed(recipe)

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
        """Denoise one segment and return the latents it owns."""
        return self._take(recipe).denoise(
            recipe, prompt=prompt, negative=negative, context=context, stopped=stopped, draft=draft
        )

    def decode(self, recipe: Recipe, latents: Sequence[bytes]) -> Iterator[Any]:
        """Decode one whole shot."""
        return self._take(recipe).decode(recipe, latents)

    def look(self, recipe: Recipe, frames: Sequence[Any]) -> dict[str, Any]:
        """Tell what frames of a shot show."""
        return self._take(recipe).look(recipe, frames)
