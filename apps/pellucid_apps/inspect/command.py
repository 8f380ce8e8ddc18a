"""`pellucid inspect FILE`: what an exported file says about itself, and what can be checked.

ONNX and OpenVINO files need no package beyond the runtime's, a .dtmodel neither; a .mlpackage needs
coremltools.
"""

import hashlib
import json
import xml.etree.ElementTree as ElementTree
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pellucid import ModelError
from pellucid.card import KEY, read_card
from pellucid.session import open_session

from ..bundled import model_file
from ..export.layers import coreml_layers, onnx_layers, openvino_layers, summarise

Facts = dict[str, object]


def describe(path: Path) -> Facts:
    """Facts of an exported file or a bundled name, in reading order. Raises ModelError."""
    path = model_file(path)
    if not path.exists():
        raise ModelError(f"{path}: no such model file")
    if path.suffix == ".mlpackage":
        return _coreml(path)
    if path.is_dir():
        raise ModelError(f"{path}: is a folder; give a .onnx, .xml, .mlpackage or .dtmodel in it")
    if path.suffix == ".xml":
        return _openvino(path)
    if path.suffix == ".dtmodel":
        return _darktable(path)
    return _head(path) | _onnx(path, path.read_bytes())


def _onnx(path: Path, data: bytes) -> Facts:
    session = open_session(data, name=path)
    meta = session.get_modelmeta()
    facts: Facts = {
        "producer": meta.producer_name or "unknown",
        "inputs": [f"{p.name} {p.type} {p.shape}" for p in session.get_inputs()],
        "optional inputs": [
            f"{p.name} {p.type} {p.shape}" for p in session.get_overridable_initializers()
        ],
        "outputs": [f"{p.name} {p.type} {p.shape}" for p in session.get_outputs()],
    }
    if find_spec("onnx") is not None:
        facts["precision"] = summarise(onnx_layers(data))
    return facts | _card_facts(dict(meta.custom_metadata_map), path.stem)


def _openvino(path: Path) -> Facts:
    try:
        root = ElementTree.parse(path).getroot()
        layers = summarise(openvino_layers(root))
    except (ElementTree.ParseError, KeyError) as error:
        raise ModelError(f"{path}: not an OpenVINO IR ({error})") from error
    weights = path.with_suffix(".bin")
    if root.tag != "net" or not weights.is_file():
        raise ModelError(f"{path}: an OpenVINO IR is a .xml with {weights.name} beside it")
    data = weights.read_bytes()
    held = root.find("./rt_info/model_info")
    metadata = {} if held is None else {e.tag: str(e.get("value", "")) for e in held}
    facts = _head(path)
    facts["size"] = f"{(path.stat().st_size + len(data)) / 1e6:.2f} MB with {weights.name}"
    return facts | {
        "weights file": f"{weights.name} sha256 {hashlib.sha256(data).hexdigest()}",
        "producer": f"OpenVINO IR version {root.get('version', 'unknown')}",
        "inputs": _ir_ports(root, "Parameter"),
        "outputs": _ir_ports(root, "Result"),
        "precision": layers,
        **_card_facts(metadata, path.stem),
    }


def _ir_ports(root: ElementTree.Element, kind: str) -> list[str]:
    """`input f32 [1, 3, -1, -1]` for each Parameter or Result."""
    ports = []
    for layer in root.iterfind(f"./layers/layer[@type='{kind}']"):
        port = layer.find("./output/port" if kind == "Parameter" else "./input/port")
        data = layer.find("data")
        if port is None:
            continue
        sides = ", ".join(str(dim.text) for dim in port.iterfind("dim"))
        element = port.get("precision") or (data.get("element_type") if data is not None else "")
        name = (port.get("names") or layer.get("name") or "").split("/")[0]
        ports.append(f"{name} {element} [{sides}]")
    return ports


