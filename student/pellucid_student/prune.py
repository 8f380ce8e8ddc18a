"""Structured pruning of a wider student to a share of its multiply-accumulates.

torch-pruning's dependency graph says which weights belong to one channel (skips and residual sums
tie a whole level together) and how much each channel weighs. Which widths to keep is decided here,
16 channels at a time, so that a PlainUNetConfig describes the result and it reloads like any other:
by what cuts cost on pictures (sensitivity; Li et al., ICLR 2017, §3.2) where there are some, since
magnitudes of different levels cannot be compared.
"""

import copy
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from pellucid_teacher.macs import count_macs

from .layers import RepConv, fold
from .plain_unet import PlainUNet, PlainUNetConfig
from .steps import restore
from .validation import ValidationCrops
from .weights import parameter_count

UNIT = 16  # channels; the config's own multiple
KEEP_AT_LEAST = 0.25  # of a level; global magnitudes alone empty whole levels
LEAST_LOSS = 1e-3  # dB


@dataclass(frozen=True)
class Pruned:
    """student: of the smaller config, unfolded. macs_ratio: reached share of the original's."""

    student: PlainUNet
    macs_ratio: float


def prune(
    student: PlainUNet,
    macs_ratio: float,
    parameters: int | None = None,
    crops: ValidationCrops | None = None,
) -> Pruned:
    """Remove the channels of least worth for what they cost until `macs_ratio` is met.

    parameters: at most so many, too. crops: pictures to measure on what levels are worth; without
    them magnitudes decide. student is not changed; it may be folded or not. Raises ValueError for
    a ratio outside (0, 1), or limits below what the smallest widths reach.
    """
    if not 0.0 < macs_ratio < 1.0:
        raise ValueError(f"macs_ratio must be between 0 and 1, got {macs_ratio}")
    levels = range(len(student.config.widths))
    if crops is None:
        plain = _plain(student)
        scores = [_level_scores(plain, level) for level in levels]
    else:
        whole = _quality(student, crops)
        scores = [_sensitivity(student, level, crops, whole) for level in levels]
    most = size(student.config) if parameters is None else parameters
    config = _choose(student.config, scores, macs_ratio, most)
    return Pruned(_cut(student, config), macs(config) / macs(student.config))


def _cut(student: PlainUNet, config: PlainUNetConfig) -> PlainUNet:
    """A copy narrowed to `config`: at every level the channels of least magnitude go."""
    plain = _plain(student)
    graph = _graph(plain)
    tp = _torch_pruning()
    for level, width in enumerate(config.widths):
        for root in _roots(plain, level):
            order = _importance(graph, root).argsort()
            removed = order[: _channels(root) - width].tolist()
            if removed:
                graph.get_pruning_group(root, tp.prune_conv_out_channels, removed).prune()
    small = PlainUNet(config)
    missing, unexpected = small.load_state_dict(plain.state_dict(), strict=False)
    odd = [name for name in missing if not name.endswith((".point", ".scale"))]
    if odd or unexpected:
        raise RuntimeError(f"pruning left weights that no config describes: {odd + unexpected}")
    return small


@cache
def macs(config: PlainUNetConfig) -> int:
    """Multiply-accumulates of the convolutions for one smallest valid square picture."""
    side = 4 * config.multiple
    return count_macs(PlainUNet(config), (1, 3, side, side)).convolution


@cache
def size(config: PlainUNetConfig) -> int:
    """Parameters of the folded network."""
    return parameter_count(fold(PlainUNet(config)))


def _plain(student: PlainUNet) -> PlainUNet:
    """A copy whose RepConvs are nn.Conv2d, the layer that the dependency graph knows."""
    plain = copy.deepcopy(student).eval().requires_grad_(True)
    for module in list(plain.modules()):
        for name, child in module.named_children():
            if isinstance(child, RepConv):
                kernel = child.folded().detach()
                conv = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1)
                conv.weight.data, conv.bias.data = kernel.clone(), child.bias.detach().clone()  # type: ignore[union-attr]
                setattr(module, name, conv)
    return plain


def _roots(plain: PlainUNet, level: int) -> list[nn.Module]:
    """One convolution for each independent width of a level: its trunk, then its blocks' insides.

    The config has one width a level, so all of them are cut to the same number.
    """
    roots: list[nn.Module] = [plain.stem if level == 0 else plain.down[level - 1]]
    chains = [plain.encoder[level], *plain.decoder[level : level + 1]]
    return roots + [block.conv1 for chain in chains for block in chain]


