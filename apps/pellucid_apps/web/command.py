"""`pellucid web`: the page that restores photos in the browser, served or written."""

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from .server import LOOPBACK, open_server
from .site import build_site, write_site


def web(
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the page here, for any static host.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = LOOPBACK,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Open a page that restores photos in the browser; no photo leaves the device.

    It is served to this machine only unless --host says otherwise. With --out it is written to a
    folder that any web host can serve, in a sub-folder too; https lets it work offline.
    """
    if out is not None:
        size = write_site(out)
        print(f"{out}: {size / 1e6:.1f} MB; serve it with https, or try it with:")
        print(f"python -m http.server -d {out}")
        return
    server = open_server(build_site(), host, port)
    shown = LOOPBACK if host in ("0.0.0.0", "::") else host
    url = f"http://{shown}:{server.server_address[1]}/"
    if host not in (LOOPBACK, "localhost", "::1"):
        print(
            f"warning: everybody who reaches {host} can open the page; without https it has one "
            "thread, no camera and no offline use there",
            file=sys.stderr,
        )
    print(f"{url}  (Ctrl-C ends it)", flush=True)
    if browser:
        webbrowser.open(url)
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        print(file=sys.stderr)
    finally:
        server.server_close()
