"""`pellucid serve`: restoration over HTTP, for programs that do not speak Python."""

import os
import sys
from typing import Annotated

import typer

from pellucid import PellucidError, Restorer
from pellucid.image.photo import MAX_MEGAPIXELS_VARIABLE

TOKEN_VARIABLE = "PELLUCID_TOKEN"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
STOP_S = 30  # for what is being restored when it is asked to stop


def serve(
    model: Annotated[str, typer.Option("--model", "-m", help="Bundled name or file.")] = "tiny",
    steps: Annotated[int, typer.Option(min=1, max=3, help="Passes; each costs as much.")] = 1,
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8080,
    host: Annotated[str, typer.Option(help="Address to listen on; others want a token.")] = (
        "127.0.0.1"
    ),
    workers: Annotated[int, typer.Option(min=1, help="Photos restored at the same time.")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of each.")] = None,
    queue: Annotated[int, typer.Option(min=0, help="Photos that may wait.")] = 16,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time limit for a photo.")] = 60.0,
    max_mb: Annotated[float, typer.Option(min=0.001, help="Largest file, MB.")] = 50.0,
    max_megapixels: Annotated[float, typer.Option(min=0.001, help="Largest picture.")] = 50.0,
) -> None:
    """Serve restoration over HTTP: POST a picture to /restore.

    curl --data-binary @rain.jpg -H "Content-Type: image/jpeg" localhost:8080/restore -o dry.jpg

    Also /health and /metrics. It listens on this machine only; any other --host wants a token in
    the variable PELLUCID_TOKEN, which clients send as Authorization: Bearer.
    """
    try:
        import uvicorn

        from .app import Access, create_app
        from .jobs import Jobs, Limits
    except ImportError as error:
        raise PellucidError(
            f"pellucid serve needs {error.name}: pip install 'pellucid[serve]'"
        ) from None
    token = os.environ.get(TOKEN_VARIABLE, "")
    if host not in LOOPBACK and not token:
        raise PellucidError(
            f"{host} can be reached by others: set a token first, such as "
            f"{TOKEN_VARIABLE}=$(openssl rand -hex 16)"
        )
    if host not in LOOPBACK:
        print("warning: photos and token travel unencrypted; put https in front", file=sys.stderr)
    os.environ[MAX_MEGAPIXELS_VARIABLE] = f"{max_megapixels:g}"  # what the decoders look at
    jobs = Jobs(
        lambda: Restorer(model, steps=steps, threads=threads), Limits(workers, queue, seconds)
    )
    access = Access(token, max_bytes=int(max_mb * 1e6))
    if host not in LOOPBACK:
        access = Access(token, ("*",), access.max_bytes)
    uvicorn.run(
        create_app(jobs, access),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_S,
    )
