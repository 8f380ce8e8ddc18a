"""The page of `pellucid web` in a real browser: parity with `pellucid restore`, metadata, controls.
One browser, one page where nothing speaks against it, small pictures, the smallest model."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from web_browser import (
    assert_within_a_level,
    download,
    give,
    in_a_browser,
    pixels_of,
    png,
    scene,
    wait_done,
)

from pellucid import Restorer
from pellucid.image.photo import read_photo
from pellucid_apps.demo import SAMPLES
from pellucid_apps.web.site import build_site

pytestmark = in_a_browser


def test_the_page_gives_the_pixels_of_the_command(
    open_page: Callable[..., Any], address: str, restorer: Restorer
) -> None:
    pictures = [
        scene(61, 97),
        scene(97, 62, 4, seed=1),
        scene(5, 3, seed=2),
        scene(300, 530, seed=3),
    ]
    pictures.append(scene(70, 90, 1, seed=4))  # grey
    pictures.append(scene(90, 120, seed=5))  # letterbox
    pictures[-1][:14] = pictures[-1][-14:] = 0
    pictures.append(scene(80, 70, 4, seed=6))  # a cut-out
    pictures[-1][..., 3] = 255 * (np.hypot(*np.ogrid[-40:40, -35:35]) < 30)
    page = open_page(f"{address}?window={256 * 256}")  # the fourth goes through several windows
    give(page, *(png(pixels, f"{i}.png") for i, pixels in enumerate(pictures)))
    wait_done(page, len(pictures))
    for index, pixels in enumerate(pictures):
        page.locator("#photos li > button:first-child").nth(index).click()
        name, data = download(page)
        assert name == f"{index}-restored.png"
        got = pixels_of(data)
        expected = restorer(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        if expected.ndim == 2:
            expected = np.repeat(expected[..., None], 3, axis=2)
        assert_within_a_level(got, expected)
        assert not np.array_equal(got, np.broadcast_to(pixels, got.shape))
        if pixels.shape[2] == 4:
            np.testing.assert_array_equal(got[..., 3], pixels[..., 3])


def test_steps_and_strength_are_those_of_the_command(page: Any) -> None:
    pixels = scene(90, 131)
    give(page, png(pixels), png(scene(30, 40), "other.png"))
    wait_done(page, 2)
    page.locator("[name=steps][value='3']").check(force=True)
    page.locator("#facts", has_text="3 steps").wait_for()
    wait_done(page, 2)  # the other one as well
    page.locator("#photos li > button:first-child").nth(1).click()
    assert "3 steps" in page.locator("#facts").inner_text()
    page.locator("#photos li > button:first-child").nth(0).click()
    expected = Restorer("pico", threads=1, steps=3)(pixels)
    got = pixels_of(download(page)[1])
    assert int(np.abs(got.astype(int) - expected).max()) <= 2  # each step rounds
    page.locator("#strength").fill("40")
    half = pixels_of(download(page)[1])
    assert_within_a_level(
        half, np.rint(pixels + 0.4 * (got.astype(float) - pixels)).astype(np.uint8)
    )


def shown_amounts(page: Any) -> dict[str, float]:
    page.locator("#found-list output").first.wait_for()
    labels = page.locator("#found-list label").all()
    return {
        label.locator("span").inner_text(): float(label.locator("output").get_attribute("title"))
        for label in labels
    }


def switch(page: Any, name: str) -> Any:
    return page.locator(f'#found-list input[aria-label^="Fix {name},"]')


def test_what_is_found_is_that_of_the_command_and_can_be_switched(
    page: Any, restorer: Restorer
) -> None:
    sample = next(data for name, data in build_site().items() if name.startswith("samples/rain"))
    page.locator("[data-sample*=rain]").click()
    wait_done(page)
    found = restorer.look(sample)
    assert "rain" in found.names and "noise" not in found.names
    assert shown_amounts(page) == pytest.approx(dict(found.amounts), abs=0.02)
    switched_on = {name for name in found.amounts if switch(page, name).is_checked()}
    assert switched_on == set(found.names)

    pixels = np.asarray(read_photo(sample).pixels, np.uint8)[:208, 40:360]
    give(page, png(pixels))  # without loss
    wait_done(page, 2)
    blind = pixels_of(download(page)[1])
    assert_within_a_level(blind, restorer(pixels))
    switch(page, "rain").uncheck(force=True)
    wait_done(page, 2)
    without = pixels_of(download(page)[1])
    assert_within_a_level(without, restorer(pixels, ignore="rain"))
    assert np.abs(without.astype(int) - blind).max() > 8
    switch(page, "noise").check(force=True)
    wait_done(page, 2)
    forced = pixels_of(download(page)[1])
    assert_within_a_level(forced, restorer(pixels, fix="all,noise", ignore="rain"))
    assert np.abs(forced.astype(int) - without).max() > 8


def test_photos_over_a_megapixel_are_judged_as_by_the_command(
    page: Any, restorer: Restorer
) -> None:
    """Reduced as a whole, grain in windows of the original. Little is found: nothing is restored,
    which would take long."""
    small = read_photo(SAMPLES / "clean" / "noise.jpg").pixels
    beyond = [(0, 901 - small.shape[0]), (0, 1251 - small.shape[1]), (0, 0)]
    pixels = np.pad(small, beyond, mode="symmetric")
    pixels = pixels + np.random.default_rng(0).normal(0, 4, pixels.shape)
    pixels = np.clip(pixels, 0, 255).astype(np.uint8)
    found = restorer.look(pixels)
    assert not found.names and max(found.amounts.values()) > 0.1
    give(page, png(pixels))
    wait_done(page)
    assert shown_amounts(page) == pytest.approx(dict(found.amounts), abs=2e-3)


def test_good_photos_come_back_as_the_file_that_they_were(page: Any, restorer: Restorer) -> None:
    clean = (SAMPLES / "clean" / "rain.jpg").read_bytes()
    assert not restorer.look(clean).names
    give(page, {"name": "good.jpg", "mimeType": "image/jpeg", "buffer": clean})
    wait_done(page)
    assert download(page) == ("good-restored.jpg", clean)
    page.locator("#strength").fill("40")
    assert download(page)[1] == clean


def test_drawings_and_photos_with_all_switched_off_are_left_as_they_are(
    page: Any, restorer: Restorer
) -> None:
    drawing = np.kron(np.indices((30, 40)).sum(axis=0) % 2, np.full((4, 4), 200)) + 30
    drawing = np.repeat(drawing[..., None], 3, axis=2).astype(np.uint8)  # "noise" by its pixels
    pixels = scene(61, 97)
    give(page, png(drawing), png(pixels, "other.png"))
    wait_done(page, 2)
    np.testing.assert_array_equal(pixels_of(download(page)[1]), drawing)
    assert "nothing found, left as it is" in page.locator("#facts").inner_text()
    assert set(shown_amounts(page).values()) == {0.0}
    page.locator("#photos li > button:first-child").nth(1).click()
    for name in restorer.look(pixels).names:
        switch(page, name).uncheck(force=True)
        wait_done(page, 2)
    np.testing.assert_array_equal(pixels_of(download(page)[1]), pixels)
    facts = page.locator("#facts").inner_text()
    assert "left as it is" in facts and "nothing found" not in facts


def test_exif_profile_and_orientation_are_kept(page: Any) -> None:
    image = Image.fromarray(scene(64, 96))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8298] = 6, "Maker", "somebody"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92, exif=exif, icc_profile=profile, dpi=(300, 300))
    give(page, {"name": "a.b.jpeg", "mimeType": "image/jpeg", "buffer": buffer.getvalue()})
    wait_done(page)
    name, data = download(page)
    assert name == "a.b-restored.jpg"
    result = Image.open(io.BytesIO(data))
    assert result.size == image.size  # as stored
    assert dict(result.getexif()) == dict(exif)
    assert result.info["icc_profile"] == profile
    assert result.info["dpi"] == (300, 300)
    for picture in ("#before", "#after"):  # and shown upright
        sides = page.locator(picture).evaluate("i => [i.naturalWidth, i.naturalHeight]")
        assert sides == [64, 96]


def test_png_metadata_are_kept(page: Any) -> None:
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    texts.add_text("Author", "somebody")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    buffer = io.BytesIO()
    image = Image.fromarray(scene(40, 50))
    image.save(buffer, "PNG", pnginfo=texts, icc_profile=profile)
    give(page, {"name": "a.png", "mimeType": "image/png", "buffer": buffer.getvalue()})
    wait_done(page)
    result = Image.open(io.BytesIO(download(page)[1]))
    assert result.info["Author"] == "somebody" and result.info["icc_profile"] == profile


def test_the_camera_gives_a_photo_and_is_let_go(page: Any) -> None:
    page.context.grant_permissions(["camera"])
    page.click("#camera")
    page.locator("#booth[open]").wait_for()
    page.click("#shoot")
    wait_done(page)
    assert page.locator("#photos button").first.get_attribute("aria-label").startswith("camera-")
    assert page.locator("#video").evaluate("video => video.srcObject") is None


def test_a_phone_shows_all_and_the_divider_moves_by_touch_and_keys(
    open_page: Callable[..., Any], address: str
) -> None:
    page = open_page(
        address, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True
    )
    page.locator("button", has_text="Rain").tap()  # one tap to the result
    wait_done(page)
    wide = page.evaluate("() => document.documentElement.scrollWidth")
    assert wide <= 360
    for button in page.locator("button:visible:not(.remove)").all():
        box = button.bounding_box()
        assert box["height"] >= 40 and box["width"] >= 40, button
    box = page.locator("#stage").bounding_box()
    page.touchscreen.tap(box["x"] + 0.25 * box["width"], box["y"] + 0.4 * box["height"])
    assert 20 <= int(page.locator("#handle").get_attribute("aria-valuenow")) <= 30
    page.locator("#handle").press("End")
    assert page.locator("#handle").get_attribute("aria-valuenow") == "100"


def test_every_control_has_a_name(page: Any) -> None:
    give(page, png(scene(40, 40)), png(scene(40, 41), "b.png"))
    wait_done(page, 2)
    controls = page.locator("button:visible, input:visible, [role=slider]:visible")
    unnamed = controls.evaluate_all(
        """all => {
            const name = (c) => c.ariaLabel || c.innerText || c.labels?.[0]?.innerText || "";
            return all.filter((c) => !name(c).trim()).map((c) => c.outerHTML);
        }"""
    )
    assert controls.count() > 12 and unnamed == []
