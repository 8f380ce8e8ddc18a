"""Clips: motion that is there, degradations that stay or change as they should."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pellucid.motion import carry
from pellucid_teacher.data.clips import Clips
from pellucid_teacher.data.corpus import Corpus
from pellucid_teacher.data.stream import Shard, batches
from pellucid_teacher.data.synthesis import TASKS, Synthesis


@pytest.fixture(scope="module")
def clips() -> Clips:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (2, 12, 14, 3)).astype(np.uint8)
    photos = [np.kron(picture, np.ones((16, 16, 1), np.uint8)) for picture in coarse]
    return Clips(Synthesis(Corpus(photos), 64, samples_per_task=1), frames=3)


def spread(values: NDArray[np.float32]) -> float:
    return float(values.max() - values.min())


@pytest.mark.parametrize("task", TASKS)
def test_every_task_makes_clips_of_its_shape(clips: Clips, task: str) -> None:
    clip = clips.draw(task, np.random.default_rng(3))
    assert clip.degraded.shape == clip.clean.shape == (3, 64, 64, 3)
    assert clip.flow.shape == (2, 64, 64, 2)
    assert clip.degraded.dtype == clip.clean.dtype == clip.flow.dtype == np.float32
    assert clip.clean.min() >= 0.0 and clip.clean.max() <= 1.0
    assert np.array_equal(clip.degraded, clip.clean) == (task == "clean")


def test_a_sample_can_be_made_again(clips: Clips) -> None:
    first, again = clips.pictures(1, 5), clips.pictures(1, 5)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], clips.pictures(2, 5)[0])


def test_the_flow_leads_back_to_the_frame_before(clips: Clips) -> None:
    gains = []
    for seed in range(30):
        clip = clips.draw("clean", np.random.default_rng(seed))
        before, now = clip.clean[0], clip.clean[1]
        still = np.abs(before - now).mean()
        if still > 0.02:  # something moved
            gains.append(np.abs(carry(before, clip.flow[0]) - now).mean() / still)
    assert len(gains) > 5 and np.median(gains) < 0.7


def test_what_belongs_to_the_scene_stays_and_what_falls_does_not(clips: Clips) -> None:
    flat = np.full((3, 64, 64, 3), 0.5, np.float32)
    rng = np.random.default_rng
    hazy = clips._degrade("haze", flat, rng(1))
    assert np.array_equal(hazy[0], hazy[1])
    for task in ("noise", "rain"):
        falling = clips._degrade(task, flat, rng(1))
        assert not np.array_equal(falling[0], falling[1])
    dark = [clips._degrade("lowlight", flat, rng(s)).mean(axis=(1, 2, 3)) for s in range(8)]
    within, between = np.mean([spread(d) for d in dark]), spread(np.array([d[0] for d in dark]))
    assert within < 0.1 * between, "one exposure for all frames of a clip"


def test_a_loader_gives_clips(clips: Clips) -> None:
    batch = next(iter(batches(clips, 1, Shard(2), 0, 1, workers=0)))
    assert batch.degraded.shape == (2, 3, 3, 64, 64) and batch.degraded.min() >= -3.0
    assert batch.flow is not None and batch.flow.shape == (2, 2, 64, 64, 2)
    expected = clips.pictures(1, 1)[0][2].transpose(2, 0, 1) * 2 - 1
    assert np.allclose(batch.degraded[1, 2].numpy(), expected)


def test_clips_need_photos_and_two_frames() -> None:
    photo = np.zeros((170, 170, 3), np.uint8)
    with pytest.raises(ValueError, match="expected some in a folder clean/"):
        Clips(Synthesis(Corpus([], own=[(photo, photo)]), 64))
    with pytest.raises(ValueError, match="at least 2 frames"):
        Clips(Synthesis(Corpus([photo]), 64), frames=1)
