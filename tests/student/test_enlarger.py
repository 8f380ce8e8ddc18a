"""Students that enlarge: the interpolation in closed form, weights, exact resume, a teacher."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid_student.enlarger import Enlarger, EnlargerConfig, receptive_radius
from pellucid_student.enlarging import (
    PRESETS,
    EnlargingConfig,
    _recipe,
    keep_enlarger,
    train_enlarger,
)
from pellucid_student.frozen_teacher import FrozenTeacher, load_frozen_teacher
from pellucid_student.layers import fold
from pellucid_student.losses import Losses
from pellucid_student.student import EnlargingStudent
from pellucid_student.weights import (
    Provenance,
    load_any_student,
    load_student,
    parameter_count,
    save_student,
)
from pellucid_teacher.data.bicubic import imresize
from pellucid_teacher.data.corpus import Corpus
from pellucid_teacher.macs import count_macs
from pellucid_teacher.networks.swin_unet import SwinUNetConfig
from pellucid_teacher.systems.resshift import ResShift, ResShiftOptions
from pellucid_teacher.training.loop import TrainConfig

SMALL = EnlargerConfig(16, 1)
CONFIG = EnlargingConfig(
    SMALL, train=TrainConfig(steps=6, batch_size=2, workers=0, warmup=1, save_every=4), crop=32
)


@pytest.fixture
def corpus() -> Corpus:
    rng = np.random.default_rng(0)
    return Corpus([rng.integers(0, 255, (170, 180, 3)).astype(np.uint8) for _ in range(2)])


def trained(config: EnlargerConfig = SMALL) -> Enlarger:
    """Weights that are not those of a beginning."""
    torch.manual_seed(0)
    network = Enlarger(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_untrained_it_is_matlabs_bicubic(scale: int) -> None:
    picture = np.random.default_rng(scale).random((9, 12, 3)).astype(np.float32)
    given = torch.from_numpy(picture).permute(2, 0, 1)[None]
    with torch.no_grad():
        made = Enlarger(EnlargerConfig(16, 1, scale))(given)[0].permute(1, 2, 0).numpy()
    expected = imresize(picture, scale)
    # Edges differ by how they are continued: repeated here, mirrored there.
    inside = slice(2 * scale, -2 * scale)
    np.testing.assert_allclose(made[inside, inside], expected[inside, inside], atol=1e-5)
    assert np.abs(made - expected).max() < 0.2


def test_a_flat_picture_stays_flat_to_its_edges() -> None:
    flat = torch.full((1, 3, 5, 7), 0.3)
    made = Enlarger(SMALL).interpolate(flat)
    assert made.shape == (1, 3, 20, 28)
    torch.testing.assert_close(made, torch.full_like(made, 0.3))


def test_no_pixel_looks_farther_than_the_receptive_radius() -> None:
    network, radius = trained(EnlargerConfig(16, 2)), receptive_radius(EnlargerConfig(16, 2))
    picture = torch.rand(1, 3, 1, 41, requires_grad=True)
    network(picture)[0, :, :, 80:84].sum().backward()
    assert picture.grad is not None
    seen = picture.grad[0].abs().sum(dim=(0, 1)).nonzero().flatten()
    assert radius == 6 and (int(seen.min()), int(seen.max())) == (20 - radius, 20 + radius)


def test_the_preset_keeps_to_its_budget() -> None:
    network = fold(Enlarger(PRESETS["sr4"].network))
    assert parameter_count(network) <= 900_000
    assert count_macs(network, (1, 3, 180, 320)).convolution <= 20e9  # for a result of 1280x720


def test_weights_are_folded_kept_and_come_back(tmp_path: Path) -> None:
    network, path = trained(), tmp_path / "sr.safetensors"
    save_student(path, network, Provenance("sr4", "none", 3, "CC0-1.0"))
    kept, provenance = load_any_student(path)
    picture = torch.rand(1, 3, 6, 5)
    with torch.no_grad():
        torch.testing.assert_close(kept(picture), network(picture), atol=1e-5, rtol=1e-5)
    assert (provenance.preset, provenance.steps) == ("sr4", 3)
    with pytest.raises(ValueError, match="enlarges pictures"):
        load_student(path)


@pytest.mark.parametrize(("width", "blocks", "scale"), [(20, 1, 4), (16, 0, 4), (16, 1, 5)])
def test_impossible_configs_are_refused(width: int, blocks: int, scale: int) -> None:
    with pytest.raises(ValueError, match="width|blocks"):
        EnlargerConfig(width, blocks, scale)


def test_a_build_for_looks_learns_by_st_lpips(corpus: Corpus, tmp_path: Path) -> None:
    pytest.importorskip("stlpips_pytorch", reason="pip install 'pellucid[perceptual]'")
    config = replace(CONFIG, losses=Losses().with_terms(["perceptual"]))
    plain, looks = (
        next(iter(train_enlarger(c, corpus, tmp_path / name)))
        for name, c in (("plain", CONFIG), ("looks", config))
    )
    assert looks.loss > plain.loss  # the same first picture, and a distance added
    assert "ST-LPIPS 0.1" in _recipe(config, None)


def test_resshift_teaches(corpus: Corpus, tmp_path: Path) -> None:
    torch.manual_seed(0)
    swin = SwinUNetConfig(width=32, multipliers=(1,), blocks=1, swin_width=32, fold=4)
    teacher = FrozenTeacher("resshift", ResShift(ResShiftOptions(swin, scale=4)))
    low = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(teacher.restore(low), teacher.restore(low))
    assert teacher.restore(low).shape == (2, 3, 32, 32)
    report = next(iter(train_enlarger(CONFIG, corpus, tmp_path, teacher=teacher)))
    assert np.isfinite(report.loss)


@pytest.mark.parametrize("taught", [False, True])
def test_a_killed_run_goes_on_alike(corpus: Corpus, tmp_path: Path, taught: bool) -> None:
    system = EnlargingStudent(trained())
    teacher = FrozenTeacher("toy", system) if taught else None
    config = replace(CONFIG, losses=Losses(teacher_share=0.5))

    def run(name: str, steps: int) -> list[float]:
        reports = train_enlarger(config, corpus, tmp_path / name, teacher=teacher)
        return [report.loss for report in islice(reports, steps)]

    whole = run("whole", 99)
    assert len(whole) == 6
    assert run("killed", 5)[:4] + run("killed", 99) == pytest.approx(whole, rel=1e-5)


def test_what_is_kept_says_how_it_was_made_and_can_teach(corpus: Corpus, tmp_path: Path) -> None:
    list(train_enlarger(CONFIG, corpus, tmp_path / "run"))
    path = keep_enlarger(CONFIG, tmp_path / "run", "sr4", ["mine"], "CC-BY-NC-4.0")
    _, provenance = load_any_student(path)
    assert (provenance.license, provenance.steps) == ("CC-BY-NC-4.0", 6)
    assert provenance.recipe.startswith("ground truth only, bicubic, batch 2 of 32 px")
    restored = load_frozen_teacher(path).restore(torch.zeros(1, 3, 4, 6))
    assert restored.shape == (1, 3, 16, 24)
    longer = replace(CONFIG, start=path)
    list(train_enlarger(longer, corpus, tmp_path / "next"))
    _, both = load_any_student(keep_enlarger(longer, tmp_path / "next", "sr4", [], "CC0-1.0"))
    assert both.steps == 12 and "then 6 steps" in both.recipe


def test_what_cannot_teach_or_be_learnt_from_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    other = FrozenTeacher("half", EnlargingStudent(Enlarger(EnlargerConfig(16, 1, 2))))
    with pytest.raises(ValueError, match="does not enlarge x4"):
        next(train_enlarger(CONFIG, corpus, tmp_path, teacher=other))
    with pytest.raises(ValueError, match="clean photos"):
        next(train_enlarger(CONFIG, Corpus([]), tmp_path))
    with pytest.raises(ValueError, match="multiple of the scale"):
        replace(CONFIG, crop=33)
    path = tmp_path / "sr.safetensors"
    save_student(path, trained(), Provenance("sr4", "none", 3, "CC0-1.0"))
    larger = replace(CONFIG, network=EnlargerConfig(32, 1), start=path)
    with pytest.raises(ValueError, match="expected weights of"):
        next(train_enlarger(larger, corpus, tmp_path))
