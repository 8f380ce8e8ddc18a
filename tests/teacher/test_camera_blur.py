"""Blur as cameras make it: closed forms of motion, light, mosaic and noise."""

import numpy as np
import pytest

from pellucid_teacher.data import camera, shake
from pellucid_teacher.data.camera import Camera, CameraRecipe, demosaic, mosaic, photographed
from pellucid_teacher.data.light import shot_read_noise, to_linear


def dots(side: int = 96, every: int = 16) -> np.ndarray:
    image = np.zeros((side, side, 3), np.float32)
    image[every // 2 :: every, every // 2 :: every] = 1.0
    return image


def texture(height: int = 80, width: int = 120, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.random((height // 4, width // 4, 3), dtype=np.float32)
    return np.repeat(np.repeat(coarse, 4, axis=0), 4, axis=1)


def spread(image: np.ndarray, at: tuple[int, int], reach: int = 8) -> float:
    """Root mean square distance of the light around a dot, px."""
    y, x = at
    patch = image[y - reach : y + reach, x - reach : x + reach, 0]
    rows, cols = np.mgrid[-reach:reach, -reach:reach]
    centre = [float((patch * a).sum() / patch.sum()) for a in (rows, cols)]
    r2 = (rows - centre[0]) ** 2 + (cols - centre[1]) ** 2
    return float(np.sqrt((patch * r2).sum() / patch.sum()))


def test_no_motion_is_the_picture_itself() -> None:
    poses = shake.homographies(np.zeros((5, 6)), 100.0, 120, 80)
    assert np.allclose(poses, np.eye(3))
    image = texture()
    assert np.allclose(shake.exposed(image, poses), image, atol=1e-6)


def test_a_turn_about_y_moves_the_centre_by_the_focal_length() -> None:
    path = np.zeros((3, 6))
    path[2, 1] = 0.02  # radians
    moved = shake.homographies(path, 200.0, 101, 101)[2] @ np.array([50.0, 50.0, 1.0])
    assert abs(moved[0] / moved[2] - 50.0) == pytest.approx(200.0 * np.tan(0.02), rel=1e-6)
    assert moved[1] / moved[2] == pytest.approx(50.0)


def test_a_roll_blurs_corners_and_not_the_centre() -> None:
    path = np.zeros((15, 6))
    path[:, 2] = np.linspace(-0.05, 0.05, 15)
    out = shake.exposed(dots(), shake.homographies(path, 96.0, 96, 96))
    assert spread(out, (40, 40)) < 1.0 < spread(out, (8, 8))


@pytest.mark.parametrize("seed", range(8))
def test_a_hand_starts_its_count_in_the_middle(seed: int) -> None:
    path = shake.hand_path(np.random.default_rng(seed), 17)
    assert np.allclose(path[8], 0.0) and np.abs(path[:, :2]).max() == pytest.approx(1.0)


@pytest.mark.parametrize("layers", [0.0, 1.0])
def test_shaking_keeps_the_mean_light_and_loses_detail(layers: float) -> None:
    linear = to_linear(texture())
    recipe = shake.ShakeRecipe(extent=(60.0, 60.0), layers=layers)
    out = shake.shaken(linear, np.random.default_rng(1), recipe)
    assert out.shape == linear.shape and out.dtype == np.float32
    assert out.mean() == pytest.approx(linear.mean(), rel=0.05)
    assert out.std() < 0.9 * linear.std()


@pytest.mark.parametrize("place", list(camera.PATTERNS))
def test_flat_colours_survive_the_mosaic(place: tuple[int, int]) -> None:
    flat = np.broadcast_to(np.array([0.7, 0.2, 0.4], np.float32), (12, 14, 3)).copy()
    assert np.allclose(demosaic(mosaic(flat, place), place), flat, atol=1e-4)


def test_noise_of_a_flat_field_has_the_sensors_variance() -> None:
    sensor = Camera(1.0, 1.0, shot=1e-3, read=2e-3, contrast=0.0, place=(0, 0))
    flat = np.full((200, 200, 3), 0.3, np.float32)
    raw_green = camera.mosaic(shot_read_noise(flat, np.random.default_rng(0), 1e-3, 2e-3), (0, 0))
    assert raw_green.std() == pytest.approx(np.sqrt(1e-3 * 0.3 + 4e-6), rel=0.03)
    out = sensor.expose(flat, np.random.default_rng(0))
    assert 0.3 * raw_green.std() < out.std() < raw_green.std()  # demosaicing averages


def test_saturated_places_have_no_noise() -> None:
    sensor = Camera(2.0, 1.7, shot=1e-2, read=1e-2, contrast=0.0, place=(1, 0))
    out = sensor.expose(np.full((40, 40, 3), 1.5, np.float32), np.random.default_rng(0))
    assert np.allclose(out, 1.0, atol=1e-3)


def test_lamps_stay_lines_of_light() -> None:
    sharp = np.zeros((41, 41, 3), np.float32)
    sharp[20, 20] = 1.0
    recipe = CameraRecipe(exposure=(2.5, 2.5), saturates=1.0)
    lit = camera.saturated(sharp, sharp, np.random.default_rng(0), recipe)
    assert lit[20, 20, 0] == pytest.approx(2.5) and lit.sum() == pytest.approx(7.5)


def test_curves_keep_black_white_and_order() -> None:
    ramp = np.linspace(0.0, 1.0, 101, dtype=np.float32)[:, None, None] * np.ones(
        (1, 1, 3), np.float32
    )
    for contrast in CameraRecipe().contrast:
        out = Camera(2.0, 1.7, 0.0, 0.0, contrast, (0, 0)).develop(ramp)
        assert out[0, 0, 0] == 0.0 and out[-1, 0, 0] == pytest.approx(1.0)
        assert (np.diff(out[:, 0, 0]) > 0).all()


def test_both_pictures_are_8_bit_and_of_one_camera() -> None:
    linear = to_linear(texture())
    quiet = CameraRecipe(shot=(1e-9, 1e-9), read=(1e-7, 1e-7), file=0.0)
    degraded, clean = photographed(linear, linear, np.random.default_rng(3), quiet)
    for picture in (degraded, clean):
        assert np.allclose(picture * 255.0, np.round(picture * 255.0), atol=1e-4)
    assert np.median(np.abs(degraded - clean)) < 2.5 / 255.0  # but for the mosaic at edges
