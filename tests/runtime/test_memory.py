"""Memory stays bounded: no step holds a second copy of the whole picture, or floats of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own: the peak of a process never falls. The network is tiny, so that what is
# seen is the rest. Bytes for each of 12 megapixels, of which the picture itself is 3.
MEASURE = """
import json, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from pellucid import Photo, Restorer, read_photo
from pellucid.image.header import RESOLUTION
from pellucid.image.resolution import INCH, Resolution

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

model, folder, height, width = sys.argv[1], Path(sys.argv[2]), 3000, 4000
dpi = {RESOLUTION: Resolution(Fraction(300), Fraction(300), INCH).to_block()}
restorer = Restorer(model, threads=1, memory_mb=50)

def run(pixels, name):
    restorer.restore_photo(Photo(pixels, dpi)).save(folder / name)

run(np.random.default_rng(0).integers(0, 255, (1000, 1000, 3), np.uint8), "small.jpg")
start = peak()
ramp = np.linspace(0, 255, width).astype(np.uint8)
run(np.broadcast_to(ramp[None, :, None], (height, width, 3)).copy(), "large.jpg")
written = peak() - start
read_photo(folder / "large.jpg")
read = peak() - start
print(json.dumps([written / (height * width), read / (height * width)]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_a_large_photo_is_held_once(model_file: Path, tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", MEASURE, model_file, tmp_path], capture_output=True, check=True
    )
    written, read = json.loads(told.stdout)
    assert 3.0 < written < 5.0, "restoring and writing"
    assert read < 7.2, "reading"


# The picture lies in a scratch file: of its 36 MB, and of the copies that steps need, little is
# ever in memory at once.
ON_DISK = """
import sys
from pathlib import Path
import numpy as np
import pyvips
from pellucid import Restorer, read_photo
from pellucid.image import scratch
import pellucid.restorer

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

scratch.IN_MEMORY_BYTES = pellucid.restorer.IN_MEMORY_BYTES = 1_000_000
restorer = Restorer(sys.argv[1], threads=1, memory_mb=50, steps=int(sys.argv[3]))
noise = pyvips.Image.gaussnoise(1000, 1000, mean=128, sigma=40).cast("uchar")
noise = noise.bandjoin([noise.invert(), noise.fliphor()]).copy_memory()

def run(across, down):
    path = Path(sys.argv[2]) / "a.jpg"
    noise.replicate(across, down).jpegsave(str(path))
    restorer.restore_photo(read_photo(path)).save(path)

run(1, 1)
start = peak()
run(4, 3)
print((peak() - start) / (3 * 12_000_000))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.slow
@pytest.mark.parametrize(("steps", "copies"), [("1", 0.8), ("3", 1.6)])
def test_a_picture_on_disk_is_never_in_memory_as_a_whole(
    model_file: Path, tmp_path: Path, steps: str, copies: float
) -> None:
    command = [sys.executable, "-c", ON_DISK, str(model_file), str(tmp_path), steps]
    told = subprocess.run(command, capture_output=True, check=True)
    assert float(told.stdout) < copies
