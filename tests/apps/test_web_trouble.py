"""The page of `pellucid web` in a real browser when something goes wrong: bad files, no network, a
plain server, engines that fail or give wrong pixels, cancelled runs and hidden tabs."""

from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
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
from pellucid_apps.web.site import write_site

pytestmark = in_a_browser


def test_bad_files_are_told_and_the_good_one_is_restored(page: Any) -> None:
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


def test_two_hundred_files_at_once_wait_for_their_turn(page: Any) -> None:
    small = png(scene(8, 9))
    others = ({**small, "name": f"{i}.png"} for i in range(199))
    give(page, png(scene(1200, 1600), "long.png"), *others)
    page.get_by_text("200 photos added").wait_for()
    assert page.locator("#photos li").count() == 200
    page.locator("#photos li").last.locator("button").first.click()
    assert page.locator("#busy-text").inner_text() == "Waiting for its turn"
    page.click("#cancel")
    assert page.locator("#trouble-text").inner_text() == "Cancelled"


def test_cancel_ends_a_long_run_and_the_next_one_works(page: Any) -> None:
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
    open_page: Callable[..., Any], serve: Callable[..., str], tmp_path: Path, restorer: Restorer
) -> None:
    write_site(tmp_path / "some" / "folder")

    class Plain(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *args: Any) -> None:
            pass

    address = serve(ThreadingHTTPServer(("127.0.0.1", 0), Plain))
    page = open_page(f"{address}some/folder/", service_workers="block")
    pixels = scene(50, 60)
    give(page, png(pixels))
    wait_done(page)
    assert "WebAssembly, 1 thread" in page.locator("#engine").inner_text()
    assert_within_a_level(pixels_of(download(page)[1]), restorer(pixels))


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


def test_webgpu_gives_the_pixels_of_the_command(
    open_page: Callable[..., Any], webgpu: Any, address: str, restorer: Restorer
) -> None:
    page = open_page(f"{address}?engine=webgpu&quick", within=webgpu)
    if not page.evaluate("async () => Boolean(await navigator.gpu?.requestAdapter())"):
        pytest.skip("this Chromium has no WebGPU on the CPU")
    pixels = scene(64, 64)  # as the known picture: its shaders are there
    give(page, png(pixels, "a.png"))
    wait_done(page)
    assert page.locator("#engine").inner_text() == "WebGPU"
    assert_within_a_level(pixels_of(download(page)[1]), restorer(pixels))


def test_a_gpu_that_gives_wrong_pixels_is_left_for_the_cpu(
    open_page: Callable[..., Any], address: str, restorer: Restorer
) -> None:
    # The CPU stands for a GPU that computes everything a little wrong.
    spoilt = {
        'GPU = { executionProviders: [{ name: "webgpu", preferredLayout: "NCHW" }] }': "GPU = {}",
        "engine.gpu = await hasGpu(options)": "engine.gpu = true",
        "return output.data": "return output.data.map((v) => v + 0.01 * (where === GPU))",
    }

    def engine(route: Any) -> None:
        text = route.fetch().text()
        for right, wrong in spoilt.items():
            assert text.count(right) == 1
            text = text.replace(right, wrong)
        route.fulfill(body=text, content_type="text/javascript")

    page = open_page(address, {"**/engine.*.mjs": engine}, service_workers="block")
    pixels = scene(40, 40)
    give(page, png(pixels, "a.png"))
    wait_done(page)
    assert "(not WebGPU: wrong pixels, by 2." in page.locator("#engine").inner_text()
    assert_within_a_level(pixels_of(download(page)[1]), restorer(pixels))


def test_a_gpu_that_fails_is_left_for_the_cpu(
    open_page: Callable[..., Any], address: str, restorer: Restorer
) -> None:
    # The page is told of a GPU, and whoever asks for its device gets none.
    fake = """const requestDevice = async () => { throw new Error("gone"); };
    const adapter = { info: {}, features: new Set(), limits: {}, requestDevice };
    Object.defineProperty(navigator, "gpu", { value: { requestAdapter: async () => adapter } });
    """

    def engine(route: Any) -> None:
        text = fake + route.fetch().text().replace("20_000", "500")
        route.fulfill(body=text, content_type="text/javascript")

    page = open_page(address, {"**/engine.*.mjs": engine}, service_workers="block")
    pixels = scene(40, 40)
    give(page, png(pixels, "a.png"))
    wait_done(page)
    shown = page.locator("#engine").inner_text()
    assert shown.startswith("WebAssembly") and "not WebGPU" in shown
    assert_within_a_level(pixels_of(download(page)[1]), restorer(pixels))


def test_a_hidden_and_frozen_tab_loses_nothing(page: Any, restorer: Restorer) -> None:
    def hide(hidden: bool) -> None:
        page.evaluate(
            """hidden => {
                Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
                document.dispatchEvent(new Event("visibilitychange"));
            }""",
            hidden,
        )

    pixels = scene(500, 700)
    chrome = page.context.new_cdp_session(page)
    give(page, png(pixels, "a.png"), png(scene(30, 40), "b.png"))
    hide(True)
    chrome.send("Page.setWebLifecycleState", {"state": "frozen"})
    page.wait_for_timeout(300)
    chrome.send("Page.setWebLifecycleState", {"state": "active"})
    hide(False)
    page.get_by_text("tab was hidden").wait_for()
    wait_done(page, 2)
    assert_within_a_level(pixels_of(download(page)[1]), restorer(pixels))
    hide(True)
    hide(False)  # nothing was busy: nothing is told
    assert page.get_by_text("tab was hidden").count() <= 1
