"""The embedded store: a folder. `films/<film>/x` is `<root>/<film>/x`, and `nights/<night>/x` is
`<root>/nights/<night>/x`, where people look for them; everything else lives under `<root>/.longtake/`.

A write is a temporary file, flushed to the disk, then moved into place: a rename for what may be
replaced, a hard link for what must be created once, since a rename is not exclusive and a link is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from farm.errors import BadInput, NotFound, StoreError
from farm.ports import ObjectInfo
from farm.store.keys import PART, check_key, check_prefix

_HIDDEN, _NIGHTS = ".longtake", "nights"


class DirectoryStore:
    """A BlobStore over a folder, safe for many processes of one machine (or one shared disk).

    Nothing is made before the first write.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def check_writable(self) -> None:
        """Make the folder. Raises BadInput when it cannot be made or written."""
        try:
            (self.root / _HIDDEN / "tmp").mkdir(parents=True, exist_ok=True)
            if not os.access(self.root / _HIDDEN / "tmp", os.W_OK):
                raise PermissionError(errno.EACCES, "permission denied")
        except OSError as error:
            raise BadInput(
                f"the store folder {self.root} cannot be written ({_reason(error)}): "
                "choose another with store.root=FOLDER"
            ) from error

    def _path(self, key: str) -> Path:
        parts = check_key(key)
        if parts[0] == "films" and len(parts) > 2:
            return self.root.joinpath(*parts[1:])
        if parts[0] == _NIGHTS:
            return self.root.joinpath(*parts)
        return self.root.joinpath(_HIDDEN, *parts)

    def _temporary(self, source: bytes | Path) -> Path:
        temporary = self.root / _HIDDEN / "tmp" / uuid.uuid4().hex
        try:
            temporary.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb") as file:
                if isinstance(source, bytes):
                    file.write(source)
                else:
                    with source.open("rb") as original:
                        shutil.copyfileobj(original, file, 1 << 20)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise StoreError(f"cannot write to {self.root}: {_reason(error)}") from error
        return temporary

    def put(self, key: str, source: bytes | Path) -> None:
        path, temporary = self._path(key), self._temporary(source)
        try:
            _place(path, lambda: temporary.replace(path))
        except OSError as error:
            raise StoreError(f"cannot write {path}: {_reason(error)}") from error
        finally:
            temporary.unlink(missing_ok=True)

    def create_if_absent(self, key: str, data: bytes) -> bool:
        path, temporary = self._path(key), self._temporary(data)
        try:
            _place(path, lambda: os.link(temporary, path))
        except FileExistsError:
            return False
        except OSError as error:
            raise StoreError(f"cannot write {path}: {_reason(error)}") from error
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def get(self, key: str) -> bytes:
        path = self._path(key)
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound(f"there is no {key} in {self.root}") from error
        except OSError as error:
            raise StoreError(f"cannot read {path}: {_reason(error)}") from error

    def fetch(self, key: str, target: Path) -> None:
        path = self._path(key)
        try:
            shutil.copyfile(path, target)
        except FileNotFoundError as error:
            raise NotFound(f"there is no {key} in {self.root}") from error
        except OSError as error:
            raise StoreError(f"cannot copy {path}: {_reason(error)}") from error

    def stat(self, key: str) -> ObjectInfo | None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found = self._path(key).stat()
            return ObjectInfo(key, found.st_size, found.st_mtime)
        return None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        parts = check_prefix(prefix)
        found: list[ObjectInfo] = []
        # Films and nights lie beside the hidden folder, everything else in it: walk what the prefix can mean.
        if not parts or parts[0] == "films":
            found += _walk(self.root.joinpath(*parts[1:]), "/".join(["films", *parts[1:], ""]))
        if not parts or parts[0] == _NIGHTS:
            found += _walk(self.root.joinpath(_NIGHTS, *parts[1:]), "/".join([_NIGHTS, *parts[1:], ""]))
        if not parts or parts[0] not in ("films", _NIGHTS):
            found += _walk(self.root.joinpath(_HIDDEN, *parts), "/".join([*parts, ""]) if parts else "")
        # What lies in the folder of nights is no film.
        found = [info for info in found if not info.key.startswith(f"films/{_NIGHTS}/")]
        matching = (info for info in found if info.key.startswith(prefix))
        yield from sorted(matching, key=lambda info: info.key)

    def delete(self, key: str) -> None:
        path = self._path(key)
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise StoreError(f"cannot delete {key}: {_reason(error)}") from error
        if key.startswith("commits/"):  # each key has a folder, and a disk has only so many
            with contextlib.suppress(OSError):
                path.parent.rmdir()

    def touch(self, key: str) -> None:
        path = self._path(key)
        try:
            os.utime(path)
        except FileNotFoundError as error:
            raise NotFound(f"there is no {key} in {self.root}") from error
        except OSError as error:
            raise StoreError(f"cannot touch {path}: {_reason(error)}") from error

    def locate(self, key: str) -> str:
        return str(self._path(key))


def _walk(start: Path, base: str) -> Iterator[ObjectInfo]:
    for folder, folders, names in os.walk(start):
        # What is being written is no object: only who asks for just that is told.
        if Path(folder).parts[-2:] == (_HIDDEN, "tmp") and Path(folder) != start:
            continue
        folders[:] = [name for name in folders if name != _HIDDEN]
        for name in filter(PART.fullmatch, names):
            path = Path(folder, name)
            with contextlib.suppress(FileNotFoundError):
                found = path.stat()
                yield ObjectInfo(base + path.relative_to(start).as_posix(), found.st_size, found.st_mtime)


def _place(path: Path, move: Callable[[], object]) -> None:
    """Move a file into its folder, which is made; again where it was just deleted for being empty."""
    for left in reversed(range(100)):
        with contextlib.suppress(FileExistsError):  # gone since it was there: the move will tell
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            move()
            break
        except FileNotFoundError:
            if not left:
                raise
            time.sleep(random.uniform(0, 0.002))  # or two may stay in step with one another
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """A name is only safe once its folder is on the disk too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
