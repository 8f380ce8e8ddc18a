"""Cut a restorer in two: what is computed once a picture, and what is computed for every pixel.

The scene code and all that is read off it are vectors: a classifier with its softmax, a few small
matrix products, the tone curve's exponential. They cost nothing on a host and lose everything in
integers, so an NPU gets their results as inputs. The cut is found in the graph, not named in it: it
holds for any student whose vectors come from the scene alone, in one step.
"""

from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper, shape_inference

from pellucid.errors import PellucidError

from ..onnx.rewrites import drop_unused

SCENE = "scene"


class HTPModelError(PellucidError):
    """The model or the pictures do not fit what the HTP needs."""


@dataclass(frozen=True)
class Halves:
    """code: input (1, 3, H, W), optional scene -> the vectors, named code_00, code_01, ...
    network: input and all of these vectors, required -> output. Both in float32."""

    code: onnx.ModelProto
    network: onnx.ModelProto


def cut_at_vectors(model: onnx.ModelProto) -> Halves:
    """model: a float32 restorer with `input` and an overridable `scene`; it is not changed.

    Raises HTPModelError if the model does not choose between a given and a measured scene.
    """
    whole = onnx.ModelProto()
    whole.CopyFrom(shape_inference.infer_shapes(model, data_prop=True))
    choice = _choice(whole)
    pictured = _descendants(whole, "input", without=choice)
    coded = _descendants(whole, choice.output[0]) - pictured
    border = {
        name: None
        for node in whole.graph.node
        if pictured.intersection(node.output)
        for name in node.input
        if name in coded
    }
    vectors = {name: f"code_{index:02}" for index, name in enumerate(border)}
    ports = [_port(whole, old, new) for old, new in vectors.items()]
    _rename(whole, vectors)

    code, network = onnx.ModelProto(), onnx.ModelProto()
    code.CopyFrom(whole)
    del code.graph.output[:]
    code.graph.output.extend(ports)
    drop_unused(code)

    network.CopyFrom(whole)
    made = [n for n in whole.graph.node if not set(n.output).intersection(vectors.values())]
    taken = [value for value in whole.graph.input if value.name != SCENE]
    for field, kept in (("node", made), ("input", [*taken, *ports])):
        held = getattr(network.graph, field)
        del held[:]
        held.extend(kept)
    scene = next(tensor for tensor in network.graph.initializer if tensor.name == SCENE)
    network.graph.initializer.remove(scene)
    drop_unused(network)
    return Halves(code, network)


def _choice(model: onnx.ModelProto) -> onnx.NodeProto:
    """The node that takes the given scene or the measured one."""
    found: list[onnx.NodeProto] = [
        n for n in model.graph.node if n.op_type == "Where" and SCENE in n.input
    ]
    if len(found) != 1:
        raise HTPModelError(
            f"expected a model with an input {SCENE} that replaces what it measures itself, found "
            f"{len(found)} such places; export it with pellucid_export"
        )
    return found[0]


def _descendants(
    model: onnx.ModelProto, start: str, without: onnx.NodeProto | None = None
) -> set[str]:
    """Tensors computed from `start`, itself included, not counting what passes through a node."""
    found = {start}
    for node in model.graph.node:  # in the order of computation
        if node is not without and found.intersection(node.input):
            found.update(node.output)
    return found


def _port(model: onnx.ModelProto, old: str, new: str) -> onnx.ValueInfoProto:
    for value in model.graph.value_info:
        dims = value.type.tensor_type.shape.dim
        if value.name == old and all(d.HasField("dim_value") for d in dims):
            shape = [d.dim_value for d in dims]
            return helper.make_tensor_value_info(new, TensorProto.FLOAT, shape)
    raise HTPModelError(
        f"{old}, computed from the scene alone, has no fixed shape; export the model again"
    )


def _rename(model: onnx.ModelProto, names: dict[str, str]) -> None:
    for node in model.graph.node:
        for field in (node.input, node.output):
            for position, name in enumerate(field):
                field[position] = names.get(name, name)
    for value in model.graph.value_info:
        value.name = names.get(value.name, value.name)
