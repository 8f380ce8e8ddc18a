"""The page of `pellucid web` in a real browser: parity with `pellucid restore`, and what may go
wrong. One browser, small pictures, the smallest model."""

import io
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pellucid import Restorer
from pellucid.image.photo import read_photo
from pellucid_apps.web.server import open_server
from pellucid_apps.web.site import build_site, write_site

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = "/usr/bin/chromium"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"{CHROMIUM} is not installed"),
]
PATIENCE_MS = 90_000  # a busy machine
ARGUMENTS = [
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--enable-unsafe-swiftshader",
]

Pixels = NDArray[np.uint8]
File = dict[str, Any]
Routes = dict[str, Callable[[Any], None]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = open_server(build_site())
    yield from _serve(server)


def _serve(server: ThreadingHTTPServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """A page in a context of its own. Requests that leave the server fail the test."""
    contexts, foreign = [], []

    def opened(url: str, routes: Routes | None = None, **settings: Any) -> Any:
        context = browser.new_context(accept_downloads=True, **settings)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        origin = url[: url.index("/", 8)]
        page.on(
            "request",
            lambda r: (
                None if r.url.startswith((origin, "blob:", "data:")) else foreign.append(r.url)
            ),
        )
        for pattern, answer in (routes or {}).items():
            page.route(pattern, answer)
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert foreign == []


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    return Restorer("pico", threads=1)


def scene(height: int, width: int, channels: int = 3, seed: int = 0) -> Pixels:
    """Smooth colours with grain and streaks, dark on one side."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (5, 7, channels)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    smooth = smooth.reshape(height, width, channels) * np.linspace(0.3, 1, width)[:, None]
    smooth[:, ::7] += 60
    noisy = smooth + rng.normal(0, 8, smooth.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def png(pixels: Pixels, name: str = "photo.png") -> File:
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return {"name": name, "mimeType": "image/png", "buffer": buffer.getvalue()}


def give(page: Any, *files: File) -> None:
    page.locator("#files").set_input_files(list(files))


def wait_done(page: Any, count: int = 1) -> None:
    """Until so many photos are restored; if none is left to wait for, the test ends with why."""
    marks = "document.querySelectorAll('#photos .mark"
    page.wait_for_function(
        f"""count => {marks}[data-state="done"]').length >= count || ({marks}').length &&
          !{marks}:is([data-state="busy"], [data-state="queued"])').length)""",
        arg=count,
    )
    names = [button.get_attribute("aria-label") for button in page.locator(".mark >> ..").all()]
    assert page.locator('#photos .mark[data-state="done"]').count() >= count, names


def download(page: Any) -> tuple[str, bytes]:
    with page.expect_download() as waiting:
        page.click("#save")
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def pixels_of(data: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(data)))


def assert_within_a_level(got: Pixels, expected: Pixels) -> None:
    assert got.shape == expected.shape
    assert int(np.abs(got.astype(int) - expected).max()) <= 1


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


def test_steps_and_strength_are_those_of_the_command(
    open_page: Callable[..., Any], address: str
) -> None:
    pixels = scene(90, 131)
    page = open_page(address)
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
    open_page: Callable[..., Any], address: str, restorer: Restorer
) -> None:
    sample = next(data for name, data in build_site().items() if name.startswith("samples/rain"))
    page = open_page(address)
    page.locator("[data-sample*=rain]").click()
    wait_done(page)
    found = restorer.look(sample)
    assert "rain" in found.names and "noise" not in found.names
    assert shown_amounts(page) == pytest.approx(dict(found.amounts), abs=0.02)
    switched_on = {name for name in found.amounts if switch(page, name).is_checked()}
    assert switched_on == set(found.names)

    pixels = np.asarray(read_photo(sample).pixels, np.uint8)
    give(page, png(pixels))  # the same without loss
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


def test_drawings_and_photos_with_all_switched_off_are_left_as_they_are(
    open_page: Callable[..., Any], address: str, restorer: Restorer
) -> None:
    drawing = np.kron(np.indices((30, 40)).sum(axis=0) % 2, np.full((4, 4), 200)) + 30
    drawing = np.repeat(drawing[..., None], 3, axis=2).astype(np.uint8)  # "noise" by its pixels
    pixels = scene(61, 97)
    page = open_page(address)
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


def test_exif_profile_and_orientation_are_kept(open_page: Callable[..., Any], address: str) -> None:
    image = Image.fromarray(scene(64, 96))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8298] = 6, "Maker", "somebody"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92, exif=exif, icc_profile=profile, dpi=(300, 300))
    page = open_page(address)
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


def test_png_metadata_are_kept(open_page: Callable[..., Any], address: str) -> None:
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    texts.add_text("Author", "somebody")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    buffer = io.BytesIO()
    image = Image.fromarray(scene(40, 50))
    image.save(buffer, "PNG", pnginfo=texts, icc_profile=profile)
    page = open_page(address)
    give(page, {"name": "a.png", "mimeType": "image/png", "buffer": buffer.getvalue()})
    wait_done(page)
    result = Image.open(io.BytesIO(download(page)[1]))
    assert result.info["Author"] == "somebody" and result.info["icc_profile"] == profile


