"""What a key may look like: the same in every store, so that a farm can move from one to another."""

from __future__ import annotations

import re

from farm.errors import StoreError

PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=@-]{0,199}")


def is_key(key: str) -> bool:
    """Whether all parts are plain names: none is empty, hidden, or leads elsewhere."""
    return all(PART.fullmatch(part) for part in key.split("/"))


def check_key(key: str) -> list[str]:
    """Return the parts of a key. Raises StoreError for what could leave the store."""
    if not is_key(key):
        raise StoreError(f"{key!r} is no key of a store")
    return key.split("/")


def check_prefix(prefix: str) -> list[str]:
    """Return the whole parts of a prefix, without the begun last one. Raises StoreError as above."""
    parts = prefix.split("/")[:-1]
    if not all(PART.fullmatch(part) for part in parts):
        raise StoreError(f"{prefix!r} is no prefix of a store")
    return parts
