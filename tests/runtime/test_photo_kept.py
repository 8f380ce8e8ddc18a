"""What a file carries is in its result, as independent readers see it, or a note says it is not."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, IptcImagePlugin

from pellucid import Photo, PhotoError, Restorer, read_photo
from pellucid.image.header import EXIF, GAMMA, RESOLUTION, TRAILER, XMP, Coding

Y, X = np.mgrid[0:64:1, 0:96:1]
PICTURE: NDArray[np.uint8] = np.stack([2 * X, 3 * Y, 250 - 2 * X], 2).astype(np.uint8)
MAKER_NOTE = bytes(range(256))


def made(kind: str, image: Image.Image | None = None, **options: Any) -> bytes:
    file = io.BytesIO()
    (image or Image.fromarray(PICTURE)).save(file, kind, **options)
    return file.getvalue()


def exif() -> Image.Exif:
    told = Image.Exif()
    told[0x010E], told[0x013B], told[0x8298] = "Family album", "Jane", "(c) Jane"
    told[0x010F], told[0x0110], told[0x0132] = "Canon", "EOS", "2020:01:01 00:00:00"
    told.get_ifd(0x8769).update({0x927C: MAKER_NOTE, 0x9010: "+01:00", 0xA434: "a lens"})
    told.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 3.0), 3: "E", 4: (11.0, 34.0, 5.0)})
    return told


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def through(model: Path, data: bytes, suffix: str | None = None) -> tuple[bytes, tuple[str, ...]]:
    """A file restored at strength 0, and all notes on it."""
    photo = Restorer(model)(data, strength=0.0)
    told = photo.encode(suffix)
    from pellucid.image.encode import losses

    lost = losses(photo.pixels, photo.metadata, suffix or photo.suffix, photo.coding)
    return told, photo.notes + lost


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_exif_crosses_all_containers(model_file: Path, kind: str, suffix: str) -> None:
    result, notes = through(model_file, made(kind, exif=exif().tobytes()), suffix)
    again = Image.open(io.BytesIO(result)).getexif()
    for tag, value in dict(exif()).items():
        if tag not in (0x8769, 0x8825):
            assert again[tag] == value, hex(tag)
    inner = again.get_ifd(0x8769)
    assert inner[0x927C] == MAKER_NOTE and inner[0xA434] == "a lens"
    assert again.get_ifd(0x8825) == exif().get_ifd(0x8825)
    assert notes == ()


def test_tags_of_a_tiff_stay(model_file: Path) -> None:
    file = io.BytesIO()
    extra = [(33550, "d", 3, (1.0, 1.0, 0.0), True), (65000, "s", 0, "private", True)]
    tifffile.imwrite(
        file, PICTURE, photometric="rgb", description="scan 12", software="scanner",
        extratags=extra, resolution=(600, 600), byteorder=">",
    )  # fmt: skip
    result, notes = through(model_file, file.getvalue())
    with tifffile.TiffFile(io.BytesIO(result)) as again:
        tags = again.pages[0].tags  # type: ignore[union-attr]
        assert tags[270].value == "scan 12" and tags[305].value == "scanner"
        assert tags[33550].value == (1.0, 1.0, 0.0) and tags[65000].value == "private"
        assert tags[282].value == (600, 1) and notes == ()


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_captions_stay(model_file: Path, suffix: str) -> None:
    record = b"\x1c\x02\x78\0\x07caption"
    irb = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(record)) + record
    plain = made("JPEG")
    data = plain[:2] + segment(0xED, irb) + plain[2:]
    result, _ = through(model_file, data, suffix)
    again = Image.open(io.BytesIO(result))
    assert IptcImagePlugin.getiptcinfo(again) == {(2, 120): b"caption"}
    assert "IPTC" in through(model_file, data, ".png")[1][0]


def test_text_and_comments_stay_or_are_told(model_file: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    told = PngInfo()
    told.add_text("parameters", "a bird, seed: 42")
    told.add_itxt("Description", "Straße", "de", "Beschreibung")
    told.add_text("long", "x" * 5000, zip=True)
    data = made("PNG", pnginfo=told)
    result, notes = through(model_file, data)
    assert Image.open(io.BytesIO(result)).text == Image.open(io.BytesIO(data)).text  # type: ignore[attr-defined]
    assert notes == () and "text" in through(model_file, data, ".jpg")[1][0]
    comment = made("JPEG", comment=b"Gr\xc3\xbc\xc3\x9fe")
    result, notes = through(model_file, comment)
    assert Image.open(io.BytesIO(result)).info["comment"] == b"Gr\xc3\xbc\xc3\x9fe"
    assert notes == () and "comment" in through(model_file, comment, ".webp")[1][0]


@pytest.mark.parametrize(("chroma", "kept"), [(0, 0), (1, 0), (2, 2)])
def test_chroma_sampling_stays(model_file: Path, chroma: int, kept: int) -> None:
    """Pillow's numbers: 0 is 4:4:4, 1 is 4:2:2, which becomes 4:4:4, 2 is 4:2:0."""
    from PIL import JpegImagePlugin

    result, _ = through(model_file, made("JPEG", subsampling=chroma))
    assert JpegImagePlugin.get_sampling(Image.open(io.BytesIO(result))) == kept


