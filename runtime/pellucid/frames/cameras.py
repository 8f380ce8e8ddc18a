"""Cameras, through OpenCV."""

import os
import sys
from pathlib import Path

import cv2
import numpy as np

from .frame import Clock, Frame, FrameError, Picture

BROKEN_S = 2.0  # seconds of failed reads after which a camera counts as gone
_LINUX = Path("/sys/class/video4linux")


def list_cameras() -> list[tuple[int, str]]:
    """(index, name) of the cameras of this machine, by index."""
    if sys.platform.startswith("linux"):
        found = []
        for entry in _LINUX.glob("video*") if _LINUX.is_dir() else ():
            # A camera has further entries for its metadata; its pictures are at index 0.
            first = _text(entry / "index") in ("0", "")
            if first and entry.name[5:].isdigit():
                found.append((int(entry.name[5:]), _text(entry / "name") or entry.name))
        return sorted(found)
    try:
        from cv2_enumerate_cameras import enumerate_cameras
    except ImportError as error:
        raise FrameError(
            "listing cameras needs cv2-enumerate-cameras; pip install 'pellucid[cameras]', "
            "or give the index: 0 is the first camera"
        ) from error
    return sorted({(int(c.index), str(c.name)) for c in enumerate_cameras()})


def find_camera(wanted: str) -> int:
    """Index of a camera given by index or by a part of its name, in any case of letters."""
    if wanted.isdecimal():
        return int(wanted)
    cameras = list_cameras()
    hits = [(index, name) for index, name in cameras if wanted.lower() in name.lower()]
    if len(hits) != 1:
        names = ", ".join(f"{index}: {name}" for index, name in hits or cameras) or "none"
        fault = "several cameras match" if hits else "no file, folder or camera is called"
        raise FrameError(f"{fault} {wanted!r}; cameras: {names} (pellucid live --list)")
    return hits[0][0]


class CameraSource:
    """A camera by index. width, height, fps: wishes; the camera gives the nearest it can."""

    live = True
    picture = Picture()
    patience_s: float | None = 5.0

    def __init__(
        self,
        index: int,
        clock: Clock,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
    ) -> None:
        self.name = f"camera {index}"
        self._clock, self._index = clock, 0
        # Without it Windows takes a minute to open some cameras.
        os.environ.setdefault("OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS", "0")
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            self._camera = cv2.VideoCapture(index)
        finally:
            cv2.utils.logging.setLogLevel(level)
        if not self._camera.isOpened():
            raise FrameError(
                f"camera {index} cannot be opened; see which there are: pellucid live --list"
            )
        if size is not None:
            self._camera.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
            self._camera.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        if fps is not None:
            self._camera.set(cv2.CAP_PROP_FPS, fps)
        self._camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def read(self) -> Frame | None:
        """The next frame; short hiccups are waited out, FrameError after BROKEN_S of them."""
        first_miss: float | None = None
        while True:
            ok, image = self._camera.read()
            now = self._clock.now()
            if ok and image is not None and image.size:
                break
            first_miss = now if first_miss is None else first_miss
            if now - first_miss >= BROKEN_S:
                raise FrameError(f"{self.name} gives no pictures any more; was it unplugged?")
            self._clock.sleep(0.02)
        code = cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB
        pixels = np.asarray(cv2.cvtColor(image, code), np.uint8)
        frame = Frame(pixels, now, self._index)
        self._index += 1
        return frame

    def close(self) -> None:
        """Give the camera back."""
        self._camera.release()


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
