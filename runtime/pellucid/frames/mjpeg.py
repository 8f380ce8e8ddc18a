"""A page on this machine that shows the stream: for OpenCV builds without windows.

It listens on 127.0.0.1 only and answers only to that name, so that no other page's script reaches
it under a name of its own. Pictures are compressed only while somebody watches.
"""

import sys
import threading
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .frame import Frame, FrameError

ADDRESS = "127.0.0.1"
_QUALITY = 80
_WAIT_S = 1.0
_PAGE = Path(__file__).with_name("live.html")


class PageServer(ThreadingHTTPServer):
    """A browser that leaves in the middle of an answer is no news: nothing is printed of it."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class PageSink:
    """MJPEG over HTTP on the loopback interface; port 0 takes a free one. See `url`."""

    view = True

    def __init__(self, port: int = 0) -> None:
        self._changed = threading.Condition()
        self._jpeg, self._number, self._closed = b"", 0, False
        self._watchers = 0
        self._pressed: deque[str] = deque(maxlen=32)
        try:
            self._server = PageServer((ADDRESS, port), _handler_of(self))
        except OSError as error:
            raise FrameError(f"port {port} cannot be used ({error}); try --sink page") from error
        self.port = int(self._server.server_address[1])
        self.url = f"http://{ADDRESS}:{self.port}/"
        self.name = f"page {self.url}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )
        self._thread.start()

    def write(self, frame: Frame) -> None:
        """Give the newest frame to whoever watches; without watchers it costs nothing."""
        with self._changed:
            if not self._watchers:
                return
        bgr = cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2BGR)
        jpeg = np.asarray(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1])
        with self._changed:
            self._jpeg, self._number = jpeg.tobytes(), self._number + 1
            self._changed.notify_all()

    def pressed(self) -> str:
        """Keys pressed on the page."""
        keys = ""
        while self._pressed:
            keys += self._pressed.popleft()
        return keys

    def press(self, key: str) -> None:
        """A key pressed by somebody on the page."""
        self._pressed.append(key)

    def watch(self, come: int) -> None:
        """Somebody begins (1) or ceases (-1) to watch."""
        with self._changed:
            self._watchers += come
            self._changed.notify_all()

    def wait_for_watcher(self, stopped: Callable[[], bool]) -> None:
        """Return once somebody watches, or `stopped()`; it is asked every second or so."""
        with self._changed:
            while not (self._watchers or self._closed or stopped()):
                self._changed.wait(_WAIT_S)

    def newer_than(self, number: int) -> tuple[bytes, int] | None:
        """The newest JPEG and its number, waiting for it; b"" if none came; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._number > number or self._closed, _WAIT_S)
            if self._closed:
                return None
            return (self._jpeg, self._number) if self._number > number else (b"", number)

    def close(self) -> None:
        """Stop serving and let everybody go."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=1.0)


def _handler_of(page: PageSink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self._is_ours():
                return
            if self.path == "/":
                self._answer(_PAGE.read_bytes(), "text/html; charset=utf-8")
            elif self.path == "/stream":
                self._stream()
            else:
                self.send_error(HTTPStatus.NOT_FOUND)

        def do_POST(self) -> None:
            # The header makes browsers ask first before another site's page may send this.
            if not self._is_ours():
                return
            if self.path != "/key" or "X-Pellucid" not in self.headers:
                return self.send_error(HTTPStatus.FORBIDDEN)
            length = self.headers.get("Content-Length", "")
            size = min(8, int(length)) if length.isdecimal() else 0
            page.press(self.rfile.read(size).decode("utf-8", "ignore")[:1])
            self._answer(b"", "text/plain")

        def _is_ours(self) -> bool:
            ours = {f"{ADDRESS}:{page.port}", f"localhost:{page.port}"}
            if self.headers.get("Host") in ours:
                return True
            self.send_error(HTTPStatus.FORBIDDEN)
            return False

        def _answer(self, body: bytes, kind: str) -> None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _stream(self) -> None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            page.watch(1)
            number = 0
            try:
                while (newest := page.newer_than(number)) is not None:
                    jpeg, number = newest
                    if jpeg:
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}"
                        self.wfile.write(head.encode() + b"\r\n\r\n" + jpeg + b"\r\n")
            except OSError:
                pass  # the watcher left
            finally:
                page.watch(-1)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
