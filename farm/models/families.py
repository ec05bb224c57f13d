"""The families there are, and which class runs each. Needs no torch until a model is loaded."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import NamedTuple, cast

from farm.errors import BadInput
from farm.ports import VideoModel


class _Family(NamedTuple):
    module: str
    model: str
    transformer: str  # the class of its weights, as diffusers writes it beside them


_FAMILIES = {
    "skyreels_v2": _Family("farm.models.skyreels_v2", "SkyReelsV2", "SkyReelsV2Transformer3DModel"),
    "wan": _Family("farm.models.wan", "Wan", "WanTransformer3DModel"),
}
FAMILIES = tuple(_FAMILIES)


def check_weights(family: str, folder: Path) -> None:
    """Refuse weights that are another family's. Raises BadInput; silent where a folder does not say.

    Both kinds of transformer load each other's weights as they are, and then draw nonsense.
    """
    try:
        written = json.loads((folder / "transformer" / "config.json").read_text(encoding="utf-8"))
        found = written["_class_name"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if found == _FAMILIES[family].transformer:
        return
    right = next((name for name, each in _FAMILIES.items() if each.transformer == found), None)
    advice = f"say model.family={right}" if right else f"there are {' and '.join(FAMILIES)}"
    raise BadInput(f"the weights in {folder} are a {found}, which model.family={family} cannot run: {advice}")


def load_model(family: str, folder: Path, device: str) -> VideoModel:
    """Make a family's model of a folder of weights. Raises BadInput where they are another family's."""
    check_weights(family, folder)
    known = _FAMILIES[family]
    model = getattr(importlib.import_module(known.module), known.model)
    return cast(VideoModel, model(folder, device))
