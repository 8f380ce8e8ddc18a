"""The models that come with pellucid, by name."""

import difflib
from pathlib import Path

from .errors import ModelError

MODELS = Path(__file__).parent / "models"
_PREFIXES = ("allinone-", "enlarge-")  # what the models do


def find_model(model: str | Path) -> Path:
    """File of a bundled model by name, or of a given path."""
    given = Path(model)
    if given.suffix in (".onnx", ".xml") or given.is_file():
        if not given.is_file():
            raise ModelError(f"{given}: no such model file")
        return given
    files = _files()
    names = sorted(files)
    if str(model) in files:
        return files[str(model)]
    near = difflib.get_close_matches(str(model), names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ModelError(
        f"no model named {str(model)!r}; {hint}bundled: {', '.join(names) or 'none'}; "
        "or give the path of an .onnx or .xml file"
    )


def bundled_names() -> list[str]:
    """Names of the models that come with pellucid and keep a picture's size."""
    return sorted(name for name, path in _files().items() if path.name.startswith(_PREFIXES[0]))


def _files() -> dict[str, Path]:
    """Name -> file of every bundled model, but for those of frames."""
    return {
        path.stem.removeprefix(prefix): path
        for prefix in _PREFIXES
        for path in MODELS.glob(f"{prefix}*.onnx")
        if not path.stem.endswith("-frames")
    }
