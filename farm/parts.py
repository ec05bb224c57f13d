"""Builds the parts from the configuration: store, worker, executor. Imports what is heavy late."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from farm.clock import SystemClock
from farm.errors import BadInput, StoreError
from farm.models.families import check_weights, load_model
from farm.models.weights import fetch, folder_of, resolve, settle
from farm.plan.spec import Weights
from farm.ports import BlobStore, Executor
from farm.schema import FarmConf
from farm.store.directory import DirectoryStore
from farm.store.format import check_format, settle_format
from farm.store.s3_place import Place

if TYPE_CHECKING:
    from farm.spool import Spool
    from farm.store.s3 import S3Store
    from farm.worker import Worker

WORKER_BYTES = 1_500_000_000  # what a CPU worker with papercut and its libraries takes


def store_root(conf: FarmConf) -> Path:
    """A local store's folder, absolute. Raises BadInput for what cannot be one."""
    return folder_of(conf.store.root, "store.root")


def _credentials(conf: FarmConf) -> Path | None:
    """The file with a bucket's credentials, absolute, if one is named."""
    if conf.store.credentials is None:
        return None
    return folder_of(conf.store.credentials, "store.credentials")


def build_store(conf: FarmConf, *, writable: bool = False) -> BlobStore:
    """Build the store. With `writable`, raises BadInput where it cannot be written, and settles its format.

    A bucket is asked for nothing without `writable`, which is for drivers: workers trust what they found.
    """
    store = DirectoryStore(store_root(conf)) if conf.store.kind == "local" else _bucket_store(conf)
    if writable:
        store.check_writable()
        settle_format(store, store_place(conf))
    return store


def open_store(conf: FarmConf) -> BlobStore:
    """The store for who looks into it. Raises BadInput for one that a newer Longtake wrote."""
    store = build_store(conf)
    check_format(store, store_place(conf))
    return store


def find_store(conf: FarmConf) -> BlobStore:
    """The same for one that must be there. Raises BadInput where a folder is not."""
    root = store_root(conf)
    if conf.store.kind == "local" and not root.is_dir():
        raise BadInput(f"there is no store at {root}: render something, or say store.root=FOLDER")
    return open_store(conf)


def _bucket_store(conf: FarmConf) -> S3Store:
    from farm.store.s3 import S3Store

    return S3Store(_bucket(conf), _credentials(conf))


def patient(
    conf: FarmConf,
    store: BlobStore,
    tell: Callable[[str], None],
    stopped: Callable[[], bool] = lambda: False,
) -> BlobStore:
    """The store as a run uses it: a bucket that is away is waited for. A folder is there or is not."""
    if conf.store.kind == "local":
        return store
    from farm.store.patient import PatientStore

    patience = conf.store.patience_minutes * 60
    return PatientStore(store, clock=SystemClock(), patience_s=patience, tell=tell, stopped=stopped)


def build_spool(conf: FarmConf) -> Spool | None:
    """Where a worker keeps what a bucket does not have yet; none is needed for a folder on a disk."""
    if conf.store.kind == "local":
        return None
    from farm.spool import Spool

    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = folder_of(conf.store.spool or f"{cache}/longtake/spool", "store.spool")
    # One for each store: what was made for one must not end up in another.
    place = hashlib.sha256(store_place(conf).encode()).hexdigest()[:16]
    return Spool(folder / place, round(conf.store.spool_gb * 1e9))


def _bucket(conf: FarmConf) -> Place:
    prefix = conf.store.prefix.strip("/")
    return Place(
        endpoint=conf.store.endpoint or "",
        bucket=conf.store.bucket,
        prefix=f"{prefix}/" if prefix else "",
        region=conf.store.region,
        secure=conf.store.secure,
    )


def store_place(conf: FarmConf) -> str:
    """Where the store is, for people."""
    return str(store_root(conf) if conf.store.kind == "local" else _bucket(conf))


def script_identity(conf: FarmConf, path: str) -> str:
    """What a script is known by in the store.

    In a folder, its place as seen from there, so that both may move together. In a bucket, which lies
    beside no script, its file's name: the same script owns its film from whatever machine it comes.
    """
    if conf.store.kind == "local":
        return os.path.relpath(Path(path).resolve(), store_root(conf))
    return Path(path).name


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
    repository that moves on must not turn a half-rendered film into another one. Raises BadInput for a
    folder with weights of another family.
    """
    model, revision = conf.model, conf.model.revision
    if revision is None:
        source, _, commit = _locked_weights(build_store(conf), film).partition("@")
        revision = commit if commit and source == model.weights else None
    act = settle if certain else resolve
    weights = replace(act(model.weights, revision), family=model.family)
    folder = Path(weights.source)
    check_weights(model.family, folder if folder.is_dir() or not certain else fetch(weights))
    return weights


def _locked_weights(store: BlobStore, film: str) -> str:
    """The identity of the weights a film was begun with; nothing for a film that is not begun."""
    key = f"films/{film}/lock.json"
    if store.stat(key) is None:
        return ""
    try:
        return str(json.loads(store.get(key))["weights"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{store.locate(key)} cannot be understood: delete it to lock anew") from error


def build_worker(
    conf: FarmConf, weights: Sequence[Weights], device: str, stopped: Callable[[], bool] = lambda: False
) -> Worker:
    """Build a worker where it will run: in an actor, or in this process, where it can be stopped."""
    from farm.media.studio import Studio
    from farm.models.shelf import Shelf
    from farm.worker import Worker

    def tell(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    return Worker(
        spool=build_spool(conf),
        store=patient(conf, build_store(conf), tell, stopped),
        model=Shelf(
            {
                each.identity: functools.partial(load_model, each.family, fetch(each), device)
                for each in weights
            }
        ),
        media=Studio(),
        clock=SystemClock(),
    )


def start_workers(conf: FarmConf, weights: Sequence[Weights], stopped: Callable[[], bool]) -> Executor:
    """Start the workers the configuration asks for, each with all these weights within reach."""
    device = device_of(conf)
    # An actor works in a folder of its own, so nothing of the store may be relative to this one.
    file = _credentials(conf)
    store = replace(conf.store, root=str(store_root(conf)), credentials=None if file is None else str(file))
    if conf.store.spool is not None:
        store = replace(store, spool=str(folder_of(conf.store.spool, "store.spool")))
    conf = replace(conf, store=store)
    build = functools.partial(build_worker, conf, weights, device)
    if conf.cluster.kind == "inline":
        from farm.executor import InlineExecutor

        return InlineExecutor(build(stopped=stopped), stopped)
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
