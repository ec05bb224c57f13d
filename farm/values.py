"""What the values of settings may be."""

from __future__ import annotations

import re
from collections.abc import Sequence

from farm.errors import BadInput, suggest
from farm.models.families import FAMILIES
from farm.plan.naming import check_film_name
from farm.schema import FarmConf, OutputConf, StoreConf
from farm.script.model import CONTINUITIES
from farm.store.keys import is_key

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
# Highest crf of each codec, and what it adds to one meant for H.264 to look alike.
CODECS = {"h264": (51, 0), "hevc": (51, 3), "av1": (63, 12)}


def _positive(value: float, key: str, most: float) -> None:
    if not 0 < value <= most:
        raise BadInput(f"{key}={value} cannot be used: give more than 0 and at most {most:,g}")


def _one_of(value: str, key: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise BadInput(f"{key}={value}: there is no such choice: {suggest(value, choices)}")


def check(conf: FarmConf) -> None:
    """Refuse values that no part could use. Raises BadInput naming the key and what it takes."""
    model, quality, continuity, cluster = conf.model, conf.quality, conf.continuity, conf.cluster
    for key, value, most in (
        ("model.width", model.width, 8192),
        ("model.height", model.height, 8192),
        ("model.steps", model.steps, 1000),
        ("model.temporal_stride", model.temporal_stride, 64),
        ("model.spatial_stride", model.spatial_stride, 256),
        ("model.evaluation_s_per_latent", model.evaluation_s_per_latent, 1e6),
        ("model.decode_s_per_latent", model.decode_s_per_latent, 1e6),
        ("model.patch", model.patch, 16),
        ("model.window", model.window, 1000),
        ("model.text_tokens", model.text_tokens, 4096),
        ("model.shift", model.shift, 100),
        ("quality.steps_percent", quality.steps_percent, 1000),
        ("cluster.threads", cluster.threads, 256),
    ):
        _positive(value, key, most)
    if model.window < 2:
        raise BadInput("model.window=1 cannot be used: segments overlap, so give at least 2 latent frames")
    _check_store(conf.store)
    if cluster.workers is not None:
        _positive(cluster.workers, "cluster.workers", 10_000)
    if not 0 <= model.guidance <= 100:
        raise BadInput(f"model.guidance={model.guidance:g} cannot be used: give 0 to 100")
    if model.opening and not model.levels_per_frame:
        raise BadInput(
            f"model.opening={model.opening} needs a noise level per latent frame, and "
            "model.levels_per_frame=false says that the network is told one for all: give 0"
        )
    if model.boundary is not None and model.levels_per_frame:
        raise BadInput(
            "model.boundary divides all latent frames of a step between two networks: "
            "it goes with model.levels_per_frame=false"
        )
    if (model.boundary is None) != (model.guidance_2 is None):
        raise BadInput("model.boundary and model.guidance_2 go together: give both or neither")
    if model.guidance_2 is not None and not 0 <= model.guidance_2 <= 100:
        raise BadInput(f"model.guidance_2={model.guidance_2:g} cannot be used: give 0 to 100")
    if model.boundary is not None and not 1 <= model.boundary <= 999:
        raise BadInput(f"model.boundary={model.boundary} cannot be used: it is of 1000, give 1 to 999")
    if not 0 <= continuity.context_level < 1000:
        raise BadInput("continuity.context_level is of 1000: give 0 to 999, best about 20")
    if not 1 <= continuity.lag <= 1000:
        raise BadInput(f"continuity.lag={continuity.lag} cannot be used: give 1 to 1,000 steps")
    if not 0 <= continuity.scene_noise <= 1:
        raise BadInput("continuity.scene_noise is a share: give 0 to 1")
    if not 0 <= quality.crf <= 51:
        raise BadInput(f"quality.crf={quality.crf} cannot be used: give 0 (lossless) to 51")
    if not 0 <= conf.seed < 2**63:
        raise BadInput(f"seed={conf.seed} cannot be used: give a whole number from 0 to {2**63 - 1}")
    _check_output(conf.output)
    for key, limit in (
        ("ask_above_minutes", conf.ask_above_minutes),
        ("limits.task_minutes", conf.limits.task_minutes),
        ("limits.stall_minutes", conf.limits.stall_minutes),
        ("limits.hours", conf.limits.hours),
    ):
        if limit is not None:
            _positive(limit, key, 1e9)
    if model.width % 2 or model.height % 2:
        raise BadInput("model.width and model.height must be even, as video is")
    _one_of(quality.preset, "quality.preset", PRESETS)
    _one_of(quality.decode, "quality.decode", ("float32", "bfloat16"))
    if quality.draft_percent is not None:
        _positive(quality.draft_percent, "quality.draft_percent", 1000)
    for key, level in (
        ("quality.guide_above", quality.guide_above),
        ("quality.draft_guide_above", quality.draft_guide_above),
    ):
        if not 0 <= level < 1000:
            raise BadInput(f"{key}={level} cannot be used: it is of 1000, give 0 to 999")
    if not 1 <= quality.draft_level <= 999:
        raise BadInput("quality.draft_level is of 1000: give 1 to 999, best about 600")
    _one_of(continuity.way, "continuity.way", CONTINUITIES)
    _one_of(model.dtype, "model.dtype", ("float32", "bfloat16", "float16"))
    _one_of(model.family, "model.family", FAMILIES)
    _one_of(cluster.kind, "cluster.kind", ("ray", "inline"))
    _one_of(cluster.device, "cluster.device", ("auto", "cpu", "cuda"))
    if conf.film is not None:
        check_film_name(conf.film)


def _check_store(store: StoreConf) -> None:
    _one_of(store.kind, "store.kind", ("local", "minio"))
    _positive(store.patience_minutes, "store.patience_minutes", 1e6)
    _positive(store.spool_gb, "store.spool_gb", 1e6)
    if not store.root.strip():
        raise BadInput("store.root is empty: give a folder")
    refuse_password(store.endpoint or "")
    if store.kind != "minio":
        return
    if not store.endpoint:
        raise BadInput(
            "store.endpoint is not set: give the S3 server's host and port, such as localhost:9000"
        )
    if not re.fullmatch(r"(\[[0-9A-Fa-f:]+\]|\w([\w.-]*\w)?)(:\d{1,5})?", store.endpoint, re.ASCII):
        raise BadInput(
            f"store.endpoint={store.endpoint} cannot be used: give host and port alone, such as "
            "localhost:9000 (store.secure says whether it is HTTPS, store.bucket the bucket)"
        )
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", store.bucket):
        raise BadInput(
            f"store.bucket={store.bucket} cannot be used: give 3 to 63 small letters, digits, dots and dashes"
        )
    if store.prefix and not is_key(store.prefix.strip("/")):
        raise BadInput(f"store.prefix={store.prefix} cannot be used: give names with slashes between")
    if store.region is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,60}", store.region):
        raise BadInput(f"store.region={store.region} cannot be used: give a name such as eu-central-1")
    if store.credentials is not None and not store.credentials.strip():
        raise BadInput("store.credentials is empty: give a file, or null to take them from the environment")


def refuse_password(endpoint: str) -> None:
    """Credentials have no place in a setting, which is written down; nor in the message that says so."""
    if "@" in endpoint:
        raise BadInput(
            "store.endpoint takes no user and password: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
            "name a file with store.credentials=FILE"
        )


def _check_output(output: OutputConf) -> None:
    _one_of(output.codec, "output.codec", tuple(CODECS))
    for key, size in (("output.width", output.width), ("output.height", output.height)):
        if size is not None and (not 16 <= size <= 8192 or size % 2):
            raise BadInput(f"{key}={size} cannot be used: give an even number from 16 to 8192")
    if (output.width is None) != (output.height is None):
        raise BadInput("output.width and output.height go together: give both or neither")
    most, _ = CODECS[output.codec]
    if output.crf is not None and not 0 <= output.crf <= most:
        raise BadInput(f"output.crf={output.crf} cannot be used: {output.codec} takes 0 (best) to {most}")
    if output.preset is not None:
        _one_of(output.preset, "output.preset", PRESETS)
