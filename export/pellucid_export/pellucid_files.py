"""The two ONNX files that `pellucid` itself restores with: one for photos, one for frames.

They measure the scene only if nobody feeds it, which spares tiles the work; the If that this takes
is why `pellucid export -f onnx`, made for other programs, writes a file without.
"""

from pathlib import Path

from pellucid_student.enlarger import Enlarger
from pellucid_student.weights import AnyStudent, Provenance

from .onnx.file import Exported, export_frames, export_onnx


def write_pellucid_files(
    student: AnyStudent, provenance: Provenance, folder: Path
) -> list[Exported]:
    """`allinone-NAME.onnx` and `allinone-NAME-frames.onnx`; of weights that learnt from clips only
    the latter. Of a student that enlarges `enlarge-NAME.onnx`.

    student: folded. Raises ParityError, leaving no file, if one disagrees with torch.
    """
    if isinstance(student, Enlarger):
        return [export_onnx(student, provenance, folder / f"enlarge-{provenance.preset}.onnx")]
    path = folder / f"allinone-{provenance.preset}.onnx"
    made = [] if provenance.clip_frames else [export_onnx(student, provenance, path)]
    return [*made, export_frames(student, provenance, path.with_stem(f"{path.stem}-frames"))]
