"""What the driver takes of a core while its workers are busy: a film on 32 Ray actors that sleep.

The real `Driver` renders through the real `RayPool` over a directory store. The actors' model sleeps for
a second a step, four steps a segment, so that all they do is keep the driver busy. Once all of them have
stood for a moment, and until the time is up, the processor time of this process is taken (all its
threads, Ray's and the heartbeat's too), over the time that passed: `share_percent`, of one core (bar:
under 3). Every worker has a lease throughout, or the run does not count.

`ratio` is that share over the one of a bare loop, run before it in the same process on the same Ray: as
many actors that sleep as long for each call, `ray.wait`, `ray.get`, and the next call; no store, no
journal, no plan.

    python scripts/bench_driver.py                                    # some minutes
    python scripts/bench_driver.py --workers 2 --seconds 3
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stand_ins import null_worker

from farm import config
from farm.clock import SystemClock
from farm.errors import Interrupted
from farm.job import events
from farm.job.state import State
from farm.plan.plan import Plan, make_plan
from farm.plan.spec import Weights
from farm.run import Driver
from farm.script.model import Shot, ShotList, Source
from farm.store.directory import DirectoryStore

BAR_PERCENT, BAR_WORKERS, BAR_STEP_S = 3.0, 32, 1.0
STEPS = 4
SETTLE_S = 5.0  # from the moment all workers stand: what starting them left behind is no work of a film
START_S = 900.0  # for all workers to stand; they begin to work before


@dataclass(frozen=True)
class Stretch:
    """What a process took over a stretch of time."""

    wall_s: float
    cpu_s: float
    calls: int

    @property
    def percent(self) -> float:
        return 100 * self.cpu_s / self.wall_s


class Meter:
    """Takes a process's time from a moment after all workers stand until so many seconds are over."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.stood: float | None = None
        self.began: tuple[float, float, int] | None = None
        self.found: Stretch | None = None

    def look(self, all_stand: bool, calls: int) -> bool:
        """Take note of how it is now; `calls` are those answered so far. True once the time is up."""
        now = time.monotonic()
        if self.stood is None:
            self.stood = now if all_stand else None
        elif self.began is None:
            if now - self.stood >= SETTLE_S:
                self.began = (now, time.process_time(), calls)
        elif self.found is None and now - self.began[0] >= self.seconds:
            wall, cpu, before = self.began
            self.found = Stretch(now - wall, time.process_time() - cpu, calls - before)
        return self.found is not None

    @property
    def running(self) -> bool:
        return self.began is not None and self.found is None


class Watch:
    """An Observer, and what a driver asks whether to stop: it does when the meter has its stretch."""

    def __init__(self, meter: Meter, workers: int) -> None:
        self.meter, self.workers, self.calls = meter, workers, 0

    def begin(self, plan: Plan, state: State) -> None:
        self.state = state

    def event(self, event: events.Event, state: State) -> None:
        if isinstance(event, events.Failed | events.Lost):
            raise SystemExit(f"a worker failed, so this says nothing: {event}")
        self.calls += isinstance(event, events.Finished)

    def stopped(self) -> bool:
        # Asked once a turn, when all that is known to have ended has been given something new.
        if self.meter.running and self.state.running < self.workers:
            raise SystemExit(f"only {self.state.running} of {self.workers} workers had a lease")
        return self.meter.look(len(self.state.workers) == self.workers, self.calls)


def film(workers: int, seconds: float) -> Plan:
    """A film that so many workers are not done with in that time; of shots of five segments."""
    conf = config.load([f"model.steps={STEPS}"])
    source = Source(file="film.fountain", first=1, last=1)
    # A worker takes a shot at a time, so at least one each at the end too.
    count = workers * (2 + round((seconds + START_S) / (5 * STEPS)))
    shots = tuple(
        Shot(id=str(index + 1), scene="1", prompt=f"prompt {index % 100}", frames=128, source=source)
        for index in range(count)
    )
    made = config.settings(conf, Weights(source="papercut", identity="sha256:0"), workers)
    return make_plan("film", ShotList(title=None, shots=shots), made)


