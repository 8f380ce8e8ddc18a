"""`pellucid restore --zero-shot` with a prior of a few thousand weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid import PellucidError, read_photo
from pellucid.image.photo import Photo
from pellucid_apps.restore.command import Options, run_jobs
from pellucid_apps.restore.plan import Job
from pellucid_apps.restore.zero_shot import ZeroShotRestorer
from pellucid_teacher.networks.diffuir_unet import DiffUIRConfig
from pellucid_teacher.networks.prior_unet import PriorConfig
from pellucid_teacher.processes.zero_shot import ZeroShotConfig
from pellucid_teacher.systems.prior import Prior, PriorOptions
from pellucid_teacher.systems.rddm import RDDM, RDDMOptions
from pellucid_teacher.weights import save_teacher


@pytest.fixture(scope="module")
def prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prior")
    torch.manual_seed(0)
    options = PriorOptions(PriorConfig((8,), patch=16), zero_shot=ZeroShotConfig(steps=2, fits=1))
    save_teacher(folder, Prior(options), 1, [], "CC0-1.0")
    return folder


def picture(channels: int) -> Photo:
    """Random; the alpha channel of four is 0 in the left half."""
    shape = (20, 30, channels) if channels > 1 else (20, 30)
    pixels = np.random.default_rng(0).integers(1, 255, shape).astype(np.uint8)
    if channels == 4:
        pixels[:, :15, 3], pixels[:, 15:, 3] = 0, 255
    return Photo(pixels, {})


def test_a_folder_is_restored_and_running_again_goes_on(prior: Path, tmp_path: Path) -> None:
    sources = [tmp_path / "a.png", tmp_path / "b.png", tmp_path / "broken.png"]
    for source in sources[:2]:
        picture(3).save(source)
    sources[2].write_bytes(b"no picture")
    jobs = [Job(source, tmp_path / "out" / source.name) for source in sources]
    first = run_jobs(jobs[:1], ZeroShotRestorer(prior), Options(), quiet=True)
    assert first[0].error is None and any("found: exposure" in note for note in first[0].notes)
    again = run_jobs(jobs, ZeroShotRestorer(prior), Options(), quiet=True)
    assert [r.done for r in again] == [True, False, False] and again[2].error is not None
    a, b = (read_photo(job.target).pixels for job in jobs[:2])
    assert np.array_equal(a, b)  # the noise is the seed's, whatever was restored before
    other = ZeroShotRestorer(prior, seed=1).restore_photo(read_photo(sources[0])).pixels
    assert not np.array_equal(a, other)


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_stays_grey_and_what_is_hidden_stays(prior: Path, channels: int) -> None:
    before, photo = picture(channels).pixels, picture(channels)
    ZeroShotRestorer(prior).restore_photo(photo)
    assert photo.pixels.shape == before.shape and photo.pixels.dtype == np.uint8
    assert not np.array_equal(photo.pixels, before)
    if channels == 4:
        assert np.array_equal(photo.pixels[:, :15], before[:, :15])
        assert np.array_equal(photo.pixels[..., 3], before[..., 3])


def test_strength_zero_keeps_the_pixels(prior: Path) -> None:
    photo = picture(3)
    ZeroShotRestorer(prior).restore_photo(photo, 0.0)
    assert np.array_equal(photo.pixels, picture(3).pixels)


def test_what_is_missing_is_said_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(PellucidError, match="none ships yet.*pellucid train teacher prior"):
        ZeroShotRestorer(None)
    with pytest.raises(PellucidError, match="no teacher"):
        ZeroShotRestorer(tmp_path)
    save_teacher(tmp_path, RDDM(RDDMOptions(DiffUIRConfig(8, (1, 1, 1, 1)))), 1, [], "CC0-1.0")
    with pytest.raises(PellucidError, match="'rddm', not a prior.*pellucid train teacher prior"):
        ZeroShotRestorer(tmp_path)


def test_videos_are_refused(prior: Path, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"")
    job = Job(tmp_path / "clip.mp4", tmp_path / "out.mp4")
    (result,) = run_jobs([job], ZeroShotRestorer(prior), Options(), quiet=True)
    assert result.error is not None and "takes photos" in result.error
