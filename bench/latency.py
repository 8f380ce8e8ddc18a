"""Time of one call at one size, in four engines, each beside a reference of plain convolutions."""

import contextlib
import io
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from pellucid.profiling.small_onnx import conv_stack
from pellucid.session import open_session
from pellucid_student.layers import fold
from pellucid_student.scene import SCENE_SIZE
from pellucid_teacher.macs import count_macs

REFERENCE_MACS = 8e9
ENGINES = ("onnxruntime-f32", "onnxruntime-int8", "openvino-f32", "openvino-int8")
Call = Callable[[], object]


class OneStep(nn.Module):
    """A one-step restorer around a network of candidates.py: (1, 3, H, W) in [0, 1] -> same.

    A student's scene code is given, as the runtime gives it, not measured in the graph.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        clean = self.network(2.0 * image - 1.0, torch.zeros(1, SCENE_SIZE))
        return ((clean.clamp(-1.0, 1.0)) + 1.0) / 2.0


def measure(
    network: nn.Module,
    height: int,
    width: int,
    threads: int,
    rounds: int,
    engines: Sequence[str] = ENGINES,
) -> dict[str, Any]:
    """{"gmac", "params", engine: {"ratio", "ms", "reference_ms"}}; medians over `rounds` rounds.

    Each round runs every engine once, next to the reference in the same library, so that what else
    the machine does meets both. ratio: time over the reference's; int8 too is against its f32.
    """
    deployed = fold(network)
    record: dict[str, Any] = {
        "gmac": count_macs(network, (1, 3, height, width)).total / 1e9,
        "params": sum(p.numel() for p in deployed.parameters()),
    }
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        calls = _calls(deployed, home, height, width, threads, engines)
        references = {
            library: OPEN[library](_reference(home, height, width), threads)
            for library in {engine.split("-")[0] for engine in engines}
        }
        times: dict[str, list[tuple[float, float]]] = {engine: [] for engine in calls}
        for index in range(rounds + 1):  # the first round warms up
            for engine, call in calls.items():
                pair = _seconds(call), _seconds(references[engine.split("-")[0]])
                if index:
                    times[engine].append(pair)
    for engine, pairs in times.items():
        record[engine] = {
            "ratio": statistics.median(own / ref for own, ref in pairs),
            "ms": 1e3 * statistics.median(own for own, _ in pairs),
            "reference_ms": 1e3 * statistics.median(ref for _, ref in pairs),
        }
    return record


def _seconds(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _calls(
    deployed: nn.Module,
    home: Path,
    height: int,
    width: int,
    threads: int,
    engines: Sequence[str],
) -> dict[str, Call]:
    files = {"f32": home / "f32.onnx", "int8": home / "int8.onnx"}
    _export(OneStep(deployed).eval(), files["f32"], height, width)
    if any(engine.endswith("int8") for engine in engines):
        _quantise(files["f32"], files["int8"], height, width)
    parts = {engine: engine.split("-") for engine in engines}
    return {
        engine: OPEN[library](files[precision], threads)
        for engine, (library, precision) in parts.items()
    }


def _export(module: nn.Module, path: Path, height: int, width: int) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            (torch.rand(1, 3, height, width),),
            dynamo=True,
            opset_version=20,
            input_names=["input"],
            external_data=False,
            verbose=False,
        )
    assert program is not None
    onnx.save(program.model_proto, path)


def _quantise(f32: Path, int8: Path, height: int, width: int) -> None:
    """Convolutions in 8 bits, calibrated on one random picture: for timing only."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class One(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            image = np.random.default_rng(0).random((1, 3, height, width), np.float32)
            self.feeds = iter([{"input": image}])

        def get_next(self) -> Any:
            return next(self.feeds, None)

    logging.getLogger().setLevel(logging.ERROR)
    quantize_static(
        f32,
        int8,
        One(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def _reference(home: Path, height: int, width: int) -> Path:
    path = home / "reference.onnx"
    if not path.exists():
        path.write_bytes(conv_stack(REFERENCE_MACS, height, width))
    return path


def _feed(shape: list[int]) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).random(shape, np.float32)


def _onnxruntime(path: Path, threads: int) -> Call:
    session = open_session(path, threads)
    port = session.get_inputs()[0]
    feeds = {port.name: _feed(port.shape)}
    return lambda: session.run(None, feeds)


def _openvino(path: Path, threads: int) -> Call:
    import openvino

    record = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.compile_model(openvino.convert_model(path), "CPU", record)
    request = compiled.create_infer_request()
    feed = _feed(list(compiled.inputs[0].shape))
    return lambda: request.infer([feed])


OPEN = {"onnxruntime": _onnxruntime, "openvino": _openvino}