def _channels(root: nn.Module) -> int:
    weight = root.weight
    assert isinstance(weight, Tensor)
    return weight.shape[0]


def _graph(plain: PlainUNet) -> Any:
    """Dependencies as traced through `detail`; the vector layers before it stay whole."""
    side = plain.config.multiple
    pictures, code = torch.zeros(1, 6, side, side), torch.zeros(1, plain.config.code_width)
    return (
        _torch_pruning()
        .DependencyGraph()
        .build_dependency(
            plain,
            example_inputs=(pictures, code),
            forward_fn=lambda model, inputs: model.detail(*inputs),
            verbose=False,
        )
    )


def _importance(graph: Any, root: nn.Module) -> Tensor:
    """Mean L2 magnitude over everything tied to a channel, relative to the group's mean, (C,)."""
    tp = _torch_pruning()
    everything = list(range(_channels(root)))
    group = graph.get_pruning_group(root, tp.prune_conv_out_channels, everything)
    scores: Tensor = tp.importance.GroupMagnitudeImportance(p=2, normalizer="mean")(group)
    return scores.detach()


def _level_scores(plain: PlainUNet, level: int) -> list[float]:
    """Importance lost by the first, second, ... UNIT channels to go from a level."""
    graph = _graph(plain)
    ordered = torch.stack([_importance(graph, r).sort().values for r in _roots(plain, level)])
    return ordered.sum(dim=0).reshape(-1, UNIT).sum(dim=1).tolist()


def _sensitivity(
    student: PlainUNet, level: int, crops: ValidationCrops, whole: float
) -> list[float]:
    """dB lost, mean over tasks, by the first, second, ... UNIT channels to go from one level.

    whole: dB of the uncut student.
    """
    full, left = student.config, [whole]
    for width in range(full.widths[level] - UNIT, 0, -UNIT):
        widths = (*full.widths[:level], width, *full.widths[level + 1 :])
        left.append(_quality(_cut(student, replace(full, widths=widths)).eval(), crops))
    # What costs nothing, or helps, goes first, but still by how much it saves.
    return [max(LEAST_LOSS, a - b) for a, b in zip(left[:-1], left[1:], strict=True)]


def _quality(student: PlainUNet, crops: ValidationCrops) -> float:
    """dB after one step, mean over tasks."""
    device = next(student.parameters()).device
    figures = crops.psnr(partial(restore, student), device)
    return sum(figures.values()) / len(figures)


def _choose(
    config: PlainUNetConfig, scores: list[list[float]], macs_ratio: float, parameters: int
) -> PlainUNetConfig:
    """Greedy: least worth lost for the shares saved of what is still too much, operations or
    parameters; the last cut lands nearest below."""
    full, target = config, macs_ratio * macs(config)
    while macs(config) > target or size(config) > parameters:
        cuts = []
        for level, width in enumerate(config.widths):
            if width - UNIT < max(UNIT, KEEP_AT_LEAST * full.widths[level]):
                continue
            widths = (*config.widths[:level], width - UNIT, *config.widths[level + 1 :])
            smaller = replace(config, widths=widths)
            lost, saved = scores[level][(full.widths[level] - width) // UNIT], 0.0
            if macs(config) > target:
                saved += (macs(config) - macs(smaller)) / macs(full)
            if size(config) > parameters:
                saved += (size(config) - size(smaller)) / size(full)
            cuts.append((lost / saved, smaller))
        if not cuts:
            raise ValueError(
                f"widths {full.widths} cannot go under {macs(config) / macs(full):.2f} of their "
                f"operations and {size(config)} parameters, asked for {macs_ratio} and "
                f"{parameters}; ask for more, or prune a student of fewer levels"
            )
        enough = [c for _, c in cuts if macs(c) <= target and size(c) <= parameters]
        best = min(cuts, key=lambda cut: cut[0])[1]
        config = max(enough, key=macs) if best in enough else best
    return config


def _torch_pruning() -> Any:
    try:
        import torch_pruning
    except ImportError as error:
        raise ValueError("pruning needs torch-pruning: pip install 'pellucid[prune]'") from error
    return torch_pruning
