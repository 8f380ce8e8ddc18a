"""`pellucid serve`: answers, refusals, the queue, the time limit, and who may ask."""

import asyncio
import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from typer.testing import CliRunner

from pellucid import Restorer
from pellucid.degradations import Choice
from pellucid.image.photo import MAX_MEGAPIXELS_VARIABLE
from pellucid_apps.cli import app as command
from pellucid_apps.serve.app import Access, create_app
from pellucid_apps.serve.jobs import Jobs, Limits, QueueFullError, StoppedError, Ticket

JPEG = {"Content-Type": "image/jpeg"}
RAW = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    return Restorer("pico", threads=1)


@contextmanager
def client_of(
    restorer: Restorer, limits: Limits | None = None, access: Access | None = None
) -> Iterator[TestClient]:
    jobs = Jobs(lambda: restorer, limits or Limits())
    with TestClient(create_app(jobs, access or Access()), base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture(scope="module")
def client(restorer: Restorer) -> Iterator[TestClient]:
    with client_of(restorer) as opened:
        yield opened


def picture(side: int = 40, kind: str = "PNG", **more: object) -> bytes:
    levels = np.random.default_rng(0).integers(0, 256, (side, side + 3, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, kind, **more)
    return buffer.getvalue()


def test_the_answer_is_the_restored_photo(client: TestClient, restorer: Restorer) -> None:
    answer = client.post("/restore", content=picture(), headers={"Content-Type": "image/png"})
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "image/png"
    got = np.asarray(Image.open(io.BytesIO(answer.content)))
    np.testing.assert_array_equal(got, restorer(picture()).pixels)
    assert float(answer.headers["X-Pellucid-Ms"]) >= 0


def test_metadata_stay_and_the_format_may_be_chosen(client: TestClient) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    sent = picture(kind="JPEG", exif=exif)
    answer = client.post("/restore?format=webp&quality=80", content=sent, headers=JPEG)
    got = Image.open(io.BytesIO(answer.content))
    assert got.format == "WEBP" and got.getexif()[0x010F] == "Maker"


def test_a_photo_in_which_nothing_is_found_comes_back_byte_for_byte(client: TestClient) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (90, 120, 30)).save(buffer, "JPEG", quality=60)
    answer = client.post("/restore", content=buffer.getvalue(), headers=JPEG)
    assert answer.content == buffer.getvalue()
    assert client.post("/restore?format=png", content=answer.content, headers=JPEG).content[:4] == (
        b"\x89PNG"
    )


def test_a_request_chooses_and_hears_what_was_found(client: TestClient, restorer: Restorer) -> None:
    answer = client.post("/restore?fix=rain=0.8&ignore=noise", content=picture(), headers=JPEG)
    restored = restorer(picture(), fix="rain=0.8", ignore="noise")
    got = np.asarray(Image.open(io.BytesIO(answer.content)))
    np.testing.assert_array_equal(got, restored.pixels)
    assert answer.headers["X-Pellucid-Found"] == f"{restored.found}; restoring rain 0.8"


def test_strength_nought_gives_the_picture_back(client: TestClient) -> None:
    answer = client.post("/restore?strength=0", content=picture(), headers=RAW)
    got, sent = (np.asarray(Image.open(io.BytesIO(d))) for d in (answer.content, picture()))
    np.testing.assert_array_equal(got, sent)


@pytest.mark.parametrize(
    ("query", "content", "headers", "status", "told"),
    [
        ("", b"", JPEG, 422, "the body is empty"),
        ("", b"no picture at all", JPEG, 422, ""),
        ("", picture()[:-30], JPEG, 422, ""),
        ("", b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "image/"),
        ("", picture(), {}, 415, "got none"),
        ("?strength=2", picture(), JPEG, 422, "strength must be 0 to 1"),
        ("?quality=best", picture(), JPEG, 422, "quality must be 1 to 100"),
        ("?format=gif", picture(), JPEG, 422, "choose from jpg"),
        ("?model=tiny", picture(), JPEG, 422, "no setting 'model'"),
        ("?fix=rian", picture(), JPEG, 422, "did you mean rain?"),
        ("?fix=rain&ignore=rain", picture(), JPEG, 422, "both fixed and ignored"),
    ],
)
def test_bad_requests_get_one_line(
    client: TestClient, query: str, content: bytes, headers: dict[str, str], status: int, told: str
) -> None:
    answer = client.post(f"/restore{query}", content=content, headers=headers)
    assert answer.status_code == status
    message = answer.json()["error"]
    assert told in message and "\n" not in message


def test_large_bodies_are_refused_with_and_without_a_length(restorer: Restorer) -> None:
    with client_of(restorer, access=Access(max_bytes=1000)) as client:
        assert client.post("/restore", content=bytes(1001), headers=JPEG).status_code == 413
        pieces = (bytes(600) for _ in range(2))
        assert client.post("/restore", content=pieces, headers=JPEG).status_code == 413
        assert client.post("/restore", content=bytes(999), headers=JPEG).status_code == 422


def test_large_pictures_are_refused_before_they_are_decoded(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MAX_MEGAPIXELS_VARIABLE, "0.001")
    answer = client.post("/restore", content=picture(), headers=JPEG)
    assert answer.status_code == 413 and "megapixels" in answer.json()["error"]


def test_a_token_is_wanted_where_one_is_set(restorer: Restorer) -> None:
    with client_of(restorer, access=Access(token="secret")) as client:
        for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "secret"}):
            answer = client.post("/restore", content=picture(), headers=JPEG | given)
            assert answer.status_code == 401 and answer.headers["WWW-Authenticate"] == "Bearer"
        right = JPEG | {"Authorization": "Bearer secret"}
        assert client.post("/restore", content=picture(), headers=right).status_code == 200
        assert client.get("/health").status_code == 200


