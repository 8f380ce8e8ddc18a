"""`pellucid restore --zero-shot`: photos restored by a prior, without a student (needs torch)."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pellucid import PellucidError, PhotoError
from pellucid.arrays import check_pixels, to_planes
from pellucid.blend import to_type
from pellucid.degradations import BLIND, Choice
from pellucid.guards import shown_part
from pellucid.image.exif import without_thumbnail
from pellucid.image.header import EXIF
from pellucid.image.light import restore_coded
from pellucid.image.photo import Photo
from pellucid.restorer import Progress

from ..train.session import need_torch

TRAIN = "pellucid train teacher prior --data PHOTOS -o runs/prior --weights-licence LICENCE"
NONE_SHIPS = f"--zero-shot needs a prior, and none ships yet. Train one: {TRAIN}; then --prior DIR"


class ZeroShotRestorer:
    """Restores photos as `Restorer` does. folder: of a trained prior. seed: of the noise, the same
    for every photo, so that a folder's results do not depend on their order.

    Raises PellucidError where torch or a prior is missing.
    """

    def __init__(self, folder: Path | None, seed: int = 0) -> None:
        if folder is None:
            raise PellucidError(NONE_SHIPS)
        need_torch()
        from pellucid_teacher.systems.prior import Prior
        from pellucid_teacher.weights import load_teacher

        try:
            system = load_teacher(folder)
        except ValueError as error:
            raise PellucidError(str(error)) from error
        if not isinstance(system, Prior):
            name = system.header()["system"]
            raise PellucidError(
                f"{folder} holds a system {name!r}, not a prior. Train one: {TRAIN}"
            )
        self._prior, self._seed = system, seed

    def restore_photo(
        self,
        photo: Photo,
        strength: float = 1.0,
        progress: Progress | None = None,
        choice: Choice = BLIND,
    ) -> Photo:
        """Restore in place; what was found to be wrong becomes a note. Raises PhotoError."""
        if choice != BLIND:
            raise PhotoError("--zero-shot finds out by itself what is wrong; leave the choice out")
        check_pixels(photo.pixels, strength)

        def restore(pixels: NDArray[np.generic]) -> bool:
            with shown_part(pixels) as shown:
                if shown is None or strength == 0.0:
                    return False
                planes = to_planes(shown.colour)  # (1, 3, h, w)
                restored = self._restored(planes, photo, progress)
                if shown.grey:  # its tone stays, its brightness is restored
                    restored = planes + (restored - planes).mean(axis=1, keepdims=True)
                mixed = planes + np.float32(strength) * (restored - planes)
                channels = mixed[0].transpose(1, 2, 0)[..., : shown.colour.shape[2]]
                shown.colour[...] = to_type(np.clip(channels, 0.0, 1.0), pixels.dtype)
            return True

        notes = restore_coded(photo.pixels, photo.metadata, restore)  # which adds to photo.notes
        photo.notes += notes
        if EXIF in photo.metadata:
            photo.metadata[EXIF] = without_thumbnail(photo.metadata[EXIF])
        return photo

    def _restored(
        self, planes: NDArray[np.float32], photo: Photo, progress: Progress | None
    ) -> NDArray[np.float32]:
        """(1, 3, h, w) in [0, 1]."""
        import torch

        generator = torch.Generator().manual_seed(self._seed)
        given = 2.0 * torch.from_numpy(planes) - 1.0
        restored, found = self._prior.restore_one(given, None, generator, progress)
        if found:
            photo.notes += (f"found: {found}",)
        return np.asarray((restored.numpy() + 1.0) / 2.0, np.float32)
