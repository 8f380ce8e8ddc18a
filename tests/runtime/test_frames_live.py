"""The live loop and its mailbox: budget, keys, and everything that goes wrong with a stream."""

import gc
import sys
import threading
import time

import numpy as np
import pytest
from frames_fakes import (
    FakeClock,
    FakeNetwork,
    FakeSink,
    FakeSource,
    camera,
    grey,
    make_loop,
)

from pellucid.frames import Frame, FrameError, Mailbox, NewestFrames, SystemClock, ladder
from pellucid.frames.frame import Pixels, fit
from pellucid.frames.overlay import draw_lines, split
from pellucid.scene import measure_scene

EMPTY = np.empty((0, 0, 3), np.uint8)


def test_mailbox_keeps_only_the_newest() -> None:
    box = Mailbox()
    for index in range(5):
        assert box.put(Frame(grey(index), 0.0, index))
    newest = box.take(0.0)
    assert newest is not None and newest.index == 4 and box.dropped == 4
    assert box.take(0.0) is None
    box.close()
    assert not box.put(Frame(grey(0), 0.0, 9)) and box.over


def test_the_last_frame_can_be_taken_after_the_end() -> None:
    box = Mailbox()
    box.put(Frame(grey(1), 0.0, 0))
    box.close()
    assert not box.over
    assert box.take(0.0) is not None and box.over


def test_every_frame_arrives_when_asked_for() -> None:
    items: list[Pixels | Exception] = [grey(k % 256) for k in range(200)]
    source = FakeSource(items)
    with NewestFrames(source, SystemClock(), every_frame=True) as frames:
        got = [frame.index for frame in frames if frame is not None]
    assert got == list(range(200)) and frames.dropped == 0 and source.closed


def test_a_slow_taker_gets_frames_in_order_and_the_count_is_right() -> None:
    source = FakeSource([grey(k % 256) for k in range(300)])
    with NewestFrames(source, SystemClock()) as frames:
        got = []
        for frame in frames:
            if frame is not None:
                got.append(frame.index)
                time.sleep(0.001)
    assert got == sorted(got) and got[-1] == 299
    assert len(got) + frames.dropped == 300


def test_empty_frames_are_counted_and_passed_over() -> None:
    items: list[Pixels | Exception] = [grey(1), EMPTY, EMPTY, grey(2)]
    with NewestFrames(FakeSource(items), SystemClock(), every_frame=True) as frames:
        got = [frame.index for frame in frames if frame is not None]
    assert got == [0, 3] and frames.empty == 2


def test_unplugging_finishes_what_was_taken_and_is_told() -> None:
    items: list[Pixels | Exception] = [grey(1), grey(2), FrameError("was it unplugged?")]
    source, sink, clock = FakeSource(items), FakeSink(), FakeClock()
    loop, _, _ = make_loop(clock, [sink])
    frames = NewestFrames(source, clock, every_frame=True)
    with pytest.raises(FrameError, match="unplugged"), frames:
        loop.run(frames)
    assert sink.count == 2 and sink.closed == 1 and source.closed


class Hanging(FakeSource):
    """Gives one frame, then hangs in its driver until closed."""

    def __init__(self) -> None:
        super().__init__([grey(1)], patience_s=0.05)
        self.freed = threading.Event()

    def read(self) -> Frame | None:
        if self.index:
            self.freed.wait(10.0)
            return None
        return super().read()

    def close(self) -> None:
        self.freed.set()


def test_a_camera_that_hangs_is_given_up() -> None:
    frames, sink = NewestFrames(Hanging(), SystemClock()), FakeSink()
    loop, _, _ = make_loop(FakeClock(), [sink])
    with pytest.raises(FrameError, match=r"no frame for 0.05 s; is it plugged in"), frames:
        loop.run(frames)
    assert sink.count == 1 and sink.closed == 1


def test_a_full_disk_ends_one_sink_and_the_others_go_on() -> None:
    full, well, clock = FakeSink(breaks_at=3), FakeSink(), FakeClock()
    loop, _, told = make_loop(clock, [full, well])
    loop.run(camera(clock, 10, lambda k: grey(k)))
    assert full.count == 3 and well.count == 10 and loop.failed
    assert full.closed == well.closed == 1
    assert told == ["fake sink stopped: the disk is full"]


def test_the_run_ends_with_its_last_sink() -> None:
    full, clock = FakeSink(breaks_at=3), FakeClock()
    loop, _, _ = make_loop(clock, [full])
    loop.run(camera(clock, 1000, lambda k: grey(k % 256)))
    assert loop.figures.shown == 4 and loop.failed


def test_a_size_change_starts_a_new_ladder_and_scene() -> None:
    sink, clock = FakeSink(), FakeClock()
    loop, network, told = make_loop(clock, [sink])
    loop.run(camera(clock, 20, lambda k: grey(50) if k < 10 else grey(90, 96, 160)))
    assert told == ["frames are now 160x96, were 64x48"]
    assert sink.last is not None and sink.last.pixels.shape == (96, 160, 3)
    np.testing.assert_array_equal(network.scenes[-1], measure_scene(grey(90, 96, 160)))


def test_the_network_gets_the_smoothed_scene() -> None:
    clock = FakeClock()
    loop, network, _ = make_loop(clock, [FakeSink()])
    loop.run(camera(clock, 60, lambda k: grey(60 + 20 * (k % 2))))
    late = np.array(network.scenes[-20:])
    raw = np.abs(measure_scene(grey(60)) - measure_scene(grey(80))).max()
    assert np.ptp(late, axis=0).max() < 0.1 * raw


