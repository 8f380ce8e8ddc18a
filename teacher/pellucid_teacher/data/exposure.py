"""Real motion blur: consecutive sharp frames, interpolated and averaged in linear light.

A long exposure sums the light of all moments within it. Frames of a camera are too far apart for a
plain mean (it would be a row of ghosts), so moments between two frames are warped from both along
their optical flow (as Nah et al., CVPR 2017, sum frames of a 240 Hz camera).
"""

from pathlib import Path

import cv2
import numpy as np

from .light import Image, to_linear, to_srgb

MOMENTS = 8  # a frame interval

Frames = list[np.ndarray]


def long_exposure(frames: Frames) -> Image:
    """What a shutter open from the first to the last of `frames` sees, (H, W, 3) in [0, 1].

    frames: at least 2 consecutive ones, (H, W, 3) RGB uint8.
    """
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    light = [to_linear(frame.astype(np.float32) / 255.0) for frame in frames]
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    height, width = grey[0].shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    total = np.zeros_like(light[0])
    for n in range(len(frames) - 1):
        there = flow.calc(grey[n], grey[n + 1], None)  # type: ignore[call-overload]
        back = flow.calc(grey[n + 1], grey[n], None)  # type: ignore[call-overload]
        for moment in range(MOMENTS):
            t = moment / MOMENTS
            # Backward warping with the flow taken where the pixel arrives: small motions allow it.
            early = _warp(light[n], x - t * there[..., 0], y - t * there[..., 1])
            late = _warp(light[n + 1], x - (1 - t) * back[..., 0], y - (1 - t) * back[..., 1])
            total += (1.0 - t) * early + t * late
    return to_srgb(total / np.float32(MOMENTS * (len(frames) - 1)))


def _warp(picture: Image, x: Image, y: Image) -> Image:
    warped = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.float32)


def windows(root: Path) -> list[list[Path]]:
    """The windows of consecutive frames below `root`: folders that hold nothing but pictures."""
    folders = sorted(d for d in root.rglob("*") if d.is_dir())
    found = [sorted(p for p in d.iterdir() if p.is_file()) for d in folders]
    return [files for files in found if len(files) >= 5]
