"""`pellucid batch` through Ray, Dask and an object store, each really run with several workers."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_runs import Runs, files, rows_of, write_photos

from pellucid import PellucidError
from pellucid_apps.batch import rows
from pellucid_apps.batch.folders import LocalFolder, RemoteFolder, open_folder
from pellucid_apps.batch.pool import check_room

ENGINES = {"ray": "ray.data", "dask": "distributed"}


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    with Runs(tmp_path) as runs:
        yield runs


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    package = ENGINES[name].partition(".")[0]  # importing Ray itself here would start its threads
    from importlib.util import find_spec

    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install 'pellucid[{name}]'")
    return name


@pytest.mark.slow
def test_engines_make_the_same_files_and_a_poison_photo_costs_one_row(
    runs: Runs, engine: str, model_file: Path, tmp_path: Path
) -> None:
    good = [f"p{number}.png" for number in range(20)]
    source = write_photos(tmp_path / "in", *good, "segv.png", "once.png")
    mine = runs.run(source, tmp_path / "local", "-m", model_file, "--workers", 2)
    there = tmp_path / engine
    theirs = runs.run(source, there, "-m", model_file, "--workers", 2, "--engine", engine)
    assert mine.returncode == theirs.returncode == 1, theirs.stderr
    found = rows_of(there)
    assert {name: row.status for name, row in found.items()} == {
        **dict.fromkeys([*good, "once.png"], rows.OK),
        "segv.png": rows.CRASHED,
    }
    assert files(there) == files(tmp_path / "local") and len(files(there)) == 21
    assert "Traceback" not in theirs.stderr
    assert runs.leftovers() == [], "processes of the engine are left"


@pytest.mark.slow
def test_the_death_of_an_engines_worker_loses_nothing(
    runs: Runs, engine: str, model_file: Path, tmp_path: Path
) -> None:
    """Not of the process that restores, but of Ray's actor or Dask's worker above it."""
    names = [f"slow{number}.png" for number in range(40)]
    source, out = write_photos(tmp_path / "in", *names), tmp_path / "out"
    driver = runs.start(source, out, "-m", model_file, "--workers", 2, "--engine", engine)
    until = time.monotonic() + 240
    while len(runs.names_read()) < 4:
        assert time.monotonic() < until and driver.poll() is None
        time.sleep(0.05)
    os.kill(runs.parent_of_a_worker(), signal.SIGKILL)
    _, told = driver.communicate()
    assert driver.returncode == 0, told
    found = rows_of(out)
    assert set(found) == set(names) == set(files(out))
    assert {row.status for row in found.values()} == {rows.OK}
    read = runs.names_read()
    assert len(read) <= len(names) + 1, "written results are not made again"
    assert runs.leftovers() == []


def test_a_cluster_too_small_is_refused_where_ray_would_wait_for_ever() -> None:
    check_room(3.0, 2, 1)
    check_room(9.0, 2, 4)
    with pytest.raises(PellucidError, match=r"2 CPUs; 2 workers .* use --workers 1$"):
        check_room(2.0, 2, 1)
    with pytest.raises(PellucidError, match="fewer --threads, or a larger cluster"):
        check_room(2.0, 1, 4)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty bucket of an S3 server in this process."""
    server = pytest.importorskip("moto.server", reason="pip install 'moto[s3,server]'")
    pytest.importorskip("s3fs", reason="pip install 'pellucid[s3]'")
    import boto3

    running = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="photos")
    yield "s3://photos"
    running.stop()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of boto3 and s3fs
def test_object_store_to_object_store(
    bucket: str, runs: Runs, model_file: Path, tmp_path: Path
) -> None:  # runs after the bucket: it keeps the environment
    names = ["a.png", "trip/b.jpg", "trip/c.png"]
    source = write_photos(tmp_path / "in", *names)
    (source / "bad.jpg").write_bytes(b"no picture")
    there = open_folder(bucket + "/in")
    for name in [*names, "bad.jpg"]:
        copy = tmp_path / "copy"
        copy.write_bytes((source / name).read_bytes())
        there.publish(copy, name)
    report = tmp_path / "rows.parquet"
    options = ("-m", model_file, "--workers", 2, "--report", report)
    done = runs.run(bucket + "/in", bucket + "/in/out", *options)
    assert done.returncode == 1 and "bad.jpg: not a picture" in done.stderr, done.stderr
    runs.run(source, tmp_path / "local", "-m", model_file)
    results = open_folder(bucket + "/in/out")
    assert {
        name: results.fetch(name, tmp_path).read_bytes() for name, _ in results.files()
    } == files(tmp_path / "local")
    again = runs.run(bucket + "/in", bucket + "/in/out", *options, "--resume")
    assert "0 photos to restore" in again.stdout, "results inside IN are no input"


@pytest.mark.parametrize("kind", ["local", "fsspec"])
def test_both_kinds_of_folder_agree(kind: str, tmp_path: Path) -> None:
    """fsspec's local file system has no whole puts: it goes by put and rename."""
    home = tmp_path / "home"
    folder = open_folder(f"local://{home}") if kind == "fsspec" else LocalFolder(home)
    assert isinstance(folder, RemoteFolder) == (kind == "fsspec")
    assert list(folder.files()) == []
    scratch = folder.make_scratch("0-of-1")
    for name, data in {"x/ü y.png": b"12", "a.jpg": b"1"}.items():
        part = scratch / "part"
        part.write_bytes(data)
        folder.publish(part, name)
    (home / ".hidden").write_text("")
    assert list(folder.files()) == [("a.jpg", 1), ("x/ü y.png", 2)]
    assert folder.has("x/ü y.png") and not folder.has("x/z.png")
    assert folder.fetch("x/ü y.png", scratch).read_bytes() == b"12"
    with pytest.raises(OSError):
        folder.fetch("none", scratch).read_bytes()
    folder.clear_scratch("0-of-1")
    found = [path.name for path in sorted(home.rglob("*")) if path.is_file()]
    assert found == [".hidden", "a.jpg", "ü y.png"]


def test_addresses_without_their_package_name_the_pip_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(PellucidError, match=r"pip install 'pellucid\[s3\]'"):
        open_folder("s3://bucket/in")
