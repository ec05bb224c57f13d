"""`farm doctor`: is this machine fit to render, and what to do where it is not."""

from __future__ import annotations

import shutil
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from farm.config import FarmConf
from farm.errors import FarmError
from farm.models.weights import resolve
from farm.parts import (
    WORKER_BYTES,
    build_store,
    count_gpus,
    count_workers,
    device_of,
    memory_bytes,
    store_root,
)

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
    for name in ("ray", "torch", "diffusers", "transformers", "av", "hydra-core"):
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
    store, root = build_store(conf, writable=True), store_root(conf)
    free = shutil.disk_usage(root).free
    key = f"doctor/{uuid.uuid4().hex}"
    with ThreadPoolExecutor(8) as pool:
        wins = list(pool.map(lambda _: store.create_if_absent(key, b"x"), range(8)))
    whole = store.get(key) == b"x"
    store.delete(key)
    if sum(wins) != 1 or not whole:
        return Check(
            "store",
            "fault",
            f"{root}: of 8 writers of one key {sum(wins)} won",
            "use a folder on a local disk, or a file system with hard links",
        )
    found = f"{root}, {free / GB:.1f} GB free"
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
