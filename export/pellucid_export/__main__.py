"""Build the files the runtime loads: python -m pellucid_export WEIGHTS -o DIR

One for photos and one for frames; of weights that learnt from clips only the latter.
"""

import argparse
import sys
from pathlib import Path

from pellucid_student.weights import load_student

from .onnx.file import Exported, export_frames, export_onnx
from .thresholds import ParityError

QUALITY_GATE_FAILED = 3


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pellucid_export", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("weights", type=Path, help="a student's .safetensors")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for the .onnx files")
    args = parser.parse_args()
    try:
        student, provenance = load_student(args.weights)
        path = args.out / f"allinone-{provenance.preset}.onnx"
        if not provenance.clip_frames:
            _tell(export_onnx(student, provenance, path))
        _tell(export_frames(student, provenance, path.with_stem(f"{path.stem}-frames")))
    except ParityError as error:
        print(f"error: {error}", file=sys.stderr)
        return QUALITY_GATE_FAILED
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _tell(done: Exported) -> None:
    size = done.path.stat().st_size / 1e6
    print(f"ONNX fp32  {size:.2f} MB  {done.parity_db:.0f} dB vs torch  {done.path}")


if __name__ == "__main__":
    sys.exit(main())