def test_another_name_for_this_server_is_refused(client: TestClient) -> None:
    answer = client.post("/restore", content=picture(), headers=JPEG | {"Host": "evil.example"})
    assert answer.status_code == 400


class Slow:
    """A restorer that waits until it is let go."""

    def __init__(self, restorer: Restorer) -> None:
        self.card = restorer.card
        self.started, self.go = threading.Event(), threading.Event()

    def restore_photo(
        self,
        photo: object,
        strength: float,
        progress: Callable[[int, int], None],
        choice: Choice,
    ) -> object:
        self.started.set()
        while not self.go.wait(0.01):
            progress(0, 1)  # looks at the ticket
        return photo


def test_a_full_queue_says_when_to_come_again(restorer: Restorer) -> None:
    slow = Slow(restorer)
    with client_of(slow, Limits(workers=1, waiting=1)) as client:  # type: ignore[arg-type]
        answers: list[int] = []

        def ask() -> None:
            answers.append(client.post("/restore", content=picture(), headers=JPEG).status_code)

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert slow.started.wait(10)
        while "pellucid_held 2.0" not in client.get("/metrics").text:
            time.sleep(0.01)
        refused = client.post("/restore", content=picture(), headers=JPEG)
        assert refused.status_code == 503 and int(refused.headers["Retry-After"]) >= 1
        assert client.get("/health").json()["status"] == "ok"  # it still answers
        slow.go.set()
        for thread in threads:
            thread.join()
        assert answers == [200, 200]
        figures = client.get("/metrics").text
        assert 'pellucid_answers_total{status="200"} 2.0' in figures
        assert 'pellucid_answers_total{status="503"} 1.0' in figures
        assert "pellucid_held 0.0" in figures


def test_a_photo_that_takes_too_long_frees_its_worker(restorer: Restorer) -> None:
    slow = Slow(restorer)
    with client_of(slow, Limits(seconds=1.0)) as client:  # type: ignore[arg-type]
        answer = client.post("/restore", content=picture(), headers=JPEG)
        assert answer.status_code == 504 and "smaller picture" in answer.json()["error"]
        slow.go.set()
        assert client.post("/restore", content=picture(), headers=JPEG).status_code == 200


def test_a_job_that_nobody_awaits_is_not_begun(restorer: Restorer) -> None:
    jobs = Jobs(lambda: restorer, Limits())
    ticket = jobs.enter()
    ticket.left.set()

    def work(restorer: Restorer, ticket: Ticket) -> None:
        raise AssertionError("it was begun")

    with pytest.raises(StoppedError):
        asyncio.run(jobs.run(ticket, work))
    jobs.leave(ticket)
    jobs.close()


def test_places_are_counted(restorer: Restorer) -> None:
    jobs = Jobs(lambda: restorer, Limits(workers=2, waiting=1))
    tickets = [jobs.enter() for _ in range(3)]
    with pytest.raises(QueueFullError):
        jobs.enter()
    jobs.leave(tickets[0])
    assert jobs.held == 2
    jobs.enter()
    jobs.close()


def test_other_hosts_want_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PELLUCID_TOKEN", raising=False)
    result = CliRunner().invoke(command, ["serve", "--host", "0.0.0.0"])
    assert result.exit_code != 0 and "set a token first" in str(result.exception)
