"""Graphs that torch traces are kept: several tests export the same network, at 5 to 10 s each."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import onnx
import pytest
import torch

from pellucid_export.onnx import file as onnx_file


def identity(module: torch.nn.Module, examples: dict[str, torch.Tensor], axes: object) -> str:
    """All that a trace depends on: structure, settings, weights and the examples' shapes."""
    digest = hashlib.sha256(repr(module).encode())
    for part in module.modules():
        plain = {k: v for k, v in vars(part).items() if isinstance(v, int | float | str | tuple)}
        digest.update(f"{type(part).__qualname__} {sorted(plain.items())}".encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    for name, example in examples.items():
        digest.update(f"{name} {example.dtype} {tuple(example.shape)}".encode())
    digest.update(repr(axes).encode())
    return digest.hexdigest()


@contextmanager
def traced_once() -> Iterator[None]:
    """As long as it is open, each network is traced once for each kind of file."""
    kept: dict[str, bytes] = {}
    trace = onnx_file._trace

    def traced(
        module: torch.nn.Module,
        examples: dict[str, torch.Tensor],
        defaults: Mapping[str, torch.Tensor],
        free_axes: tuple[int, int] | None,
    ) -> onnx.ModelProto:
        key = identity(module, examples | dict(defaults), free_axes)
        if key not in kept:
            kept[key] = trace(module, examples, defaults, free_axes).SerializeToString()
        return onnx.load_from_string(kept[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_file, "_trace", traced)
        yield
