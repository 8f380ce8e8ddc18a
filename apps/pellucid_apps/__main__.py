"""The `pellucid` command, also as `python -m pellucid_apps`.

Every part of pellucid needs numpy, OpenCV and libvips, the doctor too, so these are looked at
before anything else is imported: a broken one ends in its fix and not in a traceback.
"""

import io
import os
import sys
from importlib import import_module

from .doctor.check import Finding

_FIRST = {
    "numpy": ("numpy", "pip install --force-reinstall numpy"),
    # Servers lack the window libraries that the usual package asks for (libGL.so.1).
    "cv2": (
        "OpenCV",
        "pip uninstall -y opencv-python && pip install --force-reinstall opencv-python-headless",
    ),
    "pyvips": ("libvips", "pip install --force-reinstall 'pyvips[binary]'"),
}


def broken() -> list[Finding]:
    """What is needed and does not load."""
    found = []
    for module, (name, fix) in _FIRST.items():
        try:
            import_module(module)
        except Exception as error:  # a broken installation raises whatever its loader raises
            found.append(Finding("FAIL", f"{name} does not load ({error})", fix))
    return found


def mend_streams() -> None:
    """Standard streams that can always be written to.

    A closed one (`2>&-`) would lend its number to the next file that is opened, a photo, say; and a
    file name that is not UTF-8 is shown with escapes.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main() -> None:
    """Entry point of the script. Exit code 1 if a package is broken, else `cli.main`'s."""
    mend_streams()
    if findings := broken():
        for finding in findings:
            print(finding.line(), file=sys.stderr)
        sys.exit(1)
    from .cli import main as run

    run()


if __name__ == "__main__":
    main()
