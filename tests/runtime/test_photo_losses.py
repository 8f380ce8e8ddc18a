"""What photo files carry besides pixels, against files made by an independent writer (Pillow)."""

import io
import os
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from pellucid import Photo, PhotoError, read_photo
from pellucid.image.encode import losses, to_8_bits, to_16_bits
from pellucid.image.exif import read_orientation, upright, without_thumbnail
from pellucid.image.header import EXIF, ICC, IRB, RESOLUTION, XMP
from pellucid.image.libjpeg_warnings import jpeg_warnings

BASE = np.dstack(np.broadcast_arrays(*np.ogrid[0:128:2, 0:192:2], np.uint8(90))).astype(np.uint8)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def made(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def jpeg_with(*segments: bytes) -> bytes:
    plain = made(Image.fromarray(BASE), "JPEG")
    return plain[:2] + b"".join(segments) + plain[2:]


@pytest.mark.parametrize("dpi", [(300, 300), (72, 96)])
@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_dots_per_inch_travel(source: str, suffix: str, dpi: tuple[int, int]) -> None:
    photo = read_photo(made(Image.fromarray(BASE), source, dpi=dpi))
    told = Image.open(io.BytesIO(photo.encode(suffix))).info["dpi"]
    assert np.allclose(np.array(told, float), dpi, atol=0.02)  # PNG counts whole pixels a metre


def test_pixels_that_are_not_square_stay_so() -> None:
    jpeg = bytearray(made(Image.fromarray(BASE), "JPEG"))
    jpeg[13:18] = b"\0\0\x0a\0\x0b"
    photo = read_photo(bytes(jpeg))
    assert Image.open(io.BytesIO(photo.encode(".jpg"))).info["jfif_density"] == (10, 11)
    again = read_photo(photo.encode(".png"))
    assert read_photo(again.encode(".tif")).metadata[RESOLUTION] == photo.metadata[RESOLUTION]


@pytest.mark.parametrize("density", [b"\x01\0\0\0\0", b"\x07\0\x48\0\x48", b"\0\0\1\0\1"])
def test_senseless_or_absent_resolution_is_none(density: bytes) -> None:
    jpeg = bytearray(made(Image.fromarray(BASE), "JPEG"))
    jpeg[13:18] = density
    assert RESOLUTION not in read_photo(bytes(jpeg)).metadata


def test_formats_without_resolution_say_so() -> None:
    photo = read_photo(made(Image.fromarray(BASE), "PNG", dpi=(300, 300)))
    assert losses(photo.pixels, photo.metadata, ".webp") == (
        ".webp cannot hold its resolution (dpi)",
    )


def test_damage_inside_a_jpeg_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    noisy = np.random.default_rng(0).integers(0, 255, (200, 300, 3)).astype(np.uint8)
    data = made(Image.fromarray(noisy), "JPEG", quality=90)
    middle = len(data) // 2
    assert read_photo(data).notes == ()
    for harmed in (
        data[:middle] + bytes(600) + data[middle + 600 :],  # a lost sector
        data[:middle] + data[middle + 600 :],  # a lost packet
    ):
        photo = read_photo(harmed)
        assert photo.pixels.shape == noisy.shape
        assert len(photo.notes) == 1 and "damaged, look it over (Corrupt JPEG" in photo.notes[0]
    assert capfd.readouterr().err == "", "told once, as a note"


def test_what_others_write_to_stderr_meanwhile_is_passed_on(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with jpeg_warnings() as found:
        os.write(2, b"Corrupt JPEG data: x\nanother thread\n")
    os.write(2, b"later\n")
    assert found == ["Corrupt JPEG data: x"]
    assert capfd.readouterr().err == "another thread\nlater\n"


def test_index_of_further_pictures_is_no_profile() -> None:
    """OpenCV reads MPF, which most phones write, as a piece of the ICC profile."""
    mpf = segment(0xE2, b"MPF\0II*\0" + bytes(60))
    icc = segment(0xE2, b"ICC_PROFILE\0\x01\x01" + PROFILE)
    for data in (jpeg_with(icc, mpf), jpeg_with(mpf, icc)):
        photo = read_photo(data)
        assert photo.metadata[ICC] == PROFILE
        assert "previews" in photo.notes[0]
    assert ICC not in read_photo(jpeg_with(mpf)).metadata


def test_missing_iso_gain_map_is_told_and_no_profile() -> None:
    photo = read_photo(jpeg_with(segment(0xE2, b"urn:iso:std:iso:ts:21496:-1\0" + bytes(20))))
    assert ICC not in photo.metadata and "gain map that it tells of is missing" in photo.notes[0]


def test_result_promises_no_gain_map_that_is_missing() -> None:
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x hdrgm:Version='1.0' xmp:Rating='5'/>"
    again = read_photo(read_photo(jpeg_with(segment(0xE1, xmp))).encode(".jpg"))
    assert again.metadata[XMP] == b"<x xmp:Rating='5'/>" and again.notes == ()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_xmp_crosses_formats(suffix: str) -> None:
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>"
    photo = read_photo(jpeg_with(segment(0xE1, xmp)))
    assert read_photo(photo.encode(suffix)).metadata[XMP] == b"<x:xmpmeta/>"


def test_long_profile_and_captions_stay_in_jpeg() -> None:
    profile = struct.pack(">I", 200_000) + PROFILE[4:] + bytes(200_000 - len(PROFILE))
    blocks = {ICC: profile, IRB: b"8BIM\x04\x04\0\0\0\0\0\x04abcd"}
    assert read_photo(Photo(BASE, blocks).encode(".jpg")).metadata == blocks


@pytest.mark.parametrize(("kind", "suffix"), [("JPEG", ".jpg"), ("TIFF", ".tif")])
def test_print_colours_are_refused(kind: str, suffix: str) -> None:
    with pytest.raises(PhotoError, match="CMYK"):
        read_photo(made(Image.fromarray(BASE).convert("CMYK"), kind))


def test_damaged_profile_is_dropped_aloud() -> None:
    photo = read_photo(jpeg_with(segment(0xE2, b"ICC_PROFILE\0\x01\x01" + PROFILE[:300])))
    assert ICC not in photo.metadata and "damaged" in photo.notes[0]


def test_tiff_keeps_profile_turn_and_straight_alpha() -> None:
    """Pillow, an independent reader, sees what was written."""
    rgba = np.dstack([BASE, BASE[..., 0]])
    exif = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    data = Photo(rgba, {ICC: PROFILE, EXIF: exif}).encode(".tif")
    seen = Image.open(io.BytesIO(data))
    assert seen.info["icc_profile"] == PROFILE and seen.getexif()[0x0112] == 6
    assert np.array_equal(np.asarray(seen), upright(rgba, 6)) and seen.mode == "RGBA"
    again = read_photo(data)
    assert again.metadata[ICC] == PROFILE and np.array_equal(again.pixels, rgba)
    assert again.orientation == 6


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["AVIF", "TIFF", "JPEG", "WEBP"])
def test_viewers_show_input_and_result_alike(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = made(Image.fromarray(BASE), kind, exif=exif, quality=95)
    photo = read_photo(data)
    shown = [
        np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(file))), dtype=np.int16)
        for file in (data, photo.encode(quality=95))
    ]
    assert shown[0].shape == shown[1].shape
    assert np.abs(shown[0] - shown[1]).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_formats_without_a_tag_are_turned(orientation: int) -> None:
    exif = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    assert read_orientation(exif) == orientation
    again = read_photo(Photo(BASE, {EXIF: exif}).encode(".bmp"))
    assert np.array_equal(again.pixels, upright(BASE, orientation))


