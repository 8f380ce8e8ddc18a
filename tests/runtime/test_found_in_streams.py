"""Videos and live streams: amounts are steady, good shots are left alone, choices are kept."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frames_fakes import FakeClock, FakeNetwork, FakeSink

from pellucid import PellucidError, Restorer
from pellucid.degradations import FOUND, Found, SteadyChoice, read_choice
from pellucid.engine_choice import open_engine
from pellucid.frames import Frame, LiveLoop, Settings, ladder
from pellucid.frames.frame import Pixels
from pellucid.frames.network import open_pass
from pellucid.guards import guard_frame, hold_highlights
from pellucid.scene import SCENE_SIZE, measure_scene
from pellucid.temporal import SceneSmoother
from pellucid.video import SteadyRestorer


def frame(red: int, green: int = 40, blue: int = 120) -> Pixels:
    """(32, 48, 3) with these means, and rows of two levels more and less."""
    pixels = np.broadcast_to(np.array((red, green, blue), np.uint8), (32, 48, 3)).copy()
    pixels[::2] += 2
    pixels[1::2] -= 2
    return pixels


class Reads:
    """An estimator that reads the amounts of rain and lowlight off the frame's mean colour."""

    names = ("rain", "lowlight")

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def amounts(self, pixels: Any) -> Any:
        self.seen.append(pixels.shape)
        return (pixels[..., :2].mean(axis=(0, 1)) / 255.0).astype(np.float32)


def test_amounts_are_measured_twice_a_second_and_smoothed() -> None:
    estimator: Any = Reads()
    smoother = SceneSmoother(1.0, estimator)
    first = smoother.update(frame(200), 0.0)
    assert first.shape == (SCENE_SIZE + 2,) and first[-2] == pytest.approx(200 / 255)
    assert np.array_equal(first[:-2], measure_scene(frame(200)))
    scenes = [smoother.update(frame(150), k / 10) for k in range(1, 6)]
    assert len(estimator.seen) == 2 and scenes[3][-2] == first[-2]
    expected = 150 + (200 - 150) * math.exp(-0.5)
    assert scenes[4][-2] * 255 == pytest.approx(expected, abs=1e-3)


def test_black_bars_do_not_count_in_streams() -> None:
    estimator: Any = Reads()
    boxed = np.pad(frame(200), ((6, 6), (0, 0), (0, 0)))
    scene = SceneSmoother(1.0, estimator).update(boxed, 0.0)
    assert estimator.seen == [(32, 48, 3)]
    assert np.array_equal(scene, SceneSmoother(1.0, estimator).update(frame(200), 0.0))


def test_what_is_restored_goes_on_until_half_is_left() -> None:
    steady = SteadyChoice()

    def acts(amount: float, anew: bool = False) -> bool:
        found = Found({"rain": amount})
        return steady.update(found, anew).acts_on(found)

    assert not acts(0.9 * FOUND) and acts(1.1 * FOUND) and acts(0.6 * FOUND)
    assert not acts(0.4 * FOUND) and not acts(0.9 * FOUND) and acts(FOUND)
    assert not acts(0.6 * FOUND, anew=True)


def video(estimator_file: Path, **chosen: Any) -> SteadyRestorer:
    return SteadyRestorer(Restorer(estimator_file, threads=1), choice=read_choice(**chosen))


def test_a_good_shot_is_left_and_a_bad_one_restored(estimator_file: Path) -> None:
    steady = video(estimator_file)
    for k, red in enumerate((40, 40, 200, 200)):  # two shots of other brightness, one layout
        pixels = frame(red, blue=red)
        steady.restore(pixels, k * 10.0)
        assert np.array_equal(pixels, frame(red, blue=red)) == (red == 40)
    assert (steady.summary.frames, steady.summary.left) == (4, 2)
    assert steady.summary.amounts["rain"] == pytest.approx(120 / 255, abs=1e-3)


