"""Hydra's configuration to domain types, in one place, once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast, get_type_hints

from hydra import compose, initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.errors import ConfigCompositionException, HydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from farm.errors import BadInput, suggest
from farm.plan.spec import Cost, Draft, FamilySpec, Output, Sampling, Settings, Weights
from farm.schema import FarmConf
from farm.script.model import Continuity
from farm.timebase import parse_rate
from farm.values import CODECS, refuse_password

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
    if not re.fullmatch(r"[a-z_]+(\.[a-z_0-9]+)?", key):
        raise BadInput(f"{key!r} is no key: overrides are written key=value, such as model.steps=12")
    if key == "store.endpoint":
        refuse_password(value)
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
        patch=model.patch,
        levels_per_frame=model.levels_per_frame,
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
            guidance_2=model.guidance_2,
            boundary=model.boundary,
            shift=model.shift,
            negative_prompt=model.negative_prompt,
            context_level=conf.continuity.context_level,
            scene_noise=conf.continuity.scene_noise,
            lag=conf.continuity.lag,
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
