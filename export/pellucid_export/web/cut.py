"""Cut a restorer in two for browsers: what measures a picture, and what restores it.

onnxruntime-web cannot feed an optional input, so `scene` becomes a required one of the network, and
what measures its statistics a file of its own. The estimator of its amounts is a third one, made
elsewhere: statistics are of samples of a picture, amounts of the whole.

Sides are multiples of the network's own, as the page's tiles are: without padding no integer
arithmetic is left, which WebGPU would compute on the CPU.
"""

from dataclasses import dataclass

import onnx

from pellucid.estimator import KEY as ESTIMATOR_KEY

from ..onnx.rewrites import drop_unused
from ..onnx.scene_branch import SCENE, scene_choice
from ..thresholds import ExportError

INPUT, OUTPUT = "input", "output"


@dataclass(frozen=True)
class WebModels:
    """network: input (1, 3, H, W), scene (1, S) -> output (1, 3, H, W).
    measure: input (1, 3, H, W) -> scene (1, S - K), without the K amounts at its end.
    float32 in [0, 1]; H, W multiples of the card's."""

    network: onnx.ModelProto
    measure: onnx.ModelProto


def cut_for_web(model: onnx.ModelProto, amounts: int) -> WebModels:
    """model: a float32 restorer of free sides with `input` and an overridable `scene`, of which
    `amounts` entries at the end are an estimator's; it is not changed. Raises ExportError if the
    model does not choose between a given and a measured scene.
    """
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    kept = [entry for entry in whole.metadata_props if entry.key != ESTIMATOR_KEY]
    del whole.metadata_props[:]
    whole.metadata_props.extend(kept)
    graph = whole.graph
    choice = scene_choice(graph)
    if choice is None:
        raise ExportError(
            f"this model measures no {SCENE}; the web format needs one with `pellucid export`"
        )
    # The notes of the exporter tell shapes with padding, which is about to go.
    del graph.value_info[:]
    default = next(tensor for tensor in graph.initializer if tensor.name == SCENE)
    graph.initializer.remove(default)
    port = next(value for value in graph.input if value.name == SCENE)
    for node in [n for n in graph.node if n.op_type == "Pad" and n.input[0] == INPUT]:
        _rename(graph, node.output[0], INPUT)
        graph.node.remove(node)

    network, measure = onnx.ModelProto(), onnx.ModelProto()
    network.CopyFrom(whole)
    measure.CopyFrom(whole)
    _rename(network.graph, choice.output[0], SCENE)
    _drop_final_crop(network.graph)
    drop_unused(network)

    measure.graph.input.remove(port)
    del measure.graph.output[:]
    measure.graph.output.append(port)
    measured = choice.input[1]
    if amounts:
        measured = _without_amounts(measure.graph, measured, amounts)
    for node in measure.graph.node:
        node.output[:] = [SCENE if name == measured else name for name in node.output]
    _rename(measure.graph, measured, SCENE)
    drop_unused(measure)
    for made in (network, measure):
        onnx.checker.check_model(made, full_check=True)
    return WebModels(network, measure)


def _without_amounts(graph: onnx.GraphProto, measured: str, amounts: int) -> str:
    """The tensor of statistics that a scene vector is made of, which then is the output's size."""
    joined = next(node for node in graph.node if measured in node.output)
    if joined.op_type != "Concat" or len(joined.input) != 2:
        raise ExportError("the scene vector does not end in its amounts; export the model again")
    graph.output[0].type.tensor_type.shape.dim[1].dim_value -= amounts
    return str(joined.input[0])


def _drop_final_crop(graph: onnx.GraphProto) -> None:
    """Take away the slices that cut padding off the output."""
    last = next(n for n in graph.node if OUTPUT in n.output)
    while last.op_type == "Slice":
        source = last.input[0]
        graph.node.remove(last)
        last = next(n for n in graph.node if source in n.output)
        last.output[:] = [OUTPUT if name == source else name for name in last.output]
        _rename(graph, source, OUTPUT)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Let all readers of `old` read `new`."""
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
