"""`pellucid demo`: the bundled photos, each degraded in its own way, restored by one model."""

import time
from pathlib import Path

from pellucid import PhotoError, Restorer, read_photo
from pellucid.image.photo import write_atomically
from pellucid.metrics import psnr

from .restore.compare import Panel, displayable, encode_sheet

SAMPLES = Path(__file__).parent / "samples"
PER_ROW = 2  # samples side by side, each as a before/after couple


def run(out: Path, steps: int | None) -> None:
    """Restore every sample into `out`, print the table and the path of the picture."""
    degraded = sorted((SAMPLES / "degraded").glob("*.png"))
    if not degraded:
        raise PhotoError(f"{SAMPLES}: the bundled samples are missing; install pellucid again")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PhotoError(f"{out}: cannot make folder ({error.strerror})") from error
    restorer = Restorer("tiny", steps=steps)
    print(f"model {restorer.card.id}, {restorer.card.params / 1e6:.2f} M parameters\n")
    print(f"{'file':16}{'task':10}{'size':>9}{'ms':>7}   PSNR before -> after")
    panels: list[Panel] = []
    for path in degraded:
        photo = read_photo(path)
        before = photo.pixels.copy()
        start = time.perf_counter()
        restorer.restore_photo(photo)
        ms = 1e3 * (time.perf_counter() - start)
        photo.save(out / path.name)
        clean = read_photo(SAMPLES / "clean" / f"{path.stem}.jpg").pixels
        gain = [psnr(p / 255.0, clean / 255.0) for p in (before, photo.pixels)]
        height, width = before.shape[:2]
        print(
            f"{path.name:16}{path.stem:10}{f'{width}x{height}':>9}{ms:7.0f}   "
            f"{gain[0]:6.2f} -> {gain[1]:6.2f} dB"
        )
        panels += [
            Panel(displayable(before), path.stem),
            Panel(displayable(photo.pixels), f"{gain[0]:.1f} -> {gain[1]:.1f} dB"),
        ]
    couples = 2 * PER_ROW
    rows = [panels[i : i + couples] for i in range(0, len(panels), couples)]
    sheet = out / "before-after.jpg"
    write_atomically(sheet, encode_sheet(rows))
    print(f"\nbefore/after picture: {sheet}")
