"""Begin a larger network as a smaller trained one: at first it restores the very same pictures.

Function-preserving growth (Net2Net, Chen et al., ICLR 2016), with new units that nothing listens to
yet instead of copies. Old units keep the first places of every layer. What a new unit says to an
old one starts at 0, everything else at its random start, so new units get gradients at once.
"""

import torch
from torch import Tensor

from .plain_unet import PlainUNet


@torch.no_grad()
def grow_from(small: PlainUNet, large: PlainUNet) -> None:
    """Copy `small`, folded, into `large`, in place: afterwards both compute the same.

    Raises ValueError if `large` is narrower or shallower somewhere, or has other levels.
    """
    _refuse_shrinking(small, large)
    held = small.state_dict()
    for name, value in large.state_dict().items():
        if name in held:
            _embed(_out_first(name, held[name]), _out_first(name, value))
        elif name.startswith("thumbnail."):
            pass  # a new one changes nothing yet
        elif ".conv2." in name and name.endswith((".weight", ".bias")):
            # A block that the small network lacks adds nothing to the channels that it has.
            value[: _old_channels(small, name)] = 0.0


def _embed(old: Tensor, new: Tensor) -> None:
    """new[:out, :in] = old; new[:out, in:] = 0, what new units say to old ones."""
    if new.dim() > 1:
        new[: old.shape[0]] = 0.0
        new[: old.shape[0], : old.shape[1]] = old
    else:
        new[: old.shape[0]] = old


def _out_first(name: str, value: Tensor) -> Tensor:
    """A transposed convolution's kernel is (C_in, C_out, 2, 2), all others (C_out, C_in, ...)."""
    transposed = name.removeprefix("thumbnail.").startswith("up.")
    return value.transpose(0, 1) if transposed and value.dim() == 4 else value


def _old_channels(small: PlainUNet, name: str) -> int:
    """Width of the small network at the level of the block that `name` belongs to."""
    return small.config.widths[int(name.split(".")[1])]


def _refuse_shrinking(small: PlainUNet, large: PlainUNet) -> None:
    old, new = small.config, large.config
    pairs = [
        *zip(old.widths, new.widths, strict=False),
        *zip(old.encoder_blocks, new.encoder_blocks, strict=False),
        *zip(old.decoder_blocks, new.decoder_blocks, strict=False),
        (old.code_width, new.code_width),
        (old.diagnosis_width, new.diagnosis_width),
    ]
    if (
        len(old.widths) != len(new.widths)
        or any(after < before for before, after in pairs)
        or (old.diagnosis_width == 0) != (new.diagnosis_width == 0)
        or old.thumbnail_widths not in ((), new.thumbnail_widths)
        or new.degradations[: len(old.degradations)] != old.degradations
    ):
        raise ValueError(
            f"cannot grow {old} into {new}: expected as many levels and no less of any"
        )
