"""Camera shake as averaged homographies: blur that differs from place to place.

A hand turns the camera about three axes and moves it along three while the shutter is open. Each of
N moments shows the scene through a homography; light adds up, so the moments are averaged in linear
light (Whyte et al., CVPR 2010; Hirsch et al., ICCV 2011):

    H(t) = K·(R(t) + T(t)·[0 0 1] / d)·K⁻¹ ,   blurred = (1/N)·Σ_t clean(H(t)·p)

The middle moment is the identity, so `clean` is what a short exposure in the middle would show.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from .light import Image, smooth_field

Poses = NDArray[np.float64]  # (N, 6): turns about x, y, z in radians, moves along x, y, z in d


@dataclass(frozen=True)
class ShakeRecipe:
    """extent: longest path of the picture's centre, px at a 640-px width, inclusive range.
    roll: standard deviation of the turn about the line of sight, in units of the extent.
    moments: averaged pictures for one pixel of path, so that no steps are seen. most: of them.
    layers: chance of a second layer that moves on its own. focal: range, in picture widths."""

    extent: tuple[float, float] = (2.0, 40.0)
    roll: float = 0.5
    moments: float = 1.0
    most: int = 33
    layers: float = 0.3
    focal: tuple[float, float] = (0.7, 2.0)


def hand_path(rng: Generator, moments: int) -> Poses:
    """A smooth random walk of all six coordinates, middle at 0, largest turn about x or y is 1."""
    jerk = rng.standard_normal((moments, 6)) * float(rng.uniform(0.05, 0.5))
    speed = rng.standard_normal(6) + np.cumsum(jerk, axis=0)
    path = np.cumsum(speed, axis=0)
    path -= path[moments // 2]
    path[:, 3:] *= 0.3  # hands turn a camera more than they move it
    return np.asarray(path / max(float(np.abs(path[:, :2]).max()), 1e-9))


def homographies(path: Poses, focal: float, width: int, height: int) -> NDArray[np.float64]:
    """(N, 3, 3) from pixels of the middle moment to those of each; focal in pixels."""
    camera = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
    inverse = np.linalg.inv(camera)
    out = np.empty((len(path), 3, 3))
    for n, (turn, move) in enumerate(zip(path[:, :3], path[:, 3:], strict=True)):
        rotation, _ = cv2.Rodrigues(turn)
        rotation[:, 2] += move  # the scene's plane lies at distance 1 along the line of sight
        out[n] = camera @ rotation @ inverse
    return out


def exposed(linear: Image, poses: NDArray[np.float64]) -> Image:
    """Mean of `linear` (H, W, 3) seen through every homography; borders are mirrored."""
    height, width = linear.shape[:2]
    total = np.zeros_like(linear)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for pose in poses:
        total += cv2.warpPerspective(
            linear, pose, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101
        )
    return np.asarray(total / len(poses), dtype=np.float32)


def draw_poses(rng: Generator, width: int, height: int, recipe: ShakeRecipe) -> NDArray[np.float64]:
    """Homographies of one exposure of a picture of this size."""
    # Short paths are as frequent as long ones on a logarithmic scale.
    extent = float(np.exp(rng.uniform(*np.log(recipe.extent)))) * width / 640.0
    moments = int(np.clip(round(recipe.moments * extent), 5, recipe.most)) | 1
    focal = float(rng.uniform(*recipe.focal)) * width
    path = hand_path(rng, moments) * (extent / focal)
    path[:, 2] *= recipe.roll * focal / width
    return homographies(path, focal, width, height)


def shaken(linear: Image, rng: Generator, recipe: ShakeRecipe | None = None) -> Image:
    """`linear` (H, W, 3), linear light, as a shaken camera exposes it, now and then with a second
    layer (a soft region) that moves on its own, as people and cars do."""
    recipe = recipe or ShakeRecipe()
    height, width = linear.shape[:2]
    blurred = exposed(linear, draw_poses(rng, width, height, recipe))
    if rng.random() < recipe.layers:
        field = smooth_field(rng, height, width, int(rng.integers(2, 5)))[..., None]
        cover = np.clip((field - 0.55) * 12.0 + 0.5, 0.0, 1.0)
        poses = draw_poses(rng, width, height, recipe)
        # Cover and light move together: what the layer leaves free shows the rest of the scene.
        light = exposed(np.concatenate([linear * cover, cover], axis=2), poses)
        blurred = light[..., :3] + (1.0 - light[..., 3:]) * blurred
    return np.clip(blurred, 0.0, None)
