"""Devices named at export: what they do not take is refused, with layer, rule, source and cure."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from export_fakes import PROVENANCE, small_pictures, small_student
from onnx_graphs import node, save_graph
from typer.testing import CliRunner

from pellucid_apps.cli import app
from pellucid_export import request as asked
from pellucid_export.pipeline import Exporter
from pellucid_export.report import Row, verdict
from pellucid_export.request import Request
from pellucid_export.source import ExportSource
from pellucid_export.targets import LOADS, check_ready, targets_of
from pellucid_export.thresholds import ExportError, QualityError
from pellucid_student.weights import save_student

FIXED = (48, 64)


def test_a_layer_that_a_target_lacks_is_named_with_rule_source_and_cure(tmp_path: Path) -> None:
    path = save_graph(tmp_path / "m.onnx", [node("Sin", "input", "a"), node("Erf", "a")])
    told = (
        "onnx/m.onnx: Qualcomm HTP does not take 1 of 2 layers: Erf (erf): no source lists Erf for "
        "this target. Change: express it by ops that are listed, or keep it outside the exported "
        "graph. [onnxruntime.ai, QNN Execution Provider, supported operators]; it was thrown away"
    )
    with pytest.raises(QualityError, match=re.escape(told)):
        check_ready(path, Path("onnx/m.onnx"), ["htp"])


def test_slow_layers_are_told_and_kept(tmp_path: Path) -> None:
    path = save_graph(tmp_path / "m.onnx", [node("Sin", "input", "a"), node("Erf", "a")])
    ready = check_ready(path, Path("m.onnx"), ["ane"])
    assert (ready["ane"].layers, ready["ane"].slow_layers) == (2, 1)
    assert ready["ane"].slow[0].startswith("Sin: sines run natively only from A15")
    row = Row("onnx", "fp32", False, "8x16", "m.onnx", targets=ready)
    assert verdict(row) == "ok, ane takes all 2 layers, 1 slow"
    assert check_ready(path, Path("m.onnx"), []) == {}


def test_a_target_is_held_to_its_first_choice_of_what_is_exported() -> None:
    assert targets_of("onnx", ("onnx", "coreml"), ("ane", "litert")) == ["litert"]
    assert targets_of("coreml", ("onnx", "coreml"), ("ane", "litert")) == ["ane"]
    assert targets_of("onnx", ("onnx",), tuple(LOADS)) == list(LOADS)
    assert targets_of("onnx", ("onnx",), ()) == []


def test_targets_that_are_none_and_targets_that_load_nothing_asked_for() -> None:
    assert asked.read_targets("") == () and asked.read_targets("htp, ane") == ("htp", "ane")
    with pytest.raises(ExportError, match=r"no target 'nnapi'; did you mean 'litert'\? choose"):
        asked.read_targets("nnapi")
    request = Request(("darktable",), ("fp32",), Path(), targets=("litert",))
    with pytest.raises(ExportError, match="nothing asked for is loaded by litert; add -f onnx"):
        asked.check_combinations(request)


@pytest.mark.slow
def test_the_command_refuses_free_sizes_and_leaves_nothing(tmp_path: Path) -> None:
    save_student(tmp_path / "small.safetensors", small_student(), PROVENANCE)
    out = tmp_path / "out"
    words = ["export", tmp_path / "small.safetensors", "--target", "litert", "--threads", 1]
    done = CliRunner().invoke(app, [*map(str, words), "-o", str(out)])
    assert done.exit_code == 3, done.output
    assert not list(out.rglob("*.onnx")) and not list(out.glob(".partial*"))
    told = (out / "export.md").read_text()
    assert "delegates take fixed sizes only. Change: export for fixed sizes: --size WxH" in told


@pytest.mark.slow
def test_the_student_passes_for_litert_and_for_the_htp(tmp_path: Path) -> None:
    source = ExportSource(small_student(), PROVENANCE, 1, small_pictures())
    request = Request(
        ("onnx", "htp"), ("fp32", "w8a8", "w8a16"), tmp_path, (FIXED,),
        max_drop=0.5, targets=("litert", "htp"),
    )  # fmt: skip
    rows = {Path(row.file).name: row for row in Exporter(source, request, lambda line: None).run()}
    assert all(row.made for row in rows.values()), [row.refused for row in rows.values()]
    assert list(rows["model_64x48.onnx"].targets) == ["litert"]
    assert list(rows["model_w8a16_64x48.onnx"].targets) == ["htp"]
    assert rows["model_w8a16_64x48.onnx"].ms is None
    for name, least in (("model_w8a8_64x48.onnx", 38), ("model_w8a16_64x48.onnx", 48)):
        parity = rows[name].parity_db
        assert parity is not None and parity > least, (name, parity)
    network = onnx.load(tmp_path / "htp/model_w8a16_64x48.onnx")
    code = onnx.load(tmp_path / "htp/model_code.onnx")
    taken = [value.name for value in network.graph.input]
    assert taken == ["input", *(value.name for value in code.graph.output)]
    assert any(entry.key == "pellucid.config" for entry in network.metadata_props)


def test_htp_files_hold_one_call() -> None:
    source = ExportSource(small_student(), PROVENANCE, 2, small_pictures())
    request = Request(("htp",), ("w8a16",), Path("nowhere"), ((48, 64),), steps=2)
    with pytest.raises(ExportError, match="hold one call: .* leave --steps away"):
        Exporter(source, request, lambda line: None)


def test_htp_files_of_sizes_or_ports_that_cannot_be() -> None:
    source = ExportSource(small_student(), PROVENANCE, 1, small_pictures())

    def ask(size: tuple[int, int] | None, image_io: bool = False) -> Exporter:
        request = Request(("htp",), ("w8a16",), Path("nowhere"), (size,), image_io)
        return Exporter(source, request, lambda line: None)

    with pytest.raises(ExportError, match="fixed sizes only: ask for one with --size"):
        ask(None)
    with pytest.raises(ExportError, match="instead of 1920x1083 ask for --size 1920x1088"):
        ask((1083, 1920))
    with pytest.raises(ExportError, match="--io float"):
        ask(FIXED, image_io=True)


@pytest.mark.slow
def test_three_steps_are_cut_into_halves_that_are_the_whole() -> None:
    """Every call has vectors of its own, and many of one shape: they go in by name."""
    from pellucid.session import open_session
    from pellucid_export.htp.cut import cut_at_vectors
    from pellucid_export.onnx.file import to_onnx
    from pellucid_export.restoration import Restoration

    whole = to_onnx(Restoration(small_student(), 3).eval(), {"id": "x", "license": "x",
                    "version": "x", "purpose": "x"}, FIXED)  # fmt: skip
    halves = cut_at_vectors(whole)
    code, network, exact = (
        open_session(m.SerializeToString()) for m in (halves.code, halves.network, whole)
    )
    picture = np.random.default_rng(0).random((1, 3, *FIXED), np.float32)
    names = [port.name for port in code.get_outputs()]
    vectors = dict(zip(names, code.run(names, {"input": picture}), strict=True))
    (got,) = network.run(None, {"input": picture, **vectors})
    (expected,) = exact.run(None, {"input": picture})
    np.testing.assert_allclose(got, expected, atol=1e-5)
