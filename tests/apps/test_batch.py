"""`pellucid batch` on this machine: the same files as `restore`, a row a photo, nothing lost."""

import csv
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from batch_runs import Runs, files, photo, rows_of, write_photos
from typer.testing import CliRunner

from pellucid import PellucidError, Photo, Restorer
from pellucid.image.header import EXIF
from pellucid_apps import demo
from pellucid_apps.batch import rows
from pellucid_apps.batch.child import Child
from pellucid_apps.batch.settings import Settings
from pellucid_apps.batch.worker import Worker
from pellucid_apps.cli import app
from pellucid_apps.restore.command import Options, run_jobs
from pellucid_apps.restore.plan import make_plan

SAMPLES = Path(demo.__file__).parent / "samples"
NAMES = ("a.png", "b.jpg", "trip/c.png", "trip/far/ä d.jpg")


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    with Runs(tmp_path) as runs:
        yield runs


def restored(source: Path, out: Path, model: Path | str) -> dict[str, bytes]:
    """What `pellucid restore -r` makes of a folder."""
    jobs = make_plan([str(source)], out, True).jobs
    results = run_jobs(jobs, Restorer(model), Options(), quiet=True)
    assert all(result.error is None for result in results)
    return files(out)


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads a process's environment")
def test_a_worker_keeps_its_memory_whatever_its_engine_asks(
    model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask's workers are told to give memory back at every chance, which costs a fifth."""
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "65536")
    source = write_photos(tmp_path / "in", "a.png")
    child = Child(Settings(str(source), str(tmp_path / "out"), str(model_file), threads=3))
    try:
        [row] = child.restore(["a.png"])
        assert child._process is not None
        given = Path(f"/proc/{child._process.pid}/environ").read_bytes().split(b"\0")
    finally:
        child.close()
    assert row.status == rows.OK and b"OMP_NUM_THREADS=3" in given
    assert not any(entry.startswith(b"MALLOC_TRIM_THRESHOLD_") for entry in given)


