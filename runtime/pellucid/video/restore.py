"""A video restored frame by frame: same frames, same times, everything else as it was."""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import cv2
from numpy.typing import NDArray

from ..degradations import BLIND, Choice, Found, SteadyChoice
from ..recurrent import Chain
from ..restorer import Restorer
from ..temporal import SceneSmoother
from .assemble import Part, assemble
from .encoder import Coding, choose
from .opening import VideoError
from .packets import Damage
from .pixels import Converter
from .probe import probe
from .reader import read_frames
from .segments import Segment, Store, writing
from .source import SourceVideo, Track, fingerprint
from .trial import find_unstorable

WARM_UP_S = 5.0  # of frames looked at before a later start, for what is smoothed over time
_CUT_S, _CUT_SHARE = 0.5, 0.01  # by which a video may end before the file says
CHAIN_WARM_UP_S = 0.5  # of frames restored before it, for the chain: a mistake fades in a few

Progress = Callable[[int, int], None]  # frames done, frames in all (0: unknown)


class VideoRestorer(Protocol):
    """Restores the frames of one track in order. pixels: (H, W, 3) RGB, uint8 or uint16."""

    def observe(self, pixels: NDArray[Any], time_s: float, ahead_s: float) -> None:
        """A frame that is not shown, but precedes by `ahead_s` one that is; may be written to."""

    def restore(self, pixels: NDArray[Any], time_s: float) -> None:
        """Restore in place."""


@dataclass
class FoundInFrames:
    """What was found in the frames of a stream, and how many were left as they are.

    amounts: mean over the frames, by name; empty with a model that has no estimator.
    """

    frames: int = 0
    left: int = 0
    amounts: dict[str, float] = field(default_factory=dict)

    def describe(self) -> str:
        """In words: "rain 0.7; 30 of 120 frames left as they are"; empty if unknown."""
        if not self.frames:
            return ""
        if self.left == self.frames:
            return f"{Found(self.amounts)}, left as it is"
        left = f"; {self.left} of {self.frames} frames left as they are" if self.left else ""
        return f"{Found(self.amounts)}{left}"

    def add(self, found: Found | None, choice: Choice) -> None:
        """Count a frame."""
        if found is None:
            return
        self.frames += 1
        self.left += not choice.acts_on(found)
        for name, amount in found.amounts.items():
            mean = self.amounts.get(name, 0.0)
            self.amounts[name] = mean + (amount - mean) / self.frames


class SteadyRestorer:
    """A Restorer whose scene code is smoothed over time, so that light does not flicker.

    frames: a Restorer of a file for frames; each frame then starts from the last one's result.
    choice: what is restored; a shot in which nothing is found is left as it is. summary: counts
    what is found.
    """

    def __init__(
        self,
        restorer: Restorer,
        strength: float = 1.0,
        frames: Restorer | None = None,
        choice: Choice = BLIND,
        summary: FoundInFrames | None = None,
    ) -> None:
        self._restorer, self._strength = restorer, strength
        self._names = restorer.card.degradations
        choice.check(self._names, restorer.card.id)
        self._smoother = SceneSmoother(estimator=restorer.estimator)
        self._choice = SteadyChoice(choice)
        self.summary = FoundInFrames() if summary is None else summary
        self._chain = None if frames is None else Chain(restorer, frames)

    def observe(self, pixels: NDArray[Any], time_s: float, ahead_s: float) -> None:
        if self._chain is not None and ahead_s <= CHAIN_WARM_UP_S:
            self._restore(pixels, time_s)
        else:
            self._smoother.update(pixels, time_s)

    def restore(self, pixels: NDArray[Any], time_s: float) -> None:
        found, choice = self._restore(pixels, time_s)
        self.summary.add(found, choice)

    def _restore(self, pixels: NDArray[Any], time_s: float) -> tuple[Found | None, Choice]:
        """Restore in place; what was found and what became of it."""
        scene = self._smoother.update(pixels, time_s)
        found = Found.in_scene(self._names, scene)
        choice = self._choice.update(found, self._smoother.started_anew)
        if self._chain is None or self._strength == 0.0:
            self._restorer.restore_pixels(pixels, self._strength, scene=scene, choice=choice)
            return found, choice
        degraded = pixels.copy() if self._strength < 1.0 else pixels
        self._chain.restore(pixels, scene, self._smoother.started_anew, choice)
        if self._strength < 1.0:  # the chain itself goes on at full strength
            share = self._strength
            pixels[...] = cv2.addWeighted(pixels, share, degraded, 1.0 - share, 0.0)
        return found, choice


