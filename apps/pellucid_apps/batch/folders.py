"""Where photos come from and results go: a folder, or an address of an object store.

Addresses (s3://bucket/photos, gs://, az://, sftp://, ...) go through fsspec, the file systems of
pandas and Dask: each store is a package of its own that the user may add.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from pellucid import PellucidError

from ..restore.find import OTHER_SYSTEMS

SCRATCH = ".pellucid-batch"  # unfinished results; beside the finished ones, so that renaming works
# A put makes the whole object or nothing; renaming would copy it. Elsewhere: put, then rename.
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci", "memory"}


class Folder(Protocol):
    """Files by their name below the folder, parts joined by "/"."""

    address: str

    def files(self) -> Iterator[tuple[str, int]]:
        """(name, bytes) of every file that is not hidden, subfolders included."""

    def fetch(self, name: str, scratch: Path) -> Path:
        """A local file of this name: itself, or a copy in `scratch`. Raises OSError."""

    def has(self, name: str) -> bool: ...

    def publish(self, part: Path, name: str) -> None:
        """Make a finished local file appear as `name`, whole or not at all. Raises OSError."""

    def make_scratch(self, run: str) -> Path:
        """A new local folder for one worker's unfinished results."""

    def clear_scratch(self, run: str) -> None:
        """Remove what the workers of a run left, dead ones included."""


class LocalFolder:
    def __init__(self, path: Path) -> None:
        self.address, self._root = str(path), path

    def files(self) -> Iterator[tuple[str, int]]:
        for folder, subfolders, names in os.walk(self._root, followlinks=True):
            subfolders[:] = sorted(
                s for s in subfolders if not s.startswith(".") and s not in OTHER_SYSTEMS
            )
            for name in sorted(names):
                path = Path(folder, name)
                if not name.startswith(".") and path.is_file():
                    yield path.relative_to(self._root).as_posix(), path.stat().st_size

    def fetch(self, name: str, scratch: Path) -> Path:
        return self._root / name

    def has(self, name: str) -> bool:
        return (self._root / name).exists()

    def publish(self, part: Path, name: str) -> None:
        target = self._root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, target)

    def make_scratch(self, run: str) -> Path:
        home = self._root / SCRATCH / run
        home.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=home))

    def clear_scratch(self, run: str) -> None:
        shutil.rmtree(self._root / SCRATCH / run, ignore_errors=True)
        with contextlib.suppress(OSError):  # other shards are at work in it
            (self._root / SCRATCH).rmdir()


class RemoteFolder:
    """A folder behind fsspec. Credentials and endpoints come from the environment, as each store's
    own tools read them, or from FSSPEC_* variables."""

    def __init__(self, address: str) -> None:
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise PellucidError(
                f"{address}: addresses need fsspec; pip install fsspec and the store's package, "
                "for s3:// pip install 'pellucid[s3]'"
            ) from error
        self.address = address.rstrip("/")
        try:
            self._fs: Any
            self._fs, root = url_to_fs(self.address)
        except (ImportError, ValueError) as error:
            raise PellucidError(f"{address}: {error}") from error
        self._root = str(root).rstrip("/")
        protocols = self._fs.protocol
        names = {protocols} if isinstance(protocols, str) else set(protocols)
        self._whole_puts = bool(names & _OBJECT_STORES)

    def files(self) -> Iterator[tuple[str, int]]:
        for path, info in sorted(self._fs.find(self._root, detail=True).items()):
            name = str(path)[len(self._root) :].lstrip("/")
            if name and not name.rpartition("/")[2].startswith("."):
                yield name, int(info.get("size") or 0)

    def fetch(self, name: str, scratch: Path) -> Path:
        copy = scratch / name.rpartition("/")[2]
        self._fs.get_file(f"{self._root}/{name}", str(copy))
        return copy

    def has(self, name: str) -> bool:
        return bool(self._fs.exists(f"{self._root}/{name}"))

    def publish(self, part: Path, name: str) -> None:
        target = f"{self._root}/{name}"
        if self._whole_puts:
            self._fs.put_file(str(part), target)
            return
        folder, _, last = target.rpartition("/")
        self._fs.makedirs(folder, exist_ok=True)
        beside = f"{folder}/.{last}.part"
        self._fs.put_file(str(part), beside)
        self._fs.mv(beside, target)

    def make_scratch(self, run: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"pellucid-{run}-"))

    def clear_scratch(self, run: str) -> None:
        """Each worker removes its own; a killed one's lies in the machine's temporary folder."""


def open_folder(text: str) -> Folder:
    """The folder of a path or an address. Raises PellucidError if its store cannot be used."""
    if text.startswith("file://"):
        return LocalFolder(Path(text.removeprefix("file://")))
    return RemoteFolder(text) if "://" in text else LocalFolder(Path(text))
