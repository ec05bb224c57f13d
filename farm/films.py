"""A film's folder in the store: whose it is, and what people find in it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from farm.errors import BadInput, CorruptBlob, FarmError, StoreError
from farm.ledger import Blobs
from farm.ports import BlobRef, BlobStore

PUBLISHED = {"film": "film.mp4", "sheet": "sheet.png", "srt": "film.srt", "vtt": "film.vtt"}


def claim(store: BlobStore, film: str, script: str) -> None:
    """Bind a film's name to its script, so that two scripts never share a film.

    Raises:
        BadInput: when the name belongs to another script.
    """
    key = f"films/{film}/script.json"
    if store.create_if_absent(key, json.dumps({"script": script}).encode()):
        return
    try:
        owner = json.loads(store.get(key))["script"]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{store.locate(key)} cannot be understood") from error
    if owner != script:
        raise BadInput(
            f"the film name {film!r} belongs to the script {owner} in this store: give another with film=NAME"
        )


def publish(store: BlobStore, film: str, outputs: Mapping[str, BlobRef]) -> None:
    """Put a film, its sheet and its subtitles where people look for them.

    Raises:
        FarmError: when one of them is damaged; to render the film again mends it.
    """
    for name, target in PUBLISHED.items():
        key = f"films/{film}/{target}"
        if name not in outputs:
            store.delete(key)  # an earlier version of the film had it
            continue
        try:
            _copy(Blobs(store), outputs[name], key)
        except CorruptBlob as error:
            raise FarmError(f"the {name}: {error}; the same command makes it again") from error


def _copy(blobs: Blobs, ref: BlobRef, key: str) -> None:
    """Copy a blob to a key of its own, without holding it in memory."""
    with tempfile.TemporaryDirectory(prefix="longtake-") as folder:
        path = Path(folder) / "blob"
        blobs.fetch(ref, path)
        blobs.store.put(key, path)


def put_json(store: BlobStore, key: str, value: dict[str, Any]) -> None:
    """Write a JSON object for people and programs to read."""
    store.put(key, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())
