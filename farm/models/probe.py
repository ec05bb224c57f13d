"""The probe: reads what papercut's clips show, and what their captions ask for.

Its world is known, so whether a shot shows what its prompt says can be measured. Two readings are
compared: of six frames of a clip, and of the prompt's embedding (`asked`). A model folder that holds
a `probe/` can be read; others cannot.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate

SEEN = (2, 8, 14, 20, 26, 32)  # the frames of a shot it looks at
SIZE = (72, 128)
_WIDTHS = (3, 24, 48, 96, 128)


class Look(nn.Module):
    """Frames [B, 6, 3, 72, 128] in [-1, 1] -> logits [B, choices] for each attribute."""

    def __init__(self, attributes: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise(_WIDTHS):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.GELU()]
        self.look = nn.Sequential(*layers)  # to 5 x 8
        self.place = nn.Linear(_WIDTHS[-1] * 5 * 8, 192)
        self.time = nn.Sequential(nn.Linear(192 * len(SEEN), 256), nn.GELU())
        self.heads = nn.ModuleDict(
            {name: nn.Linear(256 + _WIDTHS[-1], len(choices)) for name, choices in attributes.items()}
        )

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        batch = frames.shape[0]
        seen = self.look(frames.flatten(0, 1))
        whole = seen.amax(dim=(2, 3)).view(batch, len(SEEN), -1).mean(dim=1)
        moving = self.time(gelu(self.place(seen.flatten(1))).view(batch, -1))
        return {name: head(torch.cat([moving, whole], dim=1)) for name, head in self.heads.items()}


def shrink(frames: Tensor) -> Tensor:
    """Frames [n, 3, H, W] to the probe's size."""
    return interpolate(frames, SIZE, mode="area")


def to_look(frames: Sequence[NDArray[np.uint8]]) -> Tensor:
    """The six frames uint8 [H, W, 3] of a clip as the probe takes them: [6, 3, 72, 128]."""
    pixels = torch.from_numpy(np.stack(frames)).float() / 127.5 - 1
    return shrink(pixels.movedim(-1, 1))


class Probe:
    """A trained probe: `look` reads clips, `heads` read a prompt from any of its tokens' states."""

    def __init__(self, attributes: Mapping[str, Sequence[str]], width: int) -> None:
        self.attributes = {name: tuple(choices) for name, choices in attributes.items()}
        self.look = Look(attributes)
        self.heads = nn.ModuleDict({name: nn.Linear(width, len(found)) for name, found in attributes.items()})
        self.parts = nn.ModuleDict({"look": self.look, "heads": self.heads})

    @classmethod
    def load(cls, folder: Path) -> Probe:
        """Load the probe of a model folder (`probe/`)."""
        config = json.loads((folder / "config.json").read_text())
        probe = cls(config["attributes"], config["width"])
        state = load_file(folder / "probe.safetensors")
        probe.parts.load_state_dict({name: value.float() for name, value in state.items()})
        probe.parts.eval().requires_grad_(False)
        return probe

    def save(self, folder: Path) -> None:
        """Save as `load` reads it: fp16 safetensors and a JSON file."""
        folder.mkdir(parents=True, exist_ok=True)
        width = next(iter(self.heads.values())).in_features
        config = {"attributes": self.attributes, "width": width}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        state = {
            name: value.half() if value.is_floating_point() else value
            for name, value in self.parts.state_dict().items()
        }
        save_file(state, folder / "probe.safetensors")

    def asked(self, states: Tensor) -> dict[str, str]:
        """What a prompt asks for, from its embedding [1, tokens, width], zero where it is padded."""
        said = states[0][states[0].abs().sum(dim=1) > 0].float()
        return {
            name: self.attributes[name][int(head(said).sum(dim=0).argmax())]
            for name, head in self.heads.items()
        }

    def seen(self, frames: Sequence[NDArray[np.uint8]]) -> dict[str, str]:
        """What six frames (those numbered SEEN) of a clip show."""
        logits = self.look(to_look(frames)[None])
        return {name: self.attributes[name][int(found[0].argmax())] for name, found in logits.items()}


def compare(asked: Mapping[str, str], seen: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The two readings side by side: {"subject": {"asked": "boat", "seen": "boat"}, …}."""
    return {name: {"asked": asked[name], "seen": seen[name]} for name in asked if name in seen}
