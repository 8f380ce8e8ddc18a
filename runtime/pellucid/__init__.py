"""pellucid: few-step image restoration for cameras and phones.

from pellucid import Restorer
restore = Restorer()
restore("rain.jpg").save("dry.jpg")
"""

from .degradations import Found
from .enlarger import Enlarger
from .errors import ModelError, PellucidError, PhotoError
from .image.photo import Photo, read_photo
from .restorer import Restorer

__all__ = [
    "Enlarger",
    "Found",
    "ModelError",
    "PellucidError",
    "Photo",
    "PhotoError",
    "Restorer",
    "read_photo",
]
__version__ = "0.1.0"
