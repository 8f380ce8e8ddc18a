"""Decode times of reordered frames, and the flicker measure, against closed forms."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pellucid.video.assemble import decode_times
from pellucid.video.flicker import flicker, motion


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=5), min_size=1, max_size=8))
def test_decode_times_rise_and_never_pass_their_frame(groups: list[list[int]]) -> None:
    """Groups of frames, each coded last-first, as B pyramids are."""
    now, coded = 0, []
    for gaps in groups:
        shown = [now + int(t) for t in np.cumsum(gaps)]
        now = shown[-1]
        coded += [shown[-1], *shown[:-1]]
    times = decode_times(coded)
    assert all(b > a for a, b in zip(times, times[1:], strict=False))
    assert all(dts <= pts for dts, pts in zip(times, coded, strict=True))
    if sorted(coded) == coded:
        assert times == coded  # no reordering: no delay


def test_decode_times_of_a_known_sequence() -> None:
    """I P B P B of 10 each: a delay of one frame."""
    assert decode_times([0, 20, 10, 40, 30]) == [-10, 0, 10, 20, 30]
    assert decode_times([7]) == [7]


def moving(count: int, size: int = 96) -> list[NDArray[np.uint8]]:
    """A textured plane that moves by (2, 1) px a frame."""
    rng = np.random.default_rng(1)
    plane = cv2.GaussianBlur(rng.uniform(0, 255, (size + 40, size + 40, 3)), (0, 0), 3)
    plane = np.clip((plane - plane.mean()) * 6 + 128, 0, 255).astype(np.uint8)
    return [plane[k : k + size, 2 * k : 2 * k + size].copy() for k in range(count)]


def test_motion_is_found_and_what_left_the_frame_is_left_out() -> None:
    flow, seen = motion(*moving(2))
    inner = flow[16:-16, 16:-16]
    assert np.abs(np.median(inner, (0, 1)) - (2, 1)).max() < 0.1
    assert seen[16:-16, 16:-16].mean() > 0.95
    assert not seen[:, -2:].any()  # came in from the right


def test_flicker_of_motion_is_small_and_of_light_is_its_step() -> None:
    clean = moving(4)
    still = flicker(clean, clean)
    assert still < 1.5
    darker = [(frame * 0.5).astype(np.uint8) for frame in clean]
    assert flicker(darker, clean) < still
    blinking = [np.full_like(f, 100 + 8 * (k % 2)) for k, f in enumerate(clean)]
    assert flicker(blinking, clean) == pytest.approx(8.0)
    assert flicker([np.full_like(f, 90) for f in clean], clean) == 0.0


def test_flicker_refuses_what_does_not_match() -> None:
    clean = moving(3)
    with pytest.raises(ValueError, match="at least 2"):
        flicker(clean[:1], clean[:1])
    with pytest.raises(ValueError, match="frame 1"):
        flicker([clean[0], clean[1][:50], clean[2]], clean)
