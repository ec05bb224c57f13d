"""The store's format: one number, in one object, for how everything in a store is written.

A store is brought to the format of this Longtake by whoever next writes to it, one step after another. Each
step may be broken off anywhere and done again: its number is written when it is done.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from farm.errors import BadInput, NotFound, StoreError
from farm.ports import BlobStore

KEY = "format.json"


def _keep_format(store: BlobStore) -> None:
    """From 0, what was written before the format was kept: nothing has to be written in another way.

    Commits, journals and records of that time are read as they are. Commits under recipe keys that were
    made in another way are what no film refers to, and a film from before orders were kept has no script in
    the store that its order could be made from: `farm gc` says so.
    """


STEPS: tuple[Callable[[BlobStore], None], ...] = (_keep_format,)
FORMAT = len(STEPS)


def check_format(store: BlobStore, place: str) -> int | None:
    """The store's format; None where none is written. Enough for who only reads: older ones read alike.

    Raises:
        BadInput: when the store was written by a newer Longtake.
        StoreError: when the number was altered.
    """
    try:
        found = json.loads(store.get(KEY))["format"]
    except NotFound:
        return None
    except (ValueError, KeyError, TypeError):
        found = None
    if not isinstance(found, int) or found < 1:
        raise StoreError(
            f"{store.locate(KEY)} cannot be understood: if no newer Longtake wrote to this store, delete it, "
            "and it is written anew"
        )
    if found > FORMAT:
        raise BadInput(
            f"the store {place} was written by a newer Longtake (format {found}; this one knows up to "
            f"{FORMAT}): upgrade"
        )
    return found


def settle_format(store: BlobStore, place: str) -> None:
    """Bring a store to this Longtake's format before anything is written to it. Raises as above."""
    found = check_format(store, place)
    if found is None:  # a new store, or one from before the format was kept
        found = 0 if any(True for _ in store.list("films/")) else FORMAT
        if found == FORMAT:
            store.create_if_absent(KEY, _encode(FORMAT))
    for number in range(found, FORMAT):
        STEPS[number](store)
        store.put(KEY, _encode(number + 1))


def _encode(number: int) -> bytes:
    return json.dumps({"format": number}).encode() + b"\n"
