"""What an estimator is chosen by: the score's arithmetic, and what is measured on held pictures."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid import Photo
from pellucid.degradations import DEGRADATIONS, FOUND
from pellucid_student import estimator_validation
from pellucid_student.estimator_validation import EstimatorScore, EstimatorValidation
from pellucid_student.plain_unet import PICO, PlainUNet
from pellucid_teacher.data import compound
from pellucid_teacher.data.corpus import is_held


def held(folder: Path, number: int) -> list[Path]:
    """Names of pictures in `folder` that are held out."""
    names = (folder / f"{n:03d}.png" for n in range(1000))
    return [path for path in names if is_held(path)][:number]


@pytest.fixture
def validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EstimatorValidation:
    """Two clean photos, one of rain and one noisy pair; one crop of each kind."""
    monkeypatch.setattr(estimator_validation, "CROPS", 1)
    monkeypatch.setattr(estimator_validation, "TRIES", 1)
    monkeypatch.setattr(estimator_validation, "SIDE", 48)
    banks = compound.Banks.draw
    monkeypatch.setattr(compound.Banks, "draw", lambda corpus, seed: banks(corpus))  # drawn already
    rng = np.random.default_rng(0)
    folders = ("clean/photos", "real-unpaired/rain", "noise-x/input", "noise-x/target")
    for folder, number in zip(folders, (2, 1, 1, 1), strict=True):
        (tmp_path / folder).mkdir(parents=True)
        for path in held(tmp_path / folder, number):
            Photo(rng.integers(80, 140, (160, 176, 3)).astype(np.uint8), {}).save(path)
    return EstimatorValidation(tmp_path)


def with_amounts(**amounts: float) -> PlainUNet:
    """A student that changes nothing and whose estimator finds `amounts` in every picture."""
    torch.manual_seed(0)
    network = PlainUNet(PICO).eval()
    assert network.estimator is not None
    found = torch.tensor([amounts.get(name, 0.001) for name in DEGRADATIONS])
    network.estimator.out.bias.data.copy_(found.logit())
    return network


def test_what_finds_nothing_leaves_everything(validation: EstimatorValidation) -> None:
    score = validation.score(with_amounts())
    assert set(score.recognised.values()) == {0.0} and set(score.left.values()) == {1.0}
    assert set(score.gained.values()) == {0.0}
    assert {"rain", "real rain"} <= set(score.recognised) and "real noise" in score.gained


def test_what_finds_rain_everywhere_finds_it_where_it_is(validation: EstimatorValidation) -> None:
    score = validation.score(with_amounts(rain=FOUND + 0.01))
    assert score.recognised["real rain"] == score.recognised["rain"] == 1.0
    assert score.recognised["noise"] == 0.0
    assert set(score.left.values()) == {0.0}
    assert score.gained != score.by_hand


def test_the_score_adds_shares_and_gain() -> None:
    score = EstimatorScore(
        {"rain": 0.5, "real rain": 1.0}, {"photos": 0.9}, {"rain": 1.0}, {"rain": 4.0}
    )
    assert score.total == pytest.approx((0.75 + 0.9) / 2.0 + 0.1)
    assert "score 0.925" in str(score) and "rain +1.00 of +4.00" in str(score)
