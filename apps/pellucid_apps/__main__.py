"""The `pellucid` command, also as `python -m pellucid_apps`.

Every part of pellucid needs numpy, OpenCV and libvips, the doctor too, so these are looked at
before anything else is imported: a broken one ends in its fix and not in a traceback.
"""

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


def main() -> None:
    """Entry point of the script. Exit code 1 if a package is broken, else `cli.main`'s."""
    if findings := broken():
        for finding in findings:
            print(finding.line(), file=sys.stderr)
        sys.exit(1)
    from .cli import main as run

    run()


if __name__ == "__main__":
    main()
