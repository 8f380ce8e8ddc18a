"""The HTTP service: a picture in the body of POST /restore, the restored one in the answer.

Starlette on uvicorn, because both are small, typed and maintained. No file is read or written.
"""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pellucid import PellucidError, Photo, PhotoError, Restorer, __version__, read_photo
from pellucid.card import ModelCard
from pellucid.degradations import BLIND, Choice, read_choice
from pellucid.errors import TooLargeError
from pellucid.image.encode import holds_already, losses

from .jobs import Jobs, QueueFullError, StoppedError, Ticket

MEDIA_TYPES = {
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp",
    ".tif": "image/tiff", ".tiff": "image/tiff", ".avif": "image/avif", ".bmp": "image/bmp",
}  # fmt: skip
_POLL_S = 0.5  # between two looks whether the client is still there


@dataclass(frozen=True)
class Access:
    """token: wanted as `Authorization: Bearer`, empty for none. hosts: names that a request may
    give this server, so that no web page reaches it under a name of its own; ("*",) for all.
    max_bytes: of a request's body."""

    token: str = ""
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    max_bytes: int = 50_000_000


@dataclass(frozen=True)
class Wanted:
    """What a request's query asks for. suffix: of the answer's format, None for the photo's own.
    choice: what is restored."""

    strength: float = 1.0
    quality: int = 95
    suffix: str | None = None
    choice: Choice = BLIND


