"""Every file of a folder of cases through `restore`, one line each: what came, what was said.

    python bench/cases.py CASES --out OUT

CASES holds photo/ and video/. Each file goes through the command at strength 0, so that what comes
must look as what was given; both are read by another program (Pillow, tifffile, FFmpeg). Columns:
exit code, size and mean level of source and result, the mean difference of their pixels, all that
was said. Exit code 1 if a result cannot be read or differs; files that are made to be refused or
repaired differ rightly: the table is to be read beside what each file is for.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
LEVELS = 4.0  # of 255 by which pixels may differ in the mean before a line is marked


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    marked = 0
    print("| file | exit | source | result | said |\n|---|---|---|---|---|")
    for kind in ("photo", "video"):
        for path in sorted((asked.cases / kind).iterdir()):
            if path.suffix == ".onnx":
                continue
            code, target, said = restore(path, asked.out / kind)
            given, made = shown(path), None if target is None else shown(target)
            off = None if given is None or made is None else difference(given, made)
            wrong = code == 0 and (made is None or (off is not None and off > LEVELS))
            marked += wrong
            shows = f"{facts(made)}{'' if off is None else f', off {off:.1f}'}"
            mark = " **?**" if wrong else ""
            print(f"| {path.name} | {code} | {facts(given)} | {shows}{mark} | {said} |", flush=True)
    print(f"\n{marked} to look at")
    return 1 if marked else 0


def restore(path: Path, out: Path) -> tuple[int, Path | None, str]:
    """(exit code, the result, all that was said in a line)."""
    command = [sys.executable, "-m", "pellucid_apps", "restore", str(path), "-o", str(out)]
    options = ["-m", "pico", "--overwrite", "--strength", "0", "--fix", "all"]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    said = " ".join((done.stderr + done.stdout).replace("|", "/").split())
    made = [p for p in out.glob(f"{path.stem}*") if p.stem == path.stem] if out.is_dir() else []
    return done.returncode, made[0] if made and done.returncode == 0 else None, said[:300]


def shown(path: Path) -> Picture | None:
    """(H, W, 3) by another program than pellucid's reader; None if none of them can read it."""
    pictures = (_tifffile,) if path.suffix == ".tif" else (_pillow, _ffmpeg)
    for read in (_ffmpeg, _pillow) if path.parent.name == "video" else pictures:
        try:
            return read(path)
        except Exception:  # whatever other programs raise: the next one may read it
            continue
    return None


def _pillow(path: Path) -> Picture:
    from PIL import Image, ImageOps

    with Image.open(path) as picture:
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"), np.float32)


def _tifffile(path: Path) -> Picture:
    import tifffile

    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        pixels = page.asarray()
        if page.planarconfig == 2 and pixels.ndim == 3:
            pixels = pixels.transpose(1, 2, 0)
        peak = float(np.iinfo(pixels.dtype).max) if pixels.dtype.kind == "u" else 1.0
        levels = 255.0 * pixels.astype(np.float32) / peak
        if page.photometric == 0:
            levels = 255.0 - levels
    grey = levels if levels.ndim == 3 else levels[..., None]
    return np.broadcast_to(grey[..., :3], (*grey.shape[:2], 3))


def _ffmpeg(path: Path) -> Picture:
    import av

    with av.open(f"file:{path}") as container:
        frame = next(container.decode(video=0))
        return np.asarray(frame.to_ndarray(format="rgb24"), np.float32)


def difference(given: Picture, made: Picture) -> float:
    """Mean difference of pixels in levels; 255 for other sizes."""
    return 255.0 if given.shape != made.shape else float(np.abs(given - made).mean())


def facts(picture: Picture | None) -> str:
    if picture is None:
        return "not read"
    return f"{picture.shape[1]}x{picture.shape[0]}, mean {picture.mean():.0f}"


if __name__ == "__main__":
    sys.exit(main())