def test_bad_files_are_told_and_the_good_one_is_restored(
    open_page: Callable[..., Any], address: str
) -> None:
    good = png(scene(40, 56), "good.png")
    cut = {**good, "name": "cut.png", "buffer": good["buffer"][:-40]}
    huge = bytearray(good["buffer"])
    huge[16:24] = (20000).to_bytes(4, "big") * 2
    files = [
        {"name": "a.txt", "mimeType": "text/plain", "buffer": b"words"},
        {"name": "lie.jpg", "mimeType": "image/jpeg", "buffer": b"words"},
        {"name": "empty.png", "mimeType": "image/png", "buffer": b""},
        {"name": "scan.tif", "mimeType": "image/tiff", "buffer": b"II*\0" + bytes(99)},
        cut,
        {**good, "name": "huge.png", "buffer": bytes(huge)},
        good,
    ]
    page = open_page(address)
    give(page, *files)
    page.get_by_text("a.txt: not a picture").wait_for()
    wait_done(page)
    expected = {
        "lie.jpg": "not a picture that browsers read",
        "empty.png": "the file is empty",
        "scan.tif": "use the pellucid command",
        "cut.png": "cut off: its end is missing",
        "huge.png": "20000x20000 is 400 megapixels",
    }
    for name, message in expected.items():
        page.locator(f"#photos button[aria-label^='{name}']").click()
        told = page.locator("#trouble-text").inner_text()
        assert told.startswith(f"{name}: ") and message in told


def test_two_hundred_files_at_once_wait_for_their_turn(
    open_page: Callable[..., Any], address: str
) -> None:
    small = png(scene(8, 9))
    page = open_page(address)
    others = ({**small, "name": f"{i}.png"} for i in range(199))
    give(page, png(scene(1200, 1600), "long.png"), *others)
    page.get_by_text("200 photos added").wait_for()
    assert page.locator("#photos li").count() == 200
    page.locator("#photos li").last.locator("button").first.click()
    assert page.locator("#busy-text").inner_text() == "Waiting for its turn"
    page.click("#cancel")
    assert page.locator("#trouble-text").inner_text() == "Cancelled"


def test_cancel_ends_a_long_run_and_the_next_one_works(
    open_page: Callable[..., Any], address: str
) -> None:
    page = open_page(address)
    give(page, png(scene(1000, 1040), "long.png"))
    page.locator("#busy:visible").wait_for()
    page.click("#cancel")
    assert page.locator("#trouble-text").inner_text() == "Cancelled"
    give(page, png(scene(40, 40), "short.png"))
    wait_done(page)
    assert "short.png" in page.locator("#photos [aria-current=true]").get_attribute("aria-label")


def test_it_works_offline_once_it_was_used(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(address)
    give(page, png(scene(40, 40)))
    wait_done(page)
    kept = (
        "async () => (await (await caches.open((await caches.keys())[0])).keys()).map(r => r.url)"
    )
    for _ in range(100):
        urls = page.evaluate(kept)
        if any("model." in url for url in urls) and any(".wasm.gz" in url for url in urls):
            break
        page.wait_for_timeout(100)
    page.context.set_offline(True)
    page.reload()
    give(page, png(scene(40, 40)))
    wait_done(page)


def test_a_plain_server_in_a_subfolder_gets_one_thread(
    open_page: Callable[..., Any], tmp_path: Path, restorer: Restorer
) -> None:
    write_site(tmp_path / "some" / "folder")

    class Plain(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *args: Any) -> None:
            pass

    serving = _serve(ThreadingHTTPServer(("127.0.0.1", 0), Plain))
    address = next(serving)
    page = open_page(f"{address}some/folder/", service_workers="block")
    pixels = scene(50, 60)
    give(page, png(pixels))
    wait_done(page)
    assert "WebAssembly, 1 thread" in page.locator("#engine").inner_text()
    assert_within_a_level(pixels_of(download(page)[1]), restorer(pixels))
    page.context.close()
    next(serving, None)


def test_wrong_pixels_are_never_shown(open_page: Callable[..., Any], address: str) -> None:
    def spoil(route: Any) -> None:
        card = route.fetch().json()
        for answer in card["answers"]:
            answer["samples"] = [value + 0.01 for value in answer["samples"]]
        route.fulfill(json=card)

    page = open_page(address, {"**/card*.json": spoil}, service_workers="block")
    give(page, png(scene(40, 40), "a.png"))
    page.locator("#trouble:visible").wait_for()
    assert "wrong pixels" in page.locator("#trouble-text").inner_text()
    assert page.locator("#save").is_disabled()


def test_a_gpu_that_fails_is_left_for_the_cpu(
    open_page: Callable[..., Any], address: str, restorer: Restorer
) -> None:
    # The page is told of a GPU, and whoever asks for its device gets none.
    fake = """const requestDevice = async () => { throw new Error("gone"); };
    const adapter = { info: {}, features: new Set(), limits: {}, requestDevice };
    Object.defineProperty(navigator, "gpu", { value: { requestAdapter: async () => adapter } });
    """

    def engine(route: Any) -> None:
        text = fake + route.fetch().text().replace("20_000", "2_000")
        route.fulfill(body=text, content_type="text/javascript")

    page = open_page(address, {"**/engine.*.mjs": engine}, service_workers="block")
    pixels = scene(40, 40)
    give(page, png(pixels, "a.png"))
    wait_done(page)
    shown = page.locator("#engine").inner_text()
    assert shown.startswith("WebAssembly") and "not WebGPU" in shown
    assert_within_a_level(pixels_of(download(page)[1]), restorer(pixels))


def test_the_camera_gives_a_photo_and_is_let_go(
    open_page: Callable[..., Any], address: str
) -> None:
    page = open_page(address, permissions=["camera"])
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


def test_every_control_has_a_name(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(address)
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
