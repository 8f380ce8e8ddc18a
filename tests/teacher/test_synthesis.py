"""Degradations: what each must do to a picture, and that seeds reproduce samples."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pellucid_teacher.data import blur, haze, light, lowlight, noise, rain, snow
from pellucid_teacher.data.corpus import Corpus, load_corpus
from pellucid_teacher.data.synthesis import TASKS, Synthesis, TaskMix


def ramp(size: int = 96) -> light.Image:
    x = np.linspace(0.1, 0.9, size, dtype=np.float32)
    across, down = np.meshgrid(x, x)
    return np.stack([across, down, np.full_like(across, 0.5)], axis=2)


@pytest.fixture(scope="module")
def synthesis() -> Synthesis:
    photo = (ramp(200) * 255).astype(np.uint8)
    depth = np.full((200, 200), 2.0, np.float32)
    return Synthesis(Corpus(clean=[photo], depth=[(photo, depth)]), 64)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_gives_registered_crops(synthesis: Synthesis, task: str) -> None:
    for seed in range(6):
        degraded, clean = synthesis.draw(task, np.random.default_rng(seed))
        assert degraded.shape == clean.shape == (64, 64, 3)
        assert degraded.dtype == clean.dtype == np.float32
        assert np.isfinite(degraded).all()
        assert clean.min() >= 0 and clean.max() <= 1
        assert np.array_equal(degraded, clean) == (task == "clean")


def test_sample_depends_on_seed_and_index_only(synthesis: Synthesis) -> None:
    first = synthesis.sample(1, 17)
    synthesis.sample(1, 18)
    again = synthesis.sample(1, 17)
    assert np.array_equal(first[0], again[0]) and first[2] == again[2]
    assert not np.array_equal(first[0], synthesis.sample(2, 17)[0])


def test_task_mix_sets_the_shares(synthesis: Synthesis) -> None:
    only = Synthesis(synthesis.corpus, 64, TaskMix(0, 0, 0, 0, 0, noise=1, clean=0, compound=0))
    assert {only.sample(0, i)[2] for i in range(20)} == {"noise"}
    with pytest.raises(ValueError, match="not all 0"):
        TaskMix(0, 0, 0, 0, 0, 0, 0, 0).cycle()


def test_rain_and_snow_bring_light_on_a_dark_picture() -> None:
    dark = np.full((96, 96, 3), 0.1, np.float32)
    streaks = rain.streak_bank(np.random.default_rng(0), 8)
    flakes = snow.flake_bank(np.random.default_rng(0), 8)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        assert rain.add_rain(dark, rng, streaks, []).mean() > dark.mean()
        assert snow.add_snow(dark, rng, flakes, []).mean() > dark.mean()


def test_streaks_lie_along_their_angle() -> None:
    layer = rain.draw_streaks(np.random.default_rng(0), 0.002, 40.0, 0.0, 0.8, 0.0)
    along = np.abs(np.diff(layer, axis=0)).mean()
    across = np.abs(np.diff(layer, axis=1)).mean()
    assert across > 3 * along


def test_lowlight_darkens() -> None:
    for seed in range(10):
        dark = lowlight.add_lowlight(ramp(), np.random.default_rng(seed))
        assert dark.mean() < 0.8 * ramp().mean()


def test_haze_of_constant_depth_is_koschmieders_law() -> None:
    """At constant depth every pixel moves towards the airlight by one factor t."""
    hazy = haze.add_haze(ramp(), np.random.default_rng(2), np.full((96, 96), 1.5, np.float32))
    slope = np.polyfit(ramp()[..., 0].ravel(), hazy[..., 0].ravel(), 1)
    assert 0 < slope[0] < 1
    assert np.abs(np.polyval(slope, ramp()[..., 0]) - hazy[..., 0]).max() < 0.02  # JPEG at most


def test_depth_holes_are_filled_from_their_surroundings() -> None:
    depth = np.full((40, 40), 2000, np.uint16)
    depth[10:14, 10:14] = 0
    depth[30, 30] = 65535
    filled = haze.fill_depth(depth)
    assert np.abs(filled - 2.0).max() < 0.02


def test_blur_kernels_keep_the_mean() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        kernel = blur.blur_kernel(rng)
        assert kernel.shape[0] == kernel.shape[1] and kernel.shape[0] % 2 == 1
        assert float(kernel.sum()) == pytest.approx(1.0, abs=1e-4)
        assert (kernel >= 0).all()


def test_shot_read_noise_has_the_stated_variance() -> None:
    grey = np.full((256, 256, 3), 0.25, np.float32)
    noisy = light.shot_read_noise(grey, np.random.default_rng(0), shot=4e-3, read=2e-2)
    assert float(noisy.var()) == pytest.approx(4e-3 * 0.25 + 4e-4, rel=0.02)


def test_gaussian_noise_is_sometimes_left_unclipped() -> None:
    white = np.ones((32, 32, 3), np.float32)
    peaks = [noise.add_noise(white, np.random.default_rng(s)).max() for s in range(40)]
    assert max(peaks) > 1.0 and min(peaks) <= 1.0


def test_jpeg_keeps_channel_order() -> None:
    red = np.zeros((32, 32, 3), np.float32)
    red[..., 0] = 0.9
    assert np.abs(light.jpeg(red, 95) - red).max() < 0.03


def write(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ok, data = cv2.imencode(path.suffix, picture)
    assert ok
    path.write_bytes(data.tobytes())


def test_corpus_lists_every_fault_before_training(tmp_path: Path) -> None:
    picture = (ramp(170) * 255).astype(np.uint8)
    write(tmp_path / "clean" / "good.png", picture)
    write(tmp_path / "clean" / "small.png", picture[:40, :40])
    (tmp_path / "clean" / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    write(tmp_path / "noise-x" / "input" / "a.png", picture)
    write(tmp_path / "lowlight-x" / "input" / "b.png", picture)
    write(tmp_path / "lowlight-x" / "target" / "b.png", picture[:, :165])
    with pytest.raises(ValueError) as caught:
        load_corpus(tmp_path)
    told = str(caught.value)
    for fault in (
        "small.png: 40x40",
        "broken.jpg: not a readable",
        "a has no partner",
        "b differs",
    ):
        assert fault in told


def test_corpus_reads_and_leaves_out(tmp_path: Path) -> None:
    picture = (ramp(170) * 255).astype(np.uint8)
    write(tmp_path / "clean" / "kept" / "å.png", picture)
    write(tmp_path / "clean" / "samples" / "b.png", picture)
    write(tmp_path / "noise-x" / "input" / "a.png", picture)
    write(tmp_path / "noise-x" / "target" / "a.png", picture)
    assert len(load_corpus(tmp_path).clean) == 2
    corpus = load_corpus(tmp_path, frozenset({"samples"}))
    assert len(corpus.clean) == 1 and len(corpus.noise) == 1
    assert np.array_equal(corpus.clean[0], picture[..., ::-1])  # RGB in memory, BGR in the file


def test_empty_training_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="put clean photos there"):
        load_corpus(tmp_path)


def test_a_cycle_holds_the_tasks_in_proportion() -> None:
    cycle = TaskMix(rain=2, lowlight=1, haze=1, snow=0, blur=0, noise=4, clean=0, compound=0).cycle(
        16
    )
    assert [cycle.count(task) for task in TASKS] == [4, 2, 2, 0, 0, 8, 0, 0]
    assert len(set(TaskMix().cycle())) == len(TASKS), "every task has its place"


def test_shares_are_told_by_name() -> None:
    mix = TaskMix().with_shares(["rain=2", "clean=.5"])
    assert (mix.rain, mix.clean, mix.noise) == (2.0, 0.5, TaskMix().noise)
    assert "rain 2, " in str(mix) and "clean 0.5, " in str(mix)
    for bad in ("rain", "rain=much", "fog=1", "rain=-1", "rain=nan", "rain=inf"):
        with pytest.raises(ValueError, match="task share '"):
            TaskMix().with_shares([bad])


def test_a_batch_is_of_one_task(synthesis: Synthesis) -> None:
    held = Synthesis(synthesis.corpus, 64, samples_per_task=4)
    tasks = [held.sample(0, i)[2] for i in range(16)]
    assert all(len(set(tasks[i : i + 4])) == 1 for i in range(0, 16, 4))
    assert tasks[::4] == held.cycle[:4]


def test_own_folders_need_no_layout(tmp_path: Path) -> None:
    picture = (ramp(170) * 255).astype(np.uint8)
    write(tmp_path / "photos" / "deep" / "a.png", picture)
    assert len(load_corpus(tmp_path / "photos").clean) == 1
    write(tmp_path / "pairs" / "input" / "a.png", picture // 2)
    write(tmp_path / "pairs" / "target" / "a.png", picture)
    corpus = load_corpus(tmp_path / "pairs")
    assert (len(corpus.own), len(corpus.clean)) == (1, 0)
    degraded, clean, _ = Synthesis(corpus, 32).sample(0, 0)
    assert np.abs(degraded - clean / 2).max() < 2 / 255
