"""From what a user names to a student's weights."""

import difflib
from pathlib import Path

import pellucid_student
from pellucid_student.weights import AnyStudent, Provenance, load_any_student

from .thresholds import ExportError

# In a wheel the weights lie inside the package, in the source tree beside it.
FOLDERS = (
    Path(pellucid_student.__file__).parent / "trained",
    Path(pellucid_student.__file__).parents[1] / "weights",
)


def find_weights(model: str) -> Path:
    """A .safetensors file by path, or by the name of bundled weights. Raises ExportError."""
    path = Path(model)
    if path.suffix == ".onnx":
        raise ExportError(
            f"{path}: an ONNX file is a result, not a start; give the student's .safetensors"
        )
    if path.is_file():
        return path
    bundled = {
        file.stem: file for folder in FOLDERS for file in sorted(folder.glob("*.safetensors"))
    }
    if model in bundled:
        return bundled[model]
    if path.suffix == ".safetensors" or len(path.parts) > 1:
        raise ExportError(f"{path}: no such file; make one with `pellucid train student`")
    near = difflib.get_close_matches(model, bundled, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ExportError(
        f"no bundled weights named {model!r}; {hint}bundled: {', '.join(bundled) or 'none'}; "
        "or give the path of a student's .safetensors"
    )


def open_student(path: Path) -> tuple[AnyStudent, Provenance]:
    """The folded network and where it comes from. Raises ExportError for any other file."""
    try:
        return load_any_student(path)
    except (ValueError, OSError, KeyError, RuntimeError) as error:
        raise ExportError(str(error)) from error
    except Exception as error:  # safetensors' own error class has no public home
        raise ExportError(f"{path}: not a student's weights ({error})") from error
