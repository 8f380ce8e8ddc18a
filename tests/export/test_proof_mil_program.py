"""Whole programs: fp16 storage, overflow, pictures, sizes, the student, and broken packages."""

import gc
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pellucid_export.coreml.mil.headroom import headroom
from pellucid_export.coreml.mil.program import Program, TensorEvent, run
from pellucid_export.coreml.mil.values import MLProgramError, proto_modules
from pellucid_student.layers import fold
from pellucid_student.plain_unet import PICO, PlainUNet

ct = pytest.importorskip("coremltools")


class Function(nn.Module):
    def __init__(self, f: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.f = f

    def forward(self, x: Tensor) -> Tensor:
        return self.f(x)


def save(
    path: Path, module: nn.Module, inputs: Any, output: Any = None, half: bool = False
) -> Path:
    """Convert as our exports do: torch trace, ML Program, iOS17."""
    size = inputs.shape.default if hasattr(inputs.shape, "default") else inputs.shape.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # coremltools' own
        model = ct.convert(
            torch.jit.trace(module.eval(), torch.rand(*size)),  # type: ignore[no-untyped-call]
            convert_to="mlprogram",
            minimum_deployment_target=ct.target.iOS17,
            inputs=[inputs],
            outputs=[output or ct.TensorType("output")],
            compute_precision=ct.precision.FLOAT16 if half else ct.precision.FLOAT32,
            skip_model_load=True,
        )
        model.save(str(path))
        del model
        gc.collect()
    return path


def tensor(*shape: int) -> Any:
    return ct.TensorType("input", shape=shape)


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """input -> x 300 -> x 300 -> x 1e-5: the middle one leaves fp16 for inputs above 0.73."""
    folder = tmp_path_factory.mktemp("overflow")
    module = Function(lambda x: torch.relu(torch.relu(x * 300.0) * 300.0) * 1e-5)
    return save(folder / "overflow.mlpackage", module, tensor(1, 4), half=True)


def test_the_first_overflow_is_named(overflowing: Path) -> None:
    report = headroom(overflowing, [{"input": np.array([[0.1, 0.5, 0.8, 1.0]], np.float32)}])
    first = report.first_overflow
    assert first is not None
    assert (first.op, first.overflows) == ("mul", 2)
    assert first.peak == pytest.approx(90_000, rel=1e-3)
    assert first.headroom < 1
    assert first.name in report.lines[0]
    assert report.to_dict()["first_overflow"] == first.name


def test_no_overflow_gives_headroom(overflowing: Path) -> None:
    report = headroom(overflowing, [{"input": np.array([[0.1, 0.5, 0.2, 0.25]], np.float32)}])
    assert report.first_overflow is None
    assert report.tightest(1)[0].headroom == pytest.approx(65504 / 45_000, rel=1e-3)
    assert report.lines[0] == "no fp16 overflow on these inputs"


def test_samples_add_up(overflowing: Path) -> None:
    samples = [{"input": np.full((1, 4), v, np.float32)} for v in (0.5, 1.0, 0.25)]
    layer = headroom(overflowing, samples).layers[0]
    assert (layer.op, layer.low, layer.high) == ("input", 0.25, 1.0)


def test_subnormal_share(overflowing: Path) -> None:
    report = headroom(overflowing, [{"input": np.array([[1e-7, 1e-6, 0.0, 0.5]], np.float32)}])
    read = report.layers[0]
    assert read.dtype == "fp16"
    assert read.subnormal == 0.5  # zero itself is exact


def test_fp16_is_rounded_on_store_only(overflowing: Path) -> None:
    seen: list[TensorEvent] = []
    x = np.array([[1 / 3, 0.1, 0.2, 0.3]], np.float32)
    run(overflowing, {"input": x}, seen.append)
    stored = x.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(seen[0].values, stored)
    expected = (stored * np.float32(300)).astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(next(e for e in seen if e.op == "mul").values, expected)


class Whole(nn.Module):
    """One step of a student, written without Python arithmetic on shapes."""

    def __init__(self, student: PlainUNet) -> None:
        super().__init__()
        self.student = fold(student)

    def forward(self, x: Tensor) -> Tensor:
        degraded = 2.0 * x - 1.0
        code = self.student.scene_code(self.student.measure(x))
        seen = torch.cat([degraded, degraded], dim=1)
        return (degraded + self.student.detail(seen, code) + 1.0) / 2.0


def student() -> Whole:
    torch.manual_seed(0)
    return Whole(PlainUNet(PICO))


@pytest.mark.slow
@pytest.mark.parametrize(("half", "floor_db"), [(False, 100.0), (True, 55.0)])
def test_the_student_computes_what_torch_computes(
    tmp_path: Path, half: bool, floor_db: float
) -> None:
    whole = student()
    path = save(tmp_path / "student.mlpackage", whole, tensor(1, 3, 32, 48), half=half)
    x = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    events: list[TensorEvent] = []
    got = run(path, {"input": x.numpy()}, events.append)["output"]
    with torch.no_grad():
        expected = whole(x).numpy()
    assert np.mean((got - expected) ** 2) < 10 ** (-floor_db / 10)  # PSNR, peak 1
    assert ("fp16" in {e.dtype for e in events}) is half


def test_enumerated_sizes_run_and_others_are_refused(tmp_path: Path) -> None:
    sizes = [(1, 3, 4, 6), (1, 3, 6, 4)]
    shapes = ct.EnumeratedShapes(shapes=sizes, default=sizes[0])
    path = save(
        tmp_path / "sizes.mlpackage",
        Function(lambda x: x.flip(3)),
        ct.TensorType("input", shape=shapes),
    )
    for size in sizes:
        x = np.random.default_rng(0).random(size, np.float32)
        np.testing.assert_array_equal(run(path, {"input": x})["output"], x[..., ::-1])
    with pytest.raises(MLProgramError, match=r"one of .*\[1, 3, 6, 4\].*got \[1, 3, 4, 4\]"):
        run(path, {"input": np.zeros((1, 3, 4, 4), np.float32)})


@pytest.mark.parametrize("layout", ["RGB", "BGR"])
def test_pictures_keep_their_colours(tmp_path: Path, layout: str) -> None:
    """The graph halves its first channel: red in RGB, blue in BGR."""
    colours = getattr(ct.colorlayout, layout)
    share = torch.tensor([0.5, 1.0, 1.0]).reshape(1, 3, 1, 1)
    path = save(
        tmp_path / "picture.mlpackage",
        Function(lambda x: x * share * 255.0),
        ct.ImageType("input", shape=(1, 3, 4, 6), scale=1 / 255, color_layout=colours),
        ct.ImageType("output", color_layout=colours),
    )
    image = np.random.default_rng(0).integers(0, 128, (4, 6, 3), dtype=np.uint8) * 2
    expected = image.copy()
    expected[:, :, 0 if layout == "RGB" else 2] //= 2
    got = run(path, {"input": image})["output"]
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, expected)
    with pytest.raises(MLProgramError, match=r"takes \(H, W\) of \[\(4, 6\)\], got \(6, 4\)"):
        run(path, {"input": image.swapaxes(0, 1)})
    with pytest.raises(MLProgramError, match=r"expected \(H, W, 3\) in 0..255, got \(1, 3, 4, 6\)"):
        run(path, {"input": np.zeros((1, 3, 4, 6), np.float32)})


