"""ONNX export: parity, metadata, the optional scene input, refusal below the floor."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from pellucid import Restorer
from pellucid.card import read_card
from pellucid.errors import ModelError
from pellucid.estimator import scene_for
from pellucid.scene import SCENE_SIZE
from pellucid_export.card import KEY, card, macs_per_pixel
from pellucid_export.onnx import file as onnx_file
from pellucid_export.onnx.file import export_frames, export_onnx, to_onnx
from pellucid_export.restoration import Restoration
from pellucid_export.thresholds import ParityError, agreement_db
from pellucid_student.layers import fold
from pellucid_student.plain_unet import PICO, PlainUNet
from pellucid_student.steps import restore
from pellucid_student.temporal import frame_call
from pellucid_student.weights import Provenance

pytestmark = pytest.mark.slow  # torch traces graphs


@pytest.fixture(scope="module")
def student() -> PlainUNet:
    torch.manual_seed(0)
    model = PlainUNet(PICO)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.05)
    folded = fold(model)
    assert isinstance(folded, PlainUNet)
    return folded


def smooth(shape: tuple[int, int, int, int], seed: int) -> torch.Tensor:
    """A picture in [0, 1] without detail finer than 16 px."""
    batch, channels, height, width = shape
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, channels, height // 16, width // 16, generator=generator)
    fine = nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")
    return fine.clamp(0.0, 1.0)


@pytest.fixture(scope="module")
def exported(student: PlainUNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "two.onnx"
    done = export_onnx(student, Provenance("pico", "test", 0, "CC0-1.0"), path, 2)
    assert done.parity_db >= 100
    assert [p.name for p in path.parent.iterdir()] == ["two.onnx"]  # one file, nothing beside it
    return path


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_unrolled_graph_is_the_sampler(student: PlainUNet, steps: int) -> None:
    image = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    restored = restore(student, 2 * image - 1, steps)
    whole = Restoration(student, steps)
    assert (whole(image, whole.unmeasured) - (restored + 1) / 2).abs().max() < 2e-5


def test_several_steps_with_one_file_are_the_sampler(student: PlainUNet, tmp_path: Path) -> None:
    export_onnx(student, Provenance("pico", "test", 0, "CC0-1.0"), tmp_path / "one.onnx")
    # The runtime reads light off a thumbnail, torch off cells of 4x4: on white noise they differ.
    image = smooth((1, 3, 64, 96), seed=1)
    pixels = image[0].permute(1, 2, 0).contiguous().numpy()
    results = []
    for steps in (1, 2, 3):
        restored = Restorer(tmp_path / "one.onnx", steps=steps)(pixels)
        expected = ((restore(student, 2 * image - 1, steps) + 1) / 2)[0].permute(1, 2, 0).numpy()
        assert np.abs(restored - expected).max() < 1e-3
        results.append(restored)
    assert np.abs(results[1] - results[0]).max() > 1e-2 < np.abs(results[2] - results[1]).max()


def test_tiles_of_a_file_with_several_steps_are_feathered(exported: Path) -> None:
    """Its later calls measure the scene of a tile, so tiles cannot equal the whole picture."""
    restorer = Restorer(exported)
    assert restorer.card.steps == 2 and not restorer.exact_tiles
    with pytest.raises(ModelError, match="makes 2 steps by itself; leave steps away"):
        Restorer(exported, steps=2)


def test_one_required_input_one_output(exported: Path) -> None:
    loaded = session(exported)
    (taken,), (given,) = loaded.get_inputs(), loaded.get_outputs()
    assert (taken.name, taken.shape) == ("input", [1, 3, "height", "width"])
    assert given.name == "output"
    assert [i.name for i in loaded.get_overridable_initializers()] == ["scene"]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 33), (33, 7), (48, 32), (50, 31)])
def test_any_size_gives_its_own_size(exported: Path, height: int, width: int) -> None:
    image = np.random.default_rng(0).random((1, 3, height, width), np.float32)
    out = np.asarray(session(exported).run(None, {"input": image})[0])
    assert out.shape == image.shape
    assert out.min() >= 0 and out.max() <= 1


def test_given_scene_replaces_the_measured_one(exported: Path) -> None:
    image = np.full((1, 3, 16, 16), 0.3, np.float32)  # exactly on a knot
    metadata = dict(session(exported).get_modelmeta().custom_metadata_map)
    card = read_card(metadata, "exported")
    scene = scene_for(metadata, card, image[0].transpose(1, 2, 0))[None]
    run = session(exported).run
    measured = np.asarray(run(None, {"input": image})[0])
    given = np.asarray(run(None, {"input": image, "scene": scene})[0])
    other = np.asarray(run(None, {"input": image, "scene": scene[:, ::-1].copy()})[0])
    assert np.abs(given - measured).max() < 1e-5
    assert np.abs(other - measured).max() > 1e-4


def test_file_describes_itself(exported: Path, student: PlainUNet) -> None:
    model = onnx.load(exported)
    told = json.loads({p.key: p.value for p in model.metadata_props}[KEY])
    assert told["id"] == "allinone-pico-2steps" and told["steps"] == 2
    assert told["params"] == sum(p.numel() for p in student.parameters())
    assert told["tile_multiple"] == 16 and told["scene_size"] == SCENE_SIZE + 7
    assert model.opset_import[0].version >= 18
    ops = {node.op_type for node in model.graph.node}
    assert not {op for op in ops if op.startswith("Random")}


def test_macs_agree_with_a_count_over_the_real_layers(student: PlainUNet) -> None:
    counted = 0

    def hook(module: nn.Module, args: object, out: torch.Tensor) -> None:
        nonlocal counted
        weight = module.weight
        assert isinstance(weight, torch.Tensor) and isinstance(args, tuple)
        grid = args[0] if isinstance(module, nn.ConvTranspose2d) else out
        counted += weight.numel() * grid.shape[2] * grid.shape[3]

    handles = [m.register_forward_hook(hook) for m in student.modules() if _is_spatial(m)]
    image = torch.zeros(1, 3, 64, 64)
    student(image)
    for handle in handles:
        handle.remove()
    # The scene code: three planes, then Haar levels, 3 to 12, 3 to 12, 1 to 4.
    scene = 9 + 4 * (9 + 9 / 4 + 1 / 16)
    assert macs_per_pixel(student) == pytest.approx(counted / 64**2 + scene)


def _is_spatial(module: nn.Module) -> bool:
    return getattr(module, "weight", torch.zeros(1)).ndim == 4


def test_parity_under_the_floor_writes_nothing(
    student: PlainUNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "_parity_db", lambda data, restoration: 43.2)
    with pytest.raises(ParityError, match=r"43\.2 dB, expected at least 100 dB"):
        export_onnx(student, Provenance("pico", "test", 0, "CC0-1.0"), tmp_path / "out" / "x.onnx")
    assert list(tmp_path.rglob("*.*")) == []


def test_frames_start_from_a_carried_estimate(student: PlainUNet, tmp_path: Path) -> None:
    done = export_frames(student, Provenance("pico", "test", 0, "CC0-1.0"), tmp_path / "x.onnx")
    assert done.parity_db >= 100 and done.card["id"] == "allinone-pico-frames"
    loaded = session(done.path)
    assert [port.name for port in loaded.get_inputs()] == ["input", "state"]
    frame, last = torch.rand(2, 1, 3, 32, 48, generator=torch.Generator().manual_seed(2))
    expected = (frame_call(student, 2 * frame - 1, 2 * last - 1) + 1.0) / 2.0
    feeds = {"input": frame.numpy(), "state": last.numpy()}
    got = np.asarray(loaded.run(["output"], feeds)[0])
    assert np.abs(got - expected.clamp(0, 1).numpy()).max() < 1e-4


def test_agreement_in_closed_form() -> None:
    zero = np.zeros((2, 2), np.float32)
    assert agreement_db(zero + 0.1, zero) == pytest.approx(20.0, abs=1e-4)
    assert agreement_db(zero, zero) == 200.0
    assert agreement_db(zero + np.nan, zero) == float("-inf")
    assert agreement_db(np.zeros((1, 2), np.float32), zero) == float("-inf")


def test_fixed_sizes_need_no_padding_ops_and_no_file_tells_where_it_was_made(
    student: PlainUNet, exported: Path
) -> None:
    told = card(student, Provenance("pico", "test", 0, "CC0-1.0"), 1)
    fixed = to_onnx(Restoration(student, 1).eval(), told, size=(32, 48))
    ops = {node.op_type for node in fixed.graph.node}
    assert not ops & {"Pad", "Shape", "Mod"}
    assert [d.dim_value for d in fixed.graph.input[0].type.tensor_type.shape.dim] == [1, 3, 32, 48]
    for data in (fixed.SerializeToString(), exported.read_bytes()):
        assert str(Path(onnx_file.__file__).parent).encode() not in data
