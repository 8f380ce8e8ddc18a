"""Imitated 8 bits: closed forms, gradients, the guard, and an export that agrees."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from pellucid_student.layers import RepConv
from pellucid_student.plain_unet import PlainUNet, PlainUNetConfig
from pellucid_student.qat import QuantConv, freeze, guard, in_floats, layers, quantised

SMALL = PlainUNetConfig((16, 16), (1, 1), (1,), code_width=8)


class Holder(nn.Module):
    """The exporter's own graph has an attribute `code`, which a PlainUNet at the root would hit."""

    def __init__(self, student: PlainUNet) -> None:
        super().__init__()
        self.student = student

    def forward(self, picture: Tensor) -> Tensor:
        out: Tensor = self.student(picture)
        return out


def calibrated() -> PlainUNet:
    torch.manual_seed(0)
    model = quantised(PlainUNet(SMALL))
    image = 2 * torch.rand(1, 3, 16, 16) - 1
    model(image)
    return model


def test_error_is_at_most_half_a_step() -> None:
    """An identity kernel passes its input on: what remains is the input's rounding."""
    conv = RepConv(4, 4)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[range(4), range(4), 1, 1] = 1.0
    layer = QuantConv(conv)
    x = 3.0 * torch.rand(1, 4, 8, 8) - 1.0
    step = (x.amax() - x.amin().clamp(max=0.0)) / 255.0
    assert (layer(x) - x).abs().max() <= 0.5 * step + 1e-5
    assert (layer(x) - x).abs().max() > 0.0
    layer.enabled = False
    assert torch.equal(layer(x), x)


@pytest.mark.parametrize(
    "make", [lambda: nn.Conv2d(4, 6, 2, 2), lambda: nn.ConvTranspose2d(4, 6, 2, 2)]
)
def test_layers_of_both_directions_are_imitated(make: Callable[[], nn.Module]) -> None:
    conv = make()
    x = torch.rand(1, 4, 8, 8)
    got, expected = QuantConv(conv)(x), conv(x)
    assert got.shape == expected.shape and (got - expected).abs().max() < 0.03


def test_all_spatial_layers_learn() -> None:
    model = calibrated()
    assert len(layers(model)) == 2 + 2 + 2 * 3
    image = torch.rand(1, 3, 16, 16)
    model(image).square().mean().backward()
    assert all(q.weight.grad is not None for q in layers(model).values())


def test_the_guard_names_the_layer_that_breaks_the_limit() -> None:
    model = calibrated()
    names = list(layers(model))
    harm = {names[2]: 0.5, names[4]: 0.2}

    def measure(network: nn.Module) -> float:
        return 30.0 - sum(h for n, h in harm.items() if layers(network)[n].enabled)

    done = guard(model, measure, max_drop=0.1)
    assert done.kept_float == [names[2], names[4]] and done.drop_db == pytest.approx(0.0)
    assert [n for n, q in layers(model).items() if not q.enabled] == [names[2], names[4]]
    assert guard(model, measure, max_drop=0.3).kept_float == [names[2]]
    assert guard(model, measure, max_drop=1.0).kept_float == []


@pytest.mark.slow
def test_frozen_model_exports_as_qdq_and_agrees(tmp_path: Path) -> None:
    model = Holder(freeze(calibrated()))
    image = 2 * torch.rand(1, 3, 16, 16) - 1
    inputs = (image,)
    path = tmp_path / "q.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, inputs, path, dynamo=True, opset_version=20, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = {p.name: i.numpy() for p, i in zip(session.get_inputs(), inputs, strict=True)}
    with torch.no_grad():
        expected = model(*inputs).numpy()
    assert np.abs(session.run(None, feeds)[0] - expected).max() < 0.02
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    assert kinds.count("QuantizeLinear") >= len(layers(model))


def test_the_student_behind_it_computes_what_all_layers_in_float_do() -> None:
    model = calibrated()
    for layer in layers(model).values():
        layer.enabled = False
    image = 2 * torch.rand(1, 3, 16, 16) - 1
    with torch.no_grad():
        expected = model.eval()(image)
        assert torch.allclose(in_floats(model)(image), expected, atol=1e-6)
