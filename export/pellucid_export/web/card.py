"""The card of a web model: what a page must know, and answers by which it checks its engine."""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from pellucid import scene

from ..restoration import AnyRestoration

NETWORK, MEASURE, CARD = "model.onnx", "measure.onnx", "card.json"
ESTIMATOR = "estimator.onnx"  # of models that name degradations
# Sides of the pictures whose answers are known: one that any engine does at once, and the largest
# tile that is given to a GPU.
ANSWER_SIDES = (64, 512)
SAMPLES_A_SIDE = 16


def web_card(card: dict[str, object], restoration: AnyRestoration) -> dict[str, object]:
    """JSON-ready. card: the model's own card."""
    degradations = card.get("degradations", [])
    files = {"network": NETWORK, "measure": MEASURE}
    kept = ("id", "purpose", "params", "license", "version", "sha256_weights", "macs_per_pixel")
    return {key: card[key] for key in kept} | {
        "files": files | ({"estimator": ESTIMATOR} if degradations else {}),
        "multiple": card["tile_multiple"],
        "receptive_field": card["receptive_field"],
        "scene_size": card["scene_size"],
        "degradations": degradations,
        "scene": {
            # The first entries are light, measured on a thumbnail; the others are measured on
            # bands of whole rows. As pellucid.scene does for the command.
            "light": scene.LIGHT_SIGNALS * len(scene.KNOTS),
            "thumbnail_side": scene.THUMBNAIL_SIDE,
            "band": scene.BAND,
            "enough_pixels": scene.ENOUGH_PIXELS,
        },
        "answers": [_answer(restoration, side) for side in ANSWER_SIDES],
    }


def known_picture(side: int) -> NDArray[np.float32]:
    """A picture that JavaScript makes too, (1, 3, side, side): every level, edges and ramps.

    p[c, y, x] = ((7 x + 13 y + 29 c + x y) mod 256) / 255
    """
    c, y, x = np.ogrid[:3, :side, :side]
    levels = (7 * x + 13 * y + 29 * c + x * y) % 256
    return np.asarray(levels[None] / 255.0, np.float32)


def _answer(restoration: AnyRestoration, side: int) -> dict[str, object]:
    """torch's restoration of the known picture at points in rows and columns `every` apart."""
    with torch.no_grad():
        restored = restoration.whole(torch.from_numpy(known_picture(side))).numpy()
    every = side // SAMPLES_A_SIDE
    samples = restored[0, :, ::every, ::every].ravel()
    if not all(map(math.isfinite, samples)):
        raise ValueError("the network gives values that are not finite")
    return {"side": side, "every": every, "samples": [round(float(v), 5) for v in samples]}
