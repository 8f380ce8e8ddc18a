"""`pellucid live`: a camera or any other stream of frames, restored as it runs."""

import contextlib
import os
import sys
import time
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from pellucid.bundled import find_model
from pellucid.degradations import read_choice
from pellucid.engine_choice import open_engine
from pellucid.errors import PellucidError
from pellucid.frames import (
    Controls,
    LiveLoop,
    NetworkRestorer,
    NewestFrames,
    Settings,
    Sink,
    SystemClock,
    ladder,
    open_frames,
    open_pass,
)
from pellucid.frames.cameras import list_cameras
from pellucid.frames.frame import Clock, Picture
from pellucid.frames.live import KEYS
from pellucid.frames.mjpeg import PageSink
from pellucid.frames.network import rank_models
from pellucid.frames.writers import VideoSink
from pellucid.size import parse_size

from ..choice import FIX_HELP, IGNORE_HELP
from .keys import Keyboard
from .ports import check_unlike, default_sink, open_sink, open_source
from .stopping import StopSignals

OK, SOME_FAILED, INTERRUPTED, TERMINATED = 0, 1, 130, 143
_FIGURES_S = 1.0  # between two lines of figures on the terminal


def live(
    source: Annotated[
        str,
        typer.Argument(
            metavar="[SOURCE]",
            help="Camera index or name, video, folder of pictures, or - for raw frames (--size).",
        ),
    ] = "0",
    sink: Annotated[
        list[str] | None,
        typer.Option(
            help="window, page, page:PORT, camera, FILE.mp4, FOLDER, - for raw frames; repeatable."
        ),
    ] = None,
    budget_ms: Annotated[
        float, typer.Option(min=1.0, help="Time for a frame; kept by doing less.")
    ] = 33.0,
    model: Annotated[str, typer.Option("--model", "-m", help="Bundled name or .onnx file.")] = (
        "tiny"
    ),
    steps: Annotated[int, typer.Option(min=1, max=3, help="Most passes a frame.")] = 1,
    strength: Annotated[float, typer.Option(min=0.0, max=1.0, help="0 input .. 1 restored.")] = 1.0,
    split: Annotated[bool, typer.Option("--split", help="Begin with before | after.")] = False,
    every_frame: Annotated[
        bool, typer.Option("--every-frame", help="Leave no frame out, however long it takes.")
    ] = False,
    fix: Annotated[str | None, typer.Option(help=FIX_HELP)] = None,
    ignore: Annotated[str | None, typer.Option(help=IGNORE_HELP)] = None,
    again: Annotated[
        bool, typer.Option("--loop", help="A file or folder begins again at its end.")
    ] = False,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT of a camera or of -.")] = None,
    fps: Annotated[float, typer.Option(min=0.1, help="Of a camera or a folder.")] = 30.0,
    record: Annotated[Path | None, typer.Option(help="Video the key r writes.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files.")] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads (default: a few).")
    ] = None,
    engine: Annotated[
        str, typer.Option(help="auto (openvino for .xml files), onnxruntime or openvino.")
    ] = "auto",
    show_list: Annotated[bool, typer.Option("--list", help="List the cameras and stop.")] = False,
) -> None:
    """Restore a camera or another stream of frames while it runs.

    Steps, then the size of the network's picture, then the model give way to keep the budget;
    frames that still come too fast are left out. Keys, in the window, the page or the terminal:
    space bypass, s split, + - strength, r record, i figures, q quit.
    """
    if show_list:
        cameras = list_cameras()
        for index, name in cameras:
            print(f"{index}: {name}")
        if not cameras:
            _tell("no camera is there; a container needs --device /dev/video0")
        return
    clock = SystemClock()
    choice = read_choice(fix, ignore)
    names = sink or [default_sink()]
    check_unlike(source, names)
    models = rank_models(model)
    opened_once = cache(lambda name: open_engine(find_model(name), threads, engine))
    best = opened_once(models[0][0])
    choice.check(best.card.degradations, best.card.id)
    passes = NetworkRestorer(
        lambda name, n: open_pass(opened_once(name), n, choice=choice),
        lambda name: open_frames(name, threads, engine),
    )
    passes.prepare(models[0][0], 1)  # a wrong model ends it before anything is opened
    frames_from = open_source(
        source, clock, None if size is None else parse_size(size), fps, every_frame, again
    )
    sinks: list[Sink] = []
    try:
        sinks += [open_sink(name, fps, overwrite, frames_from.picture) for name in names]
    except PellucidError:
        for opened in sinks:
            opened.close()
        frames_from.close()
        raise
    reader = NewestFrames(frames_from, clock, every_frame)
    with Keyboard(source != "-") as keyboard:
        loop = LiveLoop(
            passes,
            sinks,
            Settings(
                budget_ms / 1e3,
                lambda width, height: ladder(width, height, steps, models),
                live=frames_from.live and not every_frame,
                estimator=best.estimator,
                choice=choice,
            ),
            clock,
            _tell,
            Controls(strength=strength, split=split),
            lambda: _recorder(record, overwrite, frames_from.picture),
            each=_watch(keyboard, clock),
        )
        usage = CpuShare()
        loop.extra_figures = lambda: f"{reader.dropped} dropped, CPU {usage.percent():.0f} %"
        for opened in sinks:
            _tell(f"{frames_from.name} -> {opened.name}")
        _tell(f"keys: {KEYS}")
        with StopSignals(lambda: setattr(loop.controls, "stop", True)) as stop_signals:
            _await_viewer(source, sinks, loop.controls)
            code = _run(loop, reader)
        code = TERMINATED if stop_signals.received else code
    print(summarise(loop, reader), file=sys.stderr)
    raise typer.Exit(code)


