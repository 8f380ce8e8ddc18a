"""Enlarging photos: tiles equal the whole, every type, alpha, EXIF sizes, limits before work."""

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from fakes import card
from numpy.typing import NDArray
from onnx_graphs import node, save_graph
from PIL import Image

from pellucid import Enlarger, ModelError, Photo, PhotoError
from pellucid.errors import TooLargeError
from pellucid.image.encode import check_sides
from pellucid.image.exif import with_size, xmp_with_size
from pellucid.image.header import EXIF, GAMMA
from pellucid.tiles import plan

RNG = np.random.default_rng(0)


@pytest.fixture
def blurred(tmp_path: Path) -> Path:
    """A x2 model that looks 3 px far: a blur of 7 px, then the doubling."""
    kernel = np.zeros((3, 3, 7, 7), np.float32)
    for channel in range(3):
        kernel[channel, channel] = RNG.random((7, 7)) / 49.0
    path = save_graph(
        tmp_path / "blurred.onnx",
        [
            node("Conv", "input kernel", "soft", pads=[3, 3, 3, 3]),
            node("Resize", "soft none sizes", "output", mode="nearest"),
        ],
        {
            "kernel": kernel,
            "sizes": np.asarray([1, 1, 2, 2], np.float32),
            "none": np.zeros(0, np.float32),
        },
        sides=("height", "width"),
    )
    model = onnx.load(path)
    described = json.loads(card(3, 1)) | {"scale": 2, "scene_size": 0}
    model.metadata_props.add(key="pellucid.config", value=json.dumps(described))
    onnx.save(model, path)
    return path


