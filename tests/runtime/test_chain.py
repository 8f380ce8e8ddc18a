"""Frames that start from the last result, with a file for frames whose answer is the mean."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fakes import card, frames_model
from numpy.typing import NDArray

from pellucid import ModelError, PhotoError, Restorer
from pellucid import recurrent as chain
from pellucid.card import ModelCard
from pellucid.engine_choice import open_engine
from pellucid.frames import NetworkRestorer, Rung, open_frames
from pellucid.frames.frame import Pixels
from pellucid.scene import SCENE_SIZE
from pellucid.steps import Scene
from pellucid.video import SteadyRestorer

SCENE = np.zeros(SCENE_SIZE, np.float32)


@pytest.fixture(scope="module")
def frames_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("frames") / "allinone-fake-frames.onnx"
    onnx.save(frames_model({"pellucid.config": card(0, 4)}), path)
    return path


class Same:
    """A Restorer of photos that makes them 40 levels brighter."""

    card, estimator = ModelCard("same"), None

    def __init__(self) -> None:
        self.calls = 0

    def restore_pixels(self, pixels: NDArray[Any], strength: float = 1.0, **_: Any) -> None:
        self.calls += 1
        pixels += np.asarray(strength * 40, pixels.dtype)


def flat(level: int, side: int = 48) -> NDArray[Any]:
    """One level but in the last row: a picture of one colour is left as it is."""
    pixels = np.full((side, side, 3), level, np.uint8)
    pixels[-1] += 20
    return pixels


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_state_is_asked_for_and_refused_elsewhere(
    frames_file: Path, model_file: Path, engine: str
) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino", reason="pip install 'pellucid[openvino]'")
    loaded = open_engine(frames_file, 1, engine)
    one, other = np.float32(0.2), np.float32(0.6)
    picture = np.ones((1, 3, 10, 14), np.float32)
    assert loaded.takes_state
    assert np.allclose(loaded.run(one * picture, SCENE, other * picture), 0.4)
    with pytest.raises(ModelError, match="not single photos"):
        loaded.run(picture, SCENE)
    photos = open_engine(model_file, 1, engine)
    assert not photos.takes_state
    with pytest.raises(ModelError, match="takes no state"):
        photos.run(picture, SCENE, picture)


@pytest.mark.parametrize("memory_mb", [50, 360])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_state_is_tiled_as_the_picture_is(
    frames_file: Path, memory_mb: int, dtype: type
) -> None:
    white = 1.0 if dtype is np.float32 else float(np.iinfo(dtype).max)
    rng = np.random.default_rng(0)
    picture: NDArray[Any] = (rng.random((450, 501, 3)) * white).astype(dtype)
    state: NDArray[Any] = (rng.random((450, 501, 3)) * white).astype(dtype)
    restorer = Restorer(frames_file, memory_mb=memory_mb, threads=1)
    pixels = picture.copy()
    restorer.restore_pixels(pixels, scene=SCENE, state=state)
    mean = (picture.astype(np.float64) + state) / 2
    assert np.abs(pixels - mean).max() <= (1e-6 if dtype is np.float32 else 0.51)
    with pytest.raises(PhotoError, match="state like the picture"):
        restorer.restore_pixels(pixels, state=state[:-1])
    with pytest.raises(ModelError, match="not single photos"):
        restorer(picture)


def test_a_chain_begins_anew_where_it_must(frames_file: Path) -> None:
    photos: Any = Same()
    linked = chain.Chain(photos, Restorer(frames_file, threads=1))

    def restored(level: int, anew: bool = False, side: int = 48) -> int:
        pixels = flat(level, side)
        linked.restore(pixels, SCENE, anew)
        assert pixels[:-1].min() == pixels[:-1].max()
        return int(pixels[0, 0, 0])

    assert restored(100) == 140  # the first frame is a photo
    assert restored(100) == 120 and restored(100) == 110  # means with the last result
    assert restored(100, anew=True) == 140
    assert restored(100, side=32) == 140 and restored(60, side=32) == 100
    linked.last.drop()
    assert restored(60, side=32) == 100 and photos.calls == 4


def test_strength_blends_what_is_shown_and_not_what_is_carried(frames_file: Path) -> None:
    photos: Any = Same()
    steady = SteadyRestorer(photos, 0.5, Restorer(frames_file, threads=1))
    shown = []
    for k in range(3):
        pixels = flat(100)
        steady.restore(pixels, k / 25)
        shown.append(int(pixels[0, 0, 0]))
    assert shown == [120, 110, 105]


def test_frames_before_the_shown_part_start_the_chain(frames_file: Path) -> None:
    photos: Any = Same()
    steady = SteadyRestorer(photos, 1.0, Restorer(frames_file, threads=1))
    steady.observe(flat(100), 0.0, ahead_s=4.0)
    assert photos.calls == 0
    steady.observe(flat(100), 3.9, ahead_s=0.1)
    pixels = flat(100)
    steady.restore(pixels, 4.0)
    assert photos.calls == 1 and pixels[0, 0, 0] == 120


class Brighter:
    """A pass that adds 40 levels."""

    def run_frame(self, frame: Pixels, scene: Scene | None, state: Pixels | None = None) -> Pixels:
        return np.asarray(frame + np.uint8(40), np.uint8)

    def expect_frames(self, size: tuple[int, int] | None = None) -> None:
        pass


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_live_frames_go_on_from_the_last_result(
    frames_file: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino", reason="pip install 'pellucid[openvino]'")
    monkeypatch.setattr(chain, "MODELS", frames_file.parent)
    assert chain.find_frames("tiny") is None and open_frames("tiny") is None
    restore = NetworkRestorer(
        lambda model, steps: Brighter(),
        lambda model: open_frames(model, 1, engine),
    )

    def shown(rung: Rung, anew: bool = False) -> int:
        return int(restore(flat(100), SCENE, rung, anew).pixels[20, 20, 0])

    once, twice, half = (Rung("fake", s, k, 1.0) for s, k in ((1, 1), (2, 1), (1, 2)))
    assert [shown(once), shown(once), shown(once)] == [140, 120, 110]
    assert shown(once, anew=True) == 140
    assert shown(twice) == 140 and shown(once) == 140  # no chain where calls are repeated
    assert shown(half) == pytest.approx(140, abs=2)  # another size
    assert shown(half) == pytest.approx(120, abs=2)
