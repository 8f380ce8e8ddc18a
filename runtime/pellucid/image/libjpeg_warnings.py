"""Damage inside a JPEG, by a second decoder: libvips does not read on to the end of the picture.

After a lost piece everything behind it is shifted, and what tells is data left over at the end.
OpenCV's libjpeg sees it and prints one line to stderr, which is the only place where it tells. It
decodes at an eighth of the size, which takes little memory. A single changed bit may still decode
to a legal picture: JPEG has no checksums, so that no reader can tell.
"""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np

from .header import Data

_LOCK = threading.Lock()
_DAMAGE = (b"Corrupt JPEG data", b"Premature end of JPEG", b"Inconsistent progression")


def damage_of(jpeg: Data) -> str:
    """What libjpeg warns of first; empty if it has nothing to say."""
    with jpeg_warnings() as found:
        cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_REDUCED_COLOR_8)
    return found[0] if found else ""


@contextmanager
def jpeg_warnings() -> Iterator[list[str]]:
    """Within, stderr's descriptor goes to a file; afterwards the list holds libjpeg's warnings.

    Whatever else was written in the meantime, by any thread, is passed on. Without a stderr, as in
    some desktop programs, nothing is caught.
    """
    found: list[str] = []
    with _LOCK:
        try:
            kept = os.dup(2)
        except OSError:
            yield found
            return
        with tempfile.TemporaryFile() as file:
            os.dup2(file.fileno(), 2)
            try:
                yield found
            finally:
                os.dup2(kept, 2)
                os.close(kept)
                file.seek(0)
                for line in file.read().splitlines(keepends=True):
                    if line.startswith(_DAMAGE):
                        found.append(line.decode("ascii", "replace").strip())
                    else:
                        os.write(2, line)
