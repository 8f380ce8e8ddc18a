"""Tiles: geometry by property, and tiled = whole through a real graph."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fakes import card
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pellucid import Restorer
from pellucid.blend import shares
from pellucid.tiles import Tiling, plan

MULTIPLES = st.sampled_from([1, 2, 8, 16])


@given(st.integers(1, 3000), MULTIPLES, st.integers(1, 12), st.integers(0, 12))
def test_spans_cover_every_pixel_once_and_reach_far_enough(
    length: int, multiple: int, cores: int, margins: int
) -> None:
    tiling = Tiling(cores * multiple, margins * multiple, multiple)
    spans = list(tiling.spans(length))
    assert [s.start for s in spans] == [0, *(s.stop for s in spans[:-1])]
    assert spans[-1].stop == length
    for span in spans:
        assert 0 < span.stop - span.start <= tiling.core
        assert span.reach_start % multiple == 0 and span.start % multiple == 0
        assert span.reach_start == max(0, span.start - tiling.margin)
        assert span.reach_stop == length or (
            span.reach_stop - span.stop >= tiling.margin and span.reach_stop % multiple == 0
        )


@given(st.integers(0, 400), MULTIPLES, st.integers(1, 4_000_000))
def test_plan_has_room_for_its_margins(reach: int, multiple: int, pixels: int) -> None:
    tiling = plan(reach, multiple, pixels)
    assert tiling.margin >= reach
    assert tiling.core >= max(64, tiling.margin)
    side = tiling.core + 2 * tiling.margin
    assert side**2 <= pixels + 2 * multiple * side or tiling.core <= max(64, tiling.margin) + 16


@pytest.mark.parametrize("tiling", [(0, 0, 1), (10, 3, 4), (8, 2, 4), (8, -4, 4)])
def test_impossible_tilings_are_refused(tiling: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="tiling|multiples"):
        Tiling(*tiling)


@settings(deadline=None, max_examples=60)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    core=st.sampled_from([4, 8, 20, 64]),
    channels=st.sampled_from([0, 1, 3, 4]),
    seed=st.integers(0, 99),
)
def test_tiled_equals_untiled(
    model_file: Path, height: int, width: int, core: int, channels: int, seed: int
) -> None:
    shape = (height, width, channels) if channels else (height, width)
    image = np.random.default_rng(seed).random(shape, np.float32)
    whole, tiled = Restorer(model_file, threads=1), Restorer(model_file, threads=1)
    tiled._window_pixels, tiled._tiling = 0, Tiling(core, 16, 4)
    assert np.abs(whole(image) - tiled(image)).max() <= 1e-5


def test_too_small_a_margin_would_be_noticed(model_file: Path) -> None:
    """The check above can fail: without a margin tiles differ visibly."""
    image = np.random.default_rng(0).random((80, 80, 3), np.float32)
    whole, cut = Restorer(model_file, threads=1), Restorer(model_file, threads=1)
    cut._window_pixels, cut._tiling = 0, Tiling(20, 0, 4)
    assert np.abs(whole(image) - cut(image)).max() > 1e-2


@settings(deadline=None)
@given(st.integers(1, 3000), MULTIPLES, st.integers(1, 12), st.integers(1, 12))
def test_feathered_shares_sum_to_one(length: int, multiple: int, cores: int, margins: int) -> None:
    spans = list(Tiling(cores * multiple, margins * multiple, multiple).spans(length))
    total = np.zeros(length)
    width = margins * multiple // 2
    for share, span in zip(shares(spans, width), spans, strict=True):
        assert span.reach_start <= share.start and share.stop <= span.reach_stop
        assert share.weights.min() >= 0
        total[share.start : share.stop] += share.weights
    assert np.allclose(total, 1.0, atol=1e-5)


def global_model(metadata: dict[str, str]) -> onnx.ModelProto:
    """Subtracts half of the window's mean: no margin is wide enough, every tile differs."""
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, "height", "width"])
        for name in ("input", "output")
    ]
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], keepdims=1),
        helper.make_node("Mul", ["mean", "half"], ["shift"]),
        helper.make_node("Sub", ["input", "shift"], ["output"]),
    ]
    half = numpy_helper.from_array(np.array(0.5, np.float32), "half")
    graph = helper.make_graph(nodes, "global", ports[:1], ports[1:], [half])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    return model


def steps(image: NDArray[np.float32]) -> float:
    """Largest change from pixel to pixel."""
    return float(max(np.abs(np.diff(image, axis=axis)).max() for axis in (0, 1)))


@pytest.mark.parametrize("channels", [0, 1, 3, 4])
def test_tiles_of_foreign_models_show_no_seams(tmp_path: Path, channels: int) -> None:
    ramp = np.add.outer(np.linspace(0, 0.5, 210), np.linspace(0, 0.5, 170)).astype(np.float32)
    image = ramp
    if channels:
        image = np.repeat(ramp[..., None], channels, axis=2)
    cards: tuple[dict[str, str], ...] = ({}, {"pellucid.config": card(32, 1)})
    for metadata in cards:
        onnx.save(global_model(metadata), tmp_path / "global.onnx")
        restorer = Restorer(tmp_path / "global.onnx", threads=1)
        restorer._window_pixels, restorer._tiling = 0, Tiling(70, 32, 1)
        grown = steps(restorer(image)[..., :3] if channels else restorer(image)) / steps(ramp)
        if restorer.exact_tiles:  # a card that lies: this is what seams look like
            assert grown > 10
        else:
            assert grown < 2


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_feathered_tiles_of_a_local_model_are_the_whole_picture(
    write_model: Callable[[str, dict[str, str]], Path], dtype: type
) -> None:
    """Where the overlap happens to be wide enough, blending changes nothing."""
    scale = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    image: NDArray[Any] = (np.random.default_rng(0).random((101, 133, 3)) * scale).astype(dtype)
    path = write_model("foreign.onnx", {})
    whole, tiled = Restorer(path, threads=1), Restorer(path, threads=1)
    tiled._window_pixels, tiled._tiling = 0, Tiling(48, 32, 4)
    difference = np.abs(whole(image).astype(float) - tiled(image).astype(float)).max()
    assert difference <= (1 if scale > 1 else 1e-5)


def test_progress_counts_every_tile(model_file: Path) -> None:
    restorer = Restorer(model_file, threads=1)
    restorer._window_pixels, restorer._tiling = 0, Tiling(20, 16, 4)
    seen: list[tuple[int, int]] = []
    pixels = np.arange(50 * 70 * 3, dtype=np.uint8).reshape(50, 70, 3)
    restorer.restore_pixels(pixels, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 12) for i in range(1, 13)]
