"""What the page of `pellucid web` costs in Chromium, beside the command in the same run.

python bench/web_page.py [--model pico] [--megapixels 1 24] [--threads 1]
Per photo: seconds of the page's restoration, of the command's with one thread, their ratio, and the
largest private memory of the tab's process.
"""

import argparse
import io
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from pellucid import Restorer
from pellucid_apps.web.server import open_server
from pellucid_apps.web.site import build_site

CHROMIUM = "/usr/bin/chromium"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="pico")
    parser.add_argument("--megapixels", type=float, nargs="+", default=[1.0, 24.0])
    parser.add_argument("--threads", type=int, default=1, help="of the page")
    asked = parser.parse_args()
    server = open_server(build_site())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}/?threads={asked.threads}"
    restorer = Restorer(asked.model, threads=1)
    print(f"{asked.model}, {asked.threads} thread(s) in the page")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for megapixels in asked.megapixels:
            photo = _photo(megapixels)
            page = browser.new_page()
            page.set_default_timeout(600_000)
            page.goto(address)
            page.locator(f"[value={asked.model}]").evaluate("choice => { choice.checked = true }")
            seconds, peak_mb = _restore(page, photo)
            pixels = np.asarray(Image.open(io.BytesIO(photo)))
            start = time.monotonic()
            restorer(pixels)
            native = time.monotonic() - start
            print(
                f"{megapixels:g} megapixels: page {seconds:.2f} s, command {native:.2f} s, "
                f"ratio {seconds / native:.2f}, tab {peak_mb:.0f} MB"
            )
            page.close()


def _photo(megapixels: float) -> bytes:
    width = round((megapixels * 1e6 * 1.5) ** 0.5)
    height = round(megapixels * 1e6 / width)
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    small.resize((width, height), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def _restore(page: Any, photo: bytes) -> tuple[float, float]:
    """Seconds as the page tells them, and the tab's peak MB."""
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            peak[0] = max(peak[0], _largest_renderer_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(2):  # the first run also warms up; the second finds its pixels still held
        page.locator("#files").set_input_files(
            {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo}
        )
        count = page.locator("#photos li").count()
        page.locator('#photos .mark[data-state="done"]').nth(count - 1).wait_for()
    done.set()
    watcher.join()
    fact = page.locator("#facts").inner_text().split(" · ")[2]
    value, unit = fact.split()
    return float(value) / (1000 if unit == "ms" else 1), peak[0]


def _largest_renderer_mb() -> float:
    """Private memory of the largest tab of this run's Chromium."""
    largest = 0.0
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"--type=renderer" not in status.read_bytes() or not _is_ours(status.parent):
                continue
            lines = (status.parent / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue  # it has ended
        private = sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
        largest = max(largest, private / 1e3)
    return largest


def _is_ours(process: Path) -> bool:
    """Whether this process is among a process's parents."""
    while process.name not in ("0", str(os.getpid())):
        counters = (process / "stat").read_text().rpartition(")")[2].split()
        process = process.with_name(counters[1])
    return process.name != "0"


if __name__ == "__main__":
    main()
