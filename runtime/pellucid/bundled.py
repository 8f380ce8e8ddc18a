"""The models that come with pellucid, by name."""

import difflib
from pathlib import Path

from .errors import ModelError

MODELS = Path(__file__).parent / "models"


def find_model(model: str | Path) -> Path:
    """File of a bundled model by name, or of a given path."""
    given = Path(model)
    if given.suffix in (".onnx", ".xml") or given.is_file():
        if not given.is_file():
            raise ModelError(f"{given}: no such model file")
        return given
    path = MODELS / f"allinone-{model}.onnx"
    names = bundled_names()
    if str(model) in names:
        return path
    near = difflib.get_close_matches(str(model), names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ModelError(
        f"no model named {str(model)!r}; {hint}bundled: {', '.join(names) or 'none'}; "
        "or give the path of an .onnx or .xml file"
    )


def bundled_names() -> list[str]:
    """Names of the models that come with pellucid."""
    stems = (path.stem.removeprefix("allinone-") for path in MODELS.glob("allinone-*.onnx"))
    return sorted(name for name in stems if not name.endswith("-frames"))
