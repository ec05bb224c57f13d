from __future__ import annotations

from dataclasses import replace

import pytest
from conftest import make_settings
from helpers import FakePool, make_driver, make_worker, shot, shots

from farm.errors import AnotherDriver, CorruptBlob, StoreError
from farm.job.events import Joined, Tick
from farm.ledger import Blobs, Commits, Journal
from farm.plan.plan import make_plan
from farm.ports import BlobRef, Commit
from farm.snapshot import Kept
from farm.stock import reusable
from farm.store.memory import MemoryStore


def commit(key: str = "k", inputs: tuple[str, ...] = (), output: str = "o") -> Commit:
    ref = BlobRef(key=f"blobs/{output}", sha256=output, num_bytes=1)
    return Commit(
        key=key,
        generation=0,
        kind="embed",
        outputs={"embedding": ref},
        inputs=inputs,
        worker="w",
        started=1.0,
        seconds=2.0,
    )


def test_blobs_are_verified_on_reading(store: MemoryStore) -> None:
    blobs = Blobs(store)
    ref = blobs.put(b"data")
    assert blobs.get(ref) == b"data"
    store.put(ref.key, b"dato")
    with pytest.raises(CorruptBlob, match="altered or cut short"):
        blobs.get(ref)
    with pytest.raises(CorruptBlob, match="is missing"):
        blobs.get(ref)
    assert blobs.put(b"data") == ref
    assert blobs.get(ref) == b"data"


def test_the_first_commit_wins_and_everyone_reads_it(store: MemoryStore) -> None:
    commits = Commits(store)
    first, second = commit(output="a"), commit(output="b")
    store.put("blobs/a", b"x")
    store.put("blobs/b", b"x")
    assert commits.write(first) == first
    assert commits.write(second) == first
    assert commits.read("k", 0) == first


def test_a_commit_made_from_other_inputs_opens_the_next_generation(store: MemoryStore) -> None:
    commits = Commits(store)
    commits.write(commit(inputs=("old",)))
    made = commits.write(commit(inputs=("new",)))
    assert made.generation == 1
    store.put("commits/other/000004", b"x")
    assert {key: newest for key, (newest, _) in commits.latest().items()} == {"k": 1, "other": 4}
    assert {key: newest for key, (newest, _) in commits.latest("k").items()} == {"k": 1}


def test_a_commit_whose_outputs_are_gone_does_not_count(store: MemoryStore) -> None:
    commits = Commits(store)
    assert commits.write(commit(output="a")).generation == 0
    assert commits.write(commit(output="b")).generation == 1
    assert commits.find("k", ()) is None
    store.put("blobs/a", b"x")
    found = commits.find("k", ())
    assert found is not None
    assert found.main.sha256 == "a"
    assert commits.find("k", ("other",)) is None


def test_what_else_lies_about_is_not_ours(store: MemoryStore) -> None:
    store.put("films/film/journal/notes.txt", b"x")
    store.put("commits/k/notes", b"x")
    journal = Journal(store, "film")
    journal.append([Tick(at=1)])
    assert Journal(store, "film").read() == [Tick(at=1)]
    assert Commits(store).latest() == {}


def test_a_commit_that_is_no_commit(store: MemoryStore) -> None:
    store.put("commits/k/000000", b"{}")
    with pytest.raises(StoreError, match="cannot be understood"):
        Commits(store).read("k", 0)


def test_a_taken_number_stops_the_older_driver(store: MemoryStore) -> None:
    old, new = Journal(store, "film"), Journal(store, "film")
    new.append([Joined(at=1, worker="w")])
    with pytest.raises(AnotherDriver, match="taken over"):
        old.append([Tick(at=2)])
    assert new.read() == [Joined(at=1, worker="w")]


def test_only_whole_unbroken_work_is_reused(store: MemoryStore) -> None:
    plan = make_plan("film", shots(shot("1", 60)), make_settings())
    make_driver(plan, store).render(lambda: FakePool(make_worker(store)))
    found = reusable(plan, store)
    assert all(isinstance(item, Kept) for item in found.values())
    assert list(found) == [task.id for task in plan.tasks]
    # A lost blob spoils its commit; what hangs on it has nothing to stand on any more.
    gone = found["denoise/1/1"]
    assert isinstance(gone, Kept)
    store.delete(gone.commit.main.key)
    found = reusable(plan, store)
    assert found["denoise/1/1"] == 0
    assert isinstance(found["denoise/1/0"], Kept)
    assert not any(isinstance(found.get(task), Kept) for task in ("denoise/1/2", "finish/1", "stitch"))


def test_other_settings_reuse_nothing_that_they_change(store: MemoryStore) -> None:
    plan = make_plan("film", shots(shot("1", 60)), make_settings())
    make_driver(plan, store).render(lambda: FakePool(make_worker(store)))
    settings = make_settings()
    other = replace(settings, output=replace(settings.output, crf=30))
    found = reusable(make_plan("film", shots(shot("1", 60)), other), store)
    assert {task.split("/")[0] for task in found} == {"embed", "denoise"}
