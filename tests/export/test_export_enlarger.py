"""A student that enlarges, through every format that takes it, and the others' refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from export_fakes import picture
from torch import nn

from pellucid import Enlarger as Runtime
from pellucid.engine_choice import open_engine
from pellucid_export.calibration import Pictures, ValidationPair, reduced, reduced_pairs
from pellucid_export.pellucid_files import write_pellucid_files
from pellucid_export.pipeline import Exporter
from pellucid_export.request import Request
from pellucid_export.source import ExportSource
from pellucid_export.thresholds import ExportError
from pellucid_student.enlarger import Enlarger, EnlargerConfig
from pellucid_student.layers import fold
from pellucid_student.weights import Provenance
from pellucid_teacher.data.bicubic import imresize

SMALL = EnlargerConfig(16, 1, 2)
PROVENANCE = Provenance("sr2", "made for tests", 0, "CC0-1.0")


def small_enlarger() -> Enlarger:
    torch.manual_seed(0)
    model = Enlarger(SMALL)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.05)
    return fold(model)


def source(image_io: bool = False) -> ExportSource:
    clean = [picture(i) for i in range(2)]
    small = [imresize(c[0].transpose(1, 2, 0), 0.5).transpose(2, 0, 1)[None] for c in clean]
    pairs = [
        ValidationPair(str(i), np.clip(s, 0, 1), c)
        for i, (s, c) in enumerate(zip(small, clean, strict=True))
    ]
    pictures = Pictures([picture(i) for i in range(20, 24)], pairs, "made for tests")
    return ExportSource(small_enlarger(), PROVENANCE, 1, pictures, image_io)


@pytest.mark.parametrize(
    ("form", "image_io"),
    [
        ("coreml", False),
        *(pytest.param(f, False, marks=pytest.mark.slow) for f in ("onnx", "openvino")),
        *(pytest.param(f, True, marks=pytest.mark.slow) for f in ("onnx", "openvino", "coreml")),
    ],
)
def test_every_precision_passes_its_gate(form: str, image_io: bool, tmp_path: Path) -> None:
    pytest.importorskip({"coreml": "coremltools"}.get(form, form))
    sizes = ((24, 32),) if form == "coreml" else (None,)
    request = Request((form,), ("fp32", "fp16", "w8a8"), tmp_path, sizes, image_io, max_drop=0.1)
    rows = Exporter(source(image_io), request, lambda line: None).run()
    assert len(rows) == 3
    for row in rows:
        assert row.made and row.worst[1] <= 0.1, row
        assert row.parity_db is not None
        floors = {"fp32": 75.0 if image_io else 100.0, "fp16": 55.0, "w8a8": 30.0}
        assert row.parity_db >= floors[row.precision], row


@pytest.mark.parametrize("form", ["darktable", "htp", "web"])
def test_formats_that_keep_the_size_refuse_it_before_any_work(form: str, tmp_path: Path) -> None:
    precision = "w8a8" if form == "htp" else "fp32"
    size = (64, 64) if form == "htp" else None
    request = Request((form,), (precision,), tmp_path / "out", (size,))
    with pytest.raises(ExportError, match=f"{form} files here keep the size; ask for -f onnx"):
        Exporter(source(), request, lambda line: None)
    assert not (tmp_path / "out").exists()


def test_one_step_only() -> None:
    several = ExportSource(small_enlarger(), PROVENANCE, 2, source().pictures)
    with pytest.raises(ExportError, match="enlarges in one step"):
        _ = several.restoration


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_the_runtime_opens_its_file_and_agrees_with_torch(engine: str, tmp_path: Path) -> None:
    pytest.importorskip(engine)
    student = small_enlarger()
    (made,) = write_pellucid_files(student, PROVENANCE, tmp_path)
    assert made.path.name == "enlarge-sr2.onnx"
    card = open_engine(made.path, 1, engine).card
    assert (card.scale, card.receptive_field, card.scene_size) == (2, 4, 0)
    assert card.task == "super-resolution" and json.dumps(made.card)
    pixels = np.random.default_rng(0).random((70, 90, 3)).astype(np.float32)
    enlarger = Runtime(made.path, threads=1, engine=engine)
    with torch.no_grad():
        given = torch.from_numpy(pixels).permute(2, 0, 1)[None]
        expected = (student(2.0 * given - 1.0).clamp(-1.0, 1.0) + 1.0)[0].permute(1, 2, 0) / 2.0
    np.testing.assert_allclose(enlarger(pixels), expected.numpy(), atol=2e-5)
    enlarger._window_pixels = 1000
    np.testing.assert_allclose(enlarger(pixels), expected.numpy(), atol=2e-5)


def test_calibration_pictures_are_reduced_photos(tmp_path: Path) -> None:
    from pellucid import Photo

    rng = np.random.default_rng(0)
    Photo(rng.integers(0, 255, (300, 280, 3)).astype(np.uint8), {}).save(tmp_path / "a.png")
    assert [p.shape for p in reduced(tmp_path, 3, 4)] == [(1, 3, 64, 64)] * 3
    (pair,) = reduced_pairs(tmp_path, 4)
    assert (pair.task, pair.scale, pair.clean.shape) == ("a", 4, (1, 3, 256, 256))