def _coreml(path: Path) -> Facts:
    from pellucid_export.coreml.mil.values import proto_modules

    model_file = path / "Data" / "com.apple.CoreML" / "model.mlmodel"
    if not model_file.is_file():
        raise ModelError(f"{path}: expected an .mlpackage folder with {model_file.name} inside")
    spec = proto_modules()[0].Model()
    try:
        spec.ParseFromString(model_file.read_bytes())
        layers = summarise(coreml_layers(spec))
    except Exception as error:  # protobuf's DecodeError, whose place differs by version
        raise ModelError(f"{path}: its {model_file.name} is damaged") from error
    files = sorted(p for p in path.rglob("*") if p.is_file())
    summed = hashlib.sha256()
    for file in files:
        summed.update(file.relative_to(path).as_posix().encode() + file.read_bytes())
    about = spec.description
    return {
        "file": str(path),
        "size": f"{sum(p.stat().st_size for p in files) / 1e6:.2f} MB in {len(files)} files",
        "sha256": f"{summed.hexdigest()} over names and contents",
        "producer": f"{about.metadata.author or 'unknown'}, Core ML version "
        f"{spec.specificationVersion}",
        "inputs": [_coreml_port(port) for port in about.input],
        "outputs": [_coreml_port(port) for port in about.output],
        "precision": layers,
        **_card_facts(dict(about.metadata.userDefined), path.stem),
    }


def _coreml_port(port: Any) -> str:
    kind = port.type.WhichOneof("Type")
    if kind == "imageType":
        image = port.type.imageType
        sizes = [f"{s.width}x{s.height}" for s in image.enumeratedSizes.sizes]
        space = image.ColorSpace.Name(image.colorSpace)
        return f"{port.name} image {space} {', '.join(sizes) or f'{image.width}x{image.height}'}"
    array = port.type.multiArrayType
    element = array.ArrayDataType.Name(array.dataType).lower()
    shapes = [list(shape.shape) for shape in array.enumeratedShapes.shapes] or [list(array.shape)]
    listed = ", ".join(str(shape) for shape in shapes if shape)
    return f"{port.name} {element} {listed or 'any shape'}"


def _darktable(path: Path) -> Facts:
    try:
        with zipfile.ZipFile(path) as package:
            config = json.loads(package.read(f"{path.stem}/config.json"))
            data = package.read(f"{path.stem}/model.onnx")
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ModelError(
            f"{path}: not a darktable package; expected a zip with {path.stem}/config.json and "
            f"{path.stem}/model.onnx ({error})"
        ) from error
    shown = {key: config.get(key, "unknown") for key in ("id", "name", "task", "version")}
    lines = [f"{key} {value}" for key, value in shown.items()]
    return _head(path) | {"darktable": lines} | _onnx(path, data)


def _head(path: Path) -> Facts:
    data = path.read_bytes()
    return {
        "file": str(path),
        "size": f"{len(data) / 1e6:.2f} MB",
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def _card_facts(metadata: dict[str, str], name: str) -> Facts:
    """What the embedded card tells; says so where there is none."""
    card = read_card(metadata, name)
    if KEY not in metadata:
        return {"card": "none: not written by pellucid, tiles may show seams"}
    full = json.loads(metadata[KEY])
    reach = card.receptive_field
    return {
        "id": card.id,
        "task": card.task,
        "purpose": card.purpose,
        "network": f"{full.get('arch', 'unknown')} {json.dumps(full.get('arch_args', {}))}",
        "steps": card.steps,
        "parameters": f"{card.params:,}",
        "MACs": ", ".join(
            f"{card.macs_per_pixel * w * h / card.scale**2 / 1e9:.1f} G at {w}x{h}"
            for w, h in ((256, 256), (1280, 720), (1920, 1080))
        )
        + ("" if card.scale == 1 else " of the result"),
        "receptive field": "whole picture" if reach is None else f"{reach} px to each side",
        "output": "as large as the input" if card.scale == 1 else f"{card.scale} times as large",
        "mask": "a second input, which pixels to restore" if card.mask else "none taken",
        "degradations": ", ".join(card.degradations) or "none",
        "tiles start at": f"multiples of {card.tile_multiple} px",
        "license": card.license,
        "trained on": full.get("datasets") or "unknown",
        "recipe": full.get("recipe") or "unknown",
        "teacher": full.get("teacher") or "none",
        "date": full.get("date") or "unknown",
        "weights sha256": full.get("sha256_weights") or "unknown",
    }


def render(facts: Facts) -> str:
    """One fact a line, lists one entry a line."""
    lines = []
    for name, value in facts.items():
        entries = value if isinstance(value, list) else [value]
        for index, entry in enumerate(entries or ["none"]):
            lines.append(f"{name if index == 0 else '':18}{entry}")
    return "\n".join(lines)
