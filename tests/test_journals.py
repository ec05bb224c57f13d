"""Journals of every format that was released, replayed: each leads to the state it led to then.

`python tests/test_journals.py` writes the journal of the version it is run in, once. A folder holds the tasks
of a film, its journal as it lay in the store, and the state each of its runs ended in.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from farm import __version__
from farm.job.events import Event, Planned, decode
from farm.job.machine import step
from farm.job.state import State, begin
from farm.plan.task import Kind, Task

JOURNALS = Path(__file__).parent / "journals"
FAULTS = {"task", "infrastructure", "corrupt"}
KINDS = {"planned", "found", "spoiled", "joined", "lost", "finished", "failed", "tick", "stopping"}


def load_tasks(data: bytes) -> list[Task]:
    """Tasks as far as the machine knows them."""
    made: dict[str, Task] = {}
    for fields in json.loads(data):
        after = tuple(made[need] for need in fields["after"])
        task = Task(
            kind=Kind(fields["kind"]),
            shot=fields["shot"],
            part=fields["part"],
            digest=b"",
            common=(),
            own="",
            after=after,
            cost=fields["cost"],
        )
        made[fields["id"]] = task
    assert [task.id for task in made.values()] == list(made)
    return list(made.values())


def summary(state: State) -> dict[str, Any]:
    """What is compared: where each task stands, and the whole."""
    fields = ("phase", "attempts", "tries", "losses", "generation", "output")
    tasks = {name: {key: getattr(item, key) for key in fields} for name, item in state.states.items()}
    return {"left": state.left, "running": state.running, "retried": state.retried, "tasks": tasks}


def replay(tasks: list[Task], journal: list[Event]) -> list[dict[str, Any]]:
    """The state each run ended in."""
    states: list[State] = []
    for event in journal:
        if isinstance(event, Planned):
            states.append(begin(tasks))
        step(states[-1], event)
    return json.loads(json.dumps([summary(state) for state in states]))


@pytest.mark.parametrize("folder", sorted(JOURNALS.glob("[0-9]*")), ids=lambda folder: folder.name)
def test_a_journal_leads_to_the_same_state_for_ever(folder: Path) -> None:
    files = sorted((folder / "journal").iterdir())
    lines = [json.loads(line) for file in files for line in file.read_bytes().splitlines()]
    assert {line["event"] for line in lines} == KINDS
    assert {line["fault"] for line in lines if line["event"] == "failed"} == FAULTS
    journal = [event for file in files for event in decode(file.read_bytes())]
    states = json.loads((folder / "states.json").read_bytes())
    assert replay(load_tasks((folder / "tasks.json").read_bytes()), journal) == states


def test_this_version_has_its_journal() -> None:
    assert (JOURNALS / __version__).is_dir(), "write it: python tests/test_journals.py"


def keep(folder: Path) -> None:
    """Make a film that much happens to, and keep its journal with the states its drivers ended in."""
    from conftest import make_settings
    from helpers import FakeClock, FakeModel, FakePool, make_driver, make_worker, shot, shots

    from farm.errors import FarmError
    from farm.plan.plan import make_plan
    from farm.ports import WorkerJoined, WorkerLost
    from farm.store.memory import MemoryStore

    plan = make_plan("film", shots(shot("1", 60), shot("2", 40)), make_settings())
    store, clock, states = MemoryStore(), FakeClock(), []

    def run(fail: Any = lambda recipe: None, pool: Any = FakePool, stopped: Any = lambda done: False) -> None:
        model = FakeModel()
        model.fail = fail
        workers = pool(make_worker(store, model), clock=clock)
        driver = make_driver(plan, store, clock=clock, stopped=lambda: stopped(workers.done))
        try:
            driver.render(lambda: workers)
        except FarmError as error:
            print(error)
        states.append(summary(driver.state))

    class Losing(FakePool):
        lost = False

        def poll(self, timeout: float) -> Any:
            if self.lost or not self.done:
                return super().poll(timeout)
            self.lost = True
            lease = self.leases.pop()
            return [WorkerLost(worker=lease.worker, reason="killed"), WorkerJoined(worker="new")]

    once = [ConnectionError("reset"), ValueError("bad")]
    run(fail=lambda recipe: once.pop() if once else None, pool=Losing, stopped=lambda done: len(done) > 4)
    run(fail=lambda recipe: ValueError("always") if recipe["shot"] == "1" else None)
    run()
    store.put(output(states, "denoise/1/0"), bytes(32))  # found as it is, and seen through when it is read
    store.delete(output(states, "denoise/1/1"))
    run()
    run()
    names = [info.key.rsplit("/", 1)[1] for info in store.list("films/film/journal/")]
    (folder / "journal").mkdir(parents=True)
    for name in names:
        (folder / "journal" / name).write_bytes(store.get(f"films/film/journal/{name}"))
    tasks = [
        {
            "id": task.id,
            "kind": task.kind.value,
            "shot": task.shot,
            "part": task.part,
            "after": task.needs,
            "cost": task.cost,
        }
        for task in plan.tasks
    ]
    (folder / "tasks.json").write_text(json.dumps(tasks, indent=1) + "\n")
    (folder / "states.json").write_text(json.dumps(states, indent=1) + "\n")


def output(states: list[dict[str, Any]], task: str) -> str:
    return f"blobs/{states[-1]['tasks'][task]['output']}"


if __name__ == "__main__":
    keep(JOURNALS / __version__)
