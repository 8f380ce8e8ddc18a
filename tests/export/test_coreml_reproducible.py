"""The same Core ML model is the same package, byte for byte."""

import json
import uuid
from pathlib import Path

import pytest

pytest.importorskip("coremltools", reason="Core ML packages need pellucid[coreml]")

from pellucid_export.coreml.reproducible import make_reproducible  # noqa: E402


def package(folder: Path, order: tuple[str, ...], date: str) -> Path:
    """What coremltools writes: random identifiers, metadata in the order of a hash, a date."""
    from coremltools.proto import Model_pb2

    model = Model_pb2.Model()
    model.specificationVersion = 8
    for key in order:
        model.description.metadata.userDefined[key] = key
    model.description.metadata.userDefined["com.github.apple.coremltools.conversion_date"] = date
    file = folder / "Data" / "com.apple.CoreML" / "model.mlmodel"
    file.parent.mkdir(parents=True)
    file.write_bytes(model.SerializeToString())
    root, weights = str(uuid.uuid4()), str(uuid.uuid4())
    entries = {
        root: {"name": "model.mlmodel", "path": "com.apple.CoreML/model.mlmodel"},
        weights: {"name": "weights", "path": "com.apple.CoreML/weights"},
    }
    told = {"itemInfoEntries": entries, "rootModelIdentifier": root}
    (folder / "Manifest.json").write_text(json.dumps(told))
    return folder


def test_two_packages_of_one_model_are_equal(tmp_path: Path) -> None:
    one = package(tmp_path / "a.mlpackage", ("x", "y", "z"), "2026-11-25")
    other = package(tmp_path / "b.mlpackage", ("z", "x", "y"), "2027-01-01")
    contents = []
    for folder in (one, other):
        make_reproducible(folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        contents.append([(str(path.relative_to(folder)), path.read_bytes()) for path in files])
    assert contents[0] == contents[1]
    told = json.loads((one / "Manifest.json").read_text())
    root = told["itemInfoEntries"][told["rootModelIdentifier"]]
    assert root["path"] == "com.apple.CoreML/model.mlmodel"
    assert b"conversion_date" not in contents[0][0][1]
