"""What a container holds, found by writing a second of the result before the work begins."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from .assemble import Part, assemble
from .encoder import Coding
from .opening import VideoError, opened
from .packets import Damage
from .pixels import Converter
from .reader import read_frames
from .segments import SegmentWriter
from .source import SourceVideo, Track

_FRAMES = 10  # of each restored track; a second of the others
_COPIED_S = 1.0


def find_unstorable(
    source: SourceVideo, codings: tuple[Coding, ...], suffix: str, threads: int
) -> dict[int, str]:
    """Streams, besides the restored ones, that the result cannot hold: index -> what it is.

    The first frames are coded and muxed as the real run will do it, with all other streams, and
    read again. What has no name is nothing to tell: timecode and the text track of MP4's chapters
    are written anew. Raises VideoError if the restored tracks alone are refused.
    """
    with tempfile.TemporaryDirectory(prefix="pellucid-") as name:
        folder = Path(name)
        parts = tuple(
            _first_frames(source, track, coding, folder, threads)
            for track, coding in zip(source.tracks, codings, strict=True)
        )
        attempt = _Attempt(source, parts, folder / f"trial{suffix}")
        lost = _undescribed(source)
        others = _other_streams(source) - set(lost)
        if attempt.failure(others) is not None:
            reason = attempt.failure(set())
            if reason is not None:
                message = f"{suffix} does not hold this video ({reason}); use --codec or .mkv"
                raise VideoError(f"{source.path}: {message}")
            kept = set[int]()
            for index in sorted(others):
                if attempt.failure(kept | {index}) is None:
                    kept.add(index)
            attempt.failure(kept)
            lost |= dict.fromkeys(others - kept, True)
        return _named(source, lost, attempt.target)


class _Attempt:
    """Writes trials of one result."""

    def __init__(self, source: SourceVideo, parts: tuple[Part, ...], target: Path) -> None:
        self.source, self.parts, self.target = source, parts, target

    def failure(self, copied: set[int]) -> str | None:
        """Why the result with these copied streams cannot be written or read; None if it can."""
        left_out = frozenset(_other_streams(self.source) - copied)
        suffix = self.target.suffix
        try:
            assemble(self.source, self.parts, self.target, suffix, left_out, copied_s=_COPIED_S)
            with opened(self.source.path) as given, opened(self.target) as made:
                wanted = sorted(_kind(s) for s in given.streams if s.index not in left_out)
                found = [_kind(stream) for stream in made.streams]
        except VideoError as error:
            return str(error.__cause__ or error)
        for kind in wanted:
            if kind not in found:
                return f"{kind[0]} {kind[1]} does not come back"
            found.remove(kind)
        return None


def _first_frames(
    source: SourceVideo, track: Track, coding: Coding, folder: Path, threads: int
) -> Part:
    """A segment with the first frames of a track as they are."""
    converter = Converter(track, threads)
    writer = SegmentWriter(folder / f"track{track.index}.mkv", track, coding, threads)
    with ExitStack() as unfinished:
        unfinished.callback(writer.discard)
        frames = read_frames(
            source.path, track.index, Damage(), clock=source.clock, first_pts=track.first_pts
        )
        for pts, frame in frames:
            if (frame.width, frame.height) != (track.width, track.height):
                break
            writer.add(converter.to_frame(converter.to_array(frame)[0], coding), pts)
            if writer.frames == _FRAMES:
                break
        part = Part(track, coding, (writer.finish(),))
        unfinished.pop_all()
    return part


def _other_streams(source: SourceVideo) -> set[int]:
    restored = {track.index for track in source.tracks}
    with opened(source.path) as container:
        return {stream.index for stream in container.streams} - restored


def _undescribed(source: SourceVideo) -> dict[int, bool]:
    """Data streams that no muxer of FFmpeg's can describe: index -> whether the user is to know."""
    restored = {track.index for track in source.tracks}
    with opened(source.path) as container:
        mp4 = container.format.name.startswith("mov")
        chapters = len(container.chapters()) if mp4 else 0
        found = {}
        for stream in container.streams:
            if stream.index in restored or stream.type != "data":
                continue
            if chapters and stream.frames == chapters:
                found[stream.index] = False
            elif stream.name is None and stream.codec_context is None:
                found[stream.index] = True
        return found


def _named(source: SourceVideo, lost: dict[int, bool], trial: Path) -> dict[int, str]:
    """lost: index -> whether the user is to know, unless the trial holds its timecode."""
    with opened(source.path) as given, opened(trial) as made:
        kept = {_timecode(stream) for stream in made.streams} - {None}
        return {
            index: _name(given.streams[index])
            if shown and _timecode(given.streams[index]) not in kept
            else ""
            for index, shown in lost.items()
        }


def _timecode(stream: Any) -> str | None:
    found: str | None = next(
        (v for k, v in stream.metadata.items() if k.lower() == "timecode"), None
    )
    return found


def _kind(stream: Any) -> tuple[str, str]:
    codec = stream.codec_context
    return stream.type, "" if codec is None or stream.type == "video" else codec.name


def _name(stream: Any) -> str:
    codec = stream.codec_context
    return f"{stream.type}, {'unknown codec' if codec is None else codec.name}"
