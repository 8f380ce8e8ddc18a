"""darktable 5.6: a .dtmodel package and the versions.json that a repository publishes beside it.

A .dtmodel is a zip with one folder, named as the model's id, that holds config.json and model.onnx.
darktable lists such models under neural restore, task denoise: float32 sRGB-coded RGB in [0, 1],
(1, 3, H, W), one required input, in tiles of its own size with 64 px overlap.
Source: darktable's src/ai/README.md and src/common/ai_models.c, darktable-ai's pull request 39.
"""

import hashlib
import json
import zipfile
from pathlib import Path

from pellucid.size import Size

from ..onnx.file import Run, onnx_runner
from ..onnx.maker import OnnxMaker
from ..source import ExportSource

SCHEMA = 1
TILE_OVERLAP = 64
NO_DATE = (1980, 1, 1, 0, 0, 0)  # equal content gives an equal file


class DarktableMaker:
    """Writes darktable/<id>.dtmodel; `write_versions` the list beside the packages."""

    def __init__(self, source: ExportSource, onnx_maker: OnnxMaker) -> None:
        self._source = source
        self._onnx = onnx_maker

    def id(self, precision: str) -> str:
        """darktable's rule is <task>-<model>[-<size>], and its task is denoise."""
        name = self._source.id.removeprefix("allinone-")
        return f"denoise-pellucid-{name}{'-fp16' if precision == 'fp16' else ''}"

    def place(self, precision: str, size: Size | None) -> Path:
        return Path("darktable") / f"{self.id(precision)}.dtmodel"

    def make(self, precision: str, size: Size | None, keep: tuple[str, ...], folder: Path) -> Path:
        path = folder / self.place(precision, size).name
        name = self.id(precision)
        model = self._onnx.finished(precision, None, image_io=False)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
            entries = {
                "config.json": json.dumps(self.config(precision), indent=1).encode(),
                "model.onnx": model.SerializeToString(),
            }
            for entry, data in entries.items():
                info = zipfile.ZipInfo(f"{name}/{entry}", NO_DATE)
                info.compress_type = zipfile.ZIP_DEFLATED
                package.writestr(info, data)
        return path

    def config(self, precision: str) -> dict[str, object]:
        card = self._source.card
        radius = card["receptive_field"]
        sees = "what" if radius is None else f"the {radius} px that"
        seams = (
            f" darktable's {TILE_OVERLAP} px overlap is less than {sees} "
            "this network sees, and it measures exposure a tile: large tiles look best."
        )
        return {
            "id": self.id(precision),
            "name": self.id(precision).removeprefix("denoise-").replace("-", " "),
            "description": f"pellucid: {card['purpose']}",
            "task": "denoise",
            "arch": card["arch"],
            "backend": "onnx",
            "version": card["version"],
            "tiling": True,
            "num_inputs": 1,
            "model_card": {
                "long_description": f"{card['purpose']}, in {card['steps']} step(s).{seams}",
                "scope": "single-image restoration",
                "author": "pellucid",
                "license": card["license"],
                "training_data": "; ".join(self._source.provenance.datasets) or "unknown",
                "notes": card["recipe"],
            },
        }

    def runner(self, path: Path, size: Size | None, threads: int) -> Run:
        with zipfile.ZipFile(path) as package:
            return onnx_runner(package.read(f"{path.stem}/model.onnx"), False, threads)


def write_versions(folder: Path, into: Path) -> Path:
    """versions.json over all .dtmodel files of a folder, as a release of a repository needs it."""
    models = {}
    for path in sorted(folder.glob("*.dtmodel")):
        data = path.read_bytes()
        with zipfile.ZipFile(path) as package:
            config = json.loads(package.read(f"{path.stem}/config.json"))
        models[path.stem] = {
            "version": config["version"],
            "sha256": hashlib.sha256(data).hexdigest(),
            "size": len(data),
            "name": config["name"],
            "description": config["description"],
            "task": config["task"],
            "license": config["model_card"]["license"],
        }
    into.write_text(json.dumps({"schema": SCHEMA, "models": models}, indent=2) + "\n", "utf-8")
    return into