def drive(workers: int, seconds: float, step_s: float, where: str | None) -> tuple[Stretch, Plan]:
    """Render a film for so many seconds, and tell what this process took."""
    from actors.pool import PoolSpec, RayPool

    plan, meter = film(workers, seconds), Meter(seconds)
    watch = Watch(meter, workers)
    with tempfile.TemporaryDirectory(prefix="longtake-bench-", dir=where) as folder:
        driver = Driver(
            plan,
            store=DirectoryStore(Path(folder)),
            clock=SystemClock(),
            observer=watch,
            stopped=watch.stopped,
        )
        spec = PoolSpec(workers=workers, threads=1, gpus=0, address=None)
        build = functools.partial(null_worker, Path(folder), step_s)
        try:
            driver.render(lambda: RayPool(spec, build))
        except Interrupted:
            pass  # it was asked to stop
        else:
            raise SystemExit("the film was done before its workers were all up")
    assert meter.found is not None
    return meter.found, plan


class Sleeper:
    """An actor that does what a worker's model does."""

    def ready(self) -> bool:
        return True

    def sleep(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds


def bare(workers: int, seconds: float, step_s: float) -> Stretch:
    """Keep as many actors busy with nothing but Ray, for so many seconds."""
    import ray

    made = ray.remote(Sleeper).options(num_cpus=1)
    actors: list[Any] = [made.remote() for _ in range(workers)]
    ray.get([actor.ready.remote() for actor in actors])
    meter, calls = Meter(seconds), 0
    waiting = {actor.sleep.remote(STEPS * step_s): actor for actor in actors}
    while not meter.look(True, calls):
        ready, _ = ray.wait(list(waiting), num_returns=1, timeout=1.0)
        for call in ready:
            ray.get(call)
            actor = waiting.pop(call)
            waiting[actor.sleep.remote(STEPS * step_s)] = actor
            calls += 1
    for actor in actors:
        ray.kill(actor)
    assert meter.found is not None
    return meter.found


def with_ray(workers: int, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Do something on a Ray of this machine with room for so many actors, as the pool starts one."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import logging

    import ray

    ray.init(
        address="local",
        num_cpus=workers,
        include_dashboard=False,
        object_store_memory=128 * 2**20,
        logging_level=logging.ERROR,
        log_to_driver=False,
        # So many processes on few cores take their time to come up.
        _system_config={"worker_register_timeout_seconds": round(START_S)},
    )
    try:
        return work()
    finally:
        ray.shutdown()


def compare(workers: int, seconds: float, step_s: float, where: str | None) -> dict[str, Any]:
    loop = bare(workers, seconds, step_s)
    ours, plan = drive(workers, seconds, step_s, where)
    result = {
        "ratio": round(ours.percent / loop.percent, 2),
        "compared": f"processor time of the driver's process with {workers} busy Ray actors, over that of a "
        "bare loop of Ray calls to as many",
        "share_percent": round(ours.percent, 2),
        "bare_percent": round(loop.percent, 2),
        "workers": workers,
        "step_s": step_s,
        "seconds": round(ours.wall_s, 1),
        "calls_per_s": round(ours.calls / ours.wall_s, 2),
        "bare_calls_per_s": round(loop.calls / loop.wall_s, 2),
        "ms_per_call": round(1000 * ours.cpu_s / max(1, ours.calls), 2),
        "tasks": len(plan.tasks),
        "cores": len(os.sched_getaffinity(0)),
    }
    if workers >= BAR_WORKERS and step_s <= BAR_STEP_S:
        result["bar_percent"] = BAR_PERCENT
        result["met"] = ours.percent < BAR_PERCENT
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--workers", type=int, default=BAR_WORKERS)
    parser.add_argument("--seconds", type=float, default=60, help="how long each of the two is measured")
    parser.add_argument(
        "--step", type=float, default=BAR_STEP_S, metavar="S", help="seconds that a step takes"
    )
    parser.add_argument("--store", help="a folder for the store (default: the system's temporary one)")
    args = parser.parse_args()
    if args.workers < 1 or args.seconds <= 0 or args.step <= 0:
        parser.error("give at least one worker, and seconds of more than 0")
    work = functools.partial(compare, args.workers, args.seconds, args.step, args.store)
    result = with_ray(args.workers, work)
    if args.json:
        print(json.dumps(result))
        return
    print(f"{result['workers']} workers, {result['step_s']} s a step, for {result['seconds']} s")
    print(f"  driver  {result['share_percent']:>6} % of a core, {result['calls_per_s']} calls a second")
    print(f"  bare    {result['bare_percent']:>6} % of a core, {result['bare_calls_per_s']} calls a second")
    print(f"ratio {result['ratio']}: {result['compared']}")
    if "met" in result:
        print(f"bar {'met' if result['met'] else 'missed'}: under {BAR_PERCENT:g} %")


if __name__ == "__main__":
    main()
