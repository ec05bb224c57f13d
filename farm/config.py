"""Hydra's configuration to domain types, in one place, once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast, get_type_hints

from hydra import compose, initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.errors import ConfigCompositionException, HydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from farm.errors import BadInput, suggest
from farm.plan.naming import check_film_name
from farm.plan.spec import Cost, FamilySpec, Output, Sampling, Settings, Weights
from farm.script.model import CONTINUITIES, Continuity
from farm.timebase import parse_rate

PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
)


@dataclass
class ModelConf:
    """A model: its family, its weights, and what suits it."""

    name: str = "papercut"
    family: str = "skyreels_v2"
    weights: str = "papercut"
    revision: str | None = None
    width: int = 256
    height: int = 144
    fps: str = "16"
    window: int = 9
    overlap: int = 3
    temporal_stride: int = 4
    spatial_stride: int = 16
    text_tokens: int = 48
    steps: int = 20
    guidance: float = 3.0
    shift: float = 3.0
    negative_prompt: str = ""
    dtype: str = "float32"
    evaluation_s_per_latent: float = 0.03
    decode_s_per_latent: float = 0.3


@dataclass
class StoreConf:
    """Where everything is kept: `local`, a folder."""

    kind: str = "local"
    root: str = "renders"


@dataclass
class ClusterConf:
    """What renders: `ray` (actors) or `inline` (this process)."""

    kind: str = "ray"
    workers: int | None = None
    threads: int = 1
    device: str = "auto"
    address: str | None = None


@dataclass
class QualityConf:
    """How much work goes into a segment, and into the encoding."""

    steps_percent: int = 100
    crf: int = 16
    preset: str = "medium"


@dataclass
class ContinuityConf:
    """How the segments of a shot are joined, and how related a scene's shots look."""

    way: str = "auto"
    overlap: int | None = None
    context_level: int = 20
    scene_noise: float = 0.3
    control: bool = False


@dataclass
class OutputConf:
    """The film's own rate (the model's, unless said) and codec."""

    fps: str | None = None
    codec: str = "h264"


@dataclass
class FarmConf:
    """Everything that can be said on the command line."""

    film: str | None = None
    seed: int = 1
    model: ModelConf = field(default_factory=ModelConf)
    store: StoreConf = field(default_factory=StoreConf)
    cluster: ClusterConf = field(default_factory=ClusterConf)
    quality: QualityConf = field(default_factory=QualityConf)
    continuity: ContinuityConf = field(default_factory=ContinuityConf)
    output: OutputConf = field(default_factory=OutputConf)


MAX_OVERRIDE = 2000
GROUPS = ("model", "store", "cluster", "quality", "continuity", "output")


def load(overrides: Sequence[str]) -> FarmConf:
    """Compose the configuration from `conf/` and overrides such as `quality=draft seed=7`.

    Raises:
        BadInput: naming the key and what it takes.
    """
    for override in overrides:
        _check_override(override)
    store = ConfigStore.instance()
    store.store(name="farm_schema", node=FarmConf)
    try:
        with initialize_config_module("farm.conf", version_base="1.3"):
            composed = compose("farm", overrides=list(overrides))
        made = OmegaConf.to_object(composed)
    except OverrideParseException as error:
        raise BadInput(f"{error.override!r} is no override: write key=value, such as seed=7") from error
    except (ConfigCompositionException, HydraException, OmegaConfBaseException, ValueError) as error:
        raise BadInput(_explain(error)) from error
    assert isinstance(made, FarmConf)
    return made


def _check_override(override: str) -> None:
    """Answer a wrong key with its name and what there is, before Hydra answers with a page."""
    if len(override) > MAX_OVERRIDE or not override.isprintable():
        raise BadInput(
            f"{override[:40]!r} … is no override: at most {MAX_OVERRIDE} printable characters are taken"
        )
    key, equals, value = override.partition("=")
    if not equals:
        raise BadInput(f"{override!r} is no override: write key=value, such as seed=7")
    if not re.fullmatch(r"[a-z_]+(\.[a-z_]+)?", key):
        raise BadInput(f"{key!r} is no key: overrides are written key=value, such as model.steps=12")
    group, dot, name = key.partition(".")
    known = {item.name for item in fields(FarmConf)}
    if group not in known:
        raise BadInput(f"there is no key {group!r}: {suggest(group, known)}")
    if dot:
        inner = get_type_hints(FarmConf)[group]
        keys = {item.name for item in fields(inner)} if is_dataclass(inner) else set()
        if name not in keys:
            raise BadInput(
                f"there is no key {key!r}: {suggest(name, keys)}"
                if keys
                else f"{group} has no parts: write {group}=value"
            )
    elif group in GROUPS:
        choices = {path.stem for path in _conf_folder(group).glob("*.yaml")}
        if value not in choices:
            raise BadInput(f"{group}={value}: there is no such choice: {suggest(value, choices)}")


