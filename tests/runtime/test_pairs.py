"""Evaluation sets: protocols, matching, and libjpeg_warnings that name every file."""

import json
from pathlib import Path

import numpy as np
import pytest

from pellucid import Photo, PhotoError
from pellucid.pairs import find_sets, iter_pairs, load_set


def picture(value: int, height: int = 16, width: int = 20) -> Photo:
    return Photo(np.full((height, width, 3), value, np.uint8), {})


def make_set(
    folder: Path, told: dict[str, str] | None, stems: tuple[str, ...] = ("a", "b")
) -> Path:
    for part, value in (("input", 100), ("target", 200)):
        (folder / part).mkdir(parents=True)
        for stem in stems:
            picture(value).save(folder / part / f"{stem}.png")
    if told is not None:
        (folder / "set.json").write_text(json.dumps(told))
    return folder


@pytest.mark.parametrize(
    ("told", "task", "on_luma"),
    [
        ({"task": "derain", "protocol": "PSNR on BT.601 luma"}, "derain", True),
        ({"task": "derain"}, "derain", True),
        ({"task": "lowlight", "protocol": "RGB"}, "lowlight", False),
        (None, "restore", False),
    ],
)
def test_protocol_picks_the_headline(
    tmp_path: Path, told: dict[str, str] | None, task: str, on_luma: bool
) -> None:
    chosen = load_set(make_set(tmp_path / "s", told))
    assert (chosen.name, chosen.task, chosen.luma) == ("s", task, on_luma)
    pairs = list(iter_pairs(chosen))
    assert [p.name for p in pairs] == ["a", "b"]
    assert np.allclose(pairs[0].degraded, 100 / 255) and np.allclose(pairs[0].clean, 200 / 255)


def test_noise_sets_are_made_by_their_protocol(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    picture(250, 64, 64).save(tmp_path / "target" / "x.png")
    (tmp_path / "set.json").write_text('{"task": "denoise", "protocol": "add Gaussian noise"}')
    (pair,) = iter_pairs(load_set(tmp_path), sigma=50)
    expected = np.random.default_rng(0).standard_normal((64, 64, 3)) * (50 / 255)
    assert np.allclose(pair.degraded - pair.clean, expected, atol=1e-6)
    assert pair.degraded.max() > 1, "the protocol does not clip"


def test_every_lonely_file_is_named(tmp_path: Path) -> None:
    folder = make_set(tmp_path / "s", None)
    picture(1).save(folder / "input" / "c.png")
    picture(1).save(folder / "target" / "d.png")
    with pytest.raises(PhotoError, match="c, d"):
        load_set(folder)


def test_a_slightly_larger_target_is_centred(tmp_path: Path) -> None:
    folder = make_set(tmp_path / "s", None, stems=())
    picture(9, 20, 30).save(folder / "input" / "a.png")
    target = np.zeros((40, 50, 3), np.uint8)
    target[10:30, 10:40] = 77
    Photo(target, {}).save(folder / "target" / "a.png")
    (pair,) = iter_pairs(load_set(folder))
    assert np.allclose(pair.clean, 77 / 255)
    picture(9, 5, 5).save(folder / "input" / "a.png")
    with pytest.raises(PhotoError, match="its input"):
        load_set(folder)


def test_unusable_pictures_are_listed_together_before_anything_runs(tmp_path: Path) -> None:
    folder = make_set(tmp_path / "s", None, stems=("a", "b", "c"))
    picture(1, 90, 90).save(folder / "target" / "a.png")
    (folder / "input" / "b.png").write_bytes(b"")
    whole = (folder / "target" / "c.png").read_bytes()
    (folder / "target" / "c.png").write_bytes(whole[:-9])
    with pytest.raises(PhotoError) as caught:
        load_set(folder)
    told = str(caught.value)
    for fault in ("3 unusable", "a: target is (90, 90)", "input/b.png: the file is empty", "c.png"):
        assert fault in told


def test_folder_of_sets_and_what_is_none(tmp_path: Path) -> None:
    make_set(tmp_path / "one", None)
    make_set(tmp_path / "two", {"task": "sr-x4", "protocol": "BT.601 luma, 4-pixel border cropped"})
    with pytest.raises(PhotoError, match="its input .16, 20., expected 4 times as much"):
        find_sets(tmp_path)
    for stem in "ab":
        picture(200, 64, 80).save(tmp_path / "two" / "target" / f"{stem}.png")
    sets = find_sets(tmp_path)
    assert [s.name for s in sets] == ["one", "two"]
    assert sets[0].scale == 1
    assert (sets[1].scale, sets[1].border, sets[1].luma) == (4, 4, True)
    assert next(iter_pairs(sets[1])).clean.shape == (64, 80, 3)
    assert [s.name for s in find_sets(tmp_path / "one")] == ["one"]
    with pytest.raises(PhotoError, match="no evaluation set"):
        find_sets(tmp_path / "one" / "input")
    with pytest.raises(PhotoError, match="no such folder"):
        find_sets(tmp_path / "three")


def test_damaged_sets(tmp_path: Path) -> None:
    folder = make_set(tmp_path / "s", None)
    (folder / "set.json").write_text("{")
    with pytest.raises(PhotoError, match="not valid JSON"):
        load_set(folder)
    (folder / "set.json").unlink()
    for picture_file in (folder / "input").iterdir():
        picture_file.unlink()
    with pytest.raises(PhotoError, match="names no noise"):
        load_set(folder)
    (folder / "set.json").write_text('{"task": "denoise", "protocol": "add Gaussian noise"}')
    with pytest.raises(PhotoError, match="names no noise"):  # an empty input/ is a loss, not a wish
        load_set(folder)


def test_two_pictures_of_one_name_are_named(tmp_path: Path) -> None:
    folder = make_set(tmp_path / "s", None)
    picture(1).save(folder / "target" / "a.jpg")
    with pytest.raises(PhotoError, match=r"two pictures of one name: a\.jpg"):
        load_set(folder)


def test_pictures_too_small_for_ssim_are_listed(tmp_path: Path) -> None:
    for part in ("input", "target"):
        (tmp_path / part).mkdir()
        Photo(np.zeros((10, 40, 3), np.uint8), {}).save(tmp_path / part / "x.png")
    with pytest.raises(PhotoError, match=r"target/x.png: 40x10, SSIM needs 11 px a side"):
        load_set(tmp_path)
