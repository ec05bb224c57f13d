"""Builds the parts from the configuration: store, worker, executor. Imports what is heavy late."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from farm.clock import SystemClock
from farm.config import FarmConf
from farm.errors import BadInput, StoreError
from farm.models.weights import fetch, folder_of, resolve, settle
from farm.plan.spec import Weights
from farm.ports import BlobStore, Executor
from farm.store.directory import DirectoryStore

if TYPE_CHECKING:
    from farm.worker import Worker

WORKER_BYTES = 1_500_000_000  # what a CPU worker with papercut and its libraries takes


def store_root(conf: FarmConf) -> Path:
    """The store's folder, absolute. Raises BadInput for what cannot be one."""
    return folder_of(conf.store.root, "store.root")


def build_store(conf: FarmConf, *, writable: bool = False) -> BlobStore:
    """Build the store. With `writable`, raises BadInput where it cannot be written."""
    store = DirectoryStore(store_root(conf))
    if writable:
        store.check_writable()
    return store


def count_gpus() -> int:
    """NVIDIA devices of this machine, found without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    present = len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    if visible is None or not present:
        return present
    return min(present, len([name for name in visible.split(",") if name.strip()]))


def device_of(conf: FarmConf) -> str:
    if conf.cluster.device == "auto":
        return "cuda" if count_gpus() else "cpu"
    return conf.cluster.device


def count_workers(conf: FarmConf) -> int:
    """How many workers: as configured, else one a GPU, else what cores and memory allow."""
    if conf.cluster.kind == "inline":
        return 1
    if conf.cluster.workers is not None:
        return conf.cluster.workers
    if device_of(conf) == "cuda":
        return max(1, count_gpus())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores // conf.cluster.threads, memory_bytes() // WORKER_BYTES))


def memory_bytes() -> int:
    """Memory of this machine, or of the container it is."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        total = min(total, int(text))
    return total


def find_weights(conf: FarmConf, *, certain: bool, film: str) -> Weights:
    """Resolve the weights; `certain` fetches what is not here, so that keys are final.

    Where no revision is configured, a film keeps the one it was begun with, which its lock holds: a
    repository that moves on must not turn a half-rendered film into another one.
    """
    model, revision = conf.model, conf.model.revision
    if revision is None:
        source, _, commit = _locked_weights(build_store(conf), film).partition("@")
        revision = commit if commit and source == model.weights else None
    act = settle if certain else resolve
    return act(model.weights, revision)


def _locked_weights(store: BlobStore, film: str) -> str:
    """The identity of the weights a film was begun with; nothing for a film that is not begun."""
    key = f"films/{film}/lock.json"
    if store.stat(key) is None:
        return ""
    try:
        return str(json.loads(store.get(key))["weights"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{store.locate(key)} cannot be understood: delete it to lock anew") from error


def build_worker(conf: FarmConf, weights: Weights, device: str) -> Worker:
    """Build a worker where it will run: in an actor, or in this process."""
    from farm.media.studio import Studio
    from farm.models.skyreels_v2 import SkyReelsV2
    from farm.worker import Worker

    return Worker(
        store=build_store(conf),
        model=SkyReelsV2(fetch(weights), device),
        media=Studio(),
        clock=SystemClock(),
    )


def start_workers(conf: FarmConf, weights: Weights, stopped: Callable[[], bool]) -> Executor:
    """Start the workers the configuration asks for."""
    device = device_of(conf)
    # An actor works in a folder of its own, so the store must not be relative to this one.
    conf = replace(conf, store=replace(conf.store, root=str(store_root(conf))))
    build = functools.partial(build_worker, conf, weights, device)
    if conf.cluster.kind == "inline":
        from farm.executor import InlineExecutor

        return InlineExecutor(build(), stopped)
    from actors.pool import PoolSpec, RayPool

    spec = PoolSpec(
        workers=count_workers(conf),
        threads=conf.cluster.threads,
        gpus=1 if device == "cuda" else 0,
        address=conf.cluster.address,
    )
    return RayPool(spec, build)


def read_file(path: str, most: int) -> bytes:
    """Read a script, never more than `most` bytes and one.

    Raises:
        BadInput: when there is no such file, or it cannot be read.
    """
    try:
        if not Path(path).is_file():
            what = "a folder" if Path(path).is_dir() else "no such file"
            raise BadInput(f"{path}: {what}: give a script file")
        with Path(path).open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:
        raise BadInput(f"{path!r} is no file name") from error
