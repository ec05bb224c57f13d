"""The store's format: kept with the first write, checked at every opening, moved on step by step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from farm import config, parts
from farm.errors import BadInput, StoreError
from farm.store import format as store_format
from farm.store.format import FORMAT, KEY, check_format, settle_format
from farm.store.memory import MemoryStore


def number(store: MemoryStore) -> int:
    return json.loads(store.get(KEY))["format"]


def test_a_new_store_has_the_format_of_this_longtake(store: MemoryStore) -> None:
    assert check_format(store, "x") is None
    settle_format(store, "x")
    assert check_format(store, "x") == number(store) == FORMAT
    settle_format(store, "x")
    assert [info.key for info in store.list("")] == [KEY]


def test_a_store_from_before_formats_were_kept_is_marked_and_else_left_as_it_is(store: MemoryStore) -> None:
    old = {"films/a/plan.json": b"{}", "films/a/journal/000000000": b"", "commits/k/000000": b"c"}
    for key, data in old.items():
        store.put(key, data)
    settle_format(store, "x")
    assert number(store) == FORMAT
    assert {info.key: store.get(info.key) for info in store.list("") if info.key != KEY} == old


def test_a_newer_store_is_refused(store: MemoryStore) -> None:
    store.put(KEY, json.dumps({"format": FORMAT + 1}).encode())
    message = rf"the store x was written by a newer Longtake \(format {FORMAT + 1}; this one knows up to"
    for look in (check_format, settle_format):
        with pytest.raises(BadInput, match=message):
            look(store, "x")


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"format": "1"}', b'{"format": 0}'])
def test_an_altered_number_is_said_so(store: MemoryStore, data: bytes) -> None:
    store.put(KEY, data)
    with pytest.raises(StoreError, match="cannot be understood"):
        settle_format(store, "x")


@pytest.mark.parametrize("begun", [0, 1, 2])
@pytest.mark.parametrize("broken", [None, 1, 2, 3])
def test_steps_are_taken_in_turn_and_taken_up_where_they_were_broken_off(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch, begun: int, broken: int | None
) -> None:
    """Three steps, each of which rewrites one object to its number; one of them is broken off."""
    failing = {broken}

    def step(to: int):
        def run(store: MemoryStore) -> None:
            assert int(store.get("films/a/x")) in (to - 1, to)
            store.put("films/a/x", str(to).encode())
            if to in failing:
                failing.clear()
                raise StoreError("the power went")

        return run

    monkeypatch.setattr(store_format, "STEPS", (step(1), step(2), step(3)))
    monkeypatch.setattr(store_format, "FORMAT", 3)
    store.put("films/a/x", str(begun).encode())
    if begun:
        store.put(KEY, json.dumps({"format": begun}).encode())
    if broken is not None and broken > begun:
        with pytest.raises(StoreError, match="power"):
            settle_format(store, "x")
        assert check_format(store, "x") == (broken - 1 or None)
    settle_format(store, "x")
    assert (number(store), store.get("films/a/x")) == (3, b"3")


def test_only_who_writes_writes_the_format(tmp_path: Path) -> None:
    conf = config.load([f"store.root={tmp_path}/store"])
    parts.open_store(conf)
    assert not (tmp_path / "store").exists()
    parts.build_store(conf, writable=True)
    place = tmp_path / "store" / ".longtake" / "format.json"
    assert json.loads(place.read_text()) == {"format": FORMAT}
    place.write_text('{"format": 99}')
    for opened in (parts.open_store, parts.find_store, lambda conf: parts.build_store(conf, writable=True)):
        with pytest.raises(BadInput, match=f"{tmp_path}/store was written by a newer Longtake"):
            opened(conf)
