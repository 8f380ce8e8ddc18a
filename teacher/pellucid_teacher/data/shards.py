"""Training folders as WebDataset shards: tar files that an object store serves well.

A sample is the files that share a name up to its first dot: `clean/lake.jpg`, or, of a folder of
pairs, `rain-heavy/7.input.png` and `rain-heavy/7.target.png`, which lie in input/ and target/
otherwise. Any WebDataset reader reads them. Files keep their bytes unless they are made smaller.
"""

import random
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Any

import cv2
import numpy as np

from pellucid.pairs import pictures_below

from .corpus import Corpus, load_corpus

_SIDES = ("input", "target")
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class PackConfig:
    """shard_mb: size of a shard, about. total_mb: of all shards; samples beyond it, chosen at
    random, stay out. side: longer shorter sides are shrunk to it, px; None keeps every byte."""

    shard_mb: float = 256.0
    total_mb: float | None = None
    side: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Packed:
    """Counts: samples written, samples left out for total_mb; bytes of all shards."""

    shards: list[Path]
    samples: int
    left_out: int
    total_bytes: int


def pack(folder: Path, out: Path, config: PackConfig) -> Packed:
    """Write the pictures below `folder` as out/shard-00000.tar and so on, in random order.

    Raises ValueError if there are none, two would have one name, or `out` holds shards already.
    """
    samples = _find_samples(folder)
    if not samples:
        raise ValueError(f"{folder}: no pictures found to pack")
    out.mkdir(parents=True, exist_ok=True)
    if any(out.glob("shard-*.tar*")):
        raise ValueError(f"{out} holds shards already; use a new folder")
    keys = sorted(samples)
    random.Random(config.seed).shuffle(keys)
    shards: list[Path] = []
    total = written = 0
    with ExitStack() as open_shards:
        shard: tarfile.TarFile | None = None
        room = 0.0
        for key in keys:
            files = [(name, _content(path, config.side)) for name, path in samples[key]]
            # A member's header and padding take up to 1 kB.
            size = sum(len(data) + 1024 for _, data in files)
            if config.total_mb is not None and total + size > config.total_mb * 1e6:
                continue
            if shard is None or size > room:
                open_shards.close()
                shards.append(out / f"shard-{len(shards):05d}.tar")
                shard = open_shards.enter_context(_whole_tar(shards[-1]))
                room = config.shard_mb * 1e6
            for name, data in files:
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                shard.addfile(entry, BytesIO(data))
            room -= size
            total += size
            written += 1
    bytes_written = sum(path.stat().st_size for path in shards)
    return Packed(shards, written, len(keys) - written, bytes_written)


@contextmanager
def _whole_tar(path: Path) -> Iterator[tarfile.TarFile]:
    """A tar that appears under its name when it is finished."""
    partial = path.with_suffix(".tar.part")
    with tarfile.open(partial, "w") as tar:
        yield tar
    partial.rename(path)


def _find_samples(folder: Path) -> dict[str, list[tuple[str, Path]]]:
    """(name in the shard, file) of each sample's files, by the sample's key."""
    found: dict[str, list[tuple[str, Path]]] = {}
    taken: dict[str, Path] = {}
    for path in pictures_below(folder):
        name = shard_name(PurePosixPath(path.relative_to(folder).as_posix()))
        if name in taken:
            raise ValueError(f"{path} and {taken[name]} would both be {name}; rename one")
        taken[name] = path
        home, _, last = name.rpartition("/")
        found.setdefault(f"{home}/{last.partition('.')[0]}", []).append((name, path))
    return found


def shard_name(path: PurePosixPath) -> str:
    """lol/input/1.png -> lol/1.input.png; a dot in a stem would end the key, but for those of
    0001.color.jpg and 0001.depth.png, which are one sample."""
    stem, kind = path.stem, ""
    for field in ("color", "depth"):
        if stem.endswith(f".{field}"):
            stem, kind = stem.removesuffix(f".{field}"), f".{field}"
    home = path.parent
    if home.name in _SIDES:
        home, kind = home.parent, f".{home.name}"
    return str(home / f"{stem.replace('.', '_')}{kind}{path.suffix}")


def folder_name(name: str) -> str:
    """The inverse of `shard_name`, but for dots in stems."""
    path = PurePosixPath(name)
    stem, _, kind = path.stem.rpartition(".")
    return str(path.parent / kind / f"{stem}{path.suffix}") if kind in _SIDES else name


def _content(path: Path, side: int | None) -> bytes:
    data = path.read_bytes()
    if side is None or path.parent.name in _SIDES or ".depth" in path.name:
        return data  # pairs must stay pixel by pixel what they are
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{path}: not a readable picture")
    scale = side / min(picture.shape[:2])
    if scale >= 1.0:
        return data
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    suffix = ".jpg" if path.suffix.lower() == ".jfif" else path.suffix
    ok, coded = cv2.imencode(suffix, small, [] if suffix == ".png" else quality)
    assert ok
    return coded.tobytes()


def open_corpus(
    address: str,
    leave_out: frozenset[str] = frozenset(),
    wanted: Callable[[Path], bool] = lambda path: True,
) -> Corpus:
    """`load_corpus` of a training folder, of a folder of shards or of an address of shards.

    Raises ValueError as it does, and for shards that are missing or damaged.
    """
    if not is_shards(address):
        return load_corpus(Path(address), leave_out, wanted)
    with unpacked(address) as folder:
        return load_corpus(folder, leave_out, wanted)


def is_shards(address: str) -> bool:
    """Whether training data are shards: an address, or a folder that holds some."""
    return "://" in address or any(Path(address).glob("shard-*.tar"))


@contextmanager
def unpacked(address: str) -> Iterator[Path]:
    """The training folder that was packed, in a temporary place; from a folder or an address.

    Raises ValueError if there are no shards or one is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="pellucid-shards-") as home:
        count = 0
        for name, file in _open_shards(address):
            try:
                with file, tarfile.open(fileobj=file, mode="r|") as tar:
                    for member in tar:
                        _extract(tar, member, Path(home))
            except (tarfile.TarError, EOFError) as error:
                raise ValueError(f"{name}: the shard is damaged ({error})") from error
            count += 1
        if not count:
            raise ValueError(f"{address}: no shards (shard-*.tar); make some with `pellucid pack`")
        yield Path(home)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, home: Path) -> None:
    name = PurePosixPath(folder_name(member.name))
    if not member.isfile():
        return
    if name.is_absolute() or ".." in name.parts:
        raise ValueError(f"{member.name!r} would be written outside its folder")
    content = tar.extractfile(member)
    assert content is not None
    target = home / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content.read())


def _open_shards(address: str) -> Iterator[tuple[str, IO[bytes]]]:
    if "://" not in address:
        for path in sorted(Path(address).glob("shard-*.tar")):
            yield str(path), path.open("rb")
        return
    try:
        from fsspec.core import url_to_fs

        fs: Any
        fs, root = url_to_fs(address.rstrip("/"))
        names = sorted(fs.glob(f"{root}/shard-*.tar"))
    except ImportError as error:  # of fsspec, or of the store's package
        raise ValueError(f"{address}: {error}; for s3:// pip install 'pellucid[s3]'") from error
    for name in names:
        yield name, fs.open(name, "rb")