def test_float_tiff_stays_float() -> None:
    image = BASE.astype(np.float32) / 255
    assert np.array_equal(read_photo(Photo(image, {}).encode(".tif")).pixels, image)


def test_animated_avif_is_refused() -> None:
    image = Image.fromarray(BASE)
    with pytest.raises(PhotoError, match="pictures"):
        read_photo(made(image, "AVIF", save_all=True, append_images=[image.rotate(180)]))


def test_avif_size_is_known_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PELLUCID_MAX_MEGAPIXELS", "0.001")
    with pytest.raises(PhotoError, match="megapixels"):
        read_photo(made(Image.fromarray(BASE), "AVIF"))


def test_thumbnail_link_is_cut_and_nothing_else() -> None:
    exif = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 4711)
    assert without_thumbnail(exif) == exif[:-4] + bytes(4)


def test_sixteen_bits_are_rounded_to_the_nearest_eight() -> None:
    codes = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(to_8_bits(codes), np.rint(codes / 257.0))
    assert np.array_equal(to_8_bits(codes / np.float32(65535)), np.rint(codes / 257.0))
    assert np.array_equal(to_16_bits(codes / np.float64(65535)), codes)


def test_encoding_leaves_the_pixels_as_they_were() -> None:
    """Channels are swapped in place for the encoder, and back."""
    image = BASE.copy()
    for suffix in (".jpg", ".png", ".webp", ".tif", ".avif", ".bmp"):
        Photo(image, {}).encode(suffix)
        assert np.array_equal(image, BASE)


@pytest.mark.parametrize("name", [b"I\r\nT", b"\xffDAT"])
def test_names_in_a_damaged_png_stay_in_one_line(name: bytes) -> None:
    plain = made(Image.fromarray(BASE), "PNG")
    with pytest.raises(PhotoError, match="wrong checksum") as caught:
        read_photo(plain[:33] + struct.pack(">I", 0) + b"I" + name[1:] + bytes(4) + plain[33:])
    assert str(caught.value).isascii() and "\n" not in str(caught.value)


def test_a_message_with_foreign_bytes_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyvips cannot decode what a damaged file makes libvips say."""
    from pellucid.image import vips

    def stumble(*_: object, **__: object) -> None:
        b"quoted \xe9".decode()

    monkeypatch.setattr(vips.pyvips().Operation, "call", stumble)
    with pytest.raises(PhotoError, match="damaged and cannot be decoded$"):
        vips.open_picture("pngload", b"no picture")
