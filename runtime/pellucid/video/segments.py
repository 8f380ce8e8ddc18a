"""Finished parts of a run in OUT.partial/: what a killed run goes on from.

A segment is a playable Matroska file with a few seconds of one track, beside it a JSON file with
the exact pts of its packets (Matroska itself rounds to milliseconds). The JSON is written last:
a segment without it was not finished and is made again.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import is_disk_full
from ..image.photo import write_atomically
from .encoder import Coding, add_stream
from .opening import VideoError, pyav, url
from .source import Track

_VERSION = 2


@dataclass(frozen=True)
class Segment:
    """pts: of its packets, in decoding order. last_duration: of the last frame shown."""

    file: Path
    pts: tuple[int, ...]
    last_duration: int

    @property
    def last_pts(self) -> int:
        return max(self.pts)


class Store:
    """The folder of finished segments of one target file.

    settings: all that decides how the result looks, as JSON values; a folder that was begun with
    others is refused, or begun anew when `anew_if_changed`.
    """

    def __init__(self, target: Path, settings: dict[str, Any], anew_if_changed: bool) -> None:
        self.folder = target.with_name(f"{target.name}.partial")
        settings_file = self.folder / "settings.json"
        wanted = json.loads(json.dumps({"version": _VERSION} | settings))
        begun = _read(settings_file)
        if begun is not None and begun != wanted:
            if not anew_if_changed:
                changed = ", ".join(sorted(k for k in wanted if begun.get(k) != wanted[k]))
                raise VideoError(
                    f"{self.folder} holds an unfinished run with other settings ({changed}); go on "
                    "with those, delete the folder, or use --overwrite to begin anew"
                )
            self.remove()
            begun = None
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        if begun is None:
            write_atomically(settings_file, json.dumps(wanted, indent=1).encode())

    def finished(self, track: int) -> list[Segment]:
        """The segments of a track, from the first up to the first gap."""
        found: list[Segment] = []
        while True:
            record = _read(self._path(track, len(found), ".json"))
            file = self._path(track, len(found), ".mkv")
            if record is None or not file.is_file() or file.stat().st_size != record["bytes"]:
                return found
            found.append(Segment(file, tuple(record["pts"]), record["last_duration"]))

    def is_complete(self, track: int) -> list[str] | None:
        """The notes of a track whose last frame is done; None as long as it is not."""
        record = _read(self.folder / f"track{track}.json")
        return None if record is None else list(record["notes"])

    def complete(self, track: int, notes: tuple[str, ...]) -> None:
        path = self.folder / f"track{track}.json"
        write_atomically(path, json.dumps({"notes": notes}).encode())

    def begin(self, track: Track, number: int, coding: Coding, threads: int) -> "SegmentWriter":
        return SegmentWriter(self._path(track.index, number, ".mkv"), track, coding, threads)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, track: int, number: int, suffix: str) -> Path:
        return self.folder / f"track{track}-{number:05d}{suffix}"


class SegmentWriter:
    """Encodes frames into one segment; `finish` makes it count, `discard` forgets it."""

    def __init__(self, file: Path, track: Track, coding: Coding, threads: int) -> None:
        self._file, self._pts, self._shown = file, list[int](), list[int]()
        self._last_duration = 1
        with writing(file):
            self._container = pyav().open(url(file), "w", format="matroska")
            self._stream = add_stream(self._container, track, coding, threads)
        self._time_base = track.time_base

    @property
    def frames(self) -> int:
        return len(self._shown)

    def add(self, frame: Any, pts: int) -> None:
        """Encode a frame that is shown at `pts`, in the track's time base."""
        frame.pts, frame.time_base = pts, self._time_base
        gap = pts - self._shown[-1] if self._shown else 1
        self._last_duration = frame.duration or gap
        self._shown.append(pts)
        self._mux(self._stream.encode(frame))

    def finish(self) -> Segment:
        self._mux(self._stream.encode(None))
        with writing(self._file):
            self._container.close()
        if sorted(self._pts) != self._shown:
            raise VideoError(f"{self._file}: the encoder returned other frames than it was given")
        record = {
            "pts": self._pts,
            "last_duration": self._last_duration,
            "bytes": self._file.stat().st_size,
        }
        write_atomically(self._file.with_suffix(".json"), json.dumps(record).encode())
        return Segment(self._file, tuple(self._pts), self._last_duration)

    def discard(self) -> None:
        with contextlib.suppress(Exception):
            self._container.close()
        self._file.unlink(missing_ok=True)

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            self._pts.append(packet.pts)
            with writing(self._file):
                self._container.mux(packet)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what goes wrong while `path` is written into a VideoError; FFmpeg's are OSErrors."""
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            hint = "the disk is full; what is finished is kept: make room and run it again"
        else:
            hint = f"cannot write ({os.strerror(error.errno) if error.errno else error})"
        raise VideoError(f"{path}: {hint}") from error


def _read(path: Path) -> Any:
    """A JSON file; None if it is not there or was cut off."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
