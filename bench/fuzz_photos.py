"""Mutated photo files: each must give a picture or one sentence, never a crash or a traceback.

    python bench/fuzz_photos.py --count 10000

Sources are small files of every format that is read, made here by Pillow; a mutation changes bytes,
cuts, doubles or swaps pieces. Work is done in child processes, so that a crash of a decoder is seen
and named with its seed. Prints figures as JSON; exit code 1 if anything went wrong.
"""

import argparse
import collections
import io
import json
import multiprocessing
import resource
import sys
from typing import Any

import numpy as np
from PIL import Image

from pellucid import PhotoError, read_photo

_KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("JPEG", {"quality": 90, "comment": b"a comment", "dpi": (300, 300)}),
    ("JPEG", {"progressive": True, "subsampling": 0}),
    ("PNG", {}),
    ("WEBP", {}),
    ("WEBP", {"lossless": True}),
    ("TIFF", {"compression": "tiff_lzw", "dpi": (300, 300)}),
    ("TIFF", {"compression": "jpeg"}),
    ("AVIF", {}),
    ("BMP", {}),
)
_MEMORY_BYTES = 4 << 30
_BATCH = 200
_PATIENCE_S = 300.0


def sources() -> list[bytes]:
    """A valid file of each kind, with EXIF where the format takes it."""
    y, x = np.mgrid[0:60, 0:80]
    picture = Image.fromarray(np.stack([3 * x, 4 * y, 250 - 3 * x], 2).astype(np.uint8))
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "maker", 6
    made = []
    for kind, options in _KINDS:
        file = io.BytesIO()
        extra = {} if kind == "BMP" else {"exif": exif}
        picture.save(file, kind, **options, **extra)
        made.append(file.getvalue())
    return made


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """A file with one to three kinds of harm done to it."""
    harmed = bytearray(data)
    for _ in range(random.integers(1, 4)):
        size = len(harmed)
        if size < 8:
            break
        at, length = int(random.integers(0, size)), int(random.integers(1, 40))
        match random.integers(0, 6):
            case 0:
                harmed[at] ^= 1 << int(random.integers(0, 8))
            case 1:
                harmed[at : at + length] = random.bytes(length)
            case 2:
                del harmed[at:]
            case 3:
                del harmed[at : at + length]
            case 4:
                harmed[at:at] = harmed[at : at + length]
            case _:  # headers are where lengths and sizes stand
                harmed[int(random.integers(0, min(size, 200)))] = int(random.integers(0, 256))
    return bytes(harmed)


def outcome(data: bytes) -> str:
    """ "read", "noted" (read, with a note), "refused", or what went wrong."""
    try:
        photo = read_photo(data)
        photo.encode()
    except PhotoError as error:
        return "refused" if "\n" not in str(error) else f"several lines: {error!r}"
    except MemoryError:
        return "out of memory"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "noted" if photo.notes else "read"


def run_batch(first: int, count: int, pipe: Any) -> None:
    """In a child process: (seed, outcome) of each file; the seed comes first."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    made = sources()
    for seed in range(first, first + count):
        pipe.send((seed, ""))
        random = np.random.default_rng(seed)
        pipe.send((seed, outcome(mutated(made[seed % len(made)], random))))
    pipe.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    arguments = parser.parse_args()
    counts: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []
    seed, stop = arguments.first, arguments.first + arguments.count
    while seed < stop:
        here, there = multiprocessing.Pipe(duplex=False)
        job = (seed, min(_BATCH, stop - seed), there)
        child = multiprocessing.get_context("spawn").Process(target=run_batch, args=job)
        child.start()
        there.close()
        last, result = seed, ""
        try:
            while here.poll(_PATIENCE_S):
                last, result = here.recv()
                if result in ("read", "noted", "refused"):
                    counts[result] += 1
                elif result:
                    wrong.append(f"seed {last}: {result}")
        except EOFError:
            pass
        else:
            child.kill()
        child.join()
        if child.exitcode != 0:
            wrong.append(f"seed {last}: process ended with {child.exitcode}")
        seed = last + 1
    print(json.dumps({"files": arguments.count, **counts, "wrong": wrong}, indent=1))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
