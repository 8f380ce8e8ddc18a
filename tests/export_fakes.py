"""A tiny student and tiny pictures for tests of the exporters."""

import numpy as np
import torch
from torch import nn

from pellucid_export.calibration import Pictures, Planes, ValidationPair
from pellucid_student.layers import fold
from pellucid_student.plain_unet import PlainUNet, PlainUNetConfig
from pellucid_student.weights import Provenance

SMALL = PlainUNetConfig(widths=(16, 16), encoder_blocks=(1, 1), decoder_blocks=(1,), code_width=16)
PROVENANCE = Provenance("small", "made for tests", 0, "CC0-1.0", ["none (CC0-1.0)"])
SIDES = (64, 80)


def small_student(seed: int = 0) -> PlainUNet:
    torch.manual_seed(seed)
    model = PlainUNet(SMALL)
    for name, parameter in model.named_parameters():
        nn.init.normal_(parameter, std=0.02 if name.startswith("curve") else 0.06)
    folded = fold(model)
    assert isinstance(folded, PlainUNet)
    return folded


def picture(seed: int) -> Planes:
    """Smooth colours with some noise, (1, 3, *SIDES)."""
    rng = np.random.default_rng(seed)
    rows, cols = np.linspace(0, 1, SIDES[0])[:, None], np.linspace(0, 1, SIDES[1])[None]
    planes = [0.5 + 0.4 * np.sin(a * rows + b * cols) for a, b in rng.uniform(1, 9, (3, 2))]
    noisy = np.stack(planes)[None] + 0.05 * rng.standard_normal((1, 3, *SIDES))
    return noisy.clip(0, 1).astype(np.float32)


def small_pictures() -> Pictures:
    validation = [
        ValidationPair(t, picture(i), picture(i + 9)) for i, t in enumerate(("rain", "noise"))
    ]
    return Pictures([picture(i) for i in range(20, 26)], validation, "made for tests")
