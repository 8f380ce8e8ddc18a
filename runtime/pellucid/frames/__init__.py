"""Streams of frames: sources, sinks, and the loop between them that keeps a budget.

with NewestFrames(CameraSource(0, clock), clock) as frames:
    LiveLoop(restorer, [PageSink()], settings, clock, print).run(frames)
"""

from .budget import BudgetController, Rung, ladder
from .frame import Frame, FrameError, Sink, Source, SystemClock
from .live import Controls, LiveLoop, Settings
from .mailbox import Mailbox, NewestFrames
from .network import FrameRestorer, NetworkRestorer, Restored, open_frames, open_pass

__all__ = [
    "BudgetController",
    "Controls",
    "Frame",
    "FrameError",
    "FrameRestorer",
    "LiveLoop",
    "Mailbox",
    "NetworkRestorer",
    "NewestFrames",
    "Restored",
    "Rung",
    "Settings",
    "Sink",
    "Source",
    "SystemClock",
    "ladder",
    "open_frames",
    "open_pass",
]
