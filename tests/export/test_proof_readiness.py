"""Readiness rules: each finds its layer, names its source, and leaves the neighbours alone."""

import importlib.resources
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fakes import card
from onnx_graphs import kernel, node, save_graph

import pellucid
from pellucid_export.onnx.rewrites import rewrite_for_devices
from pellucid_export.readiness.check import readiness, target_names
from pellucid_export.readiness.graph import GraphError
from pellucid_export.readiness.rule import Verdict
from pellucid_export.readiness.rules import TARGETS

ALL = ("ane", "intel-npu", "htp", "litert")
BUNDLED = sorted((Path(pellucid.__file__).parent / "models").glob("*.onnx"))

Saved = tuple[list[onnx.NodeProto], dict[str, Any]]

UNSHUFFLE: Saved = (
    [
        node("Reshape", "input six", "a"),
        node("Transpose", "a", "b", perm=[0, 1, 3, 5, 2, 4]),
        node("Reshape", "b four"),
    ],
    {"six": np.array([1, 3, 4, 2, 8, 2]), "four": np.array([1, 12, 4, 8])},
)
WIDE: Saved = ([node("Conv", "input w", pads=[7] * 4)], {"w": kernel(3, 3, 15, 15)})
PAD = {"pads": np.array([0, 0, 0, 0, 0, 0, 1, 1])}
CASES: list[tuple[str, Saved, str, Verdict, str]] = [
    ("ane", UNSHUFFLE, "Transpose", Verdict.UNSUPPORTED, "more than 5 dimensions"),
    ("intel-npu", UNSHUFFLE, "Transpose", Verdict.SLOW, "not verified"),
    ("htp", UNSHUFFLE, "Transpose", Verdict.SLOW, "more than 5 dimensions"),
    ("litert", UNSHUFFLE, "Transpose", Verdict.UNSUPPORTED, "more than 4 dimensions"),
    ("ane", WIDE, "Conv", Verdict.SLOW, "kernels above 13"),
    ("ane", ([node("Mod", "input two")], {"two": kernel(1) + 2}), "Mod", Verdict.UNSUPPORTED, ""),
    ("ane", ([node("Sin")], {}), "Sin", Verdict.SLOW, "A15"),
    ("ane", ([node("Pad", "input pads", mode="reflect")], PAD), "Pad", Verdict.SLOW, "M2"),
    ("litert", ([node("Pad", "input pads", mode="edge")], PAD), "Pad", Verdict.UNSUPPORTED, "edge"),
    (
        "htp",
        ([node("InstanceNormalization", "input a b")], {"a": kernel(3), "b": kernel(3)}),
        "InstanceNormalization",
        Verdict.UNSUPPORTED,
        "does not compile",
    ),
    ("htp", ([node("Erf")], {}), "Erf", Verdict.UNSUPPORTED, "no source lists Erf"),
    ("htp", ([node("Elu")], {}), "Elu", Verdict.UNSUPPORTED, "does not compile in floats"),
    ("htp", WIDE, "Conv", Verdict.SLOW, "fp16"),
    ("litert", ([node("ReduceMin", keepdims=1)], {}), "ReduceMin", Verdict.SLOW, "no delegate"),
    ("intel-npu", ([node("ReduceMin", keepdims=1)], {}), "ReduceMin", Verdict.SLOW, "SHAVE"),
]


@pytest.mark.parametrize(
    ("target", "saved", "op", "verdict", "why"), CASES, ids=[f"{c[0]}-{c[2]}" for c in CASES]
)
def test_a_rule_finds_its_layer(
    target: str, saved: Saved, op: str, verdict: Verdict, why: str, tmp_path: Path
) -> None:
    nodes, weights = saved
    report = readiness(save_graph(tmp_path / "m.onnx", nodes, weights), target)
    (found,) = [finding for finding in report.findings if finding.op == op]
    assert found.verdict == verdict
    assert why in found.why
    assert found.change
    assert found.source
    assert found.why in "\n".join(report.lines)


@pytest.mark.parametrize("target", ALL)
def test_plain_convolutions_are_supported(target: str, tmp_path: Path) -> None:
    nodes = [node("Conv", "input w", "a", pads=[1] * 4), node("Relu", "a")]
    report = readiness(save_graph(tmp_path / "m.onnx", nodes, {"w": kernel(4, 3, 3, 3)}), target)
    assert report.ready
    assert report.findings[1].verdict == Verdict.SUPPORTED
    assert (report.findings[1].why, report.findings[1].source) == ("", "")


@pytest.mark.parametrize("target", ALL)
def test_free_sizes_are_refused_until_a_size_is_given(
    target: str, write_model: Callable[[str, dict[str, str]], Path]
) -> None:
    path = write_model("free.onnx", {"pellucid.config": card()})
    report = readiness(path, target)
    assert not report.ready
    assert "--size WxH" in "\n".join(report.lines)
    fixed = readiness(path, target, 8, 12)
    assert not any("sizes" in finding.why for finding in fixed.findings)