def _await_viewer(source: str, sinks: list[Sink], controls: Controls) -> None:
    """A recording that only a page shows begins when somebody looks at it."""
    if Path(source).exists() and len(sinks) == 1 and isinstance(sinks[0], PageSink):
        _tell("waiting for somebody to open the page (Ctrl-C ends it)")
        with contextlib.suppress(KeyboardInterrupt):
            sinks[0].wait_for_watcher(lambda: controls.stop)
            return
        controls.stop = True


def _run(loop: LiveLoop, reader: NewestFrames) -> int:
    try:
        with reader:
            loop.run(reader)
    except PellucidError as error:
        _tell(f"error: {error}")
        return SOME_FAILED
    except KeyboardInterrupt:
        _tell("interrupted; what was written until here plays")
        return INTERRUPTED
    return SOME_FAILED if loop.failed else OK


def summarise(loop: LiveLoop, reader: NewestFrames) -> str:
    """One line at the end of a run."""
    figures = loop.figures
    parts = [f"{figures.shown} frames shown", f"{reader.dropped} left out"]
    if reader.empty:
        parts.append(f"{reader.empty} came empty")
    if figures.shown:
        parts.append(f"{100.0 * figures.over_budget / figures.shown:.1f} % over budget")
    if figures.ages:
        parts.append(f"age p95 {figures.age_p95() * 1e3:.0f} ms")
    if loop.controller is not None:
        parts.append(f"at the end: {loop.controller.rung}")
    return ", ".join(parts)


class CpuShare:
    """Share of all cores that this program used since the question before, in percent."""

    def __init__(self) -> None:
        self._cpu_s, self._wall_s, self._last = time.process_time(), time.monotonic(), 0.0

    def percent(self) -> float:
        """0 to 100; asked again within half a second it repeats itself."""
        wall_s = time.monotonic() - self._wall_s
        if wall_s >= 0.5:
            cpu_s = time.process_time()
            self._last = 100.0 * (cpu_s - self._cpu_s) / wall_s / (os.cpu_count() or 1)
            self._cpu_s, self._wall_s = cpu_s, self._wall_s + wall_s
        return self._last


def _watch(keyboard: Keyboard, clock: Clock) -> Callable[[LiveLoop], None]:
    """Keys of the terminal, and a line of figures on it now and then."""
    last = clock.now()

    def each(loop: LiveLoop) -> None:
        nonlocal last
        for key in keyboard.pressed():
            loop.controls.press(key)
        if clock.now() - last >= _FIGURES_S and sys.stderr.isatty():
            last = clock.now()
            print(f"\r{loop.describe()}\033[K", end="", file=sys.stderr, flush=True)

    return each


def _recorder(path: Path | None, overwrite: bool, picture: Picture) -> VideoSink:
    """The file behind the key r; further recordings of a run get the time into their name."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    if path is None:
        return VideoSink(Path(f"pellucid-{stamp}.mp4"), picture=picture)
    if path.exists() and not overwrite:
        path = path.with_stem(f"{path.stem}-{stamp}")
    return VideoSink(path, overwrite=overwrite, picture=picture)


def _tell(line: str) -> None:
    start = "\r\033[K" if sys.stderr.isatty() else ""
    print(f"{start}{line}", file=sys.stderr, flush=True)
