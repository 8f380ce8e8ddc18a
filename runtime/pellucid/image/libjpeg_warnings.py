"""What a C library writes to stderr while it decodes, as the only place where it tells of damage.

libjpeg goes on after damage inside a picture, fills in grey or shifted blocks and prints one line;
OpenCV passes nothing of it on. A single changed bit may still decode to a legal picture: JPEG has
no checksums, so that no reader can tell.
"""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.Lock()
_DAMAGE = (b"Corrupt JPEG data", b"Premature end of JPEG", b"Inconsistent progression")


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
