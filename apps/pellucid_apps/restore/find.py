"""Which files of a folder are photos or videos, by content and name, and what is passed over."""

import os
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from pellucid import video
from pellucid.image import heic, raw, vips
from pellucid.image.encode import SUFFIXES
from pellucid.image.formats import HEAD_BYTES, RAW_SUFFIXES, READ, format_of

HEIC_SUFFIXES = (".heic", ".heif", ".hif")
# What has the suffix of a picture or video is tried; anything else only if its content is one.
TRIED = (*SUFFIXES, *HEIC_SUFFIXES, *RAW_SUFFIXES, ".jxl", *video.SUFFIXES)
NOT_WRITTEN = (*HEIC_SUFFIXES, *RAW_SUFFIXES, ".jxl", ".gif", ".jp2", ".j2k", ".psd")
OTHER_SYSTEMS = ("@eaDir", "__MACOSX", "$RECYCLE.BIN", "#recycle")  # thumbnails, forks, rubbish
_NAMES = {"gif": "GIF", "psd": "PSD", "jpeg2000": "JPEG 2000", "heic": "HEIC", "raw": "raw",
          "jxl": "JPEG XL"}  # fmt: skip
_NAMED = 3  # files of a kind


def walk(folder: Path, recursive: bool, out: Path) -> Iterator[Path]:
    """The visible files of a folder, sorted, without earlier results: OUT may lie inside it.

    Hidden folders and those that cameras' and file servers' software fills are left out. A folder
    that cannot be read is given itself.
    """
    results = out.resolve()
    unreadable: list[Path] = []
    seen = os.walk(folder, onerror=lambda error: unreadable.append(Path(error.filename)))
    files: list[Path] = []
    for place, folders, names in seen:
        folders[:] = [
            name
            for name in folders
            if recursive
            and not name.startswith(".")
            and name not in OTHER_SYSTEMS
            and Path(place, name).resolve() != results
        ]
        files += [Path(place, name) for name in names if not name.startswith(".")]
    # A link to nowhere is given too: that it cannot be read is to be said.
    yield from sorted([path for path in files if path.is_file() or not path.exists()] + unreadable)


def kind_of(path: Path) -> str:
    """Format of a picture by its content, "video", or "" for anything else."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return ""
    return "video" if video.is_video(path) else format_of(head, path.name)


def is_tried(path: Path) -> bool:
    """Whether a file in a folder is to be restored: a picture or video, by name or by content."""
    kind = kind_of(path)
    if kind in READ:
        return not missing_for(kind)
    return kind == "video" or (not kind and path.suffix.lower() in TRIED)


def missing_for(kind: str) -> str:
    """What a format needs that is not installed, as a sentence; empty if nothing."""
    if kind == "heic" and find_spec("pi_heif") is None:
        return heic.MISSING
    if kind == "raw" and find_spec("rawpy") is None:
        return raw.MISSING
    if kind == "jxl" and not vips.can("jxlload_source"):
        return "JPEG XL is not in this libvips; save the photo as PNG or TIFF first"
    return ""


def describe_passed_over(paths: Iterable[Path]) -> str:
    """Lines such as "passed over: 2 HEIC (a.heic, b.heic), 1 other (x.txt)"; empty if none."""
    by_kind: dict[str, list[str]] = {}
    hints: dict[str, None] = {}
    for path in paths:
        kind = kind_of(path)
        by_kind.setdefault(_NAMES.get(kind, "other"), []).append(path.name)
        if hint := missing_for(kind):
            hints[hint] = None
    if not by_kind:
        return ""
    kinds = []
    for name, names in sorted(by_kind.items(), key=lambda item: (item[0] == "other", item[0])):
        more = ", ..." if len(names) > _NAMED else ""
        kinds.append(f"{len(names)} {name} ({', '.join(names[:_NAMED])}{more})")
    return "\n".join([f"passed over: {', '.join(kinds)}", *(f"  {hint}" for hint in hints)])
