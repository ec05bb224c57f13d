"""The Ray pool: an Executor over actors. Replaces the dead; decides nothing about tasks."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

# Before Ray is imported: it reports usage home unless told otherwise.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray.exceptions import RayError

from actors.actor import RenderActor
from farm.errors import FarmError
from farm.ports import Lease, Report, WorkerJoined, WorkerLost
from farm.worker import Worker

MAX_STILLBORN = 3  # actors that fail before they ever stood, one after another
VACANT_S = 60.0  # before a place that could not be filled is tried again
_LOST_NODE = "its node has died"  # what Ray says then: no fault of who was starting there


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSpec:
    """How many workers, and what each one takes. `address` None starts a Ray for this run."""

    workers: int
    threads: int
    gpus: int
    address: str | None


@dataclass(slots=True)
class _Slot:
    name: str
    actor: Any
    call: Any  # the ObjectRef being waited for
    lease: Lease | None = None
    stands: bool = False


class RayPool:
    """An Executor over Ray actors, one lease at a time each."""

    def __init__(self, spec: PoolSpec, build: Callable[[], Worker]) -> None:
        self.spec, self.build = spec, build
        self.started_ray = not ray.is_initialized()
        if self.started_ray:
            _start_ray(spec)
        environment = {"OMP_NUM_THREADS": str(spec.threads), "TOKENIZERS_PARALLELISM": "false"}
        self.actor_class: Any = ray.remote(RenderActor).options(
            num_cpus=0 if spec.gpus else spec.threads,
            num_gpus=spec.gpus,
            max_restarts=0,
            max_task_retries=0,
            runtime_env={"env_vars": environment},
        )
        self.slots: dict[str, _Slot] = {}
        self.vacant: list[float] = []  # when places are to be filled
        self.count = self.stillborn = 0
        for _ in range(spec.workers):
            self._hire()

    def _hire(self) -> None:
        name = f"worker-{self.count}"
        self.count += 1
        actor = self.actor_class.remote(self.build)
        self.slots[name] = _Slot(name=name, actor=actor, call=actor.ready.remote())

    def start(self, lease: Lease) -> None:
        slot = self.slots[lease.worker]
        slot.lease, slot.call = lease, slot.actor.run.remote(lease)

    def stop(self, worker: str) -> None:
        if (slot := self.slots.get(worker)) is not None:
            slot.actor.stop.remote()

    def replace(self, worker: str) -> None:
        if (slot := self.slots.pop(worker, None)) is not None:
            ray.kill(slot.actor)
            self._hire()

    def poll(self, timeout: float) -> Sequence[Report]:
        while self.vacant and self.vacant[0] <= time.monotonic():
            self.vacant.pop(0)
            self._hire()
        waiting = {slot.call: slot for slot in self.slots.values() if slot.call is not None}
        if not waiting:  # nobody works: the driver waits for a moment to come
            time.sleep(timeout)
            return []
        try:
            ready, _ = ray.wait(list(waiting), num_returns=1, timeout=timeout)
            if ready:  # take in all that has come by now
                ready, _ = ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
        except (RayError, ConnectionError) as error:
            raise FarmError(f"Ray went away: {' '.join(str(error).split())[:300]}") from error
        return [self._report(waiting[call], call) for call in ready]

    def _report(self, slot: _Slot, call: Any) -> Report:
        try:
            answer = ray.get(call)
        except RayError as error:
            return self._bury(slot, error)
        slot.call = None
        if not slot.stands:
            slot.stands, self.stillborn = True, 0
            return WorkerJoined(worker=slot.name)
        slot.lease = None
        report: Report = answer
        return report

    def _bury(self, slot: _Slot, error: RayError) -> Report:
        reason = " ".join(str(error).split())
        if not slot.stands and _LOST_NODE not in reason:
            self.stillborn += 1
            if self.stillborn >= MAX_STILLBORN and not any(other.stands for other in self.slots.values()):
                raise FarmError(f"workers cannot start: {reason[-600:]}")
        del self.slots[slot.name]
        ray.kill(slot.actor)
        # While others work, a place that cannot be filled is tried again later.
        if not slot.stands and self.stillborn >= MAX_STILLBORN:
            self.vacant.append(time.monotonic() + VACANT_S)
        else:
            self._hire()
        return WorkerLost(
            worker=slot.name,
            reason=f"{type(error).__name__}: {reason[:200]}",
            fault="node" if _LOST_NODE in reason else "worker",
        )

    def close(self) -> None:
        """Kill the actors: a lease that still runs is lost, which is what stopping means."""
        for slot in self.slots.values():
            ray.kill(slot.actor)
        self.slots.clear()
        if self.started_ray:
            ray.shutdown()


def _start_ray(spec: PoolSpec) -> None:
    address = spec.address or os.environ.get("RAY_ADDRESS")
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    handler = signal.getsignal(signal.SIGTERM)
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            ray.init(
                address="local",
                num_cpus=max(1, spec.workers * spec.threads),
                include_dashboard=False,
                object_store_memory=128 * 2**20,  # frames and latents never go through it
                **quiet,
            )
    except (RayError, ConnectionError, RuntimeError, ValueError, OSError) as error:
        where = address or "on this machine"
        raise FarmError(
            f"Ray {where} cannot be reached or started: {' '.join(str(error).split())[:300]}"
        ) from error
    finally:
        signal.signal(signal.SIGTERM, handler)  # Ray puts its own over the one that stops in order


def check_ray(address: str | None) -> str:
    """Start or reach a Ray as a run would, and say what it has. Raises FarmError."""
    _start_ray(PoolSpec(workers=1, threads=1, gpus=0, address=address))
    try:
        where = f"at {address}" if address else "starts here"
        return f"Ray {ray.__version__} {where}, {len(ray.nodes())} nodes"
    finally:
        ray.shutdown()
