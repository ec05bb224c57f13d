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
from farm.plan.spec import Cost, Draft, FamilySpec, Output, Sampling, Settings, Weights
from farm.script.model import CONTINUITIES, Continuity
from farm.store.keys import is_key
from farm.timebase import parse_rate

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
# Highest crf of each codec, and what it adds to one meant for H.264 to look alike.
CODECS = {"h264": (51, 0), "hevc": (51, 3), "av1": (63, 12)}


@dataclass
class ModelConf:
    """A model: its family, its weights, and what suits it."""

    #: What messages and the report call the model.
    name: str = "papercut"
    #: Kind of model, which is the code that runs it; there is skyreels_v2.
    family: str = "skyreels_v2"
    #: Where the weights are: papercut, a folder, or a repository on the Hugging Face hub.
    weights: str = "papercut"
    #: Commit, tag or branch of a hub repository; null keeps the one a film was begun with, else main.
    revision: str | None = None
    #: Width in pixels of what the model makes, a multiple of model.spatial_stride.
    width: int = 256
    #: Height in pixels of what the model makes, a multiple of model.spatial_stride.
    height: int = 144
    #: Frames a second that the model makes, such as 16 or 24000/1001.
    fps: str = "16"
    #: Most latent frames that one segment has.
    window: int = 9
    #: Latent frames that neighbouring segments of a chained shot share.
    overlap: int = 3
    #: Latent frames at the beginning of a chained shot that are made on their own first; 0 for none.
    opening: int = 1
    #: Frames that one latent frame holds, but for the first, which holds one.
    temporal_stride: int = 4
    #: Pixels that one latent pixel is wide and high.
    spatial_stride: int = 16
    #: Tokens of a prompt that the model is given; what is longer is cut off.
    text_tokens: int = 48
    #: Denoising steps of a segment at full quality.
    steps: int = 20
    #: How closely the prompt is followed, 0 to 100; 1 or less is without guidance and half the work.
    guidance: float = 3.0
    #: How much of the steps is spent at high noise; every model has one that suits it.
    shift: float = 3.0
    #: Words on what the model should keep away from, where guidance is above 1.
    negative_prompt: str = ""
    #: Number format the network computes in: float32, bfloat16 or float16.
    dtype: str = "float32"
    #: Frames of a shot by which the model's probe tells what it shows; none where it has no probe.
    looks_at: list[int] = field(default_factory=lambda: [2, 8, 14, 20, 26, 32])
    #: Seconds that one network evaluation takes for each latent frame; for estimates alone.
    evaluation_s_per_latent: float = 0.03
    #: Seconds that decoding a latent frame takes; for estimates alone.
    decode_s_per_latent: float = 0.3


@dataclass
class StoreConf:
    """Where everything is kept: `local`, a folder, or `minio`, a bucket."""

    #: Kind of the store: local (a folder) or minio (a bucket of MinIO or any S3 with conditional writes).
    kind: str = "local"
    #: Folder of a local store: films appear in it by name, everything else in its .longtake.
    root: str = "renders"
    #: Host and port of the S3 server, such as localhost:9000.
    endpoint: str | None = None
    #: Region of the bucket, such as eu-central-1; null asks the server.
    region: str | None = None
    #: Bucket of the store, which must be there.
    bucket: str = "longtake"
    #: What all names in the bucket begin with, such as team/films; empty takes the whole bucket.
    prefix: str = ""
    #: Whether the server speaks HTTPS; false is plain HTTP, for a server on a network of its own.
    secure: bool = True
    #: File with credentials, in the form of ~/.aws/credentials; null takes them from the environment.
    credentials: str | None = None
    #: Minutes that a bucket which does not answer is waited for, before a run ends; it can be gone on with.
    patience_minutes: float = 60.0
    #: Folder where a worker keeps what it made until the bucket has it; null is in the user's cache folder.
    spool: str | None = None
    #: Gigabytes that the spool holds at most.
    spool_gb: float = 8.0


@dataclass
class ClusterConf:
    """What renders: `ray` (actors) or `inline` (this process)."""

    #: What renders: ray (actors in processes of their own) or inline (this process).
    kind: str = "ray"
    #: How many workers; null is one for each GPU, else one for each core as far as memory allows.
    workers: int | None = None
    #: Threads of one worker; part of every key, since other counts give other last bits.
    threads: int = 1
    #: Where the network runs: cpu, cuda, or auto, which is cuda where there is an NVIDIA GPU.
    device: str = "auto"
    #: Address of a running Ray; null takes RAY_ADDRESS, and without it starts one for the run.
    address: str | None = None


@dataclass
class QualityConf:
    """How much work goes into a segment, and into the encoding."""

    #: Share of model.steps that is taken, in percent.
    steps_percent: int = 100
    #: Constant rate factor of the encoder, on H.264's scale: 0 is lossless, 51 the worst.
    crf: int = 16
    #: How long the encoder takes to make the film smaller, from ultrafast to veryslow.
    preset: str = "medium"
    #: Number format shots are decoded in: float32, or bfloat16, which may be quicker and may show bands.
    decode: str = "float32"
    #: Noise, of 1000, at and below which a step is without guidance, and half the work; 0 guides all steps.
    guide_above: int = 0
    #: Share of model.steps, in percent, of the preview that segments begin from; null begins as noise.
    draft_percent: int | None = None
    #: What quality.guide_above was for that preview.
    draft_guide_above: int = 0
    #: Noise that a preview is given before it is made final, of 1000: with less, more of it stays.
    draft_level: int = 600


