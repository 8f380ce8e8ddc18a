"""Photos in and out: nothing lost, nothing half written, every bad file one sentence."""

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ImageCms

from pellucid import Photo, PhotoError, read_photo
from pellucid.errors import TooLargeError
from pellucid.image.exif import read_orientation
from pellucid.image.photo import MAX_MEGAPIXELS_VARIABLE, picture_size, write_atomically

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif(orientation: int, order: str = ">") -> bytes:
    """Smallest EXIF block with an orientation tag."""
    magic = b"MM\0*" if order == ">" else b"II*\0"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return magic + struct.pack(order + "IH", 8, 1) + entry + struct.pack(order + "I", 0)


def pixels(*shape: int, dtype: type = np.uint8) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)


def smooth() -> NDArray[np.uint8]:
    x = np.linspace(0, 255, 48).astype(np.uint8)
    right = np.tile(x, (32, 1))
    return np.stack([right, np.full_like(right, 90), right[:, ::-1]], axis=2)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 3), (9, 7, 4)])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_lossless_round_trip(
    tmp_path: Path, shape: tuple[int, ...], dtype: type, suffix: str
) -> None:
    image = pixels(*shape, dtype=dtype)
    photo = read_photo(Photo(image, {}).save(tmp_path / f"å ß{suffix}"))
    assert photo.pixels.dtype == dtype
    assert np.array_equal(photo.pixels, image)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_metadata_travel(tmp_path: Path, suffix: str) -> None:
    told = {cv2.IMAGE_METADATA_EXIF: exif(6), cv2.IMAGE_METADATA_ICCP: ICC}
    Photo(smooth(), told).save(tmp_path / f"a{suffix}")
    again = read_photo(tmp_path / f"a{suffix}")
    again.save(tmp_path / f"b{suffix}")
    final = read_photo(tmp_path / f"b{suffix}")
    assert final.metadata[cv2.IMAGE_METADATA_ICCP] == ICC
    assert final.orientation == 6
    assert final.suffix == suffix


def test_jpeg_colours_keep_their_order(tmp_path: Path) -> None:
    photo = read_photo(Photo(smooth(), {}).save(tmp_path / "a.jpg", quality=98))
    assert np.abs(photo.pixels.astype(int) - smooth()).max() < 12


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_stored_pixels_and_orientation_stay_together(
    tmp_path: Path, orientation: int, order: str
) -> None:
    image = smooth()
    block = {cv2.IMAGE_METADATA_EXIF: exif(orientation, order)}
    Photo(image, block).save(tmp_path / "a.png")
    photo = read_photo(tmp_path / "a.png")
    assert photo.orientation == orientation
    assert np.array_equal(photo.pixels, image)
    # What a viewer that obeys the tag shows is what OpenCV, an independent reader, makes of both.
    seen = cv2.imdecode(np.fromfile(tmp_path / "a.png", np.uint8), cv2.IMREAD_COLOR)
    from pellucid.image.exif import upright

    assert np.array_equal(np.asarray(seen)[..., ::-1], upright(image, orientation))


@pytest.mark.parametrize("block", [b"", b"junk", exif(6)[:9], exif(77)])
def test_unreadable_orientation_is_upright(block: bytes) -> None:
    assert read_orientation(block) == 1


def encoded(suffix: str, *shape: int) -> bytes:
    return Photo(pixels(*shape), {}).encode(suffix)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp", ".avif"])
def test_header_tells_the_size_before_decoding(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(encoded(suffix, 37, 53, 3))
    assert picture_size(tmp_path / f"a{suffix}") == (37, 53)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.97])
def test_truncated_files_are_refused(suffix: str, share: float) -> None:
    data = encoded(suffix, 64, 64, 3)
    with pytest.raises(PhotoError):
        read_photo(data[: int(share * len(data))])


def test_trailing_data_after_a_jpeg_is_fine() -> None:
    assert read_photo(encoded(".jpg", 20, 20, 3) + b"\0motion photo").pixels.shape == (20, 20, 3)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "empty"),
        (b"hello, I am text" * 9, "not a picture"),
        (b"\xff\xd8\xff", "ends inside its header"),
        (b"GIF89a" + bytes(40), "GIF"),
        (bytes(4) + b"ftypheic" + bytes(40), "HEIC"),
    ],
)
def test_other_files_get_one_sentence(data: bytes, told: str) -> None:
    with pytest.raises(PhotoError, match=told) as caught:
        read_photo(data)
    assert "\n" not in str(caught.value)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be huge."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    out = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")):
        crc = zlib.crc32(kind + body)
        out += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)
    return out


def test_huge_dimensions_are_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TooLargeError, match=f"2500 megapixels.*{MAX_MEGAPIXELS_VARIABLE}=2500"):
        read_photo(bomb(50_000, 50_000))
    monkeypatch.setenv(MAX_MEGAPIXELS_VARIABLE, "0.0001")
    with pytest.raises(PhotoError, match="megapixels"):
        read_photo(encoded(".png", 20, 20, 3))
    monkeypatch.setenv(MAX_MEGAPIXELS_VARIABLE, "lots")
    with pytest.raises(PhotoError, match="must be a number"):
        read_photo(encoded(".png", 20, 20, 3))


def test_animations_are_refused() -> None:
    still = encoded(".png", 8, 8, 3)
    body = struct.pack(">II", 3, 0)
    chunk = struct.pack(">I", 8) + b"acTL" + body + struct.pack(">I", zlib.crc32(b"acTL" + body))
    with pytest.raises(PhotoError, match="holds 3 or more pictures"):
        read_photo(still[:33] + chunk + still[33:])


def test_nothing_is_dropped_silently(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="transparency"):
        Photo(pixels(8, 8, 4), {}).save(tmp_path / "a.jpg")
    with pytest.raises(PhotoError, match=r"cannot write \.xyz"):
        Photo(pixels(8, 8, 3), {}).save(tmp_path / "a.xyz")
    assert list(tmp_path.iterdir()) == []


def test_sixteen_bits_are_rounded_into_jpeg(tmp_path: Path) -> None:
    deep = (smooth().astype(np.uint16)) * 257
    photo = read_photo(Photo(deep, {}).save(tmp_path / "a.jpg", quality=100))
    assert np.abs(photo.pixels.astype(int) - smooth()).max() < 10


def test_missing_and_unreadable_paths(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="no such file"):
        read_photo(tmp_path / "missing.jpg")
    with pytest.raises(PhotoError, match="directory"):
        read_photo(tmp_path)


def test_a_failed_write_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(PhotoError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_interruption_leaves_no_partial_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a.png", b"new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "old.png").touch(mode=0o600)
    (tmp_path / "beside.png").touch()
    for name in ("old.png", "new.png"):
        write_atomically(tmp_path / name, b"x")
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes["old.png"] == 0o600 and modes["new.png"] == modes["beside.png"]


def test_writing_into_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="cannot write"):
        write_atomically(tmp_path / "no" / "a.png", b"x")
