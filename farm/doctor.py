"""`farm doctor`: is this machine fit to render, and what to do where it is not."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from farm.errors import FarmError
from farm.models.weights import resolve
from farm.parts import (
    WORKER_BYTES,
    build_store,
    count_gpus,
    count_workers,
    device_of,
    memory_bytes,
    store_place,
)
from farm.schema import FarmConf
from farm.store.race import WRITERS, race

GB = 2**30


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `state` is "ok", "warning" or "fault"; `advice` says what to do."""

    name: str
    state: str
    found: str
    advice: str = ""


def examine(conf: FarmConf) -> list[Check]:
    """Check Python, packages, memory, disk, device, store and weights."""
    checks = [_python(), _packages(), _memory(conf), _device(conf)]
    for name, look in (("ray", _ray), ("store", _store), ("weights", _weights)):
        try:
            checks.append(look(conf))
        except FarmError as error:
            checks.append(Check(name, "fault", str(error)))
    return checks


def _python() -> Check:
    return Check("python", "ok", ".".join(map(str, sys.version_info[:3])))


def _packages() -> Check:
    found, missing = [], []
    for name in ("ray", "torch", "diffusers", "transformers", "av", "minio", "hydra-core"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return Check("packages", "fault", f"missing: {', '.join(missing)}", "run `make setup`")
    return Check("packages", "ok", ", ".join(found))


def _memory(conf: FarmConf) -> Check:
    total, need = memory_bytes(), count_workers(conf) * WORKER_BYTES
    found = f"{total / GB:.1f} GB for {count_workers(conf)} workers"
    if device_of(conf) == "cpu" and total < need:
        return Check("memory", "warning", found, "render with fewer: cluster.workers=1")
    return Check("memory", "ok", found)


def _device(conf: FarmConf) -> Check:
    device, gpus = device_of(conf), count_gpus()
    if device == "cuda" and not gpus:
        return Check("device", "fault", "no NVIDIA GPU found", "say cluster.device=cpu")
    if device == "cpu" and conf.model.name != "papercut":
        return Check("device", "warning", "no GPU", f"{conf.model.name} needs one; papercut does not")
    return Check("device", "ok", f"{gpus} GPUs" if device == "cuda" else "CPU")


def _ray(conf: FarmConf) -> Check:
    if conf.cluster.kind != "ray":
        return Check("ray", "ok", "not used")
    from actors.pool import check_ray

    return Check("ray", "ok", check_ray(conf.cluster.address))


def _store(conf: FarmConf) -> Check:
    """Write, read back, and let several writers race for one key: exactly one may win."""
    store, where = build_store(conf, writable=True), store_place(conf)
    local = conf.store.kind == "local"
    if fault := race(store):
        cure = "a folder on a local disk, or a file system with hard links"
        return Check(
            "store",
            "fault",
            f"{where}: {fault}",
            f"use {cure if local else 'an S3 with conditional writes'}",
        )
    if not local:
        return Check("store", "ok", f"{where}, of {WRITERS} writers of one key one wins")
    free = shutil.disk_usage(where).free
    found = f"{where}, {free / GB:.1f} GB free"
    if free < 2 * GB:
        return Check("store", "warning", found, "make room, or choose another with store.root=FOLDER")
    return Check("store", "ok", found)


def _weights(conf: FarmConf) -> Check:
    weights = resolve(conf.model.weights, conf.model.revision)
    if not weights.resolved:
        return Check(
            "weights",
            "warning",
            f"{weights.source} is not on this machine",
            "it is fetched when first rendered with",
        )
    return Check("weights", "ok", f"{conf.model.name}: {weights.identity[:60]}")
