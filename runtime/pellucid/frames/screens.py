"""Sinks that show: a window of OpenCV's, a virtual camera for other programs."""

from typing import Any

import cv2
import numpy as np

from .frame import Frame, FrameError, fit

TITLE = "pellucid"


def has_windows() -> bool:
    """Whether this OpenCV was built to open windows."""
    build = cv2.getBuildInformation().splitlines()
    return not any(line.strip().startswith("GUI:") and line.endswith("NONE") for line in build)


class WindowSink:
    """A window; closing it is the key q."""

    view = True
    name = "window"

    def __init__(self) -> None:
        if not has_windows():
            raise FrameError(
                "this OpenCV opens no windows; use --sink page, or get one that does: "
                "pip uninstall opencv-python-headless && pip install opencv-python"
            )
        self._open = False

    def write(self, frame: Frame) -> None:
        """Show a frame."""
        try:
            cv2.imshow(TITLE, np.asarray(cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2BGR)))
        except cv2.error as error:
            raise FrameError(f"no window can be opened ({error.err}); use --sink page") from error
        self._open = True

    def pressed(self) -> str:
        """The key pressed, if any; this is also when the window gets its time to draw."""
        if not self._open:
            return ""
        code = cv2.waitKey(1)
        if cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
            return "q"
        return chr(code & 0xFF) if code >= 0 else ""

    def close(self) -> None:
        """Close the window."""
        if self._open:
            self._open = False
            cv2.destroyWindow(TITLE)


class VirtualCameraSink:
    """A camera that other programs see; all frames get the size of the first."""

    view = False
    name = "virtual camera"

    def __init__(self, fps: float = 30.0) -> None:
        try:
            import pyvirtualcam
        except ImportError as error:
            raise FrameError(
                "a virtual camera needs pyvirtualcam; pip install 'pellucid[virtualcam]'"
            ) from error
        self._library, self._fps = pyvirtualcam, fps
        self._camera: Any = None

    def write(self, frame: Frame) -> None:
        """Send a frame. FrameError if the system has no virtual camera device."""
        try:
            if self._camera is None:
                height, width = frame.pixels.shape[:2]
                self._camera = self._library.Camera(width, height, self._fps)
                self.name = f"virtual camera {self._camera.device}"
            picture = fit(frame.pixels, self._camera.width, self._camera.height)
            self._camera.send(np.ascontiguousarray(picture))
        except RuntimeError as error:
            raise FrameError(
                f"no virtual camera ({error}); Linux: sudo modprobe v4l2loopback, "
                "Windows and macOS: install OBS Studio and start its virtual camera once"
            ) from error

    def pressed(self) -> str:
        """None here."""
        return ""

    def close(self) -> None:
        """Give the device back."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None