@pytest.mark.parametrize("full_s", [0.001, 0.02, 0.2, 1.0])
def test_budget_and_age_are_kept_on_a_30_fps_source(full_s: float) -> None:
    """Forty seconds of a synthetic camera, whose frames age by a controlled clock."""
    clock, sink = FakeClock(), FakeSink()
    loop, _, told = make_loop(clock, [sink], full_s, ladder(1280, 720, steps=3))
    loop.run(camera(clock, 1200, lambda k: grey(k % 256)))
    assert told == []
    assert loop.figures.over_budget <= 0.01 * loop.figures.shown
    assert loop.figures.age_p95() <= 0.033
    assert sink.count >= 1160 and loop.figures.fps == pytest.approx(30.0, abs=0.5)


def test_a_network_too_slow_at_its_cheapest_leaves_out_frames_and_says_so_once() -> None:
    clock, sink = FakeClock(), FakeSink()
    loop, _, told = make_loop(clock, [sink], full_s=0.5)
    loop.run(camera(clock, 900, lambda k: grey(k % 256)))  # 64x48 has no smaller size
    assert len(told) == 1 and "cannot be kept" in told[0] and "500 ms" in told[0]
    assert loop.figures.age_p95() <= 0.5 + 1 / 30 + 1e-6  # late by one pass, never by a queue


@pytest.mark.slow
def test_half_an_hour_leaves_no_memory_and_no_thread_behind() -> None:
    """54,000 frames at 30 a second with a controlled clock, sizes and cuts and light changing."""
    clock, sink = FakeClock(), FakeSink()
    loop, network, _ = make_loop(clock, [sink], full_s=0.02)
    pictures = [grey(level, 8, 12) for level in range(0, 250, 10)]
    threads = threading.active_count()
    blocks: list[int] = []  # of memory that Python holds; every array has one at least

    def picture(index: int) -> Pixels:
        if index in (6_000, 53_999):
            gc.collect()
            blocks.append(sys.getallocatedblocks())
        return pictures[(index // 100) % len(pictures)]

    loop.run(camera(clock, 54_000, picture))
    assert sink.count > 53_900 and clock.now() == pytest.approx(1800.0, abs=1.0)
    assert blocks[1] - blocks[0] < 500
    assert threading.active_count() == threads


def test_reader_threads_end() -> None:
    before = threading.active_count()
    for _ in range(20):
        frames = NewestFrames(FakeSource([grey(1)] * 500), SystemClock())
        with frames:
            for _frame in frames:
                break
    assert threading.active_count() == before


def run_keys(keys: str, picture: Pixels) -> tuple[Pixels, FakeNetwork]:
    clock, sink, view = FakeClock(), FakeSink(), FakeSink(view=True)
    view.typed = keys
    loop, network, _ = make_loop(clock, [sink, view])
    loop.controls.figures = False
    loop.run(camera(clock, 3, lambda _: picture))
    assert view.last is not None
    return view.last.pixels, network


def test_keys() -> None:
    picture = grey(100)
    shown, _ = run_keys("", picture)
    assert (shown == 155).all()
    shown, network = run_keys(" ", picture)
    assert (shown == 100).all() and len(network.scenes) == 1
    shown, _ = run_keys("s", picture)
    assert (shown[:, :32] == 100).all() and (shown[:, 34:] == 155).all()
    shown, _ = run_keys("-----", picture)
    assert np.abs(shown.astype(int) - 128).max() <= 1
    shown, _ = run_keys("-" * 15, picture)
    assert (shown == 100).all()
    shown, _ = run_keys("--++++", picture)
    assert (shown == 155).all()


def test_q_ends_the_run_and_unknown_keys_do_nothing() -> None:
    clock, sink = FakeClock(), FakeSink()
    sink.typed = "xyq"
    loop, _, _ = make_loop(clock, [sink])
    loop.run(camera(clock, 1000, lambda k: grey(5)))
    assert loop.figures.shown == 1 and sink.closed == 1 and not loop.failed


def test_r_records_until_pressed_again() -> None:
    clock, sink, recorded = FakeClock(), FakeSink(), FakeSink()
    loop, _, told = make_loop(clock, [sink])
    loop._make_recorder = lambda: recorded

    def picture(index: int) -> Pixels:
        sink.typed = "r" if index in (4, 9) else ""
        return grey(7)

    loop.run(camera(clock, 20, picture))
    assert recorded.count == 5 and recorded.closed == 1 and told == ["recorded fake sink"]


def test_figures_are_drawn_for_eyes_only() -> None:
    clock, sink, view = FakeClock(), FakeSink(), FakeSink(view=True)
    loop, _, _ = make_loop(clock, [sink, view])
    loop.run(camera(clock, 5, lambda _: grey(100, 48, 160)))
    assert sink.last is not None and view.last is not None
    assert (sink.last.pixels == 155).all() and not (view.last.pixels == 155).all()
    assert "30.0 fps, age 0 ms" in loop.describe()


def test_drawing_changes_neither_picture_nor_size() -> None:
    picture = grey(100, 90, 160)
    for shown in (draw_lines(picture, ["figures" * 9]), split(picture, grey(9, 90, 160))):
        assert shown.shape == picture.shape and (picture == 100).all()


def test_fit_keeps_proportions_and_centres() -> None:
    out = fit(grey(100, 50, 100), 100, 100)
    assert (out[25:75] == 100).all() and (out[:25] == 0).all() and (out[75:] == 0).all()
    assert fit(out, 100, 100) is out
