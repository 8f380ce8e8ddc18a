"""What a model file costs here: time, memory and work of every file on every engine and device."""

from .discovery import find_targets
from .layers import Layered, LayerTime, chrome_trace
from .measure import Conditions, Profile, profile_files
from .probe import matrix_peak
from .row import Row, State
from .targets import Target

__all__ = [
    "Conditions",
    "LayerTime",
    "Layered",
    "Profile",
    "Row",
    "State",
    "Target",
    "chrome_trace",
    "find_targets",
    "matrix_peak",
    "profile_files",
]
