"""The estimator: how much of each degradation a picture has, from the picture itself.

A small convolutional network with maps down to 1/16 resolution, their means and maxima over the
whole picture, two vector layers and a sigmoid a degradation: several may be present, or none. Means
and maxima do not depend on the picture's size, so a crop, a photo and a frame are judged alike.
Only layers that every accelerator has: convolutions, ReLU, pooling.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.degradations import DEGRADATIONS

MULTIPLE = 16  # of the sides of a picture, px
WIDTHS = (24, 32, 40)  # at 1/4, 1/8 and 1/16 resolution
HIDDEN = 24
# Amounts up to which nothing is done about a degradation, and from which everything is: chosen on
# held-out pictures. The networks learnt to restore everything; between the two they restore gently,
# which is what faint rain, thin veils and dusk need.
RAMPS = {
    "rain": (0.15, 0.5),
    "snow": (0.15, 0.5),
    "haze": (0.15, 0.45),
    "lowlight": (0.3, 0.6),
    "noise": (0.1, 0.25),
    "blur": (0.15, 0.45),
    "jpeg": (0.15, 0.45),
}
LEAST = min(begin for begin, _ in RAMPS.values())
DARKNESS = DEGRADATIONS.index("lowlight")
NOISE = tuple(float(name == "noise") for name in DEGRADATIONS)


class Estimator(nn.Module):
    """Picture (B, 3, H, W) in [0, 1], sides multiples of 16 -> amounts (B, 7) in [0, 1], in the
    order of DEGRADATIONS (pellucid_teacher.data.compound defines an amount)."""

    def __init__(self) -> None:
        super().__init__()
        quarter, eighth, sixteenth = WIDTHS
        self.stem = nn.Conv2d(3, quarter, 6, stride=4, padding=2)
        self.conv1 = nn.Conv2d(quarter, quarter, 3, padding=1)
        self.down1 = nn.Conv2d(quarter, eighth, 2, stride=2)
        self.conv2 = nn.Conv2d(eighth, eighth, 3, padding=1)
        self.down2 = nn.Conv2d(eighth, sixteenth, 2, stride=2)
        self.conv3 = nn.Conv2d(sixteenth, sixteenth, 3, padding=1)
        self.hidden = nn.Linear(quarter + eighth + 2 * sixteenth, HIDDEN)
        self.out = nn.Linear(HIDDEN, len(DEGRADATIONS))
        self.forget()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forget(self) -> None:
        """Nothing is ever found, as before training."""
        nn.init.zeros_(self.out.weight)
        nn.init.constant_(self.out.bias, -4.0)

    @property
    def is_trained(self) -> bool:
        return bool(self.out.weight.any())

    def forward(self, picture: Tensor) -> Tensor:
        return self.logits(picture).sigmoid()

    def logits(self, picture: Tensor) -> Tensor:
        """The amounts before the sigmoid, (B, 7)."""
        x = picture.clamp(0.0, 1.0) - 0.5
        fine = F.relu(self.conv1(F.relu(self.stem(x))))  # (B, 24, H/4, W/4)
        middle = F.relu(self.conv2(F.relu(self.down1(fine))))  # (B, 32, H/8, W/8)
        coarse = F.relu(self.conv3(F.relu(self.down2(middle))))  # (B, 40, H/16, W/16)
        pooled = [x.float().mean(dim=(2, 3)) for x in (fine, middle, coarse)]
        seen = torch.cat([*pooled, coarse.amax(dim=(2, 3))], dim=1)  # (B, 136)
        out: Tensor = self.out(F.relu(self.hidden(seen)))
        return out


class ReadAmounts(nn.Module):
    """Amounts (B, 7) -> what they add to the code, (B, code_width).

        W [s / max(1, sum s) | a] + b ,   s = (a / max a)^8 clip((a - from) / (to - from), 0, 1)

    s says what there is, above all the largest; its shares add up to at most 1, the rest is the
    share of a good picture. JPEG, which comes on top of everything, does not take from the others.
    Noise counts less the darker it is, for dark pictures are noisy and were learnt so: two shares
    of a half would brighten nothing. a says how much. from, to: RAMPS.
    """

    def __init__(self, code_width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * len(DEGRADATIONS), code_width)

    def forward(self, amounts: Tensor) -> Tensor:
        begins, ends = (amounts.new_tensor(limits) for limits in zip(*RAMPS.values(), strict=True))
        there = ((amounts - begins) / (ends - begins)).clamp(0.0, 1.0)
        largest = amounts[:, :-1].amax(dim=1, keepdim=True).clamp(min=LEAST)
        beside = (amounts / largest).clamp(max=1.0).square().square().square()
        dark = there[:, DARKNESS : DARKNESS + 1]
        there = beside * there * (1.0 - dark * amounts.new_tensor(NOISE))
        shares = there / there[:, :-1].sum(dim=1, keepdim=True).clamp(min=1.0)
        out: Tensor = self.linear(torch.cat([shares, amounts], dim=1))
        return out
