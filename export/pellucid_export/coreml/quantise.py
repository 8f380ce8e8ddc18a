"""Smaller and integer ML Programs.

coremltools 9.0 measures activation ranges by running Core ML, which needs a Mac, and then keeps
only the last sample's range. Here ranges come from the ML Program evaluator, over all samples.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .mil.program import Program, TensorEvent

QUANTISED_OP = "conv"
PALETTE_BITS = 6
Feeds = Sequence[dict[str, NDArray[Any]]]


def compress(model: Any, precision: str, keep: Sequence[str], samples: Feeds) -> Any:
    """A smaller copy of a converted fp16 model.

    precision: w8 (int8 weights), w6p (weights from a palette of 64), w8a8 (int8 weights and the
    activations that enter convolutions). keep: torch names of layers that stay float16.
    samples: inputs that activation ranges are measured on.
    """
    import coremltools.optimize.coreml as optimise

    if precision == "w6p":
        palette = optimise.OpPalettizerConfig(mode="kmeans", nbits=PALETTE_BITS, weight_threshold=0)
        config = _config(model, palette, keep)
        return optimise.palettize_weights(model, config)
    linear = optimise.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=0)
    if precision == "w8a8":
        with _ranges_by_the_evaluator():
            config = _config(model, linear, keep)
            model = optimise.linear_quantize_activations(model, config, list(samples))
    return optimise.linear_quantize_weights(model, _config(model, linear, keep))


def _config(model: Any, rule: Any, keep: Sequence[str]) -> Any:
    """The student's convolutions by `rule`; the kept ones, those that measure the scene or the
    amounts, and their weights not at all."""
    import coremltools.optimize.coreml as optimise

    config = optimise.OptimizationConfig(op_type_configs={QUANTISED_OP: rule})
    starts = tuple(f"_student_{layer.replace('.', '_')}_weight" for layer in keep)
    starts += ("_student_estimator_",)
    for op in model._mil_program.functions["main"].operations:
        if op.op_type == QUANTISED_OP:
            name = op.weight.name
            if "_student_" not in name or any(start in name for start in starts):
                config.set_op_name(op.name, None)
                config.set_op_name(name, None)
    return config


@contextmanager
def _ranges_by_the_evaluator() -> Iterator[None]:
    """Put our range measurement where coremltools looks for its own."""
    from coremltools.optimize.coreml import _post_training_quantization as ptq

    theirs = ptq._get_activation_calibration_stats
    ptq._get_activation_calibration_stats = _activation_ranges
    try:
        yield
    finally:
        ptq._get_activation_calibration_stats = theirs


def _activation_ranges(
    model: Any, samples: Feeds, calibration_op_group_size: int = -1
) -> dict[str, dict[str, float]]:
    """{tensor: {"rmin", "rmax"}} over all samples, the shape coremltools expects."""
    program = Program(model.get_spec(), Path(model.weights_dir), "calibration")
    ranges: dict[str, dict[str, float]] = {}

    def tap(event: TensorEvent) -> None:
        if event.values.dtype != np.float32:
            return
        held = ranges.setdefault(event.name, {"rmin": 0.0, "rmax": 0.0})
        held["rmin"] = min(held["rmin"], float(event.values.min()))
        held["rmax"] = max(held["rmax"], float(event.values.max()))

    for sample in samples:
        program.run(sample, tap)
    return ranges