def _conf_folder(group: str) -> Path:
    import farm.conf

    return Path(next(iter(farm.conf.__path__))) / group


def _explain(error: Exception) -> str:
    """One sentence out of OmegaConf's: it says what is wrong first, and the key somewhere below."""
    cause: BaseException = error
    while cause.__cause__ is not None and not isinstance(cause, OmegaConfBaseException):
        cause = cause.__cause__
    first, *rest = str(cause).strip().splitlines()
    key = next((line.split(":", 1)[1].strip() for line in rest if "full_key" in line), None)
    return f"{key}: {first}" if key else first


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
        ("model.window", model.window, 1000),
        ("model.text_tokens", model.text_tokens, 4096),
        ("model.shift", model.shift, 100),
        ("quality.steps_percent", quality.steps_percent, 1000),
        ("cluster.threads", cluster.threads, 256),
    ):
        _positive(value, key, most)
    if model.window < 2:
        raise BadInput("model.window=1 cannot be used: segments overlap, so give at least 2 latent frames")
    if not conf.store.root.strip():
        raise BadInput("store.root is empty: give a folder")
    if cluster.workers is not None:
        _positive(cluster.workers, "cluster.workers", 10_000)
    if not 0 <= model.guidance <= 100:
        raise BadInput(f"model.guidance={model.guidance:g} cannot be used: give 0 to 100")
    if not 0 <= continuity.context_level < 1000:
        raise BadInput("continuity.context_level is of 1000: give 0 to 999, best about 20")
    if not 0 <= continuity.scene_noise <= 1:
        raise BadInput("continuity.scene_noise is a share: give 0 to 1")
    if not 0 <= quality.crf <= 51:
        raise BadInput(f"quality.crf={quality.crf} cannot be used: give 0 (lossless) to 51")
    if not 0 <= conf.seed < 2**63:
        raise BadInput(f"seed={conf.seed} cannot be used: give a whole number from 0 to {2**63 - 1}")
    if model.width % 2 or model.height % 2:
        raise BadInput("model.width and model.height must be even, as video is")
    _one_of(quality.preset, "quality.preset", PRESETS)
    _one_of(continuity.way, "continuity.way", CONTINUITIES)
    _one_of(model.dtype, "model.dtype", ("float32", "bfloat16", "float16"))
    _one_of(model.family, "model.family", ("skyreels_v2",))
    _one_of(conf.output.codec, "output.codec", ("h264",))
    _one_of(conf.store.kind, "store.kind", ("local",))
    _one_of(cluster.kind, "cluster.kind", ("ray", "inline"))
    _one_of(cluster.device, "cluster.device", ("auto", "cpu", "cuda"))
    if conf.film is not None:
        check_film_name(conf.film)


def film_rate(conf: FarmConf) -> Fraction:
    """The film's frame rate: the output's, else the model's. Raises BadInput."""
    return parse_rate(conf.model.fps if conf.output.fps is None else conf.output.fps)


def settings(conf: FarmConf, weights: Weights, workers: int) -> Settings:
    """Turn a checked configuration into what a plan is made from.

    Raises:
        BadInput: for values that do not go together.
    """
    model = conf.model
    family = FamilySpec(
        name=model.name,
        temporal_stride=model.temporal_stride,
        spatial_stride=model.spatial_stride,
        window=model.window,
        overlap=conf.continuity.overlap if conf.continuity.overlap is not None else model.overlap,
        text_tokens=model.text_tokens,
        levels_per_frame=model.family == "skyreels_v2",
        rate=parse_rate(model.fps),
    )
    return Settings(
        family=family,
        weights=weights,
        sampling=Sampling(
            steps=max(1, round(model.steps * conf.quality.steps_percent / 100)),
            guidance=model.guidance,
            shift=model.shift,
            negative_prompt=model.negative_prompt,
            context_level=conf.continuity.context_level,
            scene_noise=conf.continuity.scene_noise,
            dtype=model.dtype,
            threads=conf.cluster.threads,
        ),
        output=Output(
            width=model.width,
            height=model.height,
            rate=film_rate(conf),
            codec=conf.output.codec,
            crf=conf.quality.crf,
            preset=conf.quality.preset,
            threads=1,
        ),
        cost=Cost(
            evaluation_s_per_latent=model.evaluation_s_per_latent,
            decode_s_per_latent=model.decode_s_per_latent,
            workers=workers,
        ),
        seed=conf.seed,
        continuity=cast(Continuity, conf.continuity.way),
        control=conf.continuity.control,
    )
