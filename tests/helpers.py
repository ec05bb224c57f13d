"""Fakes for the ports, whose outputs are honest functions of what they are given."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from farm import cli
from farm.errors import Interrupted
from farm.plan.plan import Plan
from farm.ports import AttemptDone, BlobStore, Lease, Recipe, Report, WorkerJoined
from farm.run import Driver
from farm.script.model import Shot, ShotList, Source
from farm.store.memory import MemoryStore
from farm.worker import Worker


def shot(shot_id: str, frames: int = 100, prompt: str = "", **more: Any) -> Shot:
    return Shot(
        id=shot_id,
        scene=more.pop("scene", "1"),
        prompt=prompt or f"prompt of {shot_id}",
        frames=frames,
        source=Source(file="x.fountain", first=1, last=1),
        **more,
    )


def shots(*items: Shot) -> ShotList:
    return ShotList(title="Film", shots=items)


class FakeClock:
    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        self.time += 0.001
        return self.time

    def monotonic(self) -> float:
        self.time += 0.001
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class FakeModel:
    """A VideoModel whose bytes depend on just what a real one's would."""

    def __init__(self) -> None:
        self.denoised: list[tuple[str, int]] = []
        self.fail: Callable[[Recipe], Exception | None] = lambda recipe: None

    def embed(self, recipe: Recipe) -> bytes:
        return f"embedding of {recipe['text']}".encode()

    def denoise(
        self,
        recipe: Recipe,
        *,
        prompt: bytes,
        negative: bytes,
        context: Sequence[bytes],
        stopped: Callable[[], bool],
        draft: bytes | None = None,
    ) -> bytes:
        if stopped():
            raise Interrupted("stopped")
        error = self.fail(recipe)
        if error is not None:
            raise error
        self.denoised.append((recipe["shot"], recipe["span"][0]))
        assert bool(context) == bool(recipe["way"] != "cut" and recipe["given"])
        assert (draft is not None) == (recipe["draft_level"] is not None)
        text = json.dumps(recipe, sort_keys=True).encode()
        return hashlib.sha256(b"|".join((text, prompt, negative, *context, draft or b""))).digest()

    def decode(self, recipe: Recipe, latents: Sequence[bytes]) -> Iterator[str]:
        name = hashlib.sha256(b"".join(latents)).hexdigest()[:8]
        rate = Fraction(recipe["source_rate"]) / Fraction(recipe["encoding"]["rate"])
        for number in range(int(recipe["frames"] * rate) + 5):
            yield f"{name}-{number}"

    def look(self, recipe: Recipe, frames: Sequence[str]) -> dict[str, Any]:
        return {"frames": {"asked": recipe["prompt"], "seen": " ".join(frames)}}


class TextMedia:
    """A Media whose films are text, so that tests can read them."""

    def encode_shot(self, recipe: Recipe, frames: Iterator[str], target: Path) -> dict[str, Any]:
        names = list(frames)
        target.write_text("\n".join(names))
        return {"frames": len(names), "differences": [1.0] * (len(names) - 1)}

    def stitch(
        self, recipe: Recipe, shots: Sequence[Path], folder: Path
    ) -> tuple[dict[str, Path], dict[str, Any]]:
        made = {"film": folder / "film.mp4", "sheet": folder / "sheet.png"}
        made["film"].write_text("\n".join(path.read_text() for path in shots))
        made["sheet"].write_text("sheet")
        return made, {"frames": sum(item["frames"] for item in recipe["shots"])}


class FakePool:
    """An Executor with several workers in this thread; finishes one lease a poll, newest first.

    With a `clock`, time passes while nobody works.
    """

    def __init__(self, worker: Worker, count: int = 2, clock: FakeClock | None = None) -> None:
        self.worker, self.leases, self.clock = worker, [], clock
        self.news: list[Report] = [WorkerJoined(worker=f"w{index}") for index in range(count)]
        self.done: list[Lease] = []
        self.closed = False

    def start(self, lease: Lease) -> None:
        assert all(lease.worker != other.worker for other in self.leases), "a worker was leased twice"
        self.leases.append(lease)

    def poll(self, timeout: float) -> Sequence[Report]:
        if self.news:
            found, self.news = self.news, []
            return found
        if not self.leases:
            if self.clock is not None:
                self.clock.sleep(timeout)
            return []
        lease = self.leases.pop()
        report = self.worker.run(lease, lambda: False)
        if isinstance(report, AttemptDone):
            self.done.append(lease)
        return [report]

    def stop(self, worker: str) -> None:
        """What runs here is over before anybody could ask."""

    def replace(self, worker: str) -> None:
        self.leases = [lease for lease in self.leases if lease.worker != worker]
        self.news.append(WorkerJoined(worker=f"{worker}'"))

    def close(self) -> None:
        self.closed = True


class Quiet:
    """An Observer that says nothing."""

    def begin(self, plan: object, state: object) -> None: ...

    def event(self, event: object, state: object) -> None: ...


def make_worker(store: Any, model: FakeModel | None = None) -> Worker:
    return Worker(store=store, model=model or FakeModel(), media=TextMedia(), clock=FakeClock())


def make_driver(plan: Any, store: Any, **more: Any) -> Driver:
    return Driver(
        plan,
        store=store,
        clock=more.pop("clock", FakeClock()),
        observer=Quiet(),
        stopped=more.pop("stopped", lambda: False),
        **more,
    )


class WatchedStore(MemoryStore):
    """A store each call of which goes through `_live(call, *args)`, which a test gives it."""

    def put(self, key, source):
        return self._live(super().put, key, source)

    def create_if_absent(self, key, data):
        return self._live(super().create_if_absent, key, data)

    def get(self, key):
        return self._live(super().get, key)

    def stat(self, key):
        return self._live(super().stat, key)

    def list(self, prefix):
        return self._live(super().list, prefix)

    def delete(self, key):
        return self._live(super().delete, key)

    def touch(self, key):
        return self._live(super().touch, key)


def film_of(store: BlobStore) -> bytes:
    return store.get("films/film/film.mp4")


def undisturbed(plan: Plan) -> bytes:
    """The bytes of a film that nothing happened to."""
    store = MemoryStore()
    make_driver(plan, store).render(lambda: FakePool(make_worker(store)))
    return film_of(store)


def nobody() -> FakePool:
    """Workers where none is needed."""
    raise AssertionError("no worker is needed")


def segments_made(store: MemoryStore) -> int:
    """How many segments are committed."""
    commits = [json.loads(data) for key, data in store._objects.items() if key.startswith("commits/")]
    return len({commit["key"] for commit in commits if commit["kind"] == "denoise"})


SCRIPT = """\
title: Small
shots:
  - {id: 1, prompt: "a red boat", duration: 4s}
  - {id: 2, prompt: "a blue boat", duration: 4s}
  - {id: 3, prompt: "a white boat", duration: 4s}
"""


def farm(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    code = cli.main([*words, "--json"])
    out, err = capsys.readouterr()
    assert code == 0, err
    return json.loads(out)