def test_frames_before_the_shown_part_do_not_count(estimator_file: Path) -> None:
    restorer = Restorer(estimator_file, threads=1)
    steady = SteadyRestorer(restorer, frames=restorer)
    steady.observe(frame(40), 0.0, ahead_s=4.0)
    steady.observe(frame(40), 3.9, ahead_s=0.1)
    assert steady.summary.frames == 0
    steady.restore(frame(40), 4.0)
    assert steady.summary.frames == 1


def test_videos_are_restored_as_chosen(estimator_file: Path) -> None:
    pixels = frame(200)
    video(estimator_file, ignore="rain").restore(pixels, 0.0)
    assert np.array_equal(pixels, frame(200))
    video(estimator_file, fix="rain=1").restore(pixels, 0.0)
    difference = np.unique(pixels.astype(int) - frame(200))
    assert difference.max() == 51  # 0.2 of 255; red is held below white
    with pytest.raises(PellucidError, match="does not know haze"):
        video(estimator_file, fix="haze")


def test_live_says_what_it_found_and_leaves_good_frames(estimator_file: Path) -> None:
    estimator = open_engine(estimator_file, 1).estimator
    assert estimator is not None
    clock, sink = FakeClock(), FakeSink()
    settings = Settings(0.033, lambda w, h: ladder(w, h), estimator=estimator)
    network = FakeNetwork(clock)
    loop = LiveLoop(network, [sink], settings, clock, lambda line: None)

    def shown(pixels: Pixels) -> Pixels:
        loop.step(Frame(pixels, clock.now(), 0))
        assert sink.last is not None
        return sink.last.pixels

    assert np.array_equal(shown(frame(40, blue=41)), frame(40, blue=41))
    assert "nothing found, left as it is" in loop.describe()
    clock.time += 10.0
    assert not np.array_equal(shown(frame(200, blue=201)), frame(200, blue=201))
    assert "rain 0.8" in loop.describe() and "left" not in loop.describe()
    assert network.scenes[-1].shape == (SCENE_SIZE + 2,)

    ignoring = replace(settings, choice=read_choice(ignore="rain"))
    loop = LiveLoop(network, [sink], ignoring, clock, lambda line: None)
    assert np.array_equal(shown(frame(200)), frame(200))
    fixing = replace(settings, choice=read_choice("lowlight=0.5"))
    loop = LiveLoop(network, [sink], fixing, clock, lambda line: None)
    shown(frame(200))
    assert network.scenes[-1][-2:].tolist() == [0.0, 0.5]


def test_later_steps_of_live_frames_are_told_the_choice(estimator_file: Path) -> None:
    """Told rain = 0.5, each call adds 0.1 of white: 25 or 26 levels, on every state it sees."""
    choice = read_choice("rain=0.5")
    stepped = open_pass(str(estimator_file), 3, 1, choice=choice)
    pixels = frame(100)
    scene = choice.tell(np.zeros(SCENE_SIZE + 2, np.float32), ("rain", "lowlight"))
    gain = stepped.run_frame(pixels, scene).astype(int) - pixels
    by_photo = (
        Restorer(estimator_file, steps=3, threads=1)(pixels, fix="rain=0.5").astype(int) - pixels
    )
    assert np.abs(gain - by_photo).max() <= 1 and gain.min() > 15


def test_frames_have_the_guards_of_photos() -> None:
    rng = np.random.default_rng(0)
    given, restored = rng.integers(0, 256, (2, 40, 50, 3), dtype=np.uint8)
    unit = [x.transpose(2, 0, 1) / np.float32(255.0) for x in (given, restored)]
    held = guard_frame(given, restored, hold=True)
    exact = hold_highlights(*unit).transpose(1, 2, 0) * 255.0
    assert (np.abs(held - exact) < 1.0).all() and (held[given < 255] < 255).all()
    assert np.array_equal(guard_frame(given, restored, hold=False), restored)
    grey = np.repeat(given[..., :1], 3, axis=2)
    shown = guard_frame(grey, restored, hold=False)
    assert np.array_equal(shown, np.repeat(shown[..., :1], 3, axis=2))
    assert np.abs(shown[..., 0] - restored.mean(axis=2)).max() <= 1.0