class _RefusedError(Exception):
    """An answer other than 200: its status, and a line for whoever asked."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.answer = JSONResponse({"error": message}, status, headers)


class Service:
    """Routes and figures around the jobs."""

    def __init__(self, jobs: Jobs, access: Access) -> None:
        self.jobs = jobs
        self.access = access
        registry = self.registry = CollectorRegistry()
        self.answers = Counter("pellucid_answers", "Answers", ["status"], registry=registry)
        self.seconds = Histogram("pellucid_seconds", "From request to answer", registry=registry)
        self.megapixels = Counter("pellucid_megapixels", "Restored", registry=registry)
        held = Gauge("pellucid_held", "Photos restored now or waiting", registry=registry)
        held.set_function(lambda: jobs.held)

    async def restore(self, request: Request) -> Response:
        """The photo in the body, restored; else JSON {"error": a line}."""
        start = time.monotonic()
        try:
            answer = await self._restore(request)
        except _RefusedError as refused:
            answer = refused.answer
        except ClientDisconnect:
            answer = Response(status_code=499)  # nginx's number: nobody reads it
        self.answers.labels(str(answer.status_code)).inc()
        self.seconds.observe(time.monotonic() - start)
        return answer

    async def _restore(self, request: Request) -> Response:
        self._check_access(request)
        wanted = read_wanted(request, self.jobs.restorer.card)
        try:
            ticket = self.jobs.enter()  # before the body is read: memory is bounded by the queue
        except QueueFullError as full:
            after = {"Retry-After": str(full.retry_after)}
            raise _RefusedError(503, str(full), after) from None
        watcher = None
        try:
            data = await self._body(request, ticket)
            watcher = asyncio.create_task(_leave_with_client(request, ticket))
            photo, answer = await self.jobs.run(ticket, lambda r, t: _restored(data, wanted, r, t))
        except StoppedError:
            limit = f"not done in {self.jobs.limits.seconds:g} s"
            raise _RefusedError(504, f"{limit}; send a smaller picture") from None
        except TooLargeError as error:
            raise _RefusedError(413, str(error)) from None
        except PhotoError as error:
            raise _RefusedError(422, str(error)) from None
        except MemoryError:
            raise _RefusedError(413, "memory ran out; send a smaller picture") from None
        finally:
            if watcher is not None:
                watcher.cancel()
            self.jobs.leave(ticket)
        self.megapixels.inc(photo.megapixels)
        return answer

    def _check_access(self, request: Request) -> None:
        given = request.headers.get("authorization", "")
        if self.access.token and not hmac.compare_digest(
            given.encode(), f"Bearer {self.access.token}".encode()
        ):
            challenge = {"WWW-Authenticate": "Bearer"}
            raise _RefusedError(401, "a token is wanted: Authorization: Bearer TOKEN", challenge)
        # Types that a browser sends for another site's page only after asking, which is refused.
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not kind.startswith("image/") and kind != "application/octet-stream":
            raise _RefusedError(
                415, f"expected a picture as the body, Content-Type image/..., got {kind or 'none'}"
            )
        size = request.headers.get("content-length", "")
        if size.isdigit() and int(size) > self.access.max_bytes:
            raise self._too_long()

    def _too_long(self) -> _RefusedError:
        return _RefusedError(413, f"the limit is {self.access.max_bytes / 1e6:g} MB")

    async def _body(self, request: Request, ticket: Ticket) -> bytes:
        pieces, size = [], 0
        try:
            async with asyncio.timeout(self.jobs.limits.seconds):
                async for piece in request.stream():
                    pieces.append(piece)
                    size += len(piece)
                    if size > self.access.max_bytes:
                        raise self._too_long()
        except TimeoutError:
            raise _RefusedError(408, "the picture came too slowly") from None
        if not size:
            raise _RefusedError(422, "the body is empty; send the picture's bytes")
        return b"".join(pieces)

    async def health(self, request: Request) -> Response:
        """Whether it works, with which model."""
        card = self.jobs.restorer.card
        return JSONResponse({"status": "ok", "model": card.id, "version": __version__})

    async def metrics(self, request: Request) -> Response:
        """Figures as Prometheus reads them."""
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)


def create_app(jobs: Jobs, access: Access) -> Starlette:
    """The ASGI application. It closes the jobs when it stops."""
    service = Service(jobs, access)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(jobs.close)

    return Starlette(
        routes=[
            Route("/restore", service.restore, methods=["POST"]),
            Route("/health", service.health),
            Route("/metrics", service.metrics),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(access.hosts))],
        lifespan=lifespan,
    )


def read_wanted(request: Request, card: ModelCard) -> Wanted:
    """?fix=rain,haze&ignore=noise&strength=0.8&quality=90&format=png.

    Raises _RefusedError with what was expected.
    """
    query = dict(request.query_params)
    strength = _number(query.pop("strength", "1"), "strength", 0.0, 1.0)
    quality = _number(query.pop("quality", "95"), "quality", 1, 100)
    format_ = query.pop("format", None)
    suffix = None if format_ is None else f".{format_.lower()}"
    if suffix is not None and suffix not in MEDIA_TYPES:
        names = ", ".join(name[1:] for name in MEDIA_TYPES)
        raise _RefusedError(422, f"no format {format_!r}; choose from {names}")
    try:
        choice = read_choice(query.pop("fix", None), query.pop("ignore", None))
        choice.check(card.degradations, card.id)
    except PellucidError as error:
        raise _RefusedError(422, str(error)) from None
    if query:
        raise _RefusedError(
            422, f"no setting {min(query)!r}; there are fix, ignore, strength, quality, format"
        )
    return Wanted(strength, int(quality), suffix, choice)


def _number(text: str, name: str, low: float, high: float) -> float:
    with suppress(ValueError):
        value = float(text)
        if low <= value <= high:
            return value
    raise _RefusedError(422, f"{name} must be {low:g} to {high:g}, got {text!r}")


def _restored(
    data: bytes, wanted: Wanted, restorer: Restorer, ticket: Ticket
) -> tuple[Photo, Response]:
    """In a worker's thread: decode, restore, encode. Looks at the ticket after every tile."""
    start = time.monotonic()
    photo = read_photo(data)
    choice = wanted.choice
    restorer.restore_photo(photo, wanted.strength, lambda done, total: ticket.check(), choice)
    suffix = wanted.suffix or photo.suffix
    copied = choice.leaves(photo.found) and holds_already(data, suffix)
    lost = losses(photo.pixels, photo.metadata, suffix, photo.coding)
    notes = photo.notes_of_copy if copied else (*photo.notes, *lost)
    headers = {"X-Pellucid-Ms": f"{1e3 * (time.monotonic() - start):.0f}"}
    if photo.found is not None:
        headers["X-Pellucid-Found"] = choice.describe(photo.found)
    if notes:
        headers["X-Pellucid-Notes"] = "; ".join(notes).encode("ascii", "replace").decode()
    kind = MEDIA_TYPES.get(suffix, "application/octet-stream")
    made = data if copied else photo.encode(suffix, wanted.quality)
    return photo, Response(made, 200, headers, kind)


async def _leave_with_client(request: Request, ticket: Ticket) -> None:
    """Let the job stop once nobody waits for its answer."""
    while not await request.is_disconnected():
        await asyncio.sleep(_POLL_S)
    ticket.left.set()
