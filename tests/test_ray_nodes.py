"""A Ray of several nodes that lose their power: the film comes out all the same."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import make_settings
from helpers import FakeModel, TextMedia, make_driver, shot, shots, undisturbed

from farm.clock import SystemClock
from farm.plan.plan import Plan, make_plan
from farm.store.directory import DirectoryStore
from farm.worker import Worker

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]

NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head that gives no work a place; its workers must find the helpers."""
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={**NODE, "num_cpus": 0, "include_dashboard": False}
    )
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()
    del os.environ["PYTHONPATH"]


class Slow(FakeModel):
    """Says on which node it denoises a shot's second segment, and takes its time over it, the first time."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def denoise(self, recipe, **more):
        import ray

        mark = self.folder / f"shot-{recipe['shot']}"
        if recipe["span"][0] > 0 and not mark.exists():
            mark.with_suffix(".part").write_text(ray.get_runtime_context().get_node_id())
            mark.with_suffix(".part").rename(mark)
            time.sleep(60)
        return super().denoise(recipe, **more)


def build(root: Path) -> Worker:
    return Worker(store=DirectoryStore(root), model=Slow(root), media=TextMedia(), clock=SystemClock())


@pytest.fixture
def plan() -> Plan:
    return make_plan("film", shots(shot("1", 60), shot("2", 60)), make_settings())


def render(plan: Plan, root: Path, workers: int, look: Any) -> Any:
    from actors.pool import PoolSpec, RayPool

    spec = PoolSpec(workers=workers, threads=1, gpus=0, address=None)
    driver = make_driver(plan, DirectoryStore(root), clock=SystemClock(), stopped=look)
    return driver.render(lambda: RayPool(spec, functools.partial(build, root)))


@pytest.mark.fault("a worker's node is removed in mid-step", "the same film, its task given to another node")
def test_a_node_that_is_removed_in_mid_step(plan: Plan, tmp_path: Path, cluster: Any) -> None:
    nodes = [cluster.add_node(**NODE) for _ in range(2)]
    gone: list[str] = []

    def remove_when_marked() -> bool:
        mark = tmp_path / "shot-1"
        if not gone and mark.exists():
            (node,) = [item for item in nodes if item.node_id == mark.read_text()]
            cluster.remove_node(node, allow_graceful=False)
            gone.append(node.node_id)
            (tmp_path / "shot-2").touch()  # nobody else sleeps
        return False

    outcome = render(plan, tmp_path, 2, remove_when_marked)
    assert gone
    assert outcome.retried >= 1
    assert (tmp_path / "film" / "film.mp4").read_bytes() == undisturbed(plan)


@pytest.mark.fault("every node of the pool is removed, and later one is added", "the same film")
def test_a_cluster_that_shrinks_to_none_and_grows_again(plan: Plan, tmp_path: Path, cluster: Any) -> None:
    nodes, empty_since = [cluster.add_node(**NODE)], []

    def tide() -> bool:
        if not empty_since and (tmp_path / "shot-1").exists():
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            empty_since.append(time.monotonic())
            (tmp_path / "shot-2").touch()  # nobody else sleeps
        elif not nodes and time.monotonic() - empty_since[0] > 5:
            nodes.append(cluster.add_node(**NODE))
        return False

    outcome = render(plan, tmp_path, 1, tide)
    assert empty_since
    assert outcome.retried >= 1
    assert (tmp_path / "film" / "film.mp4").read_bytes() == undisturbed(plan)
