"""Videos in and out with nothing lost: times, sound, subtitles, chapters, rotation, colour tags.

    plan = plan_video(Path("rain.mp4"), Path("dry.mp4"), VideoOptions())
    restore_video(plan, lambda: SteadyRestorer(Restorer()), "tiny", VideoOptions())

Needs PyAV: pip install 'pellucid[video]'.
"""

from .encoder import CODECS, result_suffix
from .opening import VideoError
from .restore import (
    FoundInFrames,
    Plan,
    SteadyRestorer,
    VideoOptions,
    VideoRestorer,
    plan_video,
    restore_video,
)
from .source import SUFFIXES, is_video

__all__ = [
    "CODECS",
    "SUFFIXES",
    "VideoRestorer",
    "Plan",
    "FoundInFrames",
    "SteadyRestorer",
    "VideoError",
    "VideoOptions",
    "is_video",
    "plan_video",
    "restore_video",
    "result_suffix",
]
