"""A browser and the page of `pellucid web` in it, for the tests that want them."""

import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import pytest
from web_browser import CHROMIUM

from pellucid import Restorer
from pellucid_apps.web.server import open_server
from pellucid_apps.web.site import build_site

PATIENCE_MS = 90_000  # a busy machine
ARGUMENTS = [
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--enable-unsafe-swiftshader",
]

Routes = dict[str, Callable[[Any], None]]
Serve = Callable[[ThreadingHTTPServer], str]

# WebGPU on the CPU, by SwiftShader.
WEBGPU = [
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
    "--ignore-gpu-blocklist",
]


@pytest.fixture(scope="module")
def launch() -> Iterator[Callable[..., Any]]:
    """Starts Chromium with more arguments; all of them end with the module."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        yield lambda *more: playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*ARGUMENTS, *more]
        )


@pytest.fixture(scope="module")
def browser(launch: Callable[..., Any]) -> Any:
    return launch()


@pytest.fixture(scope="module")
def webgpu(launch: Callable[..., Any]) -> Any:
    """A browser with WebGPU."""
    return launch(*WEBGPU)


@pytest.fixture(scope="module")
def serve() -> Iterator[Serve]:
    """Servers that end with the module, also if its tests fail; gives an address."""
    running: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def begin(server: ThreadingHTTPServer) -> str:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}/"

    yield begin
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def address(serve: Serve) -> str:
    return serve(open_server(build_site()))


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """A page in a context of its own. Requests that leave the server fail the test."""
    contexts: list[Any] = []
    foreign: list[str] = []

    def opened(
        url: str, routes: Routes | None = None, within: Any = browser, **settings: Any
    ) -> Any:
        context = within.new_context(accept_downloads=True, **settings)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        origin = url[: url.index("/", 8)]
        page.on("request", lambda r: _note_foreign(r.url, origin, foreign))
        for pattern, answer in (routes or {}).items():
            page.route(pattern, answer)
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert foreign == []


@pytest.fixture(scope="module")
def shared(browser: Any, address: str) -> Iterator[Any]:
    """One page for many tests: the engine is loaded once."""
    context = browser.new_context(accept_downloads=True)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.foreign = []
    page.on("request", lambda r: _note_foreign(r.url, address, page.foreign))
    page.goto(address)
    yield page
    context.close()


@pytest.fixture
def page(shared: Any) -> Iterator[Any]:
    """`shared`, as it was when it was new."""
    shared.locator("[name=steps][value='1']").evaluate("choice => { choice.checked = true }")
    shared.locator("#strength").evaluate("range => { range.value = 100 }")
    yield shared
    shared.evaluate(
        """() => { for (const kind of ["#photos .remove", "#messages button"])
          for (const button of document.querySelectorAll(kind)) button.click(); }"""
    )
    assert shared.foreign == []


def _note_foreign(url: str, origin: str, foreign: list[str]) -> None:
    if not url.startswith((origin, "blob:", "data:")):
        foreign.append(url)


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    return Restorer("pico", threads=1)