def test_a_lossless_webp_stays_one(model_file: Path) -> None:
    result, _ = through(model_file, made("WEBP", lossless=True))
    assert result[12:16] == b"VP8L"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(result))), PICTURE)


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("alpha", [True, False])
def test_a_webp_with_metadata_says_whether_it_has_transparency(lossless: bool, alpha: bool) -> None:
    """The flag in VP8X (container specification 2.7): some readers go by it alone."""
    shown = PICTURE if not alpha else np.dstack([PICTURE, PICTURE[..., 0]])
    photo = Photo(shown.copy(), {XMP: b"<x/>"}, coding=Coding(lossless=lossless))
    data = photo.encode(".webp")
    assert data[12:16] == b"VP8X" and bool(data[20] & 0x10) == alpha
    assert Image.open(io.BytesIO(data)).mode == ("RGBA" if alpha else "RGB")


def test_colour_tags_stay_or_are_told(model_file: Path) -> None:
    plain = made("PNG")
    tag = bytes([9, 16, 0, 1])
    data = plain[:33] + chunk(b"cICP", tag) + plain[33:]
    result, notes = through(model_file, data)
    assert chunk(b"cICP", tag) in result and "HDR (PQ)" in notes[0]
    avif, _ = through(model_file, data, ".avif")
    assert b"colrnclx" + struct.pack(">HHHB", 9, 16, 6, 0x80) in avif
    assert np.abs(np.asarray(Image.open(io.BytesIO(avif)), float) - PICTURE).mean() < 4
    assert any("cICP" in note for note in through(model_file, data, ".jpg")[1])


def test_linear_light_is_seen_as_it_looks_and_stays_linear() -> None:
    """What a network is shown is sRGB; what comes back has the file's own gamma."""
    from pellucid.image.light import restore_coded

    plain = made("PNG")
    data = plain[:33] + chunk(b"gAMA", struct.pack(">I", 100_000)) + plain[33:]
    photo, shown = read_photo(data), []

    def restore(pixels: NDArray[Any]) -> bool:
        shown.append(pixels.copy())
        pixels[:8] = 65535
        return True

    notes = restore_coded(photo.pixels, photo.metadata, restore)
    linear = PICTURE / 255.0
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(shown[0] / 65535.0 - expected).max() < 1e-4
    assert (photo.pixels[:8] == 255).all() and np.array_equal(photo.pixels[8:], PICTURE[8:])
    assert "gamma 1" in notes[0] and chunk(b"gAMA", struct.pack(">I", 100_000)) in photo.encode()


@pytest.mark.parametrize(("scale", "told"), [(255.0, "255 is taken"), (4.0, "kept as they are")])
def test_floats_beyond_one_come_back(model_file: Path, scale: float, told: str) -> None:
    image = (PICTURE / 255.0 * scale).astype(np.float32)
    if scale == 4.0:
        image[8:] /= 8.0  # highlights over a picture of ordinary light
    else:
        image = np.rint(image)
    file = io.BytesIO()
    tifffile.imwrite(file, image, photometric="rgb")
    photo = Restorer(model_file)(file.getvalue())
    assert photo.pixels.max() > 0.9 * image.max() and any(told in note for note in photo.notes)


@pytest.mark.parametrize("scale", [None, 1.0, 1.5, 255.0])
def test_hidden_pixels_do_not_count_whatever_the_coding(
    model_file: Path, scale: float | None
) -> None:
    """scale: the white of floats; None: 8 bits of linear light."""
    gamma = {GAMMA: chunk(b"gAMA", struct.pack(">I", 100_000))}
    shown, results = np.indices(PICTURE.shape[:2])[1] >= 30, []
    restorer = Restorer(model_file)
    for hidden in (0, 128, 255):
        codes = np.dstack([PICTURE, 255 * shown]).astype(np.uint8)
        codes[~shown, :3] = hidden
        pixels = codes if scale is None else codes * np.float32(scale / 255.0)
        photo = Photo(pixels.copy(), gamma if scale is None else {})
        restorer.restore_photo(photo)
        assert np.array_equal(photo.pixels[~shown], pixels[~shown])
        results.append(photo.pixels[shown])
    assert not np.array_equal(results[0], pixels[shown])
    assert all(np.array_equal(result, results[0]) for result in results)


XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"


def motion_photo(xmp: bytes) -> bytes:
    plain = made("JPEG")
    return plain[:2] + segment(0xE1, XMP_HEAD + xmp) + plain[2:] + b"\0\0\0\x18ftypmp42" + bytes(90)


@pytest.mark.parametrize(
    "promise",
    [
        b'GCamera:MicroVideo="1" GCamera:MicroVideoOffset="102"',
        b'GCamera:MotionPhoto="1"',
        b'Camera:MotionPhoto="1" Camera:MotionPhotoVersion="1"',
    ],
)
def test_a_motion_photo_keeps_its_video_or_promises_none(model_file: Path, promise: bytes) -> None:
    data = motion_photo(b"<x:xmpmeta " + promise + b' xmp:Rating="5"/>')
    result, notes = through(model_file, data)
    assert result.endswith(data[-102:]) and notes == () and promise in result
    result, notes = through(model_file, data, ".png")
    assert "motion photo" in notes[0] and promise not in result
    assert read_photo(result).metadata[XMP] == b'<x:xmpmeta xmp:Rating="5"/>'


def test_a_gain_map_is_found_where_the_index_says(model_file: Path) -> None:
    """Places in the index count from its own start, and change with what stands before."""
    plain, gain = made("JPEG", quality=60), made("JPEG", Image.fromarray(PICTURE[:8, :8]))
    body = b"II*\0" + struct.pack("<IH", 8, 2)
    body += struct.pack("<HHII", 0xB001, 4, 1, 2) + struct.pack("<HHII", 0xB002, 7, 32, 38)
    head = len(body) + 4
    assert head == 38
    main = len(plain) + 4 + 4 + head + 32
    start = 2 + 4 + 4  # of the index in the file
    entries = struct.pack("<IIIHH", 0x030000, main, 0, 0, 0)
    entries += struct.pack("<IIIHH", 0, len(gain), main - start, 0, 0)
    index = segment(0xE2, b"MPF\0" + body + bytes(4) + entries)
    data = plain[:2] + index + plain[2:] + gain
    result, notes = through(model_file, data)
    assert notes == () and result.endswith(gain)
    where = result.index(b"MPF\0") + 4
    size, _, _, _ = struct.unpack_from("<IIHH", result, where + 38 + 4)
    _, place = struct.unpack_from("<II", result, where + 38 + 16 + 4)
    assert size == len(result) - len(gain) and result[where + place :] == gain
    assert TRAILER in read_photo(data).metadata


def test_heic_and_raw_say_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pi_heif", None)
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(PhotoError, match=r"pip install 'pellucid\[heic\]'"):
        read_photo(bytes(4) + b"ftypheic" + bytes(60))
    with pytest.raises(PhotoError, match=r"pip install 'pellucid\[raw\]'"):
        read_photo(b"FUJIFILMCCD-RAW " + bytes(60))


def test_a_raw_file_is_developed(tmp_path: Path) -> None:
    """A DNG of one colour under a Bayer filter, its black and white levels told."""
    path = tmp_path / "a.dng"
    sensor = np.full((64, 96), 2000, np.uint16)
    tags = [
        (33421, "H", 2, (2, 2), True),
        (33422, "B", 4, bytes([0, 1, 1, 2]), True),
        (50706, "B", 4, bytes([1, 4, 0, 0]), True),
        (50708, "s", 0, "Test camera", True),
        (50717, "I", 1, 4095, True),
        (50721, "2i", 9, (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1), True),
        (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),
        (271, "s", 0, "Maker", True),
    ]
    tifffile.imwrite(path, sensor, photometric=32803, extratags=tags, metadata=None)
    photo = read_photo(path)
    assert photo.pixels.dtype == np.uint16 and photo.pixels.shape[2] == 3
    assert photo.suffix == ".tif" and EXIF in photo.metadata
    again = Image.open(io.BytesIO(photo.encode(".jpg"))).getexif()
    assert again[271] == "Maker" and 50706 not in again


def test_bmp_keeps_its_resolution() -> None:
    photo = read_photo(made("BMP", dpi=(300, 300)))
    assert RESOLUTION in photo.metadata
    told = Image.open(io.BytesIO(Photo(photo.pixels, photo.metadata).encode(".bmp"))).info["dpi"]
    assert np.allclose(told, 300, atol=0.1)


def test_an_alpha_channel_of_a_bmp_that_nobody_filled_in_is_none() -> None:
    """Many programs reserve one and leave it at 0; the picture is not invisible."""
    for alpha in (0, 1):
        shown = np.dstack([PICTURE, np.full_like(PICTURE[..., 0], alpha)])
        read = read_photo(Photo(shown, {}).encode(".bmp")).pixels
        assert np.array_equal(read, shown if alpha else PICTURE)