@dataclass(frozen=True)
class VideoOptions:
    """codec: a name of CODECS; None keeps the source's where it can be written. crf: None takes the
    codec's own, close to the source. start_s, end_s: part of the video, in its own time from its
    beginning. segment_frames: what a kill can cost at most. threads: of decoder and encoder."""

    codec: str | None = None
    crf: int | None = None
    start_s: float = 0.0
    end_s: float | None = None
    overwrite: bool = False
    segment_frames: int = 60
    threads: int = 1

    def __post_init__(self) -> None:
        if self.start_s < 0.0 or (self.end_s is not None and self.end_s <= self.start_s):
            raise VideoError(f"expected 0 <= --start < --end, got {self.start_s} and {self.end_s}")

    @property
    def is_part(self) -> bool:
        return self.start_s > 0.0 or self.end_s is not None


@dataclass(frozen=True)
class Plan:
    """What will happen, known before it starts. notes: what will not be as in the source."""

    source: SourceVideo
    target: Path
    codings: tuple[Coding, ...]
    left_out: frozenset[int]
    notes: tuple[str, ...]


def plan_video(source: Path, target: Path, options: VideoOptions) -> Plan:
    """Look at the source and decide. Raises VideoError for whatever cannot work."""
    if target.exists() and not options.overwrite:
        raise VideoError(f"{source}: {target} exists; use --overwrite to replace it")
    if target.exists() and target.samefile(source):
        raise VideoError(f"{source}: cannot be replaced by its own result; give another name")
    found = probe(source)
    suffix = target.suffix.lower()
    codings = tuple(choose(track, suffix, options.codec, options.crf) for track in found.tracks)
    lost = find_unstorable(found, codings, suffix, options.threads)
    notes = [*found.notes, *(note for coding in codings for note in coding.notes)]
    for index, what in lost.items():
        if what:
            notes.append(f"stream {index} ({what}) cannot be stored in {suffix} and is left out")
    if suffix in (".mkv", ".webm") and any((1000 / t.rate).denominator > 1 for t in found.tracks):
        notes.append(f"{suffix} rounds times to milliseconds; .mp4 keeps them exactly")
    return Plan(found, target, codings, frozenset(lost), tuple(dict.fromkeys(notes)))


def restore_video(
    plan: Plan,
    new_restorer: Callable[[], VideoRestorer],
    label: str,
    options: VideoOptions,
    progress: Progress | None = None,
) -> tuple[int, tuple[str, ...]]:
    """Restore, or go on with a run that was stopped; returns (frames, notes on what was damaged).

    new_restorer: makes one for each track. label: names the model and its settings, so that no run
    goes on with another. Finished segments stay in `<target>.partial` until the target is whole.
    """
    source, target = plan.source, plan.target
    settings = {
        "source": fingerprint(source.path), "label": label,
        "part": [options.start_s, options.end_s], "segment_frames": options.segment_frames,
        "coding": [asdict(coding) for coding in plan.codings],
    }  # fmt: skip
    with writing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
    store = Store(target, settings, anew_if_changed=options.overwrite)
    total = sum(_expected(track, options) for track in source.tracks)
    done, parts, notes = 0, [], list[str]()
    for track, coding in zip(source.tracks, plan.codings, strict=True):
        report = _offset(progress, done, total)
        if store.is_complete(track.index) is None:
            _restore_track(source, track, coding, store, new_restorer(), options, report)
        segments = tuple(store.finished(track.index))
        done += sum(len(segment.pts) for segment in segments)
        notes += store.is_complete(track.index) or []
        if segments:
            parts.append(Part(track, coding, segments))
    if len(parts) < len(source.tracks):
        raise VideoError(f"{source.path}: a video stream has no frame between --start and --end")
    span = None
    if options.is_part:
        first = _beginning(source)
        end = float("1e12") if options.end_s is None else float(first) + options.end_s
        span = (float(first) + options.start_s, end)
    partial = store.folder / f"result{target.suffix.lower()}"
    end_s = assemble(source, parts, partial, target.suffix.lower(), plan.left_out, span)
    if options.end_s is None:
        notes += _cut_off(source, parts, end_s)
    with writing(target):
        os.replace(partial, target)
    store.remove()
    return done, tuple(notes)


