"""Build the files the runtime loads: python -m pellucid_export WEIGHTS -o DIR [--steps 1 2 3]

The files for photos and the one for frames; of weights that learnt from clips only the latter.
"""

import argparse
import sys
from pathlib import Path

from pellucid_student.weights import load_student

from .gates import ParityError
from .onnx_file import Exported, export_frames, export_onnx

QUALITY_GATE_FAILED = 3


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pellucid_export", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("weights", type=Path, help="a student's .safetensors")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for the .onnx files")
    parser.add_argument(
        "--steps", type=int, nargs="+", choices=[1, 2, 3], help="of photos; default: all, or none"
    )
    args = parser.parse_args()
    try:
        student, provenance = load_student(args.weights)
        of_photos = [] if provenance.clip_frames else [1, 2, 3]
        for steps in args.steps or of_photos:
            path = args.out / f"allinone-{provenance.preset}-{steps}step.onnx"
            _tell(export_onnx(student, provenance, steps, path))
        if provenance.clip_frames or args.steps is None:
            path = args.out / f"allinone-{provenance.preset}-frames.onnx"
            _tell(export_frames(student, provenance, path))
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
