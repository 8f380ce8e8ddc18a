"""One ML Program that holds many ops as its outputs, converted once by coremltools itself."""

import gc
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pellucid_export.coreml.mil.program import Program

SHAPE = (1, 4, 6, 8)
Array = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """build(mb, x): the op on the program's input. expected(x): the answer, from numpy or torch.

    x is (1, 4, 6, 8), float32, within 0.05..0.95.
    """

    name: str
    build: Callable[[Any, Any], Any]
    expected: Callable[[Array], Array]


def picture() -> Array:
    return np.random.default_rng(3).uniform(0.05, 0.95, SHAPE).astype(np.float32)


def convert(cases: list[Case], folder: Path, opset: str = "iOS17") -> dict[str, Array]:
    """Build, save, run here; case name -> its output. coremltools changes nothing on the way."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # coremltools' own: torch's version, its temporary folder
        path = _save(cases, folder, opset)
        gc.collect()  # its temporary folder goes with the model, while nobody minds the warning
    program = Program.load(path)
    (name,) = program.inputs
    made = program.run({name: picture()})
    return {case.name: made[f"out_{index}"] for index, case in enumerate(cases)}


def _save(cases: list[Case], folder: Path, opset: str) -> Path:
    ct = pytest.importorskip("coremltools")
    from coremltools.converters.mil import Builder as mb

    target = getattr(ct.target, opset)

    @mb.program(input_specs=[mb.TensorSpec(shape=SHAPE)], opset_version=target)  # type: ignore[untyped-decorator]
    def program(x: Any) -> Any:
        return tuple(
            mb.identity(x=case.build(mb, x), name=f"out_{index}")
            for index, case in enumerate(cases)
        )

    model = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=target,
        compute_precision=ct.precision.FLOAT32,
        pass_pipeline=ct.PassPipeline.EMPTY,
        skip_model_load=True,
    )
    path = folder / "cases.mlpackage"
    model.save(str(path))
    return path


def check(case: Case, outputs: dict[str, Array]) -> None:
    expected, got = case.expected(picture()), outputs[case.name]
    assert got.shape == expected.shape
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-6)
    else:
        np.testing.assert_array_equal(got.astype(expected.dtype), expected)
