"""One contract for every store."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.errors import BadInput, NotFound, StoreError
from farm.ports import BlobStore
from farm.store.directory import DirectoryStore
from farm.store.memory import MemoryStore
from farm.store.race import race
from farm.store.s3 import S3Store
from farm.store.s3_place import Place


@pytest.fixture(params=["memory", "directory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "memory":
        return MemoryStore()
    if request.param == "directory":
        return DirectoryStore(tmp_path / "store")
    return S3Store(request.getfixturevalue("place"))


def test_what_is_put_is_got(store: BlobStore, tmp_path: Path) -> None:
    store.put("blobs/a", b"one")
    store.put("blobs/a", b"two")
    path = tmp_path / "file"
    path.write_bytes(b"three" * 1000)
    store.put("films/x/film.mp4", path)
    assert store.get("blobs/a") == b"two"
    store.fetch("films/x/film.mp4", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()
    info = store.stat("films/x/film.mp4")
    assert info is not None
    assert info.num_bytes == 5000


def test_a_store_tells_when_an_object_was_written_or_touched(store: BlobStore, tmp_path: Path) -> None:
    def modified(key: str) -> float:
        info = store.stat(key)
        assert info is not None
        (listed,) = store.list(key)
        assert listed.key == key
        assert abs(listed.modified - info.modified) < 1  # a bucket tells whole seconds here
        return info.modified

    (tmp_path / "file").write_bytes(b"three" * 1000)
    store.put("films/x/film.mp4", tmp_path / "file")
    store.create_if_absent("commits/k/000000", b"c")
    store.put("blobs/a", b"one")
    before = [modified(key) for key in ("films/x/film.mp4", "commits/k/000000", "blobs/a")]
    assert all(abs(time.time() - at) < 60 for at in before)
    time.sleep(1.1)
    for key in ("films/x/film.mp4", "commits/k/000000"):
        store.touch(key)
    store.put("blobs/a", b"two")
    after = [modified(key) for key in ("films/x/film.mp4", "commits/k/000000", "blobs/a")]
    assert all(new > old for new, old in zip(after, before, strict=True))
    assert store.get("films/x/film.mp4") == b"three" * 1000
    assert store.get("commits/k/000000") == b"c"
    assert store.create_if_absent("commits/k/000000", b"d") is False
    with pytest.raises(NotFound):
        store.touch("blobs/none")
    assert store.stat("blobs/none") is None


def test_what_is_not_there(store: BlobStore, tmp_path: Path) -> None:
    assert store.stat("blobs/none") is None
    with pytest.raises(NotFound):
        store.get("blobs/none")
    with pytest.raises(NotFound):
        store.fetch("blobs/none", tmp_path / "copy")
    store.delete("blobs/none")


def test_list_gives_keys_in_order_under_a_prefix(store: BlobStore) -> None:
    for key in ("films/b/journal/2", "films/b/journal/10", "films/a/plan.json", "blobs/z", "commits/k/0"):
        store.put(key, b"x")
    assert [info.key for info in store.list("films/")] == [
        "films/a/plan.json",
        "films/b/journal/10",
        "films/b/journal/2",
    ]
    assert [info.key for info in store.list("films/b/journal/1")] == ["films/b/journal/10"]
    assert len(list(store.list(""))) == 5
    assert list(store.list("commits/none/")) == []
    store.delete("blobs/z")
    assert [info.key for info in store.list("blobs/")] == []


def test_of_many_creators_exactly_one_wins(store: BlobStore) -> None:
    for round_ in range(10):
        wins: list[int] = []
        gate = threading.Barrier(12)

        def create(number: int, key: str = f"journal/{round_}") -> None:
            gate.wait()
            if store.create_if_absent(key, str(number).encode()):
                wins.append(number)

        threads = [threading.Thread(target=create, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(wins) == 1
        assert store.get(f"journal/{round_}") == str(wins[0]).encode()
    assert store.create_if_absent("journal/0", b"late") is False


def test_nothing_and_much_are_kept_too(store: BlobStore, tmp_path: Path) -> None:
    store.put("blobs/empty", b"")
    assert store.get("blobs/empty") == b""
    assert store.create_if_absent("blobs/none", b"") is True
    much = bytes(range(256)) * 40_000
    (tmp_path / "much").write_bytes(much)
    store.put("blobs/much", tmp_path / "much")
    store.put("blobs/as-bytes", much)
    info = store.stat("blobs/much")
    assert info is not None and info.num_bytes == len(much)
    assert store.get("blobs/much") == store.get("blobs/as-bytes") == much
    store.fetch("blobs/much", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == much


def test_a_store_is_found_fit(store: BlobStore) -> None:
    assert race(store) == ""
    assert list(store.list("race/")) == []


def test_a_lax_store_is_found_out() -> None:
    class Lax(MemoryStore):
        def create_if_absent(self, key: str, data: bytes) -> bool:
            self.put(key, data)
            return True

    assert race(Lax()) == "of 8 writers of one key 8 won"


def test_films_lie_where_people_look_and_nothing_is_left_over(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put("films/boat/film.mp4", b"film")
    store.create_if_absent("commits/k/0", b"c")
    assert (tmp_path / "boat" / "film.mp4").read_bytes() == b"film"
    assert store.locate("films/boat/film.mp4") == str(tmp_path / "boat" / "film.mp4")
    assert list((tmp_path / ".longtake" / "tmp").iterdir()) == []


def test_a_failed_write_leaves_the_old_object(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put("blobs/a", b"old")
    with pytest.raises(StoreError):
        store.put("blobs/a", tmp_path / "there-is-no-such-file")
    assert store.get("blobs/a") == b"old"
    assert list((tmp_path / ".longtake" / "tmp").iterdir()) == []


def test_a_commit_takes_its_folder_with_it_and_another_may_come_at_that_moment(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    folder = tmp_path / ".longtake" / "commits" / "k"
    store.create_if_absent("commits/k/000000", b"c")
    store.create_if_absent("commits/k/000001", b"c")
    store.delete("commits/k/000000")
    assert [path.name for path in folder.iterdir()] == ["000001"]
    store.delete("commits/k/000001")
    assert not folder.exists()
    over = threading.Event()

    def sweep() -> None:
        while not over.is_set():
            store.create_if_absent("commits/k/other", b"c")
            store.delete("commits/k/other")

    thread = threading.Thread(target=sweep)
    thread.start()
    try:
        for number in range(60):
            assert store.create_if_absent(f"commits/k/{number}", b"c") is True
            store.delete(f"commits/k/{number}")
    finally:
        over.set()
        thread.join()


def test_what_is_being_written_is_told_to_who_asks_for_just_that(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.check_writable()
    (tmp_path / ".longtake" / "tmp" / "half").write_bytes(b"x")
    assert list(store.list("")) == []
    assert [info.key for info in store.list("tmp/")] == ["tmp/half"]
    store.delete("tmp/half")
    assert list(store.list("tmp/")) == []


@given(st.text(max_size=30))
def test_no_key_leaves_the_store(key: str) -> None:
    root = Path("/nonexistent-root")
    store = DirectoryStore.__new__(DirectoryStore)
    store.root = root
    try:
        path = store._path(key)
    except StoreError:
        return
    assert path.is_relative_to(root)
    assert ".." not in path.parts


@pytest.mark.parametrize(
    "key", ["../x", "blobs/../../x", "/etc/passwd", "films/../x", "", "a//b", "blobs/.x"]
)
def test_keys_that_would_leave_are_refused(tmp_path: Path, place: Place, key: str) -> None:
    for store in (DirectoryStore(tmp_path), S3Store(place)):
        with pytest.raises(StoreError, match="no key"):
            store.put(key, b"x")


def test_an_unwritable_folder_is_said_so(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    with pytest.raises(BadInput, match="cannot be written"):
        DirectoryStore(file / "store").check_writable()
    if os.geteuid() != 0:  # root may write anywhere
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
        with pytest.raises(BadInput, match="cannot be written"):
            DirectoryStore(closed).check_writable()
