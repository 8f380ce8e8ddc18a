"""Execution providers in packages of their own. The packages are fake, ONNX Runtime is not."""

import platform
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import onnxruntime
import pytest

from pellucid.profiling import Conditions, State, Target, plugins, profile_files
from pellucid.profiling import measure as measure_module
from pellucid.profiling.layers import read_layers
from pellucid.profiling.plugins import devices_of, plugin_targets


def device(provider: str, kind: str) -> Any:
    return SimpleNamespace(
        ep_name=provider, device=SimpleNamespace(type=SimpleNamespace(name=kind))
    )


class Plugin(ModuleType):
    """The convention's two functions."""

    def get_ep_name(self) -> str:
        return "FakeExecutionProvider"

    def get_library_path(self) -> str:
        return "libfake.so"


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """A plug-in that reaches an NPU and a CPU, with a second provider of its own."""
    told: list[tuple[str, str]] = []
    there = [
        device("CPUExecutionProvider", "CPU"),
        device("FakeExecutionProvider", "NPU"),
        device("FakeExecutionProvider", "CPU"),
        device("FakeExecutionProvider.AUTO", "GPU"),
    ]
    monkeypatch.setattr(plugins, "_registered", set())
    modules = [SimpleNamespace(name=name) for name in ("json", "onnxruntime_ep_fake", "zlib")]
    monkeypatch.setattr(plugins, "iter_modules", lambda: modules)
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_fake", Plugin("onnxruntime_ep_fake"))
    monkeypatch.setattr(
        onnxruntime, "register_execution_provider_library", lambda *names: told.append(names)
    )
    monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: there)
    return told


def test_a_target_for_each_kind_of_device(registered: list[tuple[str, str]]) -> None:
    cpu, npu = plugin_targets()
    assert (cpu.device, cpu.kind) == ("FakeExecutionProvider:CPU", "cpu")
    assert (npu.device, npu.kind) == ("FakeExecutionProvider:NPU", "npu")
    plugin_targets()
    assert registered == [("onnxruntime_ep_fake", "libfake.so")]  # twice would be refused
    assert [one.device.type.name for one in devices_of(npu)] == ["NPU"]
    assert devices_of(Target("onnxruntime", "CPUExecutionProvider", "cpu")) == []


def test_a_plugin_that_fails_says_why(
    registered: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: str) -> None:
        raise RuntimeError("libdriver.so.1: cannot open shared object file")

    monkeypatch.setattr(onnxruntime, "register_execution_provider_library", fail)
    [target] = plugin_targets()
    assert "onnxruntime_ep_fake cannot be registered: libdriver.so.1" in target.absent


def test_an_emulator_is_never_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = [SimpleNamespace(name="onnxruntime_qnn")]
    monkeypatch.setattr(plugins, "iter_modules", lambda: modules)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    [target] = plugin_targets()
    assert target.kind == "npu" and target.absent == plugins.EMULATOR


def test_a_session_gets_the_device_of_its_target(
    registered: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, model_file: Path
) -> None:
    """The options see the device; a provider that is not really there leaves the CPU's."""
    given: list[Any] = []

    class Options(onnxruntime.SessionOptions):  # type: ignore[misc]
        def add_provider_for_devices(self, devices: Any, options: Any) -> None:
            given.extend(devices)

    monkeypatch.setattr(onnxruntime, "SessionOptions", Options)
    monkeypatch.setattr(measure_module, "matrix_peak", lambda threads: 50.0)
    npu = plugin_targets()[1]
    [row] = profile_files([model_file], [npu], Conditions(((16, 24),), 1, 0.0)).rows
    assert [one.device.type.name for one in given] == ["NPU"]
    assert row.state == State.FALLBACK and row.reason == "ran on CPUExecutionProvider"
    given.clear()
    strict = Conditions(((16, 24),), 1, 0.0, strict=True)
    [row] = profile_files([model_file], [npu], strict).rows
    assert row.state == State.FALLBACK and row.p50_ms is None


def test_layers_of_a_plugin_are_at_home(registered: list[tuple[str, str]]) -> None:
    npu = plugin_targets()[1]
    told = {"op_name": "Conv", "provider": "FakeExecutionProvider", "output_type_shape": []}
    events = [
        {"cat": "Node", "name": "conv_kernel_time", "dur": 900, "args": told},
        {
            "cat": "Node",
            "name": "pad_kernel_time",
            "dur": 50,
            "args": {**told, "provider": "CPUExecutionProvider"},
        },
    ]
    assert [layer.flag for layer in read_layers(npu, [events], 1.0)] == ["", "other device"]
