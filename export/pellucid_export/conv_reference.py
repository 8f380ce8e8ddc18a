"""How near a student comes to convolutions alone: python -m pellucid_export.conv_reference FILE

Times a restorer and a stack of nothing but 3x3 convolutions with the same multiply-accumulates, in
one process, in turns, and prints the ratio. Milliseconds depend on the machine and on what else it
does; the ratio of two runs side by side hardly does.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from pellucid.scene import measure_scene

from .card import KEY

CHANNELS = 96  # at a quarter of the resolution: the shape that convolution kernels like best


def conv_stack(macs: float, height: int, width: int) -> onnx.ModelProto:
    """3x3 convolutions with ReLU on (1, 96, height/4, width/4), `macs` in all to within 1 %."""
    rows, cols = height // 4, width // 4
    layer_macs = 9 * CHANNELS * CHANNELS * rows * cols
    depth = int(macs // layer_macs)
    widths = [CHANNELS] * depth
    last = round((macs - depth * layer_macs) / (9 * CHANNELS * rows * cols))
    if last > 0:
        widths.append(last)
    rng = np.random.default_rng(0)
    nodes, weights, name, c_in = [], [], "input", CHANNELS
    for index, c_out in enumerate(widths):
        kernel = rng.standard_normal((c_out, c_in, 3, 3), np.float32) / (3 * c_in**0.5)
        weights.append(numpy_helper.from_array(kernel, f"w{index}"))
        nodes.append(
            helper.make_node("Conv", [name, f"w{index}"], [f"c{index}"], pads=[1, 1, 1, 1])
        )
        nodes.append(helper.make_node("Relu", [f"c{index}"], [f"r{index}"]))
        name, c_in = f"r{index}", c_out
    graph = helper.make_graph(
        nodes,
        "conv-reference",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, CHANNELS, rows, cols])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, c_in, rows, cols])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def ratio(path: Path, height: int, width: int, threads: int, rounds: int) -> tuple[float, ...]:
    """(median ratio, restorer ms, reference ms, GMAC) over interleaved rounds."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    told = json.loads(session.get_modelmeta().custom_metadata_map[KEY])
    macs = float(told["macs_per_pixel"]) * height * width
    reference = onnxruntime.InferenceSession(
        conv_stack(macs, height, width).SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
    )
    rng = np.random.default_rng(0)
    image = rng.random((1, 3, height, width), np.float32)
    features = rng.random((1, CHANNELS, height // 4, width // 4), np.float32)
    feeds = {"input": image}
    if any(port.name == "scene" for port in session.get_overridable_initializers()):
        # As the runtime does: measured once a picture, outside.
        feeds["scene"] = measure_scene(image[0].transpose(1, 2, 0))[None]
    ours, theirs = [], []
    for _ in range(rounds + 1):  # the first round warms up and is dropped
        start = time.perf_counter()
        session.run(None, feeds)
        middle = time.perf_counter()
        reference.run(None, {"input": features})
        ours.append(middle - start)
        theirs.append(time.perf_counter() - middle)
    pairs = np.array([ours[1:], theirs[1:]])
    ms = 1e3 * np.median(pairs, axis=1)
    return float(np.median(pairs[0] / pairs[1])), float(ms[0]), float(ms[1]), macs / 1e9


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m pellucid_export.conv_reference")
    parser.add_argument("file", type=Path, help="an exported .onnx")
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    if not args.file.is_file():
        print(f"error: {args.file}: no such file; build it with `make models`", file=sys.stderr)
        return 2
    found, ours, theirs, gmac = ratio(args.file, args.height, args.width, args.threads, args.rounds)
    print(
        f"{args.file.name} at {args.width}x{args.height}, {args.threads} threads: {gmac:.1f} GMAC, "
        f"{ours:.0f} ms; 3x3 convolutions of equal MACs {theirs:.0f} ms; ratio {found:.2f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
