"""Image inputs and outputs of a Core ML model: pictures of 8 bits <-> the program's tensors."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .proto import MLProgramError


@dataclass(frozen=True)
class ImagePort:
    """name; channels: 3 or 1; bgr: the tensor's channels come blue first; sizes: allowed (H, W)."""

    name: str
    channels: int
    bgr: bool
    sizes: tuple[tuple[int, int], ...]

    def read(self, program: str, image: NDArray[Any]) -> NDArray[np.float32]:
        """(H, W, 3) RGB or (H, W), in 0..255 -> (1, C, H, W). Scale and bias are in the graph."""
        rank = 3 if self.channels == 3 else 2
        if image.ndim != rank or (rank == 3 and image.shape[2] != 3):
            raise MLProgramError(
                f"{program}: input {self.name} is an image, expected "
                f"{'(H, W, 3)' if rank == 3 else '(H, W)'} in 0..255, got {image.shape}"
            )
        if self.sizes and image.shape[:2] not in self.sizes:
            raise MLProgramError(
                f"{program}: input {self.name} takes (H, W) of {list(self.sizes)}, "
                f"got {image.shape[:2]}"
            )
        planes = image[None] if rank == 2 else np.moveaxis(image, 2, 0)
        return planes[:: -1 if self.bgr else 1].astype(np.float32)[None]

    def write(self, tensor: NDArray[Any]) -> NDArray[np.uint8]:
        """(1, C, H, W) in 0..255 -> (H, W, 3) RGB or (H, W) uint8."""
        levels = np.rint(np.nan_to_num(tensor)).clip(0, 255).astype(np.uint8)
        planes = levels[0, :: -1 if self.bgr else 1]
        return planes[0] if self.channels == 1 else np.moveaxis(planes, 0, 2)


def image_port(feature: Any) -> ImagePort | None:
    """The port that a protobuf FeatureDescription describes; None for multi-arrays."""
    if feature.type.WhichOneof("Type") != "imageType":
        return None
    image = feature.type.imageType
    space = image.ColorSpace.Name(image.colorSpace)
    flexible = image.WhichOneof("SizeFlexibility")
    sizes: tuple[tuple[int, int], ...] = ((image.height, image.width),)
    if flexible == "enumeratedSizes":
        sizes = tuple((s.height, s.width) for s in image.enumeratedSizes.sizes)
    elif flexible == "imageSizeRange":
        sizes = ()
    return ImagePort(
        name=feature.name,
        channels=1 if space.startswith("GRAYSCALE") else 3,
        bgr=space == "BGR",
        sizes=sizes,
    )
