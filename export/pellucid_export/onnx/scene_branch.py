"""Measure what is optional only where it is wanted: the scene code, and the maps of two scales.

A traced graph computes both sides of `torch.where(scene < 0, measured, scene)`. Whoever feeds the
scene code, as the runtime does for every tile and every frame, would pay for a measure that is
thrown away: three quarters of the nodes and up to a third of the time. ONNX's `If` is lazy.

Only for files that ONNX Runtime and OpenVINO run on a CPU: NPUs take no branches, and
`rewrite_for_devices` undoes it.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SCENE = "scene"
# Optional inputs, and the value under which an entry asks for measuring.
OPTIONAL = {SCENE: 0.0, "maps": -5e3}
BRANCH = "{}_branch"
ZERO = "{}_branch_zero"
WANTED = "{}_branch_wanted"


def scene_choice(graph: onnx.GraphProto, name: str = SCENE) -> onnx.NodeProto | None:
    """The `Where` that takes the given scene or the measured one, its input 1; None without it.
    name: of another optional input."""
    found = (n for n in graph.node if n.op_type == "Where" and n.input[2] == name)
    return next(found, None)


def reads(node: onnx.NodeProto) -> list[str]:
    """Tensors that a node reads, in the branches it holds, too; names of theirs are among them."""
    branches = [a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    inner = [name for branch in branches for held in branch.node for name in reads(held)]
    return [*node.input, *inner]


def measure_on_demand(model: onnx.ModelProto) -> bool:
    """Move what measures the optional inputs into branches, in place, after all other rewrites.

    False, and nothing is changed, if the graph has no `Where` that chooses between the two.
    """
    made = [_branch(model, name, bound) for name, bound in OPTIONAL.items()]
    return any(made)


def _branch(model: onnx.ModelProto, name: str, bound: float) -> bool:
    graph = model.graph
    choice = scene_choice(graph, name)
    if choice is None:
        return False
    code, used = choice.output[0], f"{choice.output[0]}_used"
    kept, inside = _split(graph, code)
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, _sides(graph, name))
    measured = helper.make_node("Identity", [code], [f"{code}_measured"])
    given = helper.make_node("Identity", [name], [f"{code}_given"])
    branch = helper.make_node(
        "If",
        [WANTED.format(name)],
        [used],
        name=BRANCH.format(name),
        then_branch=helper.make_graph(
            [*inside, measured], "measure", [], [helper.make_value_info(measured.output[0], kind)]
        ),
        else_branch=helper.make_graph(
            [given], "take", [], [helper.make_value_info(given.output[0], kind)]
        ),
    )
    lowest = helper.make_node("ReduceMin", [name], [f"{name}_lowest"], keepdims=0)
    zero, asked_for = ZERO.format(name), WANTED.format(name)
    asked = helper.make_node("Less", [lowest.output[0], zero], [asked_for])
    _rename(kept, code, used)
    wanted = {read for node in inside for read in reads(node)}
    start = 1 + max((i for i, n in enumerate(kept) if wanted.intersection(n.output)), default=-1)
    made = {output for node in inside for output in node.output}
    notes = [value for value in graph.value_info if value.name not in made]
    graph.initializer.append(numpy_helper.from_array(np.asarray(bound, np.float32), zero))
    del graph.node[:], graph.value_info[:]
    graph.node.extend([*kept[:start], lowest, asked, branch, *kept[start:]])
    graph.value_info.extend(notes)
    return True


def measure_always(model: onnx.ModelProto) -> bool:
    """Undo `measure_on_demand`, in place, but for nodes that nothing reads any more; whether there
    was something to undo."""
    undone = [_unbranch(model.graph, BRANCH.format(name)) for name in OPTIONAL]
    return any(undone)


def _unbranch(graph: onnx.GraphProto, name: str) -> bool:
    branch = next((n for n in graph.node if n.op_type == "If" and n.name == name), None)
    if branch is None:
        return False
    bodies = {attribute.name: attribute.g for attribute in branch.attribute}
    *inside, last = bodies["then_branch"].node  # the last only gives the code another name
    code, used = last.input[0], branch.output[0]
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        nodes += inside if node.name == name else [node]
    _rename(nodes, used, code)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    return True


def _rename(nodes: list[onnx.NodeProto], old: str, new: str) -> None:
    """Let all that read `old` read `new`, in branches, too."""
    for node in nodes:
        node.input[:] = [new if read == old else read for read in node.input]
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _rename(list(attribute.g.node), old, new)


def _split(graph: onnx.GraphProto, code: str) -> tuple[list[onnx.NodeProto], list[onnx.NodeProto]]:
    """(nodes that the output needs whoever measures, nodes that only the making of `code` needs),
    each in their order; the maker of `code` is the last of the second."""
    needed = {value.name for value in graph.output}
    kept: list[onnx.NodeProto] = []
    inside: list[onnx.NodeProto] = []
    for node in reversed(graph.node):  # sorted: readers come after makers
        if code not in node.output and needed.intersection(node.output):
            kept.append(node)
            needed.update(reads(node))
        else:
            inside.append(node)
    return kept[::-1], inside[::-1]


def _sides(graph: onnx.GraphProto, name: str) -> list[int]:
    port = next(value for value in graph.input if value.name == name)
    return [dim.dim_value for dim in port.type.tensor_type.shape.dim]
