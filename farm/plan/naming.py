"""Film names: what may be one, and how one is made from a title or a file name."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePath

from farm.errors import BadInput

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def check_film_name(name: str) -> str:
    """Return the name if it may be one. Raises BadInput, so that no name can leave the store."""
    if name == "nights":
        raise BadInput("film=nights: a store keeps its nights under that name: give the film another one")
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"film={name!r} is no film name: use up to 63 small letters, digits and dashes, "
            "beginning with a letter or digit"
        )
    return name


def film_name(title: str | None, file: str) -> str:
    """Make a film name from a title, else from a file's name."""
    for text in (title, PurePath(file).stem):
        plain = unicodedata.normalize("NFKD", text or "").encode("ascii", "ignore").decode()
        slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:63].rstrip("-")
        if slug:
            return slug
    raise BadInput(f"no film name can be made from {file!r}: give one with film=NAME")
