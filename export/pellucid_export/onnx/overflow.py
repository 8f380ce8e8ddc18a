"""Whether a network fits into float16: the largest value of every layer, on real pictures."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..calibration import Planes
from ..restoration import AnyRestoration
from ..thresholds import QualityError

FP16_MAX = 65504.0


def check_fp16_range(restoration: AnyRestoration, pictures: Sequence[Planes]) -> float:
    """Headroom: 65504 over the largest value seen. Raises QualityError naming the first layer whose
    input, output or weight does not fit.

    Only layers are watched; the few sums between them are seen as the next layer's input.
    """
    model = copy.deepcopy(restoration)
    peaks: dict[str, float] = {}

    def watch(name: str, layer: nn.Module) -> None:
        def hook(_: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
            peak = max(float(value.abs().max()) for value in (*args, out))
            peaks[name] = max(peaks.get(name, 0.0), peak)

        layer.register_forward_hook(hook)

    for name, layer in model.student.named_modules():
        if isinstance(getattr(layer, "weight", None), Tensor):
            watch(name, layer)
    with torch.no_grad():
        for picture in pictures:
            model.whole(torch.from_numpy(picture))
    for name, layer in model.student.named_modules():
        if name in peaks:
            assert isinstance(layer.weight, Tensor)
            peaks[name] = max(peaks[name], float(layer.weight.abs().max()))
    for name, peak in peaks.items():  # in the order of computation
        if not peak <= FP16_MAX:
            raise QualityError(
                f"float16 overflows in layer {name}: it reaches {peak:.3g}, float16 ends at "
                f"{FP16_MAX:.0f}; export fp32, or train with a limit on activations"
            )
    return FP16_MAX / max(peaks.values())