def test_a_pad_by_nothing_is_no_pad(tmp_path: Path) -> None:
    nothing = {"pads": np.zeros(8, np.int64)}
    path = save_graph(tmp_path / "m.onnx", [node("Pad", "input pads", mode="edge")], nothing)
    assert readiness(path, "litert").ready


def test_the_shuffle_order_of_android(tmp_path: Path) -> None:
    for mode, ready in (("CRD", False), ("DCR", True)):
        nodes = [node("DepthToSpace", blocksize=2, mode=mode)]
        path = save_graph(tmp_path / f"{mode}.onnx", nodes, channels=4)
        assert readiness(path, "litert").ready is ready
        assert readiness(path, "ane").ready


def test_floats_inside_a_quantised_graph_are_refused_by_the_htp(tmp_path: Path) -> None:
    path = save_graph(
        tmp_path / "island.onnx",
        [
            node("QuantizeLinear", "input s z", "xq"),
            node("DequantizeLinear", "xq s z", "x"),
            node("DequantizeLinear", "wq s zw", "w"),
            node("Conv", "x w", "y"),
            node("Exp", "y"),
        ],
        {
            "s": np.float32(0.1),
            "z": np.uint8(0),
            "zw": np.int8(0),
            "wq": np.zeros((4, 3, 3, 3), np.int8),
        },
    )
    report = readiness(path, "htp")
    assert [f.op for f in report.findings if f.verdict == Verdict.UNSUPPORTED] == ["Exp"]
    assert readiness(path, "ane").ready


# The HTP needs a file of its own: test_htp_model.py.
@pytest.mark.parametrize("target", ["ane", "intel-npu", "litert"])
@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_the_released_models_end_with_nothing_unsupported(
    path: Path, target: str, tmp_path: Path
) -> None:
    model = onnx.load(str(path))
    rewrite_for_devices(model)
    onnx.save(model, tmp_path / "rewritten.onnx")
    report = readiness(tmp_path / "rewritten.onnx", target, 64, 96)
    assert report.counts["unsupported"] == 0, "\n".join(report.lines)


def test_the_report_counts_and_serialises(tmp_path: Path) -> None:
    nodes = [node("Sin", "input", "a"), node("Relu", "a")]
    report = readiness(save_graph(tmp_path / "m.onnx", nodes), "ane")
    assert report.counts == {"supported": 1, "slow": 1, "unsupported": 0}
    told = json.loads(json.dumps(report.to_dict()))
    assert told["ready"] is True
    assert told["layers"][0]["verdict"] == "slow"
    assert report.lines[0] == "Apple Neural Engine: 2 layers, 1 supported, 1 slow, 0 unsupported"


def test_unknown_targets_get_a_hint(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="did you mean litert"):
        readiness(tmp_path / "m.onnx", "liteRT")
    with pytest.raises(GraphError, match="Apple's hardware only"):
        readiness(tmp_path / "m.mlpackage", "htp")


def test_every_rule_says_why_and_what_to_change() -> None:
    assert tuple(target_names()) == ALL
    for target in TARGETS.values():
        for rule in target.rules:
            assert all((rule.why, rule.change, rule.source))
            assert rule.verdict != Verdict.SUPPORTED


def test_litert_takes_what_onnx_runtime_lists_for_nnapi() -> None:
    folder = importlib.resources.files("onnxruntime.tools") / "mobile_helpers"
    text = (folder / "nnapi_supported_ops.md").read_text()
    rows = [row.split("|") for row in text.splitlines() if row.startswith("|ai.onnx:")]
    listed = {row[1].removeprefix("ai.onnx:"): row[2] for row in rows}
    quantised = {op for op in listed if op.startswith("QLinear") or op.endswith("izeLinear")}
    assert listed.keys() - quantised - {"LRN"} <= TARGETS["litert"].supported
    assert "Only DCR" in listed["DepthToSpace"]  # the reasons for two rules
    assert "Only constant mode" in listed["Pad"]


def test_a_package_is_judged_by_its_own_precision(tmp_path: Path) -> None:
    ct = pytest.importorskip("coremltools")
    mil_cases = pytest.importorskip("mil_cases")
    case = mil_cases.Case("relu", lambda mb, x: mb.relu(x=x), lambda x: x)
    weight = np.zeros((3, 4, 3, 3), np.float32)
    conv = mil_cases.Case("conv", lambda mb, x: mb.conv(x=x, weight=weight), lambda x: x)
    assert ct.__version__
    mil_cases.convert([case, conv], tmp_path)
    report = readiness(tmp_path / "cases.mlpackage", "ane")
    verdicts = {finding.op: finding.verdict for finding in report.findings}
    assert verdicts["Conv"] == Verdict.UNSUPPORTED  # the program was converted in fp32
    assert verdicts["Relu"] == Verdict.SLOW
    assert "FLOAT16" in "\n".join(report.lines)
