"""LiteRT files: what is refused before any work; with the converter installed, the same pixels."""

import sys
from pathlib import Path

import numpy as np
import pytest
from export_fakes import PROVENANCE, picture, small_pictures, small_student

from pellucid_export.litert.maker import LiteRTMaker
from pellucid_export.request import read_formats
from pellucid_export.source import ExportSource
from pellucid_export.thresholds import ExportError, agreement_db
from pellucid_export.weights import find_weights, open_student
from pellucid_student.weights import AnyStudent

SIDES = (61, 47)  # odd: the padding is inside the file


def source(image_io: bool = False, bundled: bool = False) -> ExportSource:
    """bundled: pico, whose kernels the converter puts behind the rest of the file."""
    student: AnyStudent = small_student()
    provenance = PROVENANCE
    if bundled:
        student, provenance = open_student(find_weights("pico"))
    return ExportSource(student, provenance, 1, small_pictures(), image_io)


def test_any_size_is_refused_with_the_option() -> None:
    with pytest.raises(ExportError, match="fixed sides: ask for a size with --size"):
        LiteRTMaker(source(), (None,))


def test_the_old_name_is_understood() -> None:
    with pytest.raises(ExportError, match="did you mean 'litert'"):
        read_formats("tflite")


def test_without_the_converter_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(ExportError, match=r"pip install 'pellucid\[litert\]'"):
        LiteRTMaker(source(), (SIDES,))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of jax and of torch's exporter
@pytest.mark.parametrize(
    ("precision", "image_io", "floor"),
    [("fp32", False, 100.0), ("fp16", False, 55.0), ("fp32", True, 75.0)],
)
def test_a_file_computes_what_torch_does(
    tmp_path: Path, precision: str, image_io: bool, floor: float
) -> None:
    pytest.importorskip("litert_torch", reason="LiteRT files need pellucid[litert]")
    from pellucid_export.litert.card import read_litert_card
    from pellucid_export.validator import Validator

    made = source(image_io, bundled=True)
    maker = LiteRTMaker(made, (SIDES,))
    path = maker.make(precision, SIDES, (), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert read_litert_card(path)["id"] == made.card["id"]
    run = maker.runner(path, SIDES, 1)
    finding = Validator(made.restoration, made.pictures.validation, image_io).look(run, SIDES)
    assert finding.parity_db >= floor
    image = picture(1)[:, :, : SIDES[0], : SIDES[1]]
    assert agreement_db(run(image), run(np.clip(image, 0, 1))) > floor