def test_equal_to_restore_byte_for_byte(runs: Runs, model_file: Path, tmp_path: Path) -> None:
    source = write_photos(tmp_path / "in", *NAMES)
    pixels = np.random.default_rng(7).integers(0, 65535, (20, 30, 4)).astype(np.uint16)
    Photo(pixels, {}).save(source / "deep.png")
    exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    Photo(photo(1).pixels, {EXIF: exif}).save(source / "turned.jpg")
    (source / "notes.txt").write_text("not a photo")
    out = source / "out"  # inside IN: its files are results, not input
    done = runs.here(source, out, "-m", model_file, "--workers", 2)
    assert done.exit_code == 0, done.stderr
    assert "6 photos to restore" in done.stdout and "1 other files" in done.stdout
    made = files(out)
    for path in sorted(out.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    out.rmdir()
    assert made == restored(source, tmp_path / "restore", model_file)
    assert runs.leftovers() == []


def test_good_photos_are_copied_as_restore_does(runs: Runs, tmp_path: Path) -> None:
    source = tmp_path / "in"
    for name in ("clean/rain.jpg", "degraded/haze.png", "degraded/noise.png"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(SAMPLES / name, source / name)
    assert runs.here(source, tmp_path / "out", "-m", "pico", "--workers", 1).exit_code == 0
    assert files(tmp_path / "out") == restored(source, tmp_path / "restore", "pico")
    bad = runs.here(source, tmp_path / "fixed", "-m", "pico", "--fix", "dust")
    assert bad.exit_code != 0 and not (tmp_path / "fixed").exists()


@pytest.mark.slow
def test_every_bad_photo_costs_one_row(runs: Runs, model_file: Path, tmp_path: Path) -> None:
    good = [f"p{number}.png" for number in range(12)]
    source = write_photos(tmp_path / "in", *good, "segv.png", "once.png", "hang.png")
    (source / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    photo(0, 60, 60).save(source / "large.png")
    out = tmp_path / "out"
    done = runs.run(
        *(source, out, "-m", model_file, "--workers", 2, "--photo-timeout", 3),
        PELLUCID_MAX_MEGAPIXELS="0.003",
    )
    assert done.returncode == 1, done.stderr
    found = rows_of(out)
    assert {name: row.status for name, row in found.items()} == {
        **dict.fromkeys([*good, "once.png"], rows.OK),
        "cut.jpg": rows.UNDECODABLE,
        "large.png": rows.TOO_LARGE,
        "segv.png": rows.CRASHED,
        "hang.png": rows.CRASHED,
    }
    assert found["once.png"].attempts == 2 and "3 s" in found["hang.png"].error
    assert sorted(files(out)) == sorted([*good, "once.png"]), "no half file, no scratch"
    assert done.stderr.count("FAILED") == 4 and "Traceback" not in done.stderr
    again = runs.here(source, out, "-m", model_file, "--resume")
    assert again.exit_code == 1 and "0 photos to restore" in again.stdout
    retried = runs.here(source, out, "-m", model_file, "--resume", "--retry", "--photo-timeout", 1)
    assert "4 photos to restore" in retried.stdout
    assert rows_of(out)["large.png"].status == rows.OK, "the limit is the default's now"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_a_killed_run_goes_on_without_loss_or_double_work(
    runs: Runs, model_file: Path, tmp_path: Path
) -> None:
    names = [f"slow{number}.png" for number in range(24)]
    source, out = write_photos(tmp_path / "in", *names), tmp_path / "out"
    arguments = (source, out, "-m", model_file, "--workers", 2)
    driver = runs.start(*arguments)
    wait_for(lambda: len(rows_of(out)) >= 5)
    driver.kill()
    driver.communicate()
    assert runs.leftovers() == [], "its workers end by themselves"
    before = set(rows_of(out))
    assert "--resume" in str(runs.here(*arguments).exception)
    with (out / "rows.jsonl").open("a") as file:
        file.write('{"name": "slow2')  # a line that the kill cut
    done = runs.here(*arguments, "--resume")
    assert done.exit_code == 0, done.output
    found = rows_of(out)
    assert set(found) == set(names) == set(files(out))
    assert {row.status for row in found.values()} <= {rows.OK, rows.SKIPPED}
    read = runs.names_read()
    assert all(read.count(name) == 1 for name in before)
    assert len(read) <= len(names) + 2, "no more than what the two workers had at hand"


@pytest.mark.slow
def test_a_terminated_run_says_how_to_go_on(runs: Runs, model_file: Path, tmp_path: Path) -> None:
    source = write_photos(tmp_path / "in", *(f"slow{number}.png" for number in range(40)))
    out = tmp_path / "out"
    driver = runs.start(source, out, "-m", model_file, "--workers", 1)
    wait_for(lambda: len(rows_of(out)) >= 2)
    driver.terminate()
    _, told = driver.communicate()
    assert driver.returncode == 130 and "are left, --resume goes on" in told
    assert runs.leftovers() == []
    assert set(files(out)) == set(rows_of(out)), "every result has its row and is whole"


def wait_for(condition: Callable[[], bool], patience_s: float = 60.0) -> None:
    until = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_too_many_failures_stop_the_run(runs: Runs, model_file: Path, tmp_path: Path) -> None:
    source = write_photos(tmp_path / "in", "z.png")
    for number in range(9):
        (source / f"bad{number}.png").write_bytes(b"no picture")
    out, report = tmp_path / "out", tmp_path / "table.csv"
    options = ("-m", model_file, "--workers", 1, "--report", report)
    done = runs.here(source, out, *options, "--max-failures", "3%")
    assert done.exit_code == 1 and "more photos failed than --max-failures allows" in done.stderr
    with report.open() as file:
        table = list(csv.DictReader(file))
    assert [row["status"] for row in table] == ["undecodable"] * 4
    assert "bad0.png: not a picture" in table[0]["error"]


def test_dry_run_estimates_and_writes_nothing(runs: Runs, model_file: Path, tmp_path: Path) -> None:
    source = write_photos(tmp_path / "in", *(f"p{number}.png" for number in range(25)))
    done = runs.here(source, tmp_path / "out", "-m", model_file, "--workers", 2, "--dry-run")
    assert done.exit_code == 0, done.stderr
    assert "25 photos to restore" in done.stdout and "20 of 20 photos tried" in done.stdout
    assert "core hours" in done.stdout and not (tmp_path / "out").exists()
    assert len(runs.names_read()) == 20


def test_existing_results_are_skipped_and_shards_share_the_rest(
    runs: Runs, model_file: Path, tmp_path: Path
) -> None:
    names = [f"p{number}.png" for number in range(9)]
    source, out = write_photos(tmp_path / "in", *names), tmp_path / "out"
    out.mkdir()
    (out / "p3.png").write_bytes(b"precious")
    for part in range(2):
        done = runs.here(source, out, "-m", model_file, "--workers", 1, "--shard", f"{part}/2")
        assert done.exit_code == 0, done.stderr
    parts = [rows_of(out, f"rows-{part}-of-2.jsonl") for part in range(2)]
    assert parts[0].keys() | parts[1].keys() == set(names) == set(files(out))
    assert not parts[0].keys() & parts[1].keys() and all(parts)
    assert (parts[0] | parts[1])["p3.png"].status == rows.SKIPPED
    assert (out / "p3.png").read_bytes() == b"precious"


def test_rows_of_other_settings_are_refused(runs: Runs, model_file: Path, tmp_path: Path) -> None:
    source, out = write_photos(tmp_path / "in", "a.png"), tmp_path / "out"
    assert runs.here(source, out, "-m", model_file).exit_code == 0
    done = runs.here(source, out, "-m", model_file, "--resume", "--strength", 0.5)
    assert "made with another model" in str(done.exception)


def test_names_that_are_no_text_are_restored_and_reported(
    runs: Runs, model_file: Path, tmp_path: Path
) -> None:
    source, out = write_photos(tmp_path / "in", "ok.png"), tmp_path / "out"
    name, bad = os.fsdecode(b"a\xff\xc3\xa9.png"), os.fsdecode(b"bad\xff.png")
    try:
        shutil.copyfile(source / "ok.png", source / name)
    except OSError:
        pytest.skip("this file system takes no such names")
    (source / bad).write_bytes(b"no picture")
    options = ("-m", model_file, "--workers", 1, "--report", tmp_path / "rows.csv")
    done = runs.run(source, out, *options)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    found = rows_of(tmp_path)
    assert {n: row.status for n, row in found.items()} == {
        **dict.fromkeys(["ok.png", name], rows.OK),
        bad: rows.UNDECODABLE,
    }
    assert (out / name).exists() and b"a\\udcff\xc3\xa9.png" in (tmp_path / "rows.csv").read_bytes()
    again = runs.run(source, out, *options, "--resume")
    assert "0 photos to restore" in again.stdout
    parquet = pytest.importorskip("pyarrow.parquet", reason="pip install 'pellucid[parquet]'")
    rows.write_report(tmp_path / "rows.jsonl", tmp_path / "rows.parquet")
    assert parquet.read_table(tmp_path / "rows.parquet").num_rows == 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("in", "in"), "another folder"),
        (("none", "out"), "no such folder"),
        (("empty", "out"), "no pictures in it"),
        (("in", "out", "--shard", "2/2"), "0 to n-1"),
        (("in", "out", "--max-failures", "lots"), "1% or 50"),
        (("in", "out", "--engine", "spark"), "local, ray or dask"),
        (("in", "out", "--address", "tcp://x"), "--engine ray or --engine dask"),
        (("in", "out", "--report", "rows.xls"), ".parquet, .csv or .jsonl"),
        (("in", "out", "--retry"), "needs --resume"),
        (("in", "out", "-m", "tinny"), "no model named"),
        (("nope://bucket/in", "out"), "nope"),
    ],
)
def test_wrong_usage_is_2_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "in", "a.png")
    (tmp_path / "empty").mkdir()
    done = CliRunner().invoke(app, ["batch", *arguments], env={"COLUMNS": "300"})
    if isinstance(done.exception, PellucidError):  # main() prints it and exits with 2
        assert told in str(done.exception)
    else:
        assert done.exit_code == 2 and told in done.output
    assert not (tmp_path / "out").exists()