def repeated(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels.repeat(2, axis=0).repeat(2, axis=1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [0, 3])
def test_every_type_and_grey_come_back_twice_as_large(
    double: Path, dtype: type, channels: int
) -> None:
    shape = (11, 17, channels) if channels else (11, 17)
    unit = RNG.random(shape, np.float32)
    white = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    pixels: NDArray[Any] = (unit * white).astype(dtype)
    given = pixels.copy()
    made = Enlarger(double, threads=1)(pixels)
    assert made.dtype == dtype and np.array_equal(pixels, given)
    np.testing.assert_allclose(made, repeated(pixels), atol=1e-6 if white == 1 else 0)


@pytest.mark.parametrize("shape", [(70, 45, 3), (3, 200, 3), (80, 70, 4), (33, 80)])
def test_tiles_equal_the_whole_picture(blurred: Path, shape: tuple[int, ...]) -> None:
    pixels = RNG.integers(0, 256, shape).astype(np.uint8)
    whole, tiled = Enlarger(blurred, threads=1), Enlarger(blurred, threads=1)
    tiled._window_pixels = 400
    seen: list[tuple[int, int]] = []
    expected, made = whole(pixels), tiled.enlarge_pixels(pixels, lambda *at: seen.append(at))
    assert np.abs(made.astype(int) - expected).max() <= 1
    count = len(list(plan(3, 1, 400).spans(shape[0]))) * len(list(plan(3, 1, 400).spans(shape[1])))
    assert seen == [(n + 1, count) for n in range(count)] and count > 1


def test_alpha_is_interpolated_and_hidden_colours_do_not_show(double: Path) -> None:
    pixels = np.zeros((20, 20, 4), np.uint8)
    pixels[:, :10] = 200, 100, 50, 255
    pixels[:, 10:, :3] = 0, 255, 0  # hidden
    pixels[3, 4, 3] = 128
    made = Enlarger(double, threads=1)(pixels)
    size = (40, 40)
    alpha = cv2.resize(pixels[..., 3].astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    assert np.abs(made[..., 3] - np.clip(alpha, 0, 255)).max() <= 1
    assert (made[..., :3] == (200, 100, 50)).all()  # hidden pixels take their neighbours' colour


def exif(order: str, width: int, height: int) -> bytes:
    """An EXIF block that tells the size four times and an orientation, by Pillow."""
    tags = Image.Exif()
    tags.endian = order
    tags[0x0100], tags[0x0101], tags[0x0112] = width, height, 6
    tags.get_ifd(0x8769).update({0xA002: width, 0xA003: height, 0xA434: "a lens"})
    return tags.tobytes().removeprefix(b"Exif\0\0")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("width", [60, 100_000])
def test_exif_says_the_new_size(order: str, width: int) -> None:
    """Also where a size was written in 16 bits and the new one needs more."""
    changed = with_size(exif(order, 30, 20), width, 40)
    tags = Image.Exif()
    tags.load(changed)
    inner = tags.get_ifd(0x8769)
    assert (tags[0x0100], tags[0x0101], tags[0x0112]) == (width, 40, 6)
    assert (inner[0xA002], inner[0xA003], inner[0xA434]) == (width, 40, "a lens")
    assert len(changed) == len(exif(order, 30, 20))


def test_an_enlarged_jpeg_carries_it(double: Path, tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (20, 30, 3)).astype(np.uint8)
    Photo(pixels, {EXIF: exif("<", 30, 20)}).save(tmp_path / "in.jpg")
    Enlarger(double, threads=1)(tmp_path / "in.jpg").save(tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as made:
        assert made.size == (60, 40) and made.getexif().get_ifd(0x8769)[0xA002] == 60


def test_xmp_says_the_new_size_as_attribute_and_as_element() -> None:
    xmp = b"""<rdf exif:PixelXDimension="30" tiff:ImageLength = '20' note="30">
    <exif:PixelYDimension>20</exif:PixelYDimension><tiff:ImageWidth>30</tiff:ImageWidth></rdf>"""
    expected = xmp.replace(b'="30" t', b'="60" t').replace(b"20", b"40")
    assert xmp_with_size(xmp, 60, 40) == expected.replace(b">30<", b">60<")


@pytest.mark.parametrize("damaged", [b"", b"II*\0", exif("<", 3, 2)[:30], b"nonsense" * 9])
def test_damaged_exif_is_left_as_it_is(damaged: bytes) -> None:
    assert with_size(damaged, 6, 4) == damaged


@pytest.mark.parametrize("alpha", [False, True])
def test_linear_pngs_keep_their_coding(double: Path, alpha: bool) -> None:
    codes = RNG.integers(4096, 65536, (9, 8, 4 if alpha else 3)).astype(np.uint16)
    chunk = struct.pack(">I", 4) + b"gAMA" + struct.pack(">I", 100_000)
    linear = Photo(codes.copy(), {GAMMA: chunk + struct.pack(">I", zlib.crc32(chunk[4:]))})
    made = Enlarger(double, threads=1).enlarge_photo(linear)
    assert made.pixels.dtype == np.uint16 and "honoured" in made.notes[0]
    difference = np.abs(made.pixels[..., :3].astype(int) - repeated(codes)[..., :3])
    assert difference.max() <= 8  # two roundings to sRGB codes of 16 bits


def test_floats_beyond_one_keep_what_lies_beyond(double: Path) -> None:
    flat = np.full((9, 8, 3), 3.0, np.float32)
    flat[:5] = 0.25
    photo = Enlarger(double, threads=1).enlarge_photo(Photo(flat.copy(), {}))
    np.testing.assert_allclose(photo.pixels[:8], 0.25)
    np.testing.assert_allclose(photo.pixels[12:], 3.0)
    assert "enlarged linearly" in photo.notes[-1]


def test_what_would_be_too_large_is_refused_before_any_work(
    double: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PELLUCID_MAX_MEGAPIXELS", "0.003")
    enlarger = Enlarger(double, threads=1)
    assert enlarger(np.zeros((27, 27), np.uint8)).shape == (54, 54)
    monkeypatch.setattr(enlarger._engine, "run", None)  # nothing may run
    with pytest.raises(TooLargeError, match="enlarged x2, 60x56 is .* megapixels, the limit"):
        enlarger(np.zeros((28, 30), np.uint8))


@pytest.mark.parametrize(("suffix", "side"), [(".webp", 16_383), (".jpg", 65_500)])
def test_formats_with_short_sides_are_told_beforehand(suffix: str, side: int) -> None:
    check_sides(suffix, (1, side // 4, 3), 4)
    with pytest.raises(PhotoError, match=f"too large for {suffix}.*write .tif"):
        check_sides(suffix, (1, side // 4 + 1, 3), 4)


def test_models_that_keep_the_size_are_refused(model_file: Path) -> None:
    with pytest.raises(ModelError, match="keeps the size of a picture"):
        Enlarger(model_file)
