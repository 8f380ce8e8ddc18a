"""Web files: a network that needs a scene vector, what measures it, and answers known before."""

import base64
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from export_fakes import PROVENANCE, picture, small_pictures, small_student

from pellucid.degradations import DEGRADATIONS
from pellucid.estimator import KEY as ESTIMATOR_KEY
from pellucid.restorer import MODELS
from pellucid.scene import SCENE_SIZE
from pellucid.session import open_session
from pellucid_apps.web import ENGINE
from pellucid_export.onnx.scene_branch import measure_always
from pellucid_export.pipeline import Exporter
from pellucid_export.request import Request, check_combinations
from pellucid_export.source import ExportSource
from pellucid_export.thresholds import ExportError
from pellucid_export.web import node
from pellucid_export.web.card import known_picture, web_card
from pellucid_export.web.cut import WebModels, cut_for_web


@pytest.fixture(scope="module")
def source() -> ExportSource:
    return ExportSource(small_student(), PROVENANCE, 1, small_pictures())


@pytest.fixture(scope="module")
def whole() -> onnx.ModelProto:
    """A bundled restorer as it is before the measure moves into a branch: no tracing, which is
    slow."""
    model = onnx.load(MODELS / "allinone-pico.onnx")
    assert measure_always(model)
    return model


@pytest.fixture(scope="module")
def cut(whole: onnx.ModelProto) -> WebModels:
    return cut_for_web(whole, len(DEGRADATIONS))


def estimator_of(path: Path) -> bytes:
    entries = onnx.load(path).metadata_props
    return base64.b64decode(next(entry.value for entry in entries if entry.key == ESTIMATOR_KEY))


def test_the_files_together_are_the_restorer(cut: WebModels) -> None:
    given = picture(3)
    bundled = open_session(MODELS / "allinone-pico.onnx")
    (expected,) = bundled.run(["output"], {"input": given})
    measure = open_session(cut.measure.SerializeToString())
    network = open_session(cut.network.SerializeToString())
    estimator = open_session(estimator_of(MODELS / "allinone-pico.onnx"))
    (statistics,) = measure.run(["scene"], {"input": given})
    (amounts,) = estimator.run(["amounts"], {"picture": given})
    scene = np.concatenate([statistics, amounts], axis=1)
    assert measure.get_outputs()[0].shape == [1, SCENE_SIZE] == list(statistics.shape)
    (got,) = network.run(["output"], {"input": given, "scene": scene})
    np.testing.assert_allclose(got, expected, atol=2e-6)


def test_the_estimator_is_a_file_of_its_own_and_in_no_other(cut: WebModels) -> None:
    for model in (cut.network, cut.measure):
        assert not any("estimator" in tensor.name for tensor in model.graph.initializer)
        assert ESTIMATOR_KEY not in [entry.key for entry in model.metadata_props]


def test_a_scene_vector_that_does_not_end_in_amounts_is_refused(whole: onnx.ModelProto) -> None:
    changed = onnx.ModelProto()
    changed.CopyFrom(whole)
    measured = next(n for n in changed.graph.node if n.op_type == "Where").input[1]
    joined = next(n for n in changed.graph.node if measured in n.output)
    joined.input.append(joined.input[0])
    with pytest.raises(ExportError, match="does not end in its amounts"):
        cut_for_web(changed, len(DEGRADATIONS))


def test_the_scene_is_a_required_input_without_branches_or_arithmetic(cut: WebModels) -> None:
    assert [port.name for port in cut.network.graph.input] == ["input", "scene"]
    assert "scene" not in [tensor.name for tensor in cut.network.graph.initializer]
    for model in (cut.network, cut.measure):
        operators = {n.op_type for n in model.graph.node}
        assert not operators & {"If", "Mod", "Pad", "Where", "Loop"}
    assert [port.name for port in cut.measure.graph.input] == ["input"]


def test_the_original_is_not_changed(whole: onnx.ModelProto) -> None:
    before = whole.SerializeToString()
    cut_for_web(whole, len(DEGRADATIONS))
    assert whole.SerializeToString() == before


def test_a_model_that_measures_no_scene_is_refused() -> None:
    with pytest.raises(ExportError, match="measures no scene"):
        cut_for_web(onnx.ModelProto(), 0)


def test_the_card_holds_the_answers_of_torch(source: ExportSource) -> None:
    told = json.loads(json.dumps(web_card(source.card, source.restoration)))
    assert told["scene_size"] == source.card["scene_size"]
    assert told["degradations"] == list(DEGRADATIONS)
    for answer in told["answers"]:
        given = torch.from_numpy(known_picture(answer["side"]))
        with torch.no_grad():
            restored = source.restoration.whole(given)[0]
        sampled = restored[:, :: answer["every"], :: answer["every"]].flatten().numpy()
        np.testing.assert_allclose(answer["samples"], sampled, atol=1e-5)


def test_the_known_picture_has_every_level() -> None:
    assert len(np.unique(known_picture(64))) == 256


@pytest.mark.parametrize("wrong", [{"image_io": True}, {"sizes": ((64, 64),)}])
def test_other_ports_and_sizes_are_refused(wrong: dict[str, object]) -> None:
    request = Request(("web",), ("fp32",), Path("nowhere"), **wrong)  # type: ignore[arg-type]
    with pytest.raises(ExportError, match="web files take float tiles"):
        check_combinations(request)


def test_without_node_the_way_to_it_is_told(
    source: ExportSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    request = Request(("web",), ("fp32",), tmp_path / "out", web_engine=ENGINE)
    with pytest.raises(ExportError, match="install Node"):
        Exporter(source, request, print)
    assert not (tmp_path / "out").exists()


needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")


@needs_node
@pytest.mark.slow
def test_node_agrees_with_torch_and_all_files_are_written(
    source: ExportSource, tmp_path: Path
) -> None:
    request = Request(("web",), ("fp32",), tmp_path, web_engine=ENGINE)
    (row,) = Exporter(source, request, print).run()
    assert row.made and row.parity_db is not None and row.parity_db > 100.0
    files = sorted(path.name for path in (tmp_path / "web").iterdir())
    assert files == ["card.json", "estimator.onnx", "example.html", "measure.onnx", "model.onnx"]
    card = json.loads((tmp_path / "web" / "card.json").read_text())
    assert sorted(card["files"].values()) == ["estimator.onnx", "measure.onnx", "model.onnx"]


@needs_node
@pytest.mark.slow
def test_a_broken_file_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(json.dumps({"files": {"measure": "measure.onnx"}}))
    (tmp_path / "measure.onnx").write_bytes(b"no model")
    with pytest.raises(ExportError, match="onnxruntime-web in Node failed: Error"):
        node.NodeRunner(tmp_path, ENGINE, 16)
