"""What became of each photo: a row, and the journal of rows that a run goes on from."""

import csv
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pellucid import PellucidError

OK, SKIPPED = "ok", "skipped"
UNREADABLE = "unreadable"  # its bytes cannot be had: gone, no permission, no connection
UNDECODABLE = "undecodable"
TOO_LARGE = "too large"
OUT_OF_MEMORY = "out of memory"
CRASHED = "crashed"  # its worker died of it, or gave no answer in time
UNWRITTEN = "unwritten"
DONE = (OK, SKIPPED)

_SYNC_EVERY_S = 1.0
_ROWS_A_WRITE = 4096  # of Parquet's row groups
# Names of files may be no text: such a byte is written as JSON's own escape, and read back from it.
NO_TEXT = "backslashreplace"


@dataclass(frozen=True)
class Row:
    """name: below IN and OUT, with "/". status: one of this module's. settings: digest of the
    model and of what changes pixels. sha256: of the input's bytes. found: what is wrong with the
    photo, in words. seconds: reading, restoring and writing. attempts: workers that it took."""

    name: str
    status: str
    error: str = ""
    notes: tuple[str, ...] = ()
    width: int = 0
    height: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    found: str = ""
    seconds: float = 0.0
    attempts: int = 1
    sha256: str = ""
    settings: str = ""

    @property
    def failed(self) -> bool:
        return self.status not in DONE

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)

    @staticmethod
    def from_json(line: str | bytes) -> "Row":
        values = json.loads(line)
        return Row(**values | {"notes": tuple(values["notes"])})


class Journal:
    """Rows as JSON lines, appended as they come. Context manager.

    A kill loses at most the line that is being written; a power cut, a second of lines.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        _cut_half_line(path)
        self._file = path.open("a", encoding="utf-8", errors=NO_TEXT)
        self._synced = time.monotonic()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, row: Row) -> None:
        self._file.write(row.to_json() + "\n")
        self._file.flush()
        if time.monotonic() - self._synced > _SYNC_EVERY_S:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()


def _cut_half_line(path: Path) -> None:
    """Remove what a killed run left of its last line."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        file.truncate(end)


def read_journal(path: Path) -> Iterator[Row]:
    """The latest row of each photo, one at a time: a million rows need not fit in memory.

    Raises PellucidError for a file that is no journal.
    """
    if not path.exists():
        return
    latest: dict[str, int] = {}
    with path.open("rb") as file:
        try:
            for number, line in enumerate(file):
                if line.endswith(b"\n"):
                    latest[json.loads(line)["name"]] = number
            file.seek(0)
            for number, line in enumerate(file):
                if line.endswith(b"\n"):
                    row = Row.from_json(line)
                    if latest[row.name] == number:
                        yield row
        except (ValueError, KeyError, TypeError) as error:
            raise PellucidError(
                f"{path}: line {number + 1} is no row of `pellucid batch`; give --report another "
                "name, or remove the file to begin anew"
            ) from error


def check_report(path: Path) -> None:
    """PellucidError, before any work, for a report that could not be written after it."""
    if path.suffix not in (".jsonl", ".csv", ".parquet"):
        raise PellucidError(f"--report must end in .parquet, .csv or .jsonl, got {path.name!r}")
    if path.suffix == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise PellucidError(
                "a .parquet report needs pyarrow: pip install 'pellucid[parquet]', or end it in "
                ".csv or .jsonl"
            ) from error


def write_report(journal: Path, report: Path) -> None:
    """The journal's latest rows as Parquet or CSV, by the suffix; the journal stays as it is."""
    if report == journal:
        return
    partial = report.with_name(report.name + ".part")
    if report.suffix == ".csv":
        with partial.open("w", newline="", encoding="utf-8", errors=NO_TEXT) as file:
            writer = csv.DictWriter(file, [f.name for f in fields(Row)])
            writer.writeheader()
            for row in read_journal(journal):
                writer.writerow(asdict(row) | {"notes": "; ".join(row.notes)})
    else:
        _write_parquet(journal, partial)
    os.replace(partial, report)


def _as_text(value: Any) -> Any:
    return value.encode("utf-8", NO_TEXT).decode() if isinstance(value, str) else value


def _write_parquet(journal: Path, target: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    kinds: dict[Any, Any] = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
    columns = [(f.name, kinds.get(f.type, pyarrow.list_(pyarrow.string()))) for f in fields(Row)]
    schema = pyarrow.schema(columns)
    group: list[dict[str, Any]] = []
    with pyarrow.parquet.ParquetWriter(target, schema) as writer:
        for row in read_journal(journal):
            group.append({k: _as_text(v) for k, v in asdict(row).items()})
            if len(group) == _ROWS_A_WRITE:
                writer.write_table(pyarrow.Table.from_pylist(group, schema))
                group = []
        writer.write_table(pyarrow.Table.from_pylist(group, schema))