def _restore_track(
    source: SourceVideo, track: Track, coding: Coding, store: Store, restorer: VideoRestorer,
    options: VideoOptions, report: Progress,
) -> None:  # fmt: skip
    """Restore what is missing of one track, segment by segment."""
    segments: list[Segment] = store.finished(track.index)
    done = sum(len(segment.pts) for segment in segments)
    last = segments[-1].last_pts if segments else None
    base, zero = track.time_base, _beginning(source)
    start = zero + Fraction(options.start_s)
    end = None if options.end_s is None else zero + Fraction(options.end_s)
    resume = None if last is None else last * base
    from_s = resume if resume is not None else start if options.start_s else None
    seek = None if from_s is None else int((from_s - Fraction(WARM_UP_S)) / base)
    if seek is not None and seek * base <= track.first_s:
        seek = None
    damage = Damage()
    converter = Converter(track, options.threads)
    frames = read_frames(
        source.path, track.index, damage, seek, options.threads, source.clock, track.first_pts
    )
    writer = None
    report(done, 0)
    try:
        for pts, frame in frames:
            time = pts * base
            if end is not None and time >= end:
                break
            if time < start or (last is not None and pts <= last):
                if from_s is not None and time >= from_s - Fraction(WARM_UP_S):
                    ahead_s = float(from_s - time)
                    restorer.observe(converter.to_array(frame)[1], float(time), ahead_s)
                continue
            if (frame.width, frame.height) != (track.width, track.height):
                raise _size_change(source.path, track, frame, time - zero)
            rgb, pixels = converter.to_array(frame)
            restorer.restore(pixels, float(time))
            if writer is None:
                writer = store.begin(track, len(segments), coding, options.threads)
            writer.add(converter.to_frame(rgb, coding), pts)
            done += 1
            report(done, 0)
            if writer.frames == options.segment_frames:
                segments.append(writer.finish())
                writer = None
        if writer is not None:
            segments.append(writer.finish())
            writer = None
    finally:
        if writer is not None:
            writer.discard()
    store.complete(track.index, damage.notes())


def _size_change(path: Path, track: Track, frame: Any, at_s: Fraction) -> VideoError:
    """A stream of one size cannot go on in another; at_s counts as --end does."""
    at = f"{(math.ceil(at_s * 1000) - 1) / 1000:.3f}"  # the last millisecond before it
    return VideoError(
        f"{path}: the frames change from {track.width}x{track.height} to "
        f"{frame.width}x{frame.height} at {at} s; restore the part before with --end {at}, and the "
        f"rest as a file of its own: ffmpeg -ss {at} -i {path.name} -c copy rest{path.suffix}"
    )


def _cut_off(source: SourceVideo, parts: list[Part], end_s: float) -> Iterator[str]:
    """Tells where frames end long before the file says; end_s: of the last stream that is kept."""
    for part in parts:
        last = part.segments[-1]
        is_s = float((last.last_pts + last.last_duration) * part.track.time_base)
        # A file that only tells how long it is as a whole may end with a longer sound.
        reached_s = is_s if part.track.end_s is not None else max(is_s, end_s)
        said_s = source.duration_s if part.track.end_s is None else part.track.end_s
        if not source.clock.shifts_s and said_s - reached_s > max(_CUT_S, _CUT_SHARE * said_s):
            yield (
                f"the video ends at {is_s:.1f} s, the file says {said_s:.1f} s: it was cut off, "
                "what is missing cannot be restored"
            )


def _beginning(source: SourceVideo) -> Fraction:
    """Presentation time of the first frame of all: --start counts from here."""
    return min(track.first_s for track in source.tracks)


def _expected(track: Track, options: VideoOptions) -> int:
    """Frames that will be restored, for the progress display."""
    if not options.is_part or not track.frames:
        return track.frames
    whole = track.frames / float(track.rate)
    end = whole if options.end_s is None else min(options.end_s, whole)
    return max(1, round((end - options.start_s) * float(track.rate)))


def _offset(progress: Progress | None, before: int, total: int) -> Progress:
    def report(done: int, _: int) -> None:
        if progress is not None:
            progress(before + done, total)

    return report
