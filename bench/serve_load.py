"""Load test of `pellucid serve`: many clients at once, none lost, memory flat.

python bench/serve_load.py [--requests 200] [--clients 16] [--model pico] [--side 256]
A client that is told 503 waits as long as Retry-After says and asks again, as clients should.
"""

import argparse
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

HEADERS = {"Content-Type": "image/jpeg"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--model", default="pico")
    parser.add_argument("--side", type=int, default=256, help="px")
    parser.add_argument("--queue", type=int, default=8)
    asked = parser.parse_args()
    port = _free_port()
    words = ["serve", "-m", asked.model, "--port", str(port), "--queue", str(asked.queue)]
    server = subprocess.Popen([sys.executable, "-m", "pellucid_apps", *words])
    try:
        _wait(port)
        print(json.dumps(_load(server.pid, port, asked), indent=1))
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(60)
    print(f"stopped with {code}")


def _load(pid: int, port: int, asked: argparse.Namespace) -> dict[str, object]:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (asked.side, asked.side, 3), dtype=np.uint8)
    photo = cv2.imencode(".jpg", cv2.GaussianBlur(noise, (0, 0), 2))[1].tobytes()
    left = iter(range(asked.requests))
    lock = threading.Lock()
    statuses: Counter[int] = Counter()
    waits: list[float] = []
    memory: list[float] = []

    def client() -> None:
        while True:
            with lock:
                if next(left, None) is None:
                    return
            start = time.monotonic()
            while True:
                status, after = _ask(port, photo)
                with lock:
                    statuses[status] += 1
                if status != 503:
                    break
                time.sleep(after)
            with lock:
                waits.append(time.monotonic() - start)
                memory.append(_resident_mb(pid))

    _ask(port, photo)  # the first one loads what loads late
    before, start = _resident_mb(pid), time.monotonic()
    clients = [threading.Thread(target=client) for _ in range(asked.clients)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    wall = time.monotonic() - start
    half = len(memory) // 2
    return {
        "answered": statuses[200],
        "lost": asked.requests - statuses[200],
        "told 503 and came again": statuses[503],
        "photos a second": round(asked.requests / wall, 2),
        "median s": round(statistics.median(waits), 2),
        "p95 s": round(statistics.quantiles(waits, n=20)[-1], 2),
        "MB before": round(before),
        "MB first half": round(max(memory[:half])),
        "MB second half": round(max(memory[half:])),
    }


def _ask(port: int, photo: bytes) -> tuple[int, float]:
    """Status, and seconds to wait if there are any."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        connection.request("POST", "/restore", photo, HEADERS)
        answer = connection.getresponse()
        answer.read()
        return answer.status, float(answer.headers.get("Retry-After") or 0)
    finally:
        connection.close()


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def _wait(port: int) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


if __name__ == "__main__":
    main()
