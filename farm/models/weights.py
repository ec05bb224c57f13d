"""Where weights are, and which ones they are. Needs no torch, so that `farm plan` is quick.

A source is `papercut` (shipped with the package), a folder, or a repository on the Hugging Face hub.
The identity is what recipe keys depend on: for a folder the hash of its files, for a repository the
commit it was resolved to.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from farm.errors import BadInput
from farm.plan.spec import Weights

SHIPPED = Path(__file__).parent / "papercut"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_PARTS = ("transformer", "vae", "text_encoder", "tokenizer", "scheduler")
_EXTRAS = ("transformer_2", "probe")
# Never a pickle, never code.
_PATTERNS = [
    f"{part}/*{ending}" for part in (*_PARTS, *_EXTRAS) for ending in (".json", ".safetensors", ".model")
]


def resolve(source: str, revision: str | None) -> Weights:
    """Find out which weights a source means.

    Raises:
        BadInput: for a folder that is none, or a name that is neither a folder nor a repository.
    """
    folder = SHIPPED if source == "papercut" else folder_of(source, "model.weights")
    if folder.is_dir():
        return Weights(source=str(folder), identity=_folder_identity(folder))
    if not _REPOSITORY.fullmatch(source):
        raise BadInput(f"model.weights={source!r}: there is no such folder, and it is no hub repository")
    if revision and re.fullmatch(r"[0-9a-f]{40}", revision):
        return Weights(source=source, identity=f"{source}@{revision}")
    commit = _cached_commit(source, revision or "main")
    if commit is None:
        name = f"{source}@{revision or 'main'}"
        return Weights(source=source, identity=f"{name}?", resolved=False)
    return Weights(source=source, identity=f"{source}@{commit}")


def folder_of(text: str, key: str) -> Path:
    """Read a setting that names a folder, as an absolute path. Raises BadInput for what cannot be one."""
    try:
        path = Path(text).expanduser().resolve()
        path.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        raise BadInput(f"{key}={text[:60]}: not a folder's name ({str(error)[:80]})") from error
    return path


def _folder_identity(folder: Path) -> str:
    # Every file counts: a tokenizer may be in any of several.
    missing = [part for part in _PARTS if not (folder / part).is_dir()]
    if missing:
        raise BadInput(
            f"model.weights={folder}: there is no {missing[0]}/ in it; "
            f"a model folder holds {', '.join(part + '/' for part in _PARTS)}"
        )
    digest = hashlib.sha256()
    for part in (*_PARTS, *_EXTRAS):
        for path in sorted((folder / part).glob("*")):
            if path.is_file() and not path.name.startswith("."):
                try:
                    with path.open("rb") as file:
                        inner = hashlib.file_digest(file, "sha256").hexdigest()
                except OSError as error:
                    raise BadInput(f"{path} cannot be read: {error.strerror}") from error
                digest.update(f"{part}/{path.name} {inner}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def _cached_commit(repository: str, revision: str) -> str | None:
    """The commit a branch or tag stood at when it was last fetched to this machine."""
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(repository, "transformer/config.json", revision=revision)
    except ValueError as error:
        raise BadInput(f"model.weights={repository!r} is no hub repository") from error
    if not isinstance(found, str):
        return None
    return Path(found).parents[1].name


def fetch(weights: Weights) -> Path:
    """Return the folder the weights are in, downloading a repository that is not here yet.

    Raises:
        BadInput: when they are not on this machine and cannot be fetched.
    """
    folder = Path(weights.source)
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    commit = weights.identity.partition("@")[2].rstrip("?")
    try:
        return Path(snapshot_download(weights.source, revision=commit or None, allow_patterns=_PATTERNS))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise BadInput(
            f"the weights {weights.source} are not on this machine and could not be fetched: "
            "download them where there is a network, or give a folder with model.weights=FOLDER"
        ) from error


def settle(source: str, revision: str | None) -> Weights:
    """Resolve weights for rendering: fetched if need be, so that the identity is a certain one."""
    weights = resolve(source, revision)
    if weights.resolved:
        return weights
    commit = fetch(weights).name
    return Weights(source=source, identity=f"{source}@{commit}")
