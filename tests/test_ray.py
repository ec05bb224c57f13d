"""The pool on a real Ray: films come out, dead actors are replaced, hopeless ones are told of."""

from __future__ import annotations

import functools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import make_settings
from helpers import FakeClock, FakeModel, FakePool, TextMedia, make_driver, make_worker, shot, shots

from farm.clock import SystemClock
from farm.errors import FarmError, Interrupted
from farm.inbox import Message, post
from farm.limits import NO_LIMITS, Limits
from farm.night import Night
from farm.plan.plan import Plan, make_plan
from farm.store.directory import DirectoryStore
from farm.store.memory import MemoryStore
from farm.worker import Worker

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module", autouse=True)
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Ray for the module; its workers must find the helpers."""
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    ray.init(
        address="local",
        num_cpus=4,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=128 * 2**20,
    )
    yield
    ray.shutdown()
    del os.environ["PYTHONPATH"]


class MarkingModel(FakeModel):
    """Leaves a file with its process id while it denoises one segment, the first time."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def denoise(self, recipe, **more):
        mark = self.folder / "victim"
        if recipe["shot"] == "1" and recipe["span"][0] > 0 and not mark.exists():
            mark.with_suffix(".part").write_text(str(os.getpid()))
            mark.with_suffix(".part").rename(mark)
            time.sleep(30)
        return super().denoise(recipe, **more)


def build(root: Path) -> Worker:
    model = MarkingModel(root)
    return Worker(store=DirectoryStore(root), model=model, media=TextMedia(), clock=SystemClock())


class MeetingModel(FakeModel):
    """Denoises nothing before another worker is there too: what costs nothing would all be one worker's."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def denoise(self, recipe, **more):
        (self.folder / f"here-{os.getpid()}").touch()
        until = time.monotonic() + 60
        while len(list(self.folder.glob("here-*"))) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        return super().denoise(recipe, **more)


def meeting(root: Path) -> Worker:
    model = MeetingModel(root)
    return Worker(store=DirectoryStore(root), model=model, media=TextMedia(), clock=SystemClock())


def broken() -> Worker:
    raise OSError("the weights are not there")


@pytest.fixture
def plan() -> Plan:
    return make_plan("film", shots(shot("1", 90), shot("2", 40), shot("3", 20)), make_settings())


def pool(build_worker, workers: int = 2):
    from actors.pool import PoolSpec, RayPool

    return RayPool(PoolSpec(workers=workers, threads=1, gpus=0, address=None), build_worker)


@pytest.mark.fault("an actor is killed in mid-step", "the same film, its task given to another")
def test_a_film_comes_out_though_a_worker_is_killed_in_mid_task(plan: Plan, tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)

    def kill_when_marked() -> bool:
        mark = tmp_path / "victim"
        if mark.exists() and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            os.kill(int(mark.read_text()), signal.SIGKILL)
        return False

    driver = make_driver(plan, store, clock=SystemClock(), stopped=kill_when_marked)
    outcome = driver.render(lambda: pool(functools.partial(build, tmp_path)))
    assert (tmp_path / "killed").exists()
    assert outcome.retried == 1
    calm = MemoryStore()
    make_driver(plan, calm, clock=FakeClock()).render(lambda: FakePool(make_worker(calm)))
    assert (tmp_path / "film" / "film.mp4").read_bytes() == calm.get("films/film/film.mp4")


def test_workers_that_cannot_start_are_told_of(plan: Plan, tmp_path: Path) -> None:
    driver = make_driver(plan, DirectoryStore(tmp_path), clock=SystemClock())
    with pytest.raises(FarmError, match=r"workers cannot start: .*the weights are not there"):
        driver.render(lambda: pool(broken, workers=1))


class SteppingModel(FakeModel):
    """Steps for half a minute through the second segment of shot 1, and hears when it is to leave off."""

    def __init__(self, folder: Path, hang: bool = False) -> None:
        super().__init__()
        self.folder, self.hang = folder, hang

    def denoise(self, recipe, *, stopped, **more):
        mark = self.folder / "stepping"
        if recipe["shot"] == "1" and recipe["span"][0] > 0 and not mark.exists():
            mark.touch()
            for step in range(300):
                time.sleep(0.1)
                if stopped() and not self.hang:
                    (self.folder / "left-off").write_text(str(step))
                    raise Interrupted("stopped between two denoising steps")
        return super().denoise(recipe, stopped=stopped, **more)


def stepping(root: Path, hang: bool = False) -> Worker:
    model = SteppingModel(root, hang)
    return Worker(store=DirectoryStore(root), model=model, media=TextMedia(), clock=SystemClock())


@pytest.mark.fault(
    "a film is cancelled in mid-step, from another terminal", "left off within a step, all kept"
)
def test_a_cancelled_film_is_left_off_within_a_step(plan: Plan, tmp_path: Path) -> None:
    store, asked = DirectoryStore(tmp_path), []

    def cancel_when_stepping() -> bool:
        if (tmp_path / "stepping").exists() and not asked:
            asked.append(time.monotonic())
            post(store, SystemClock(), Message(film="film", run=driver.run, verb="cancel"))
        return False

    driver = make_driver(plan, store, clock=SystemClock(), stopped=cancel_when_stepping)
    with pytest.raises(Interrupted, match="cancelled; everything committed is kept"):
        driver.render(lambda: pool(functools.partial(stepping, tmp_path)))
    # The driver looks into its inbox every two seconds; the worker hears at its next step.
    assert time.monotonic() - asked[0] < 15
    assert (tmp_path / "left-off").exists()
    again = make_driver(plan, store, clock=SystemClock())
    outcome = again.render(lambda: pool(functools.partial(build, tmp_path), workers=1))
    assert outcome.reused > 0


@pytest.mark.fault("a worker hangs in mid-step", "the same film, another worker in its place")
def test_a_worker_that_hangs_is_replaced(plan: Plan, tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    driver = make_driver(plan, store, clock=SystemClock(), limits=Limits(task_s=8.0))
    outcome = driver.render(lambda: pool(functools.partial(stepping, tmp_path, hang=True)))
    assert outcome.retried == 1
    calm = MemoryStore()
    make_driver(plan, calm, clock=FakeClock()).render(lambda: FakePool(make_worker(calm)))
    assert (tmp_path / "film" / "film.mp4").read_bytes() == calm.get("films/film/film.mp4")


def test_a_night_goes_through_one_pool(tmp_path: Path) -> None:
    store, clock = DirectoryStore(tmp_path), SystemClock()
    plans = [
        make_plan(name, shots(shot("7", 60), shot("8", 20)), make_settings(seed=number))
        for number, name in enumerate(("a", "b", "c"))
    ]
    night = Night(
        [make_driver(plan, store, clock=clock) for plan in plans],
        name="tonight",
        store=store,
        clock=clock,
        limits=NO_LIMITS,
        stopped=lambda: None,
        told=lambda end: None,
    )
    ends = night.render(lambda: pool(functools.partial(meeting, tmp_path)))
    assert [end.state for end in ends] == ["done"] * 3
    workers = {commit.worker for end in ends for commit in end.outcome.commits.values()}
    assert workers == {"worker-0", "worker-1"}