def test_grey_pictures_and_clipping(tmp_path: Path) -> None:
    path = save(
        tmp_path / "grey.mlpackage",
        Function(lambda x: x * 2.0 - 100.0),
        ct.ImageType("input", shape=(1, 1, 1, 3), color_layout=ct.colorlayout.GRAYSCALE),
        ct.ImageType("output", color_layout=ct.colorlayout.GRAYSCALE),
    )
    got = run(path, {"input": np.array([[10, 100, 250]], np.uint8)})["output"]
    assert got.tolist() == [[0, 100, 255]]


# -- what goes wrong


@pytest.fixture
def broken(overflowing: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(overflowing, tmp_path / "copy.mlpackage"))


def edit(package: Path, change: Callable[[Any], object]) -> None:
    file = package / "Data" / "com.apple.CoreML" / "model.mlmodel"
    spec = proto_modules()[0].Model()
    spec.ParseFromString(file.read_bytes())
    change(spec)
    file.write_bytes(spec.SerializeToString())


def operations(spec: Any) -> Any:
    main = spec.mlProgram.functions["main"]
    return main.block_specializations[main.opset].operations


def test_an_unknown_op_is_named_with_its_file(broken: Path) -> None:
    def rename(spec: Any) -> None:
        operations(spec)[-2].type = "frobnicate"

    edit(broken, rename)
    with pytest.raises(MLProgramError, match=r"copy\.mlpackage.*frobnicate"):
        Program.load(broken)


def test_a_wrong_parameter_names_the_op_and_tensor(broken: Path) -> None:
    def rename(spec: Any) -> None:
        (relu, *_) = [o for o in operations(spec) if o.type == "relu"]
        relu.inputs["wrong"].CopyFrom(relu.inputs["x"])

    edit(broken, rename)
    with pytest.raises(MLProgramError, match=r"op relu .*wrong"):
        run(broken, {"input": np.zeros((1, 4), np.float32)})


def test_a_declared_shape_that_is_not_made_is_an_error(broken: Path) -> None:
    def lie(spec: Any) -> None:
        (relu, *_) = [o for o in operations(spec) if o.type == "relu"]
        relu.outputs[0].type.tensorType.dimensions[1].constant.size = 5

    edit(broken, lie)
    with pytest.raises(MLProgramError, match=r"made \[1, 4\] where the program declares \[1, 5\]"):
        run(broken, {"input": np.zeros((1, 4), np.float32)})


def test_a_damaged_file(broken: Path) -> None:
    (broken / "Data" / "com.apple.CoreML" / "model.mlmodel").write_bytes(b"\xff\x01 no protobuf")
    with pytest.raises(MLProgramError, match="damaged"):
        Program.load(broken)


def test_no_package_at_all(tmp_path: Path) -> None:
    with pytest.raises(MLProgramError, match=r"expected an \.mlpackage folder"):
        Program.load(tmp_path)


def test_missing_weights(tmp_path: Path) -> None:
    path = save(tmp_path / "conv.mlpackage", nn.Conv2d(3, 8, 3), tensor(1, 3, 8, 8))
    blobs = path / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
    raw = blobs.read_bytes()
    blobs.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(MLProgramError, match="damaged"):
        Program.load(path)
    blobs.unlink()
    with pytest.raises(MLProgramError, match="weights are missing"):
        Program.load(path)


def test_an_older_kind_of_model_is_refused() -> None:
    spec = proto_modules()[0].Model()
    spec.neuralNetwork.SetInParent()
    with pytest.raises(MLProgramError, match="expected an ML Program, got neuralNetwork"):
        Program(spec, Path(), "old.mlmodel")


def test_wrong_inputs_are_told(overflowing: Path) -> None:
    with pytest.raises(MLProgramError, match=r"expected inputs \['input'\], got \['image'\]"):
        run(overflowing, {"image": np.zeros((1, 4), np.float32)})
    with pytest.raises(MLProgramError, match=r"input input is \[1, 4\], got \[4\]"):
        run(overflowing, {"input": np.zeros(4, np.float32)})