def test_what_no_photo_is_to_blame_for(model_file: Path, tmp_path: Path) -> None:
    """Vanished inputs, a folder that cannot be written, memory that runs out: a row each."""
    source, out = write_photos(tmp_path / "in", "a.png", "sub/b.png"), tmp_path / "out"
    settings = Settings(str(source), str(out), str(model_file), model_digest="x")
    worker = Worker(settings)
    assert worker.restore("gone.png").status == rows.UNREADABLE
    (out / "sub").write_text("a file where a folder is wanted")
    row = worker.restore("sub/b.png")
    assert row.status == rows.UNWRITTEN and row.error.startswith("sub/b.png: ")
    assert row.bytes_in == (source / "sub" / "b.png").stat().st_size and row.width == 32

    class Full:
        def restore_photo(self, *_: object) -> None:
            raise MemoryError

    worker._restorer = Full()  # type: ignore[assignment]
    row = worker.restore("a.png")
    assert row.status == rows.OUT_OF_MEMORY and row.settings == settings.digest
    worker.close()
    assert [path.name for path in out.rglob("*") if path.is_file()] == ["sub"]


def test_a_result_that_a_dead_worker_wrote_is_not_made_again(
    model_file: Path, tmp_path: Path
) -> None:
    source, out = write_photos(tmp_path / "in", "a.png"), tmp_path / "out"
    worker = Worker(Settings(str(source), str(out), str(model_file)))
    (out / "a.png").write_bytes(b"written before")
    row = worker.restore("a.png")
    assert (row.status, (out / "a.png").read_bytes()) == (rows.OK, b"written before")
    anew = Worker(Settings(str(source), str(out), str(model_file), overwrite=True))
    assert anew.restore("a.png").width == 32 and (out / "a.png").read_bytes() != b"written before"


def test_journal_keeps_the_latest_row_and_survives_a_cut_line(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "rows.jsonl"
    with rows.Journal(path) as journal:
        journal.add(rows.Row("a", rows.CRASHED, notes=("x", "ü")))
        journal.add(rows.Row("b", rows.OK))
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        with rows.Journal(path) as journal:
            journal.add(rows.Row("a", rows.OK))
        assert {row.name: row.status for row in rows.read_journal(path)}["a"] == rows.OK
    path.write_text('{"name": 1}\nnonsense\n')
    with pytest.raises(Exception, match="line 2 is no row"):
        list(rows.read_journal(path))


def test_parquet_report(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pip install 'pellucid[parquet]'")
    path, report = tmp_path / "rows.jsonl", tmp_path / "rows.parquet"
    rows.check_report(report)
    with rows.Journal(path) as journal:
        journal.add(rows.Row("a", rows.CRASHED))
        journal.add(rows.Row("a", rows.OK, notes=("x", "y"), width=3, seconds=0.5))
    rows.write_report(path, report)
    (row,) = parquet.read_table(report).to_pylist()
    told = json.loads(path.read_text().splitlines()[1])
    assert row == told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.jsonl", "rows.parquet"]
