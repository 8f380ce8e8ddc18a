"""Fakes of everything around the live loop: clock, camera, network, sink."""

from collections.abc import Callable, Iterator

import numpy as np

from pellucid.frames import Frame, FrameError, LiveLoop, Restored, Rung, Settings, ladder
from pellucid.frames.frame import Picture, Pixels
from pellucid.steps import Scene


class FakeClock:
    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class FakeSource:
    """Gives the pictures of a list; an exception in the list is raised, then it goes on."""

    name = "fake"

    def __init__(self, items: list[Pixels | Exception], patience_s: float | None = None) -> None:
        self.items, self.patience_s, self.live = items, patience_s, True
        self.picture = Picture()
        self.index, self.closed = 0, 0

    def read(self) -> Frame | None:
        if self.index >= len(self.items):
            return None
        item = self.items[self.index]
        self.index += 1
        if isinstance(item, Exception):
            raise item
        return Frame(item, self.index / 30, self.index - 1)

    def close(self) -> None:
        self.closed += 1


class FakeSink:
    """Remembers the last frames; breaks at frame `breaks_at`."""

    def __init__(self, breaks_at: int = -1, view: bool = False) -> None:
        self.name, self.view, self.breaks_at = "fake sink", view, breaks_at
        self.count, self.closed = 0, 0
        self.last: Frame | None = None
        self.typed = ""

    def write(self, frame: Frame) -> None:
        if self.count == self.breaks_at:
            raise FrameError("the disk is full")
        self.count, self.last = self.count + 1, frame

    def pressed(self) -> str:
        typed, self.typed = self.typed, ""
        return typed

    def close(self) -> None:
        self.closed += 1


class FakeNetwork:
    """Inverts the picture; a pass of cost 1 takes full_s of the clock."""

    def __init__(self, clock: FakeClock, full_s: float = 0.0) -> None:
        self.clock, self.full_s = clock, full_s
        self.scenes: list[Scene] = []
        self.expected: set[tuple[tuple[int, int], Rung]] = set()

    def __call__(self, pixels: Pixels, scene: Scene, rung: Rung, anew: bool) -> Restored:
        self.scenes = [*self.scenes[-19:], scene]
        self.clock.sleep(self.full_s * rung.cost)
        return Restored(np.asarray(255 - pixels, np.uint8), self.full_s * rung.cost)

    def expect(self, size: tuple[int, int], rung: Rung) -> None:
        self.expected.add((size, rung))


def camera(clock: FakeClock, count: int, picture: Callable[[int], Pixels]) -> Iterator[Frame]:
    """The newest frame at every moment of a 30 fps camera: what NewestFrames gives, without
    threads. Who is slow finds that frames have passed."""
    start, taken = clock.now(), -1
    while True:
        newest = int((clock.now() - start) * 30 + 1e-6)
        if newest <= taken:
            newest = taken + 1
            clock.time = start + newest / 30
        if newest >= count:
            return
        taken = newest
        yield Frame(picture(newest), start + newest / 30, newest)


def grey(level: int, height: int = 48, width: int = 64) -> Pixels:
    return np.full((height, width, 3), level, np.uint8)


def make_loop(
    clock: FakeClock,
    sinks: list[FakeSink],
    full_s: float = 0.0,
    rungs: tuple[Rung, ...] = (),
) -> tuple[LiveLoop, FakeNetwork, list[str]]:
    network, told = FakeNetwork(clock, full_s), list[str]()
    settings = Settings(0.033, lambda w, h: rungs or ladder(w, h, steps=3))
    return LiveLoop(network, [*sinks], settings, clock, told.append), network, told
