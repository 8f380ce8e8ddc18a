"""Core ML's rows: its compute units on a Mac with coremltools, else the reason. Core ML is fake."""

import sys
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pellucid import ModelError
from pellucid.profiling import Conditions, Row, State, Target, discovery, profile_files
from pellucid.profiling import measure as measure_module
from pellucid.profiling.calls import open_call

UNITS = ("CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE", "ALL")
CPU = Target("onnxruntime", "CPUExecutionProvider", "cpu")
NPU = Target("coreml", "CPU_AND_NE", "npu")
SMALL = Conditions(((16, 24),), threads=1, seconds=0.0)


class MLNeuralEngineComputeDevice:
    """By their names the devices are told apart."""


class MLCPUComputeDevice:
    """By their names the devices are told apart."""


class Port:
    """An input of a package: an array of free size, or an image of 24x16."""

    name = "input"

    def __init__(self, image: bool) -> None:
        self.type, self._image = self, image
        self.imageType = SimpleNamespace(height=16, width=24, WhichOneof=lambda kind: None)
        self.multiArrayType = SimpleNamespace(shape=[1, 3, 8, 8], WhichOneof=lambda kind: "range")

    def WhichOneof(self, kind: str) -> str:  # noqa: N802, protobuf's name
        return "imageType" if self._image else "multiArrayType"


class FakeCoreML(ModuleType):
    """placement: (device, cost) of each operation. None: a macOS that does not tell."""

    def __init__(self, image: bool = False, placement: Sequence[Any] | None = ()) -> None:
        super().__init__("coremltools")
        self.ComputeUnit = Enum("ComputeUnit", UNITS)  # type: ignore[misc]
        self.asked: list[str] = []
        self.fed: list[Any] = []

        def open_model(path: str, compute_units: Any) -> Any:
            self.asked.append(compute_units.name)
            described = SimpleNamespace(description=SimpleNamespace(input=[Port(image)]))
            return SimpleNamespace(
                get_spec=lambda: described,
                user_defined_metadata={},
                predict=lambda feeds: self.fed.append(feeds["input"]),
                get_compiled_model_path=lambda: "compiled",
            )

        def load_from_path(path: str, compute_units: Any) -> Any:
            if placement is None:
                raise ValueError("MLComputePlan is not supported.")
            block = SimpleNamespace(operations=[*placement, None])  # the last is a constant
            program = SimpleNamespace(functions={"main": SimpleNamespace(block=block)})
            return SimpleNamespace(
                model_structure=SimpleNamespace(program=program),
                get_compute_device_usage_for_mlprogram_operation=lambda operation: (
                    operation and SimpleNamespace(preferred_compute_device=operation[0]())
                ),
                get_estimated_cost_for_mlprogram_operation=lambda operation: (
                    operation and SimpleNamespace(weight=operation[1])
                ),
            )

        plan = SimpleNamespace(MLComputePlan=SimpleNamespace(load_from_path=load_from_path))
        self.models = SimpleNamespace(MLModel=open_model, compute_plan=plan)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_module, "matrix_peak", lambda threads: 50.0)
    monkeypatch.setattr(discovery, "_openvino", list)
    monkeypatch.setattr(discovery, "plugin_targets", list)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "m.mlpackage").mkdir()
    return tmp_path / "m.mlpackage"


def on_a_mac(monkeypatch: pytest.MonkeyPatch, fake: FakeCoreML) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(discovery, "find_spec", lambda name: "here")
    monkeypatch.setitem(sys.modules, "coremltools", fake)


def rows(package: Path, asked: str) -> list[Row]:
    return profile_files([package], discovery.find_targets(asked), SMALL).rows


def test_every_set_of_compute_units_has_its_row(
    monkeypatch: pytest.MonkeyPatch, package: Path
) -> None:
    fake = FakeCoreML(placement=[(MLNeuralEngineComputeDevice, 1.0)])
    on_a_mac(monkeypatch, fake)
    told = rows(package, "auto")
    assert [(row.engine, row.device) for row in told] == [("coreml", units) for units in UNITS]
    assert fake.asked == list(UNITS)
    # The neural engine was asked for and used; the graphics card was asked for and was not.
    assert [row.state.value for row in told] == ["measured", "fallback", "measured", "measured"]
    assert told[1].reason == "ran on NeuralEngine"
    assert all(feed.shape == (1, 3, 16, 24) and feed.dtype == np.float32 for feed in fake.fed)


def test_the_kind_asked_for_gives_its_units(monkeypatch: pytest.MonkeyPatch, package: Path) -> None:
    on_a_mac(monkeypatch, FakeCoreML())
    for kind, units in zip(("cpu", "gpu", "npu"), UNITS, strict=False):
        found = [target for target in discovery.find_targets(kind) if target.engine == "coreml"]
        assert [target.device for target in found] == [units]
    every = [target.device for target in discovery.find_targets("all") if target.engine == "coreml"]
    assert every == list(UNITS)


def test_elsewhere_there_is_one_row_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, package: Path
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    [row] = rows(package, "auto")
    assert (row.engine, row.state) == ("coreml", State.ABSENT)
    assert row.reason == "Core ML runs on macOS, this is linux"
    assert all(target.engine != "coreml" for target in discovery.find_targets("auto"))
    assert [target.engine for target in discovery.find_targets("all")].count("coreml") == 1


def test_a_mac_without_coremltools_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, package: Path
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(discovery, "find_spec", lambda name: None)
    [row] = rows(package, "auto")
    assert row.state == State.ABSENT and "pip install 'pellucid[coreml]'" in row.reason


def test_onnx_files_get_no_rows_of_core_ml(
    monkeypatch: pytest.MonkeyPatch, model_file: Path
) -> None:
    on_a_mac(monkeypatch, FakeCoreML())
    told = profile_files([model_file], [CPU, NPU], SMALL).rows
    assert [(row.engine, row.state) for row in told] == [("onnxruntime", State.MEASURED)]


@pytest.mark.parametrize(
    ("placement", "told"),
    [
        ([(MLNeuralEngineComputeDevice, 0.7), (MLCPUComputeDevice, 0.3)], ""),
        ([(MLNeuralEngineComputeDevice, 0.2), (MLCPUComputeDevice, 0.8)], "CPU"),
        (None, ""),
    ],
)
def test_where_most_of_the_cost_lies_is_where_it_runs(
    monkeypatch: pytest.MonkeyPatch, package: Path, placement: list[Any] | None, told: str
) -> None:
    on_a_mac(monkeypatch, FakeCoreML(placement=placement))
    assert open_call(NPU, package, (16, 24), 1).placed == told


def test_strict_refuses_what_it_cannot_see(monkeypatch: pytest.MonkeyPatch, package: Path) -> None:
    on_a_mac(monkeypatch, FakeCoreML(placement=None))
    with pytest.raises(ModelError, match="no fallback can be ruled out"):
        open_call(NPU, package, (16, 24), 1, strict=True)


def test_image_ports_are_fed_pictures(monkeypatch: pytest.MonkeyPatch, package: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="pip install pillow")
    fake = FakeCoreML(image=True)
    on_a_mac(monkeypatch, fake)
    open_call(NPU, package, (16, 24), 1).call()
    assert isinstance(fake.fed[0], image.Image) and fake.fed[0].size == (24, 16)
    with pytest.raises(ModelError, match="fixed to 24x16: --size 24x16"):
        open_call(NPU, package, (32, 32), 1)
