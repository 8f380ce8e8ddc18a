"""Photos in a folder that pellucid does not read: counted and named, not passed over in silence."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

_KINDS = {
    "HEIC": (".heic", ".heif", ".hif"),
    "GIF": (".gif",),
    "JPEG XL": (".jxl",),
    "JPEG 2000": (".jp2", ".j2k"),
    "PSD": (".psd",),
    "RAW": (
        *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf"),
        *(".rw2", ".pef", ".srw", ".x3f", ".3fr", ".iiq"),
    ),
}
_KIND_OF_SUFFIX = {suffix: kind for kind, suffixes in _KINDS.items() for suffix in suffixes}
_NAMED = 3  # files of a kind


def walk(folder: Path, recursive: bool, out: Path) -> Iterator[Path]:
    """The visible files of a folder, sorted, without earlier results: OUT may lie inside it."""
    results = out.resolve()
    skip = results if folder.resolve() in results.parents else None
    for path in sorted(folder.rglob("*") if recursive else folder.glob("*")):
        if path.name.startswith(".") or not path.is_file():
            continue
        if skip is None or skip not in path.resolve().parents:
            yield path


def find_unread(inputs: Sequence[str], out: Path, recursive: bool) -> list[Path]:
    """Photos of kinds pellucid does not read in those inputs that are folders."""
    folders = [Path(text) for text in inputs if os.path.isdir(text)]
    files = (path for folder in folders for path in walk(folder, recursive, out))
    return [path for path in files if path.suffix.lower() in _KIND_OF_SUFFIX]


def describe_unread(paths: Iterable[Path]) -> str:
    """One line, such as "not read: 2 HEIC (a.heic, b.heic); ..."; empty if there are none."""
    by_kind: dict[str, list[str]] = {}
    for path in paths:
        by_kind.setdefault(_KIND_OF_SUFFIX[path.suffix.lower()], []).append(path.name)
    if not by_kind:
        return ""
    told = []
    for kind, names in sorted(by_kind.items()):
        more = ", ..." if len(names) > _NAMED else ""
        told.append(f"{len(names)} {kind} ({', '.join(names[:_NAMED])}{more})")
    return f"not read: {', '.join(told)}; export them as JPEG, PNG or TIFF first"
