"""Doctor: cameras, windows, and codecs of photos and videos."""

import os
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pellucid import PellucidError, Photo, Restorer, read_photo
from pellucid.frames.cameras import list_cameras
from pellucid.frames.screens import has_windows
from pellucid.image.encode import SUFFIXES
from pellucid.video import SteadyRestorer, VideoOptions, plan_video, restore_video
from pellucid.video.encoder import CODECS
from pellucid.video.opening import VideoError, pyav

from .check import Finding, ask
from .packages import installed

CAMERA_S = 5.0
_CLIP_FRAMES = 2
_DECODERS = {  # what cameras, phones and the web write: FFmpeg's decoders, any of which will do
    "h264": ("h264",),
    "hevc": ("hevc",),
    "vp8": ("vp8", "libvpx"),
    "vp9": ("vp9", "libvpx-vp9"),
    "av1": ("libdav1d", "libaom-av1", "av1"),
    "mpeg4": ("mpeg4",),
    "mpeg2": ("mpeg2video",),
    "mjpeg": ("mjpeg",),
    "prores": ("prores",),
    "ffv1": ("ffv1",),
}
_NEW_AV = "pip install --force-reinstall --only-binary :all: av"
_NEW_VIPS = "pip install --force-reinstall --only-binary :all: 'pyvips[binary]'"


def cameras(devices: Path = Path("/dev"), seconds: float = CAMERA_S) -> Iterator[Finding]:
    """The cameras by index and name. None is opened: opening can hang, and turns their lamp on."""
    try:
        found = ask(list_cameras, seconds)
    except TimeoutError as error:
        fix = "unplug the camera and plug it in again, or restart its driver"
        yield Finding("note", f"the search for cameras hangs ({error})", fix)
        return
    except Exception as error:  # the system's own errors come through cv2-enumerate-cameras
        fix = "pip install 'pellucid[cameras]'"
        yield Finding("note", f"cameras cannot be listed: {error}", fix)
        return
    if not found:
        fix = "plug one in; a container needs --device /dev/video0; photos and videos need none"
        yield Finding("note", "no camera: `pellucid live` takes files and pipes only", fix)
        return
    yield Finding("ok", f"cameras: {', '.join(f'{index}: {name}' for index, name in found)}")
    if sys.platform.startswith("linux"):
        yield from _shut_cameras([index for index, _ in found], devices)
    if sys.platform == "darwin":
        fix = "System Settings > Privacy & Security > Camera: allow the terminal"
        yield Finding("note", "macOS gives black pictures until the terminal is allowed", fix)


def _shut_cameras(indices: list[int], devices: Path) -> Iterator[Finding]:
    for path in (devices / f"video{index}" for index in indices):
        if not path.exists():
            fix = f"start the container with --device {path}"
            yield Finding("note", f"{path} is not here, though the system has the camera", fix)
        elif not os.access(path, os.R_OK | os.W_OK):
            fix = "sudo usermod -aG video $USER, then log in again"
            yield Finding("note", f"{path} may not be opened by you", fix)


def windows(variables: Mapping[str, str]) -> Finding:
    """Where `pellucid live` shows its pictures."""
    if not has_windows():
        return Finding(
            "note",
            "this OpenCV opens no windows: `pellucid live` shows a page in the browser",
            "pip uninstall -y opencv-python-headless && pip install opencv-python",
        )
    if sys.platform.startswith("linux") and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(variables):
        return Finding("note", "there is no display to open a window on", "live --sink page")
    return Finding("ok", "windows can be opened")


def photo_codecs() -> Iterator[Finding]:
    """Every format that is written, tried with a small picture; it is read back."""
    works = []
    photo = Photo(np.full((16, 24, 3), 90, np.uint8), {})
    for suffix in SUFFIXES:
        try:
            same = read_photo(photo.encode(suffix)).pixels.shape == photo.pixels.shape
            trouble = "" if same else "it comes back in another size"
        except PellucidError as error:
            trouble = str(error)
        if trouble:
            yield Finding("note", f"photos: {suffix} does not work ({trouble})", _NEW_VIPS)
        else:
            works.append(suffix.removeprefix("."))
    yield Finding("ok" if works else "FAIL", f"photos: {', '.join(works) or 'no format works'}")


def video_codecs() -> Iterator[Finding]:
    """What FFmpeg inside PyAV writes and reads; nothing without PyAV."""
    try:
        pyav()
    except VideoError:
        return
    except Exception as error:  # a broken installation raises whatever its loader raises
        yield Finding("note", f"PyAV does not load ({error})", _NEW_AV)
        return
    wanted = {name: (codec.encoder,) for name, codec in CODECS.items()}
    yield from _codecs("writes", wanted, "w")
    yield from _codecs("reads", _DECODERS, "r")


def video_job() -> Iterator[Finding]:
    """A video read, restored and written: codecs that are there say nothing of a PyAV whose calls
    are others. Nothing where PyAV is absent."""
    if find_spec("av") is None:
        return
    name = f"PyAV {installed('av')}"
    try:
        with TemporaryDirectory() as folder:
            given, made = Path(folder) / "given.mkv", Path(folder) / "made.mp4"
            _write_clip(given)
            plan = plan_video(given, made, VideoOptions())
            restore_video(plan, lambda: SteadyRestorer(Restorer()), "doctor", VideoOptions())
            with pyav().open(str(made)) as clip:
                count = sum(1 for _ in clip.decode(video=0))
        if count != _CLIP_FRAMES:
            raise VideoError(f"{count} of {_CLIP_FRAMES} frames came back")
    except Exception as error:  # whatever PyAV and its codecs raise is the finding
        kind = "" if isinstance(error, PellucidError) else f"{type(error).__name__}: "
        yield Finding("FAIL", f"restoring a video with {name}: {kind}{error}", _NEW_AV)
    else:
        yield Finding("ok", f"a video was read, restored and written with {name}")


def _write_clip(path: Path) -> None:
    """Two small frames in MPEG-4, which every FFmpeg writes."""
    with pyav().open(str(path), "w") as clip:
        track = clip.add_stream("mpeg4", rate=25)
        track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        for level in range(_CLIP_FRAMES):
            pixels = np.full((48, 64, 3), 90 + level, np.uint8)
            clip.mux(track.encode(pyav().VideoFrame.from_ndarray(pixels, "rgb24")))
        clip.mux(track.encode(None))


def _codecs(verb: str, wanted: Mapping[str, tuple[str, ...]], mode: str) -> Iterator[Finding]:
    there = {name: any(_knows(codec, mode) for codec in any_of) for name, any_of in wanted.items()}
    if missing := [name for name, known in there.items() if not known]:
        live = ", nor recordings of `pellucid live`" if mode == "w" and "h264" in missing else ""
        yield Finding("note", f"PyAV {verb} no {', '.join(missing)}{live}", _NEW_AV)
    if known := [name for name, known in there.items() if known]:
        yield Finding("ok", f"videos: PyAV {verb} {', '.join(known)}")


def _knows(codec: str, mode: str) -> bool:
    av = pyav()
    try:
        av.codec.Codec(codec, mode)
    except av.codec.codec.UnknownCodecError:
        return False
    return True
