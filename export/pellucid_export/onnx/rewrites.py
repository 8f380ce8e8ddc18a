"""Exact rewrites of an exported ONNX graph into ops that NPUs have.

torch writes pixel-unshuffle as Reshape, Transpose, Reshape over six dimensions, which phones and
the Neural Engine do not take. Together with the convolution behind it, it is one strided
convolution on the full picture: fewer ops, and no more time on a CPU. torch writes
pixel-shuffle as DepthToSpace in channel order CRD, where Android knows DCR only; the convolution
before it may write its channels in the other order for free.

Both hold exactly; sums may be taken in another order, so expect differences of one fp32 rounding.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from .scene_branch import measure_always, reads

UNSHUFFLE = [0, 1, 3, 5, 2, 4]  # (N, C, H/r, r, W/r, r) -> (N, C, r, r, H/r, W/r)


def rewrite_for_devices(model: onnx.ModelProto) -> Counter[str]:
    """Rewrite `model` in place, before it is quantised; -> how often each rewrite was made.

    Keys: "strided" (unshuffle and convolution became one), "dcr" (shuffles turned to DCR),
    "always" (the scene is no longer measured in a branch). What does not match is left as it is.
    """
    done: Counter[str] = Counter(always=measure_always(model))
    weights = _Weights(model)
    for conv in [n for n in model.graph.node if n.op_type == "Conv"]:
        done["strided"] += _to_strided(model, conv, weights)
    for shuffle in [n for n in model.graph.node if n.op_type == "DepthToSpace"]:
        done["dcr"] += _to_dcr(model, shuffle, weights)
    drop_unused(model)
    return +done


class _Weights:
    """Initializers by name; a changed copy is made once, however many nodes ask for it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.held = {tensor.name: tensor for tensor in model.graph.initializer}

    def changed(
        self, name: str, suffix: str, change: Callable[[NDArray[Any]], NDArray[Any]]
    ) -> str:
        new = name + suffix
        if new not in self.held:
            array = np.ascontiguousarray(change(numpy_helper.to_array(self.held[name])))
            self.held[new] = numpy_helper.from_array(array, new)
            self.model.graph.initializer.append(self.held[new])
        return new


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    for attribute in node.attribute:
        if attribute.name == name:
            return helper.get_attribute_value(attribute)
    return default


def _replace_attributes(node: onnx.NodeProto, **values: Any) -> None:
    kept = [a for a in node.attribute if a.name not in values]
    del node.attribute[:]
    node.attribute.extend(kept)
    node.attribute.extend(helper.make_attribute(key, value) for key, value in values.items())


def _maker(model: onnx.ModelProto, name: str, op: str) -> onnx.NodeProto | None:
    """The node that makes `name`, if it is an `op`."""
    return next((n for n in model.graph.node if name in n.output and n.op_type == op), None)


def _readers(model: onnx.ModelProto, name: str) -> int:
    read = [source for node in model.graph.node for source in reads(node)]
    return (read + [output.name for output in model.graph.output]).count(name)


def _unshuffle_factor(model: onnx.ModelProto, reshape: onnx.NodeProto, weights: _Weights) -> int:
    """r of a reshape to (N, C, H/r, r, W/r, r), from the shape itself; 0 if it is another one.

    A constant shape holds it; for free sizes the shape is a Concat whose third and fifth parts are
    constants.
    """
    name = reshape.input[1]
    if name in weights.held:
        shape = numpy_helper.to_array(weights.held[name]).tolist()
        return int(shape[3]) if len(shape) == 6 and shape[3] == shape[5] else 0
    concat = _maker(model, name, "Concat")
    parts = list(concat.input) if concat else []
    if len(parts) != 6 or parts[3] not in weights.held or parts[5] not in weights.held:
        return 0
    across, along = (numpy_helper.to_array(weights.held[parts[i]]).reshape(-1) for i in (5, 3))
    return int(across[0]) if across.size == 1 and np.array_equal(across, along) else 0


def _to_strided(model: onnx.ModelProto, conv: onnx.NodeProto, weights: _Weights) -> bool:
    if (
        _attribute(conv, "group", 1) != 1
        or set(_attribute(conv, "strides", [1])) != {1}
        or set(_attribute(conv, "dilations", [1])) != {1}
        or _attribute(conv, "auto_pad", b"NOTSET") != b"NOTSET"
        or conv.input[1] not in weights.held
    ):
        return False
    name, turn = conv.input[0], None
    while reshape := _maker(model, name, "Reshape"):  # torch writes one, or two for free sizes
        name = reshape.input[0]
        turn = _maker(model, name, "Transpose")
    first = _maker(model, turn.input[0], "Reshape") if turn else None
    if turn is None or first is None or list(_attribute(turn, "perm", [])) != UNSHUFFLE:
        return False
    factor = _unshuffle_factor(model, first, weights)
    kernel = list(weights.held[conv.input[1]].dims)
    if factor < 2 or len(kernel) != 4 or kernel[1] % factor**2:
        return False
    out, wide, rows, cols = kernel
    channels = wide // factor**2

    def spread(weight: NDArray[Any]) -> NDArray[Any]:
        """W[o, (c, a, b), i, j] -> K[o, c, r i + a, r j + b]."""
        split = weight.reshape(out, channels, factor, factor, rows, cols)
        return split.transpose(0, 1, 4, 2, 5, 3).reshape(
            out, channels, rows * factor, cols * factor
        )

    pads = [side * factor for side in _attribute(conv, "pads", [0, 0, 0, 0])]
    conv.input[0] = first.input[0]
    conv.input[1] = weights.changed(conv.input[1], "_strided", spread)
    shape = [rows * factor, cols * factor]
    _replace_attributes(conv, kernel_shape=shape, strides=[factor, factor], pads=pads)
    return True  # what nobody reads now is dropped at the end


def _to_dcr(model: onnx.ModelProto, shuffle: onnx.NodeProto, weights: _Weights) -> bool:
    if _attribute(shuffle, "mode", b"DCR") != b"CRD":
        return False
    conv = _maker(model, shuffle.input[0], "Conv")
    if conv is None or _readers(model, conv.output[0]) != 1:
        return False
    if any(name not in weights.held for name in conv.input[1:] if name):
        return False
    if _attribute(conv, "group", 1) != 1:
        return False
    cells = _attribute(shuffle, "blocksize", 1) ** 2

    def turned(values: NDArray[Any]) -> NDArray[Any]:
        """Rows (c, cell) -> (cell, c)."""
        split = values.reshape(-1, cells, *values.shape[1:])
        return split.swapaxes(0, 1).reshape(values.shape)

    for position, name in list(enumerate(conv.input))[1:]:
        if name:
            conv.input[position] = weights.changed(name, "_dcr", turned)
    _replace_attributes(shuffle, mode="DCR")
    return True


def drop_unused(model: onnx.ModelProto) -> None:
    """Remove nodes, initializers and notes that nothing reads any more."""
    graph = model.graph
    wanted = {output.name for output in graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(reads(node))
    del graph.node[:]
    graph.node.extend(reversed(kept))
    wanted.update(value.name for value in graph.input)
    held = [tensor for tensor in graph.initializer if tensor.name in wanted]
    del graph.initializer[:]
    graph.initializer.extend(held)
    made = {name for node in kept for name in node.output}
    notes = [value for value in graph.value_info if value.name in made]
    del graph.value_info[:]
    graph.value_info.extend(notes)
