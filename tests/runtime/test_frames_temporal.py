"""The smoothed scene code and the cut detector: closed forms."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pellucid.scene import SCENE_SIZE, measure_scene, measure_texture
from pellucid.temporal import SceneSmoother


def grey(level: int, shape: tuple[int, int] = (48, 64)) -> NDArray[np.uint8]:
    return np.full((*shape, 3), level, np.uint8)


def texture(seed: int, shape: tuple[int, int] = (48, 64)) -> NDArray[np.uint8]:
    """Large blobs: a layout of its own for each seed."""
    blobs = np.random.default_rng(seed).integers(20, 200, (6, 8, 3), dtype=np.uint8)
    return np.asarray(np.kron(blobs, np.ones((8, 8, 1), np.uint8))[: shape[0], : shape[1]])


def test_eight_bits_and_float_measure_the_same_scene() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    as_float = measure_scene(picture.astype(np.float32) / 255.0)
    np.testing.assert_allclose(measure_scene(picture), as_float, atol=1e-6)
    assert measure_scene(picture).shape == (SCENE_SIZE,)


def test_a_step_of_light_arrives_as_one_minus_exp() -> None:
    dark, bright = measure_scene(grey(51)), measure_scene(grey(102))
    smoother = SceneSmoother(time_constant_s=0.5)
    np.testing.assert_array_equal(smoother.update(grey(51), 10.0), dark)
    for k in range(1, 31):
        scene = smoother.update(grey(102), 10.0 + k / 30)
        expected = bright + (dark - bright) * math.exp(-k / 30 / 0.5)
        np.testing.assert_allclose(scene, expected, atol=1e-5)
        assert not smoother.started_anew


@given(st.lists(st.floats(0.001, 0.2), min_size=2, max_size=30))
@settings(max_examples=30, deadline=None)
def test_after_a_step_only_the_time_passed_counts_not_the_frames(gaps: list[float]) -> None:
    many, few = SceneSmoother(0.3), SceneSmoother(0.3)
    for smoother in (many, few):
        smoother.update(grey(51), 0.0)
    now = 0.0
    for gap in gaps:
        now += gap
        scene = many.update(grey(102), now)
    np.testing.assert_allclose(scene, few.update(grey(102), now), atol=1e-5)


def test_trembling_light_is_damped() -> None:
    smoother = SceneSmoother(1.0)
    rng = np.random.default_rng(3)
    levels = rng.integers(40, 61, 300)
    scenes = np.array([smoother.update(grey(int(v)), k / 30) for k, v in enumerate(levels)])
    raw = np.array([measure_scene(grey(int(v))) for v in levels])
    assert scenes[60:].std(axis=0).max() < 0.2 * raw[60:].std(axis=0).max()


def test_a_cut_a_new_size_and_a_jump_back_start_anew() -> None:
    smoother = SceneSmoother(10.0)
    smoother.update(texture(1), 0.0)
    assert smoother.started_anew
    smoother.update(texture(1), 0.1)
    assert not smoother.started_anew
    for pixels, time_s in [
        (texture(2), 0.2),  # a cut
        (texture(2, (40, 64)), 0.3),  # another size
        (texture(2, (40, 64)), 0.1),  # back in time
    ]:
        np.testing.assert_array_equal(smoother.update(pixels, time_s), measure_scene(pixels))
        assert smoother.started_anew
    smoother.reset()
    smoother.update(texture(2, (40, 64)), 0.2)
    assert smoother.started_anew


def test_the_same_frame_twice_changes_nothing() -> None:
    smoother = SceneSmoother(1.0)
    smoother.update(grey(51), 0.0)
    scene = smoother.update(grey(102), 0.5)
    np.testing.assert_array_equal(smoother.update(grey(200), 0.5), scene)


def test_no_time_constant_is_no_smoothing() -> None:
    smoother = SceneSmoother(0.0)
    smoother.update(grey(51), 0.0)
    np.testing.assert_array_equal(smoother.update(grey(102), 0.1), measure_scene(grey(102)))


def test_parts_of_the_texture_are_the_whole_sample() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (256, 64, 3)) * np.linspace(0.1, 1.0, 256)[:, None, None]
    rough = noise.astype(np.uint8)
    parts = [measure_texture(rough, part, 4) for part in range(4)]
    np.testing.assert_allclose(np.mean(parts, axis=0), measure_texture(rough), atol=1e-6)
    assert np.abs(parts[0] - parts[3]).max() > 1e-3
    assert measure_texture(rough[:16], 3, 4).shape == parts[0].shape  # less than a band for each


def test_texture_arrives_within_eight_frames() -> None:
    noise = np.random.default_rng(0).integers(0, 50, (32, 64, 3), dtype=np.uint8)
    rough = texture(1, (32, 64)) + noise
    soft: Any = rough // 2 + 40
    smoother = SceneSmoother(1e-9)
    smoother.update(rough, 0.0)
    for k in range(1, 9):
        scene = smoother.update(soft, float(k))
        assert not smoother.started_anew
        assert np.allclose(scene, measure_scene(soft), atol=1e-5) == (k == 8)


@pytest.mark.parametrize("bad", [-1.0, math.nan])
def test_a_negative_time_constant_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        SceneSmoother(bad)


def is_cut(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> bool:
    """Whether the smoother takes two frames for different shots."""
    smoother = SceneSmoother()
    smoother.update(before, 0.0)
    smoother.update(after, 0.1)
    return smoother.started_anew


@given(st.integers(0, 99), st.floats(0.05, 1.0), st.floats(0.5, 2.0))
@settings(max_examples=40, deadline=None)
def test_light_is_no_cut(seed: int, gain: float, gamma: float) -> None:
    picture = texture(seed)
    changed = (255.0 * gain * (picture / 255.0) ** gamma).astype(np.uint8)
    if changed.std() > 1.0:
        assert not is_cut(picture, changed)


def test_noise_is_no_cut_and_another_layout_is() -> None:
    noise = np.random.default_rng(0).normal(0.0, 25.0, (48, 64, 3))
    noisy: Any = np.clip(texture(1) + noise, 0, 255).astype(np.uint8)
    assert not is_cut(texture(1), noisy)
    assert all(is_cut(texture(a), texture(b)) for a in range(5) for b in range(5) if a != b)
    assert is_cut(texture(1), texture(1)[:40])


def test_black_is_a_shot_of_its_own() -> None:
    assert not is_cut(grey(0), grey(0))
    assert not is_cut(grey(0), grey(40))  # nothing to compare in either
    assert is_cut(grey(0), texture(1)) and is_cut(texture(1), grey(0))
