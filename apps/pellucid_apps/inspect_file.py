"""`pellucid inspect FILE`: what an exported file says about itself, and what can be checked."""

import hashlib
import json
from pathlib import Path

from pellucid import ModelError
from pellucid.card import KEY, read_card


def describe(path: Path) -> dict[str, object]:
    """Facts of an ONNX file, in reading order. Raises ModelError if it cannot be loaded."""
    import onnxruntime

    if not path.is_file():
        raise ModelError(f"{path}: no such model file")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has no public base class for its errors
        raise ModelError(f"{path}: not a model ONNX Runtime can load") from error
    meta = session.get_modelmeta()
    metadata = dict(meta.custom_metadata_map)
    card = read_card(metadata, path.stem)
    data = path.read_bytes()
    told: dict[str, object] = {
        "file": str(path),
        "size": f"{len(data) / 1e6:.2f} MB",
        "sha256": hashlib.sha256(data).hexdigest(),
        "producer": meta.producer_name or "unknown",
        "inputs": [f"{p.name} {p.type} {p.shape}" for p in session.get_inputs()],
        "optional inputs": [
            f"{p.name} {p.type} {p.shape}" for p in session.get_overridable_initializers()
        ],
        "outputs": [f"{p.name} {p.type} {p.shape}" for p in session.get_outputs()],
    }
    if KEY not in metadata:
        return told | {"card": "none: not written by pellucid, tiles may show seams"}
    full = json.loads(metadata[KEY])
    return told | {
        "id": card.id,
        "purpose": card.purpose,
        "network": f"{full.get('arch', 'unknown')} {json.dumps(full.get('arch_args', {}))}",
        "steps": card.steps,
        "parameters": f"{card.params:,}",
        "MACs": ", ".join(
            f"{card.macs_per_pixel * w * h / 1e9:.1f} G at {w}x{h}"
            for w, h in ((256, 256), (1280, 720), (1920, 1080))
        ),
        "receptive field": f"{card.receptive_field} px to each side",
        "tiles start at": f"multiples of {card.tile_multiple} px",
        "license": card.license,
        "trained on": full.get("datasets") or "not told",
        "recipe": full.get("recipe") or "not told",
        "date": full.get("date") or "not told",
        "weights sha256": full.get("sha256_weights") or "not told",
    }


def render(told: dict[str, object]) -> str:
    """One fact a line, lists one entry a line."""
    lines = []
    for name, value in told.items():
        entries = value if isinstance(value, list) else [value]
        for index, entry in enumerate(entries or ["none"]):
            lines.append(f"{name if index == 0 else '':18}{entry}")
    return "\n".join(lines)
