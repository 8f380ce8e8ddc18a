"""Measure the scene code only where it is wanted.

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
BRANCH = "scene_branch"
ZERO = "scene_branch_zero"
WANTED = "scene_branch_wanted"


def scene_choice(graph: onnx.GraphProto) -> onnx.NodeProto | None:
    """The `Where` that takes the given scene or the measured one, its input 1; None without it."""
    found = (n for n in graph.node if n.op_type == "Where" and n.input[2] == SCENE)
    return next(found, None)


def measure_on_demand(model: onnx.ModelProto) -> bool:
    """Move what measures the scene into a branch, in place, after all other rewrites.

    False, and nothing is changed, if the graph has no `Where` that chooses between the two.
    """
    graph = model.graph
    choice = scene_choice(graph)
    if choice is None:
        return False
    code, used = choice.output[0], f"{choice.output[0]}_used"
    kept, inside = _split(graph, code)
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, _sides(graph))
    measured = helper.make_node("Identity", [code], [f"{code}_measured"])
    given = helper.make_node("Identity", [SCENE], [f"{code}_given"])
    branch = helper.make_node(
        "If",
        [WANTED],
        [used],
        name=BRANCH,
        then_branch=helper.make_graph(
            [*inside, measured], "measure", [], [helper.make_value_info(measured.output[0], kind)]
        ),
        else_branch=helper.make_graph(
            [given], "take", [], [helper.make_value_info(given.output[0], kind)]
        ),
    )
    lowest = helper.make_node("ReduceMin", [SCENE], [f"{SCENE}_lowest"], keepdims=0)
    asked = helper.make_node("Less", [lowest.output[0], ZERO], [WANTED])
    for node in kept:
        renamed = [used if name == code else name for name in node.input]
        del node.input[:]
        node.input.extend(renamed)
    wanted = {name for node in inside for name in node.input}
    start = 1 + max((i for i, n in enumerate(kept) if wanted.intersection(n.output)), default=-1)
    made = {name for node in inside for name in node.output}
    notes = [value for value in graph.value_info if value.name not in made]
    graph.initializer.append(numpy_helper.from_array(np.asarray(0.0, np.float32), ZERO))
    del graph.node[:], graph.value_info[:]
    graph.node.extend([*kept[:start], lowest, asked, branch, *kept[start:]])
    graph.value_info.extend(notes)
    return True


def measure_always(model: onnx.ModelProto) -> bool:
    """Undo `measure_on_demand`, in place, but for nodes that nothing reads any more; whether there
    was something to undo."""
    graph = model.graph
    branch = next((n for n in graph.node if n.op_type == "If" and n.name == BRANCH), None)
    if branch is None:
        return False
    bodies = {attribute.name: attribute.g for attribute in branch.attribute}
    *inside, last = bodies["then_branch"].node  # the last only gives the code another name
    code, used = last.input[0], branch.output[0]
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        nodes += inside if node.name == BRANCH else [node]
    for node in nodes:
        renamed = [code if name == used else name for name in node.input]
        del node.input[:]
        node.input.extend(renamed)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    return True


def _split(graph: onnx.GraphProto, code: str) -> tuple[list[onnx.NodeProto], list[onnx.NodeProto]]:
    """(nodes that the output needs whoever measures, nodes that only the making of `code` needs),
    each in their order; the maker of `code` is the last of the second."""
    needed = {value.name for value in graph.output}
    kept: list[onnx.NodeProto] = []
    inside: list[onnx.NodeProto] = []
    for node in reversed(graph.node):  # sorted: readers come after makers
        if code not in node.output and needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
        else:
            inside.append(node)
    return kept[::-1], inside[::-1]


def _sides(graph: onnx.GraphProto) -> list[int]:
    scene = next(value for value in graph.input if value.name == SCENE)
    return [dim.dim_value for dim in scene.type.tensor_type.shape.dim]
