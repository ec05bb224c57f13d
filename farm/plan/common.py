"""What the recipes of a kind have in common throughout a film."""

from __future__ import annotations

from typing import Any

from farm.plan.spec import Settings
from farm.plan.task import Kind


def common_recipes(settings: Settings) -> dict[Kind, dict[str, Any]]:
    """What the recipes of a kind have in common throughout a film."""
    family, sampling, output = settings.family, settings.sampling, settings.output
    network = {
        "dtype": sampling.dtype,
        "threads": sampling.threads,
        "weights": settings.weights.identity,
    }
    if settings.weights.family != "skyreels_v2":  # the keys of which were made without it
        network["family"] = settings.weights.family
    # Said of a model with two networks alone, so that the keys of all others are what they were.
    second = {"guidance_2": sampling.guidance_2, "boundary": sampling.boundary}
    # Every encoder of a film is told the same, or packets could not be copied between them.
    encoding = {
        "width": output.width,
        "height": output.height,
        "rate": output.rate,
        "codec": output.codec,
        "crf": output.crf,
        "preset": output.preset,
        "threads": output.threads,
    }
    return {
        Kind.EMBED: {"tokens": family.text_tokens, **network},
        Kind.DENOISE: {
            "scene_seed": settings.seed,
            "scene_noise": sampling.scene_noise,
            "width": sampling.width,
            "height": sampling.height,
            "spatial_stride": family.spatial_stride,
            "rate": family.rate,
            "sampler": "unipc",
            "guidance": sampling.guidance,
            "shift": sampling.shift,
            **(second if sampling.boundary is not None else {}),
            **network,
        },
        Kind.FINISH: {
            "source_rate": family.rate,
            "encoding": encoding,
            "decode_dtype": output.decode_dtype,
            "look": {"at": family.looks_at, "tokens": family.text_tokens} if family.looks_at else None,
            **network,
        },
        Kind.STITCH: {"encoding": encoding},
    }
