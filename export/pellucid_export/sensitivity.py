"""Which layers suffer from int8: each is quantised alone and the restored pictures are compared.

Layers are spatial convolutions of the student, by their torch name. The findings serve every
format: if int8 loses more than it may, the worst layers go back to higher precision first, and the
mean shift that rounding gives each channel is taken off its bias.
"""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .calibration import Planes, fit
from .restoration import AnyRestoration

RANKING_PICTURES, RANKING_SIDE = 6, 128
FIRST_TRY_DB = 55.0
ESTIMATOR = "estimator"  # its name in a student


def layer_of(tensor: str) -> str:
    """The layer's torch name from its weight's name in an exported graph, whatever wraps it."""
    return tensor.rpartition("student.")[2].partition(".weight")[0]


def spatial_layers(module: nn.Module) -> dict[str, nn.Module]:
    """Convolutions by name, in the order of the module tree; not the estimator's, which is run
    once a picture and stays in floats."""
    return {
        name: layer
        for name, layer in module.named_modules()
        if isinstance(weight := getattr(layer, "weight", None), Tensor)
        and weight.ndim == 4
        and ESTIMATOR not in name.split(".")
    }


@dataclass(frozen=True)
class Sensitivity:
    """errors: mean squared error of the restored pictures that int8 in this layer alone causes,
    worst layer first. shifts: mean change of each output channel, (C_out,)."""

    errors: dict[str, float]
    shifts: dict[str, NDArray[np.float32]]

    def candidates(self) -> list[tuple[str, ...]]:
        """Sets of layers to keep in higher precision, smallest first, up to half of the layers.

        The first keeps just so many that the rest's errors, added up, stay under FIRST_TRY_DB.
        """
        names, errors = list(self.errors), list(self.errors.values())
        limit = 10.0 ** (-FIRST_TRY_DB / 10.0)
        half = (len(names) + 1) // 2
        first = next((k for k in range(half) if sum(errors[k:]) <= limit), half)
        counts = [k for k in (first, first + 2, first + 4, first + 8) if k < half]
        return [tuple(names[:k]) for k in dict.fromkeys([*counts, half])]


def measure_sensitivity(restoration: AnyRestoration, pictures: Sequence[Planes]) -> Sensitivity:
    """Activations: one asymmetric 8-bit range a layer; weights: symmetric, one a channel."""
    chosen = spread(pictures, RANKING_PICTURES)
    crops = [torch.from_numpy(fit(p, (RANKING_SIDE, RANKING_SIDE))) for p in chosen]
    model = copy.deepcopy(restoration)
    layers = spatial_layers(model.student)
    ranges = _input_ranges(model, layers, crops)
    expected = [_restore(model, crop) for crop in crops]
    errors, shifts = {}, {}
    for name, layer in layers.items():
        low, high = ranges[name]
        weight = layer.weight
        assert isinstance(weight, Tensor)
        kept = weight.detach().clone()
        rounded = _rounded_weight(kept, 1 if isinstance(layer, nn.ConvTranspose2d) else 0)
        moved: list[Tensor] = []

        def round_and_compare(
            layer: nn.Module, args: tuple[Tensor, ...], out: Tensor,
            low: float = low, high: float = high, weight: Tensor = weight,
            kept: Tensor = kept, rounded: Tensor = rounded, moved: list[Tensor] = moved,
        ) -> Tensor:  # fmt: skip
            weight.copy_(rounded)
            changed: Tensor = layer.forward(_levels(args[0], low, high))
            weight.copy_(kept)
            moved.append((changed - out).mean(dim=(0, 2, 3)))
            return changed

        hook = layer.register_forward_hook(round_and_compare)
        errors[name] = float(
            np.mean(
                [
                    float((_restore(model, crop) - want).square().mean())
                    for crop, want in zip(crops, expected, strict=True)
                ]
            )
        )
        hook.remove()
        shifts[name] = torch.stack(moved).mean(dim=0).numpy()
    worst_first = sorted(errors, key=lambda name: -errors[name])
    return Sensitivity({name: errors[name] for name in worst_first}, shifts)


def spread(pictures: Sequence[Planes], count: int) -> list[Planes]:
    """Up to `count` of the pictures, evenly spaced."""
    count = min(count, len(pictures))
    return [pictures[i * len(pictures) // count] for i in range(count)]


def _restore(model: AnyRestoration, picture: Tensor) -> Tensor:
    with torch.no_grad():
        return model.whole(picture)


def _input_ranges(
    model: AnyRestoration, layers: dict[str, nn.Module], crops: Iterable[Tensor]
) -> dict[str, tuple[float, float]]:
    """Smallest and largest input of each layer over all pictures and calls, 0 included."""
    ranges = dict.fromkeys(layers, (0.0, 0.0))

    def watch(name: str) -> "torch.utils.hooks.RemovableHandle":
        def hook(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            low, high = ranges[name]
            ranges[name] = (min(low, float(args[0].min())), max(high, float(args[0].max())))

        return layers[name].register_forward_pre_hook(hook)

    handles = [watch(name) for name in layers]
    for crop in crops:
        _restore(model, crop)
    for handle in handles:
        handle.remove()
    return ranges


def _levels(values: Tensor, low: float, high: float) -> Tensor:
    scale = max(high - low, 1e-12) / 255.0
    zero = round(-low / scale)
    return ((values / scale).round() + zero).clamp(0, 255).sub(zero).mul(scale)


def _rounded_weight(weight: Tensor, axis: int) -> Tensor:
    others = [d for d in range(weight.ndim) if d != axis]
    scale = weight.abs().amax(dim=others, keepdim=True).clamp_min(1e-12) / 127.0
    return (weight / scale).round() * scale
