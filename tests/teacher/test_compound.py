"""Several degradations at once: amounts, order, labels, and what is held out."""

from pathlib import Path

import numpy as np
import pytest

from pellucid.degradations import DEGRADATIONS
from pellucid_teacher.data import compound, exposure
from pellucid_teacher.data.corpus import Corpus, is_held
from pellucid_teacher.data.labelled import Labelled, known_of, seen_by_eye
from pellucid_teacher.data.light import Image


@pytest.fixture(scope="module")
def banks() -> compound.Banks:
    return compound.Banks.draw(Corpus([]))


def picture() -> Image:
    rows, cols = np.mgrid[:96, :128].astype(np.float32)
    wave = 0.5 + 0.25 * np.sin(rows / 3.0) * np.cos(cols / 5.0)
    return np.repeat(wave[..., None], 3, axis=2).astype(np.float32)


def test_an_amount_is_half_where_the_change_is_half() -> None:
    grey = np.full((8, 8, 3), 0.4, np.float32)
    for name, half in compound.HALF.items():
        assert compound.amount(name, grey, grey) == 0.0
        assert compound.amount(name, grey, grey + half) == pytest.approx(0.5, abs=1e-5)
        assert compound.amount(name, grey, grey + 3 * half) == pytest.approx(0.75, abs=1e-5)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_each_alone_has_an_amount_and_nothing_else_has(name: str, banks: compound.Banks) -> None:
    for seed in range(4):
        clean = picture()
        worse, amounts = compound.degrade(clean, {name}, np.random.default_rng(seed), banks)
        assert worse.shape == clean.shape and worse.dtype == np.float32
        assert worse.min() >= 0.0 and worse.max() <= 1.0
        found = dict(zip(DEGRADATIONS, amounts.tolist(), strict=True))
        assert 0.0 < found.pop(name) < 1.0
        assert set(found.values()) == {0.0}


@pytest.mark.parametrize("name", ["rain", "snow", "haze", "lowlight", "noise"])
def test_a_faint_one_is_the_same_and_less(
    name: str, banks: compound.Banks, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean, index = picture(), DEGRADATIONS.index(name)
    changes = []
    for chance in (0.0, 1.0):
        monkeypatch.setattr(compound, "FAINT", chance)
        worse, amounts = compound.degrade(clean, {name}, np.random.default_rng(3), banks)
        r = float(np.sqrt(np.mean(np.square(worse - clean))))
        assert amounts[index] == pytest.approx(r / (r + compound.HALF[name]), abs=1e-4)
        changes.append(worse - clean)
    share = float((changes[1] * changes[0]).sum() / np.square(changes[0]).sum())
    assert compound.FAINTNESS[0] <= share <= compound.FAINTNESS[1]
    assert np.allclose(changes[1], share * changes[0], atol=0.02)


def test_nothing_wanted_changes_nothing(banks: compound.Banks) -> None:
    same, amounts = compound.degrade(picture(), (), np.random.default_rng(0), banks)
    assert np.array_equal(same, picture()) and not amounts.any()
    with pytest.raises(ValueError, match="unknown degradation 'fog'; known: rain, snow"):
        compound.degrade(picture(), {"fog"}, np.random.default_rng(0), banks)


def test_every_name_has_its_place_and_its_measure() -> None:
    names = set(DEGRADATIONS)
    assert set(compound.PHYSICAL_ORDER) == names == set(compound.HALF) == set(compound.COMPANIONS)
    assert set(compound.MAIN) == names
    rng = np.random.default_rng(0)
    drawn = [compound.companions("rain", rng) for _ in range(50)]
    assert all("rain" in wanted and "snow" not in wanted for wanted in drawn)
    assert any(len(wanted) > 2 for wanted in drawn)


def test_a_long_exposure_of_a_still_scene_is_the_scene() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    still = exposure.long_exposure([frame] * 3)
    assert np.abs(still * 255.0 - frame).max() < 1.0


def test_a_long_exposure_smears_along_the_motion() -> None:
    wide = np.kron(np.random.default_rng(1).integers(0, 256, (24, 40, 1)), np.ones((4, 4, 3)))
    frames = [wide[:, x : x + 96].astype(np.uint8) for x in (0, 4, 8)]
    blurred = exposure.long_exposure(frames)
    sharp = frames[1] / 255.0
    across = np.abs(np.diff(blurred, axis=1)).mean() / np.abs(np.diff(sharp, axis=1)).mean()
    along = np.abs(np.diff(blurred, axis=0)).mean() / np.abs(np.diff(sharp, axis=0)).mean()
    assert across < 0.8 * along


def test_pairs_and_frames_of_a_clip_are_held_out_together() -> None:
    for stem in ("001", "a", "zebra"):
        assert is_held(Path(f"t/noise-x/input/{stem}.png")) == is_held(
            Path(f"t/noise-x/target/{stem}.jpg")
        )
    clip = [Path(f"t/deblur-frames/davis/cows-{n:03}/{k:02}.webp") for n in (3, 88) for k in (0, 5)]
    assert len({is_held(path) for path in clip}) == 1
    held = [is_held(Path(f"t/clean/set/{n:04}.jpg")) for n in range(600)]
    assert 60 < sum(held) < 140


def test_what_a_folder_does_not_tell_is_unknown() -> None:
    told = dict(zip(DEGRADATIONS, known_of("rain/000", {}).tolist(), strict=True))
    assert told["rain"] > 0.0 and told["snow"] == 0.0
    assert np.isnan([told["haze"], told["lowlight"], told["noise"]]).all()
    corrected = known_of("rain/037", {"rain": float("nan"), "snow": 0.6})
    assert np.isnan(corrected[0]) and corrected[1] == np.float32(0.6)
    for place, amounts in seen_by_eye().items():
        assert place.split("/")[0] in DEGRADATIONS and amounts.keys() <= set(DEGRADATIONS)


def test_labelled_samples_of_every_kind() -> None:
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 256, (180, 200, 3), dtype=np.uint8) for _ in range(3)]
    depth = np.full((180, 200), 2.0, np.float32)
    corpus = Corpus(
        photos,
        noise=[(photos[0], photos[1])],
        lowlight=[(photos[0] // 4, photos[0])],
        blurred=[(photos[1], photos[2])],
        depth=[(photos[2], depth)],
        real=[(photos[1], "rain/000")],
        good=[photos[2]],
    )
    labelled = Labelled(corpus)
    samples = [labelled.draw(np.random.default_rng(n), 64, 96) for n in range(60)]
    for sample in samples:
        assert sample.picture.shape == (64, 96, 3) and sample.picture.dtype == np.float32
        known = sample.amounts[~np.isnan(sample.amounts)]
        assert ((known >= 0.0) & (known < 1.0)).all()
        assert not (sample.least & ~(sample.amounts > 0.0) & ~np.isnan(sample.amounts)).any()
    assert any(sample.least.any() for sample in samples)
    again = labelled.draw(np.random.default_rng(7), 64, 96)
    assert np.array_equal(again.picture, samples[7].picture)
