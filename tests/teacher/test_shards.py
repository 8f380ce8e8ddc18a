"""Shards hold what the training folder holds, and a WebDataset reader agrees."""

import gc
import io
import tarfile
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pytest

from pellucid_teacher.data.corpus import load_corpus
from pellucid_teacher.data.shards import (
    PackConfig,
    folder_name,
    open_corpus,
    pack,
    shard_name,
)


def picture(path: Path, seed: int, height: int = 170, width: int = 200) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3)).astype(np.uint8)
    assert cv2.imwrite(str(path), pixels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "train"
    for seed, name in enumerate(("clean/a.png", "clean/sub/b.jpg", "clean/c.v2.png")):
        picture(home / name, seed)
    for side in ("input", "target"):
        picture(home / "lowlight-x" / side / "1.png", 9 + len(side))
        picture(home / "rain-x" / side / "1.png", 19 + len(side))
    picture(home / "rgbd-x" / "1.color.png", 30)
    depth = np.full((170, 200), 2000, np.uint16)
    assert cv2.imwrite(str(home / "rgbd-x" / "1.depth.png"), depth)
    return home


def test_a_corpus_of_shards_equals_that_of_the_folder(folder: Path, tmp_path: Path) -> None:
    packed = pack(folder, tmp_path / "shards", PackConfig(shard_mb=0.2))
    assert packed.samples == 6 and packed.left_out == 0 and len(packed.shards) > 2
    ours, theirs = load_corpus(folder), open_corpus(str(tmp_path / "shards"))
    for name, mine in vars(ours).items():
        pictures = zip(mine, getattr(theirs, name), strict=True)
        assert all(np.array_equal(a, b) for pair in pictures for a, b in _parts(*pair)), name
    assert len(open_corpus(str(tmp_path / "shards"), frozenset({"sub"})).clean) == 2


def _parts(a: object, b: object) -> list[tuple[np.ndarray, np.ndarray]]:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return list(zip(a, b, strict=True))
    return [(np.asarray(a), np.asarray(b))]


@pytest.mark.parametrize(
    "path", ["clean/a.png", "x/input/1.png", "x/y/target/1.JPG", "rgbd/7.color.jpg"]
)
def test_names_come_back(path: str) -> None:
    assert folder_name(shard_name(PurePosixPath(path))) == path


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # leaves it open
def test_a_webdataset_reader_finds_pairs(folder: Path, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset", reason="an independent reader of the shards")
    pack(folder, tmp_path / "shards", PackConfig())
    data = webdataset.WebDataset(str(tmp_path / "shards" / "shard-00000.tar"), shardshuffle=False)
    found = {sample["__key__"]: sample for sample in data}
    del data
    gc.collect()
    assert len(found) == 6 and {"input.png", "target.png"} <= found["rain-x/1"].keys()
    expected = (folder / "rain-x" / "input" / "1.png").read_bytes()
    assert found["rain-x/1"]["input.png"] == expected
    assert {"color.png", "depth.png"} <= found["rgbd-x/1"].keys() and "clean/c_v2" in found


def test_a_pack_keeps_to_its_size(folder: Path, tmp_path: Path) -> None:
    for number in range(20):
        picture(folder / "clean" / f"big{number}.jpg", number, 400, 500)
    whole = pack(folder, tmp_path / "whole", PackConfig())
    small = pack(folder, tmp_path / "small", PackConfig(total_mb=1.0))
    assert small.total_bytes <= 1.1e6 < whole.total_bytes
    assert small.samples + small.left_out == whole.samples == 26
    shrunk = pack(folder, tmp_path / "shrunk", PackConfig(side=160))
    assert {min(p.shape[:2]) for p in open_corpus(str(tmp_path / "shrunk")).clean} == {160}
    assert shrunk.total_bytes < whole.total_bytes


def test_what_cannot_be_packed_or_read_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no pictures found"):
        pack(tmp_path / "none", tmp_path / "shards", PackConfig())
    pack(folder, tmp_path / "shards", PackConfig())
    with pytest.raises(ValueError, match="holds shards already"):
        pack(folder, tmp_path / "shards", PackConfig())
    picture(folder / "clean" / "c_v2.png", 5)
    with pytest.raises(ValueError, match="would both be clean/c_v2.png"):
        pack(folder, tmp_path / "twice", PackConfig())
    shard = tmp_path / "shards" / "shard-00000.tar"
    shard.write_bytes(shard.read_bytes()[:100_000])
    with pytest.raises(ValueError, match=r"shard-00000.tar: the shard is damaged"):
        open_corpus(str(tmp_path / "shards"))
    with tarfile.open(shard, "w") as tar:
        told = tarfile.TarInfo("../../escape.png")
        told.size = 1
        tar.addfile(told, io.BytesIO(b"x"))
    with pytest.raises(ValueError, match="outside its folder"):
        open_corpus(str(tmp_path / "shards"))
    pytest.importorskip("fsspec")
    with pytest.raises(ValueError, match="no shards"):
        open_corpus("memory://nothing")
