"""Restoring at strength 0 changes nothing that an independent reader sees, for each kind of file.

Sources are made by Pillow, tifffile, OpenCV or by hand; source and result are read by Pillow or
tifffile, never by libvips.
"""

import io
import struct
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from pellucid import PhotoError, Restorer, read_photo

Array = NDArray[Any]
Make = Callable[[], bytes]
Case = tuple[str, Make, str, float]  # id, maker, reader, what may differ on average (codes of 255)

HEIGHT, WIDTH = 41, 57


def photo(channels: int = 3) -> NDArray[np.uint8]:
    """Smooth colours with fine luma, (H, W, channels)."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [4 * x, 5 * y, 220 - 3 * x, 40 + 2 * x + 2 * y]
    fine = 9 * ((x + y) % 2)
    return np.stack([np.clip(p + fine, 0, 255) for p in planes[:channels]], 2).astype(np.uint8)


GREY = photo(1)[..., 0]


def pillow(image: Array | Image.Image, kind: str, **options: Any) -> Make:
    def make() -> bytes:
        file = io.BytesIO()
        picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
        picture.save(file, kind, **options)
        return file.getvalue()

    return make


def tiff(image: Array, **options: Any) -> Make:
    def make() -> bytes:
        file = io.BytesIO()
        tifffile.imwrite(file, image, **options)
        return file.getvalue()

    return make


def opencv(suffix: str, image: Array, *flags: int) -> Make:
    def make() -> bytes:
        ok, data = cv2.imencode(suffix, image, list(flags))
        assert ok
        return data.tobytes()

    return make


def bmp(bits: int, masks: tuple[int, ...] = (), top_down: bool = False) -> Make:
    """Colours of 16 or 32 bits under masks, or an OS/2 file of 24 bits."""

    def make() -> bytes:
        image = photo(4)
        if not masks:
            rows = np.zeros((HEIGHT, -(-WIDTH * 3 // 4) * 4), np.uint8)
            rows[:, : 3 * WIDTH] = image[..., 2::-1].reshape(HEIGHT, -1)
            head = struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, bits)
            return (
                b"BM" + struct.pack("<IHHI", 26 + rows.size, 0, 0, 26) + head + rows[::-1].tobytes()
            )
        packed = np.zeros((HEIGHT, WIDTH), np.uint32)
        for channel, mask in enumerate(masks):
            low = (mask & -mask).bit_length() - 1
            packed |= (image[..., channel].astype(np.uint32) * (mask >> low) // 255) << low
        stored = packed.astype(f"<u{bits // 8}")
        if bits == 16 and WIDTH % 2:
            stored = np.pad(stored, ((0, 0), (0, 1)))
        size = 56 if len(masks) == 4 else 40
        height = -HEIGHT if top_down else HEIGHT
        head = struct.pack("<IiiHHIIiiII", size, WIDTH, height, 1, bits, 3, 0, 0, 0, 0, 0)
        head += struct.pack(f"<{len(masks)}I", *masks)
        rows = stored if top_down else stored[::-1]
        start = 14 + len(head)
        return (
            b"BM" + struct.pack("<IHHI", start + stored.nbytes, 0, 0, start) + head + rows.tobytes()
        )

    return make


def jpegs() -> Iterator[Case]:
    for chroma, name in ((0, "444"), (1, "422"), (2, "420")):
        for progressive in (False, True):
            for quality in (75, 95):
                made = pillow(
                    photo(), "JPEG", subsampling=chroma, progressive=progressive, quality=quality
                )
                yield f"jpeg-{name}-{progressive}-{quality}", made, "pillow", 3.0
    yield "jpeg-grey", pillow(GREY, "JPEG", quality=90), "pillow", 2.0
    yield "jpeg-grey-progressive", pillow(GREY, "JPEG", progressive=True), "pillow", 2.0
    yield "jpeg-optimised", pillow(photo(), "JPEG", optimize=True, quality=90), "pillow", 3.0
    yield "jpeg-restarts", pillow(photo(), "JPEG", restart_marker_rows=1, quality=90), "pillow", 3.0
    yield "jpeg-rgb", pillow(photo(), "JPEG", keep_rgb=True, quality=95), "pillow", 3.0


def pngs() -> Iterator[Case]:
    for channels, name in ((3, "rgb"), (4, "rgba")):
        yield f"png-{name}", pillow(photo(channels), "PNG"), "pillow", 0.0
        deep = photo(channels).astype(np.uint16) * 257 + 11
        yield f"png-{name}-16", opencv(".png", deep), "opencv", 0.0
    grey = Image.fromarray(GREY)
    yield "png-grey", pillow(grey, "PNG"), "pillow", 0.0
    yield "png-grey-16", opencv(".png", GREY.astype(np.uint16) * 257 + 3), "opencv", 0.0
    yield "png-grey-alpha", pillow(Image.fromarray(photo(2), "LA"), "PNG"), "pillow", 0.0
    yield "png-1-bit", pillow(grey.convert("1"), "PNG"), "pillow", 0.0
    for bits in (1, 2, 4, 8):
        few = Image.fromarray(photo()).quantize(1 << bits)
        yield f"png-palette-{bits}", pillow(few, "PNG", bits=bits), "pillow", 0.0
        yield (
            f"png-palette-{bits}-see-through",
            pillow(few, "PNG", bits=bits, transparency=1),
            "pillow",
            0.0,
        )
    yield "png-grey-see-through", pillow(grey, "PNG", transparency=int(GREY[0, 0])), "pillow", 0.0
    yield "png-rgb-see-through", pillow(photo(), "PNG", transparency=(0, 0, 220)), "pillow", 0.0


def webps() -> Iterator[Case]:
    for channels in (3, 4):
        yield (
            f"webp-lossless-{channels}",
            pillow(photo(channels), "WEBP", lossless=True, exact=True),
            "pillow",
            0.0,
        )
        yield f"webp-{channels}", pillow(photo(channels), "WEBP", quality=90), "pillow", 4.0


def tiffs() -> Iterator[Case]:
    for dtype in (np.uint8, np.uint16, np.float16, np.float32):
        codes = photo().astype(np.float64) * (257 if dtype == np.uint16 else 1)
        rgb = (codes if np.issubdtype(dtype, np.integer) else codes / 255).astype(dtype)
        for planar in ("contig", "separate"):
            stored = rgb if planar == "contig" else np.moveaxis(rgb, 2, 0)
            if planar == "separate" and dtype == np.float16:
                continue  # refused
            for compression in (None, "zlib"):
                options = {"photometric": "rgb", "planarconfig": planar, "compression": compression}
                yield (
                    f"tiff-rgb-{dtype.__name__}-{planar}-{compression}",
                    tiff(stored, **options), "tifffile", 0.0,
                )  # fmt: skip
        for photometric in ("minisblack", "miniswhite"):
            if photometric == "miniswhite" and np.issubdtype(dtype, np.floating):
                continue
            yield (
                f"tiff-grey-{dtype.__name__}-{photometric}",
                tiff(rgb[..., 0], photometric=photometric),
                "tifffile",
                0.0,
            )
    deep = photo().astype(np.uint16) * 257
    yield (
        "tiff-predictor",
        tiff(deep, photometric="rgb", compression="zlib", predictor=True),
        "tifffile",
        0.0,
    )
    yield "tiff-tiles", tiff(deep, photometric="rgb", tile=(16, 32)), "tifffile", 0.0
    yield "tiff-strips", tiff(deep, photometric="rgb", rowsperstrip=3), "tifffile", 0.0
    yield "tiff-big", tiff(photo(), photometric="rgb", bigtiff=True), "tifffile", 0.0
    yield "tiff-big-endian", tiff(deep, photometric="rgb", byteorder=">"), "tifffile", 0.0
    yield (
        "tiff-big-big-endian",
        tiff(deep, photometric="rgb", byteorder=">", bigtiff=True),
        "tifffile",
        0.0,
    )
    yield (
        "tiff-alpha",
        tiff(photo(4), photometric="rgb", extrasamples=["unassalpha"]),
        "tifffile",
        0.0,
    )
    for compression in ("tiff_lzw", "packbits", "tiff_adobe_deflate", "tiff_deflate"):
        yield f"tiff-{compression}", pillow(photo(), "TIFF", compression=compression), "pillow", 0.0
    yield "tiff-jpeg", pillow(photo(), "TIFF", compression="jpeg", quality=95), "pillow", 2.0
    yield "tiff-palette", pillow(Image.fromarray(photo()).quantize(64), "TIFF"), "pillow", 0.0
    grey = Image.fromarray(GREY)
    yield "tiff-1-bit", pillow(grey.convert("1"), "TIFF"), "pillow", 0.0
    yield "tiff-fax", pillow(grey.convert("1"), "TIFF", compression="group4"), "pillow", 0.0
    yield "tiff-grey-alpha", pillow(Image.fromarray(photo(2), "LA"), "TIFF"), "pillow", 0.0


def avifs() -> Iterator[Case]:
    for chroma in ("4:4:4", "4:2:0", "4:2:2"):
        yield (
            f"avif-{chroma}",
            pillow(photo(), "AVIF", subsampling=chroma, quality=95),
            "pillow",
            4.0,
        )
    yield "avif-alpha", pillow(photo(4), "AVIF", quality=95), "pillow", 4.0
    for bits in (10, 12):
        deep = photo()[..., ::-1].astype(np.uint16) << (bits - 8)
        made = opencv(".avif", deep, cv2.IMWRITE_AVIF_DEPTH, bits, cv2.IMWRITE_AVIF_QUALITY, 95)
        yield f"avif-{bits}", made, "pillow", 4.0


def bmps() -> Iterator[Case]:
    grey = Image.fromarray(GREY)
    for name, image in (
        ("rgb", Image.fromarray(photo())),
        ("grey", grey),
        ("1-bit", grey.convert("1")),
        ("palette", Image.fromarray(photo()).quantize(64)),
    ):
        yield f"bmp-{name}", pillow(image, "BMP"), "pillow", 0.0
    yield "bmp-os2", bmp(24), "pillow", 0.0
    yield "bmp-565", bmp(16, (0xF800, 0x07E0, 0x001F)), "pillow", 1.0
    yield "bmp-555", bmp(16, (0x7C00, 0x03E0, 0x001F)), "pillow", 1.0
    yield "bmp-32", bmp(32, (0xFF0000, 0xFF00, 0xFF)), "pillow", 0.0
    yield "bmp-top-down", bmp(32, (0xFF0000, 0xFF00, 0xFF), top_down=True), "pillow", 0.0
    yield "bmp-alpha", bmp(32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)), "pillow", 0.0


CASES = [*jpegs(), *pngs(), *webps(), *tiffs(), *avifs(), *bmps()]


def seen(data: bytes, reader: str) -> tuple[Array, Array | None]:
    """(H, W, 3) colours in 0..255 and alpha, or None where all is opaque."""
    if reader == "tifffile":
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages[0]
            assert isinstance(page, tifffile.TiffPage)
            image = page.asarray()
            if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and image.ndim == 3:
                image = np.moveaxis(image, 0, 2)
            if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
                image = np.iinfo(image.dtype).max - image
    elif reader == "opencv":
        image = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))
    else:
        picture = Image.open(io.BytesIO(data))
        wanted = (
            "RGBA"
            if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
            else "RGB"
        )
        image = np.asarray(picture.convert(wanted))
    white = np.iinfo(image.dtype).max if np.issubdtype(image.dtype, np.integer) else 1.0
    values = image.astype(np.float64) * (255.0 / white)
    if values.ndim == 2:
        values = np.repeat(values[..., None], 3, 2)
    alpha = values[..., 3] if values.shape[2] == 4 and (values[..., 3] < 255).any() else None
    return values[..., :3], alpha


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (tiff(photo().astype(np.float64), photometric="rgb"), "not supported"),
        (
            tiff(
                np.moveaxis(photo().astype(np.float16), 2, 0),
                photometric="rgb", planarconfig="separate",
            ),
            "not supported",
        ),
        (tiff(photo().astype(np.uint32), photometric="rgb"), "not supported"),
        (tiff(photo().astype(np.int16), photometric="rgb"), "not supported"),
        (tiff(photo(4), photometric="rgb", extrasamples=["assocalpha"]), "premultiplied"),
        (tiff(np.stack([photo()] * 2), photometric="rgb"), "holds 2 or more pictures"),
        (tiff(photo(), photometric="rgb", compression="lzma"), "not supported"),
        (pillow(Image.fromarray(photo()).convert("LAB"), "TIFF"), "Lab"),
    ],
)  # fmt: skip
def test_sound_files_that_are_not_read_are_not_called_damaged(make: Make, told: str) -> None:
    with pytest.raises(PhotoError, match=told) as caught:
        read_photo(make())
    assert "damaged" not in str(caught.value) and "\n" not in str(caught.value)


def test_the_sweep_is_wide() -> None:
    assert len({name for name, *_ in CASES}) == len(CASES) >= 80


@pytest.mark.parametrize(
    ("make", "reader", "allowed"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_strength_zero_changes_nothing(
    model_file: Any, make: Make, reader: str, allowed: float
) -> None:
    source = make()
    restored = Restorer(model_file)(source, strength=0.0)
    result = restored.encode()
    (before, clear), (after, still_clear) = seen(source, reader), seen(result, reader)
    assert before.shape == after.shape
    visible = np.ones(before.shape[:2], bool) if clear is None else clear > 0
    difference = np.abs(before - after)[visible]
    assert difference.mean() <= allowed + 1e-6, difference.mean()
    assert (clear is None) == (still_clear is None)
    if clear is not None and still_clear is not None:
        assert np.abs(clear - still_clear).max() <= (2.0 if allowed else 0.0)
    # Depth: neither is a deep picture cut to 8 bits, nor does it come back deeper by accident.
    if not allowed:
        assert read_photo(result).pixels.dtype == read_photo(source).pixels.dtype
