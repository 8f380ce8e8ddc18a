"""Which photos a run has before it: found, sharded, without those that are done."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import typer

from pellucid import PellucidError
from pellucid.image.photo import SUFFIXES

from .folders import Folder
from .rows import OK, SKIPPED, Row


@dataclass(frozen=True)
class Shard:
    """The part `index` of `count` of all photos, by the hash of their names: each photo keeps its
    part when others come or go."""

    index: int = 0
    count: int = 1

    @staticmethod
    def parse(text: str) -> "Shard":
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if not found or int(found[1]) >= int(found[2]):
            raise typer.BadParameter(
                f"expected i/n with i from 0 to n-1, such as 0/8, got {text!r}"
            )
        return Shard(int(found[1]), int(found[2]))

    def has(self, name: str) -> bool:
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index

    def __str__(self) -> str:
        return f"{self.index}-of-{self.count}"


@dataclass(frozen=True)
class Plan:
    """names: to restore, sorted. skipped: whose result is there without a row. earlier: rows that
    stay, by status. foreign: files that are no pictures pellucid reads. total_bytes: of `names`."""

    names: list[str]
    skipped: list[str]
    earlier: Counter[str]
    foreign: int
    total_bytes: int


def make_plan(
    source: Folder,
    out: Folder,
    shard: Shard,
    overwrite: bool,
    finished: Mapping[str, tuple[str, int]],
) -> Plan:
    """finished: (status, bytes of the input) by name, of an earlier run that this one goes on from.

    A photo is done if its row says ok, its result is there and its file is as large as it was.
    Raises PellucidError if there are no photos.
    """
    there = {name for name, _ in out.files()}
    inside = _inside(source.address, out.address)
    names, skipped, earlier = list[str](), list[str](), Counter[str]()
    foreign = total = found = 0
    for name, size in source.files():
        if inside and name.startswith(inside):
            continue
        if not name.lower().endswith(SUFFIXES):
            foreign += 1
            continue
        found += 1
        if not shard.has(name):
            continue
        status, known_size = finished.get(name, ("", 0))
        changed = bool(status) and known_size not in (0, size)
        if status and not changed and (status not in (OK, SKIPPED) or name in there):
            earlier[status] += 1
        elif name in there and not overwrite and not changed:
            skipped.append(name)
        else:
            names.append(name)
            total += size
    if not found:
        more = f", but {foreign} other files" if foreign else ""
        raise PellucidError(f"{source.address}: no pictures in it ({', '.join(SUFFIXES)}){more}")
    return Plan(names, skipped, earlier, foreign, total)


def finished_rows(rows: Iterable[Row], digest: str, retry: bool) -> dict[str, tuple[str, int]]:
    """`make_plan`'s finished. retry: failed photos are tried again.

    Raises PellucidError if the rows were made with another model or other settings.
    """
    found = {}
    for row in rows:
        if row.settings and row.settings != digest:
            raise PellucidError(
                f"the rows of the earlier run were made with another model, --steps, --strength or "
                f"--quality ({row.settings} then, {digest} now); use another OUT and --report"
            )
        if not (retry and row.failed):
            found[row.name] = (row.status, row.bytes_in)
    return found


def _inside(source: str, out: str) -> str:
    """The name of OUT below IN with a "/", empty if it lies elsewhere: results are no input."""
    if "://" in source or "://" in out:
        return out[len(source) + 1 :] + "/" if out.startswith(source + "/") else ""
    try:
        below = Path(out).resolve().relative_to(Path(source).resolve())
    except ValueError:
        return ""
    return "" if below == Path() else below.as_posix() + "/"
