"""Core ML packages whose bytes follow from the model alone: the same export, the same package."""

import json
import uuid
from pathlib import Path

_DATE = "com.github.apple.coremltools.conversion_date"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "pellucid/coreml")


def make_reproducible(package: Path) -> None:
    """Names instead of random identifiers in the manifest, no date, maps in a fixed order."""
    from coremltools.proto import Model_pb2

    for file in sorted(package.rglob("*.mlmodel")):
        model = Model_pb2.Model()
        model.ParseFromString(file.read_bytes())
        model.description.metadata.userDefined.pop(_DATE, None)
        file.write_bytes(model.SerializeToString(deterministic=True))
    manifest = package / "Manifest.json"
    contents = json.loads(manifest.read_text())
    items = {key: str(uuid.uuid5(_NAMESPACE, item["path"])) for key, item in
             contents["itemInfoEntries"].items()}  # fmt: skip
    contents["itemInfoEntries"] = {
        items[key]: item for key, item in contents["itemInfoEntries"].items()
    }
    contents["rootModelIdentifier"] = items[contents["rootModelIdentifier"]]
    manifest.write_text(json.dumps(contents, indent=4, sort_keys=True) + "\n")
