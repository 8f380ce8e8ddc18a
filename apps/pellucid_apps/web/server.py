"""Serves the page: a few files from memory, with the headers that threads and modules need."""

import mimetypes
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from pellucid import PellucidError
from pellucid.frames.mjpeg import PageServer

from .site import FIXED_NAMES, Site

LOOPBACK = "127.0.0.1"
_TYPES = {
    ".mjs": "text/javascript",
    ".js": "text/javascript",
    ".webmanifest": "application/manifest+json",
    ".gz": "application/gzip",  # unpacked by the page: no Content-Encoding
    ".onnx": "application/octet-stream",
}
ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def open_server(
    site: Site, host: str = LOOPBACK, port: int = 0, isolated: bool = True
) -> PageServer:
    """A server of the site that waits for `serve_forever`; port 0 takes a free one.

    isolated: send the headers that let a page use threads. Raises PellucidError if the port is
    taken or the host is not this machine's.
    """
    try:
        return PageServer((host, port), _handler(site, ISOLATION if isolated else {}))
    except OSError as error:
        raise PellucidError(
            f"cannot listen on {host}:{port} ({error.strerror or error}); try another --port"
        ) from error


def media_type(name: str) -> str:
    """Content-Type of a file by its last suffix."""
    suffix = f".{name.rpartition('.')[2]}"
    kind = _TYPES.get(suffix) or mimetypes.guess_type(f"a{suffix}")[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def _handler(site: Site, extra: dict[str, str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def _answer(self, body: bool) -> None:
            name = self.path.partition("?")[0].lstrip("/") or "index.html"
            data = site.get(name)
            if data is None:
                return self.send_error(HTTPStatus.NOT_FOUND)
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", media_type(name))
            self.send_header("Content-Length", str(len(data)))
            kept = "no-cache" if name in FIXED_NAMES else "public, max-age=31536000, immutable"
            self.send_header("Cache-Control", kept)
            self.send_header("X-Content-Type-Options", "nosniff")
            for header, value in extra.items():
                self.send_header(header, value)
            self.end_headers()
            if body:
                self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