@dataclass
class ContinuityConf:
    """How the segments of a shot are joined, and how related a scene's shots look."""

    #: How segments of a shot are joined: chain, cut, or auto, which chains shots of several segments.
    way: str = "auto"
    #: Latent frames that chained segments share; null is model.overlap.
    overlap: int | None = None
    #: Noise that given latent frames are held at, of 1000.
    context_level: int = 20
    #: Share of the first noise, 0 to 1, that the shots of a scene have in common.
    scene_noise: float = 0.3
    #: Make one join of the longest chained shot without continuity too, for the report.
    control: bool = False


@dataclass
class OutputConf:
    """How the film is encoded: the model's rate and size and the quality's effort, unless said."""

    #: Frames a second of the film, such as 24 or 24000/1001; null is the model's.
    fps: str | None = None
    #: Width in pixels of the film, together with output.height; null is the model's.
    width: int | None = None
    #: Height in pixels of the film, together with output.width; null is the model's.
    height: int | None = None
    #: How the film is encoded: h264, hevc or av1.
    codec: str = "h264"
    #: Constant rate factor on the codec's own scale; null follows quality.crf.
    crf: int | None = None
    #: Effort of the encoder, from ultrafast to veryslow; null is quality.preset.
    preset: str | None = None
    #: Where the script has a title: a card with it before the film, and an end card behind it.
    titles: bool = False


@dataclass
class ScriptConf:
    """How the script is read, and what is true of the whole film."""

    #: Kind of the script, such as fountain or prose; null goes by its file's ending.
    format: str | None = None
    #: Words on how every picture of the film looks, in place of the script's own.
    style: str | None = None
    #: Words on what no picture of the film should show, in place of the script's own.
    negative: str | None = None


@dataclass
class LimitsConf:
    """When a run gives up on what does not end."""

    #: Minutes that one attempt at a task may take, before its worker is replaced; null lets it run.
    task_minutes: float | None = 120.0
    #: Minutes in which nothing is finished, before a run ends; it can be gone on with.
    stall_minutes: float | None = 240.0
    #: Hours that a run may take, before it ends; it can be gone on with.
    hours: float | None = None


@dataclass
class FarmConf:
    """Everything that can be said on the command line."""

    #: Name of the film and of its folder; made from the script's title, else its file's name, unless said.
    film: str | None = None
    #: Seed of all noise, where a shot has none of its own; another number gives another film.
    seed: int = 1
    #: Ask before a render that is estimated to take longer than so many minutes; null never asks.
    ask_above_minutes: float | None = 120.0
    script: ScriptConf = field(default_factory=ScriptConf)
    model: ModelConf = field(default_factory=ModelConf)
    store: StoreConf = field(default_factory=StoreConf)
    cluster: ClusterConf = field(default_factory=ClusterConf)
    quality: QualityConf = field(default_factory=QualityConf)
    continuity: ContinuityConf = field(default_factory=ContinuityConf)
    output: OutputConf = field(default_factory=OutputConf)
    limits: LimitsConf = field(default_factory=LimitsConf)


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
    if key == "store.endpoint":
        _refuse_password(value)
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
    _check_store(conf.store)
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
    _one_of(model.family, "model.family", ("skyreels_v2",))
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
    _refuse_password(store.endpoint or "")
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


def _refuse_password(endpoint: str) -> None:
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


def _output(conf: FarmConf) -> Output:
    output, quality = conf.output, conf.quality
    most, more = CODECS[output.codec]
    return Output(
        width=output.width or conf.model.width,
        height=output.height or conf.model.height,
        rate=film_rate(conf),
        codec=output.codec,
        crf=min(most, quality.crf + more) if output.crf is None else output.crf,
        preset=output.preset or quality.preset,
        threads=1,
        decode_dtype=quality.decode,
    )


def _steps(steps: int, percent: int) -> int:
    return max(1, round(steps * percent / 100))


def _draft(conf: FarmConf) -> Draft | None:
    percent = conf.quality.draft_percent
    if percent is None:
        return None
    return Draft(
        steps=_steps(conf.model.steps, percent),
        level=conf.quality.draft_level,
        guide_above=conf.quality.draft_guide_above,
    )


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
        looks_at=tuple(model.looks_at),
        opening=model.opening,
    )
    return Settings(
        family=family,
        weights=weights,
        sampling=Sampling(
            width=model.width,
            height=model.height,
            steps=_steps(model.steps, conf.quality.steps_percent),
            guide_above=conf.quality.guide_above,
            draft=_draft(conf),
            guidance=model.guidance,
            shift=model.shift,
            negative_prompt=model.negative_prompt,
            context_level=conf.continuity.context_level,
            scene_noise=conf.continuity.scene_noise,
            dtype=model.dtype,
            threads=conf.cluster.threads,
        ),
        output=_output(conf),
        cost=Cost(
            evaluation_s_per_latent=model.evaluation_s_per_latent,
            decode_s_per_latent=model.decode_s_per_latent,
            workers=workers,
        ),
        seed=conf.seed,
        continuity=cast(Continuity, conf.continuity.way),
        control=conf.continuity.control,
        titles=conf.output.titles,
    )
