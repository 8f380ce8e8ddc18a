"""The live loop: one frame in, restored within the budget, out to every sink."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np

from ..degradations import BLIND, Choice, Found, SteadyChoice
from ..estimator import Estimator
from ..guards import guard_frame
from ..temporal import SceneSmoother
from .budget import BudgetController, Rung
from .frame import Clock, Frame, FrameError, Pixels, Sink
from .network import FrameRestorer
from .overlay import draw_lines, split

KEYS = "space bypass, s split, + - strength, r record, i figures, q quit"
_STEP = 0.1  # of strength


@dataclass
class Controls:
    """What the person at the keys has chosen."""

    strength: float = 1.0
    bypass: bool = False
    split: bool = False
    record: bool = False
    figures: bool = True
    stop: bool = False

    def press(self, key: str) -> None:
        """Act on one key of KEYS; others do nothing."""
        if key in ("+", "="):
            self.strength = min(1.0, round(self.strength + _STEP, 2))
        elif key in ("-", "_"):
            self.strength = max(0.0, round(self.strength - _STEP, 2))
        elif key in ("q", "\x1b"):
            self.stop = True
        else:
            names = {" ": "bypass", "s": "split", "r": "record", "i": "figures"}
            if key in names:
                setattr(self, names[key], not getattr(self, names[key]))


@dataclass
class Figures:
    """What a run has shown so far; ages and times of the last few seconds, in seconds."""

    shown: int = 0
    over_budget: int = 0
    ages: deque[float] = field(default_factory=lambda: deque(maxlen=300))
    times: deque[float] = field(default_factory=lambda: deque(maxlen=300))
    ends: deque[float] = field(default_factory=lambda: deque(maxlen=60))

    @property
    def fps(self) -> float:
        """Frames a second over the last 60 frames; 0 before the second."""
        span = self.ends[-1] - self.ends[0] if len(self.ends) > 1 else 0.0
        return (len(self.ends) - 1) / span if span > 0.0 else 0.0

    def age_p95(self) -> float:
        """Age that 95 % of the frames do not exceed; 0 without frames."""
        return float(np.percentile(self.ages, 95)) if self.ages else 0.0


@dataclass(frozen=True)
class Settings:
    """budget_s: work on a frame. live: ages are known. ladder: rungs for (width, height).
    estimator: of the model; None leaves nothing alone. choice: what is restored."""

    budget_s: float
    ladder: Callable[[int, int], tuple[Rung, ...]]
    live: bool = True
    estimator: Estimator | None = None
    choice: Choice = BLIND


class LiveLoop:
    """Feeds frames through a restorer into sinks and keeps the budget.

    tell(line): messages for the user. make_recorder: opens the sink behind the record key.
    each(loop): called after every frame and every idle moment, for keys and figures elsewhere.
    """

    def __init__(
        self,
        restorer: FrameRestorer,
        sinks: list[Sink],
        settings: Settings,
        clock: Clock,
        tell: Callable[[str], None],
        controls: Controls | None = None,
        make_recorder: Callable[[], Sink] | None = None,
        each: "Callable[[LiveLoop], None] | None" = None,
    ) -> None:
        self._restorer, self._settings, self._clock, self._tell = restorer, settings, clock, tell
        self._make_recorder, self._each = make_recorder, each
        self._recorder: Sink | None = None
        self._smoother = SceneSmoother(estimator=settings.estimator)
        self._choice = SteadyChoice(settings.choice)
        self.found: Found | None = None  # in the last frame
        self._left = False  # whether nothing was found in it
        self._size: tuple[int, int] | None = None
        self._warned = False
        self._passed_by = False  # whether the last frame was not restored
        self.sinks = list(sinks)
        self.controls = controls or Controls()
        self.controller: BudgetController | None = None
        self.figures = Figures()
        self.failed = False
        self.extra_figures: Callable[[], str] = lambda: ""

    def run(self, frames: Iterable[Frame | None]) -> None:
        """Until the frames end, `stop` is pressed or no sink is left. Closes every sink.

        None among the frames is a moment without one; keys are looked at. FrameError if the
        source broke; what the sinks have taken by then is finished properly.
        """
        try:
            for frame in frames:
                if frame is not None:
                    self.step(frame)
                self._press_keys()
                if self._each is not None:
                    self._each(self)
                if self.controls.stop or not self.sinks:
                    break
        finally:
            for sink in [*self.sinks, *([self._recorder] if self._recorder else [])]:
                self._close(sink)
            self.sinks, self._recorder = [], None

    def step(self, frame: Frame) -> None:
        """One frame."""
        started = self._clock.now()
        pixels, network_s = frame.pixels, 0.0
        controller = self._controller_for(pixels)
        # Also while nothing is restored: the code is right at once when it is again.
        scene = self._smoother.update(pixels, frame.time_s)
        names = () if self._settings.estimator is None else self._settings.estimator.names
        self.found = Found.in_scene(names, scene)
        choice = self._choice.update(self.found, self._smoother.started_anew)
        self._left = choice.leaves(self.found)
        restore = not (self.controls.bypass or self._left) and self.controls.strength > 0.0
        if restore:
            anew = self._smoother.started_anew or self._passed_by
            input_scene = choice.tell(scene, names)
            restored, network_s = self._restorer(pixels, input_scene, controller.rung, anew)
            hold = self.found is not None and not choice.brightens(self.found)
            restored = guard_frame(pixels, restored, hold)
            if self.controls.strength < 1.0:
                share = self.controls.strength
                blend = cv2.addWeighted(restored, share, pixels, 1.0 - share, 0.0)
                restored = np.asarray(blend, np.uint8)
            pixels = restored
        self._passed_by = not restore
        self._show(frame, pixels)
        ended = self._clock.now()
        self._count(frame, started, ended)
        if restore:
            controller.observe(ended, ended - started, network_s)
            self._restorer.expect((frame.pixels.shape[0], frame.pixels.shape[1]), controller.above)
            if not controller.kept and not self._warned:
                self._warned = True
                self._tell(
                    f"the budget of {self._settings.budget_s * 1e3:.0f} ms cannot be kept: the "
                    f"cheapest pass takes {(ended - started) * 1e3:.0f} ms a frame; frames are "
                    "left out instead, a larger --budget-ms makes it even"
                )

    def describe(self) -> str:
        """One line of figures: rate, age, what was left out, what the network does."""
        figures, controls = self.figures, self.controls
        parts = [f"{figures.fps:.1f} fps"]
        if self._settings.live and figures.ages:
            parts.append(f"age {figures.ages[-1] * 1e3:.0f} ms")
        elif figures.times:
            parts.append(f"{figures.times[-1] * 1e3:.0f} ms a frame")
        if extra := self.extra_figures():
            parts.append(extra)
        if controls.bypass:
            parts.append("bypass")
        elif self.controller is not None:
            parts.append(str(self.controller.rung))
        if self.found is not None:
            parts.append(f"{self.found}{', left as it is' if self._left else ''}")
        if controls.strength < 1.0:
            parts.append(f"strength {controls.strength:.1f}")
        return ", ".join(parts)

    def _controller_for(self, pixels: Pixels) -> BudgetController:
        size = (pixels.shape[1], pixels.shape[0])
        if self.controller is None or size != self._size:
            if self._size is not None:
                self._tell(
                    f"frames are now {size[0]}x{size[1]}, were {self._size[0]}x{self._size[1]}"
                )
            self._size = size
            rungs = self._settings.ladder(*size)
            self.controller = BudgetController(rungs, self._settings.budget_s)
        return self.controller

    def _show(self, frame: Frame, pixels: Pixels) -> None:
        if self.controls.record and self._recorder is None and self._make_recorder is not None:
            self._start_recording()
        elif not self.controls.record and self._recorder is not None:
            recorder, self._recorder = self._recorder, None
            self._close(recorder)
            self._tell(f"recorded {recorder.name}")
        out = Frame(pixels, frame.time_s, frame.index)
        view: Frame | None = None
        for sink in [*self.sinks, *([self._recorder] if self._recorder else [])]:
            if sink.view and view is None:
                view = Frame(self._for_eyes(frame.pixels, pixels), frame.time_s, frame.index)
            try:
                sink.write(view if sink.view and view is not None else out)
            except FrameError as error:
                self._drop(sink, error)

    def _for_eyes(self, before: Pixels, after: Pixels) -> Pixels:
        shown = split(before, after) if self.controls.split else after
        if self.controls.figures:
            lines = [self.describe()] + (["recording"] if self._recorder else [])
            shown = draw_lines(shown, lines)
        return shown

    def _start_recording(self) -> None:
        assert self._make_recorder is not None
        try:
            self._recorder = self._make_recorder()
        except FrameError as error:
            self.controls.record = False
            self._tell(f"no recording: {error}")

    def _drop(self, sink: Sink, error: FrameError) -> None:
        self.failed = True
        self._tell(f"{sink.name} stopped: {error}")
        if sink is self._recorder:
            self._recorder, self.controls.record = None, False
        else:
            self.sinks.remove(sink)
        self._close(sink)

    def _close(self, sink: Sink) -> None:
        try:
            sink.close()
        except FrameError as error:
            self.failed = True
            self._tell(f"{sink.name}: {error}")

    def _press_keys(self) -> None:
        for sink in self.sinks:
            for key in sink.pressed():
                self.controls.press(key)

    def _count(self, frame: Frame, started: float, ended: float) -> None:
        figures = self.figures
        figures.shown += 1
        figures.over_budget += ended - started > self._settings.budget_s
        figures.times.append(ended - started)
        figures.ends.append(ended)
        if self._settings.live:
            figures.ages.append(ended - frame.time_s)
