"""Run a Core ML ML Program (.mlpackage) op by op in torch, on any machine.

What it is: the saved file itself, protobuf and weight blobs, not the graph that was meant to be
saved. Every op is computed in fp32 and each tensor that the program declares as fp16 is rounded to
fp16 when it is stored, so the range and the precision of fp16 storage are those of a device.

What it is not: bit-exact to the Neural Engine or to Core ML on a CPU or GPU. The Neural Engine's
accumulation order and width, its look-up tables for activations, and the fusion of ops (which skips
some stores) are not published. Expect agreement to a few fp16 roundings; a tensor that overflows
here may survive on a unit that never stores it, and the other way round a unit that accumulates in
fp16 can overflow earlier.

Not there: control flow, states, and ops that restoration networks do not use. An op that is not
known is an error that names it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import ops_elementwise as mil_ops_elementwise
from . import ops_image as mil_ops_image
from . import ops_layers as mil_ops_layers
from . import ops_shape as mil_ops_shape
from . import ops_weights as mil_ops_weights
from .image import image_port
from .values import STORED, MLProgramError, Value, decode, known_shape, proto_modules, type_name

OPS = (
    mil_ops_elementwise.OPS
    | mil_ops_shape.OPS
    | mil_ops_layers.OPS
    | mil_ops_image.OPS
    | mil_ops_weights.OPS
)
NAMES = {"FLOAT16": "fp16", "FLOAT32": "fp32"}  # the rest is the protobuf name in lower case
FP16_MAX = 65504.0

Argument = Value | list[Tensor]


@dataclass(frozen=True)
class TensorEvent:
    """One tensor as the program stores it.

    op:        MIL op type; "input" for the program's inputs.
    name:      the tensor's name in the program.
    dtype:     "fp16", "fp32", "int32", "int8", "uint8", "bool", ...
    values:    as stored, in float32 where dtype is fp16 or fp32, else in an integer type.
    peak:      largest finite |x| before rounding to dtype.
    overflows: how many finite values became infinite by being stored in fp16.
    """

    op: str
    name: str
    dtype: str
    values: NDArray[Any]
    peak: float
    overflows: int


Tap = Callable[[TensorEvent], None]


def run(
    package: Path, inputs: dict[str, NDArray[Any]], tap: Tap | None = None
) -> dict[str, NDArray[Any]]:
    """Run the `main` function of an .mlpackage once. See `Program.run`."""
    return Program.load(package).run(inputs, tap)


class Program:
    """A loaded ML Program; `run` may be called often, with any size that the program takes."""

    def __init__(self, spec: Any, weights: Path, name: str) -> None:
        """spec: a protobuf Model; weights: folder of its blob files; name: for messages.

        `Program(mlmodel.get_spec(), Path(mlmodel.weights_dir), "...")` takes a coremltools model.
        """
        if spec.WhichOneof("Type") != "mlProgram":
            raise MLProgramError(
                f"{name}: expected an ML Program, got {spec.WhichOneof('Type')}; convert with "
                'convert_to="mlprogram"'
            )
        functions = spec.mlProgram.functions
        if "main" not in functions:
            raise MLProgramError(f"{name}: no function main; it has {', '.join(sorted(functions))}")
        self.name = name
        self.weights = weights
        main = functions["main"]
        block = main.block_specializations[main.opset]
        self.operations = list(block.operations)
        self.outputs = list(block.outputs)
        self.inputs = {i.name: i.type.tensorType for i in main.inputs}
        described = [*spec.description.input, *spec.description.output]
        self.images = {d.name: p for d in described if (p := image_port(d)) is not None}
        self.features = {d.name: d.type for d in spec.description.input}
        unknown = {o.type for o in self.operations} - OPS.keys() - {"const"}
        if unknown:
            raise MLProgramError(
                f"{name}: no implementation here of the MIL op "
                f"{', '.join(sorted(unknown))}; known are {', '.join(sorted(OPS))}"
            )
        self._constants = dict(self._decode_constants())
        self._last_use = self._find_last_uses()

    @classmethod
    def load(cls, package: Path) -> "Program":
        """Raises MLProgramError if the folder is no readable ML Program."""
        model_pb2, _ = proto_modules()
        data = package / "Data" / "com.apple.CoreML"
        try:
            raw = (data / "model.mlmodel").read_bytes()
        except OSError as error:
            raise MLProgramError(
                f"{package}: expected an .mlpackage folder with {data.name}/model.mlmodel inside "
                f"({error.strerror})"
            ) from error
        spec = model_pb2.Model()
        try:
            spec.ParseFromString(raw)
        except Exception as error:  # protobuf's DecodeError, whose place differs by version
            raise MLProgramError(f"{package}: model.mlmodel is damaged ({error})") from error
        return cls(spec, data / "weights", str(package))

    def run(
        self, inputs: dict[str, NDArray[Any]], tap: Tap | None = None
    ) -> dict[str, NDArray[Any]]:
        """One forward pass.

        inputs: an array for every input. Multi-arrays in their declared shape. Images as
                (H, W, 3) RGB, or (H, W) for grey, in 0..255, uint8 or float.
        tap:    called with every input and every tensor an op produces, in order; constants and
                decompressed weights come once, when first used in this run.

        Returns the outputs: multi-arrays as float32 (integers stay integers); images as (H, W, 3)
        RGB or (H, W) uint8, rounded to nearest and clipped. How Core ML rounds there is not
        documented, so an image may differ by one level.
        """
        self._check_names(inputs)
        held: dict[str, Tensor] = {}
        for name, tensor_type in self.inputs.items():
            value = self._read_input(name, tensor_type, inputs[name])
            held[name] = self._store("input", name, type_name(tensor_type), value, tap)
        with torch.no_grad():
            for index, operation in enumerate(self.operations):
                if operation.type == "const":
                    continue
                for output, tensor in zip(
                    operation.outputs, self._apply(operation, held), strict=True
                ):
                    kind = type_name(output.type.tensorType)
                    self._check_shape(operation.type, output, tensor)
                    held[output.name] = self._store(operation.type, output.name, kind, tensor, tap)
                for name in self._last_use.get(index, ()):
                    held.pop(name, None)
        return {name: self._write_output(name, held) for name in self.outputs}

    # -- inputs and outputs

    def _check_names(self, inputs: dict[str, NDArray[Any]]) -> None:
        if inputs.keys() != self.inputs.keys():
            raise MLProgramError(
                f"{self.name}: expected inputs {sorted(self.inputs)}, got {sorted(inputs)}"
            )

    def _read_input(self, name: str, tensor_type: Any, given: NDArray[Any]) -> Tensor:
        given = np.asarray(given)
        if name in self.images:
            given = self.images[name].read(self.name, given)
        wanted = known_shape(tensor_type)
        fits = given.ndim == len(wanted) and all(
            size in (None, got) for size, got in zip(wanted, given.shape, strict=True)
        )
        if not fits:
            expected = ["any" if size is None else size for size in wanted]
            raise MLProgramError(
                f"{self.name}: input {name} is {expected}, got {list(given.shape)}"
            )
        enumerated = self.features[name].multiArrayType.enumeratedShapes.shapes
        allowed = [list(shape.shape) for shape in enumerated]
        if allowed and list(given.shape) not in allowed:
            raise MLProgramError(
                f"{self.name}: input {name} is one of {allowed}, got {list(given.shape)}"
            )
        return torch.from_numpy(np.array(given, order="C", dtype=_held(given)))

    def _write_output(self, name: str, held: dict[str, Tensor]) -> NDArray[Any]:
        tensor = held[name] if name in held else self._constants[name]
        array: NDArray[Any] = _shown(tensor) if isinstance(tensor, Tensor) else np.array(tensor)
        return self.images[name].write(array) if name in self.images else array

    # -- operations

    def _decode_constants(self) -> Iterator[tuple[str, Value]]:
        for operation in self.operations:
            if operation.type == "const":
                yield operation.outputs[0].name, decode(operation.attributes["val"], self.weights)

    def _find_last_uses(self) -> dict[int, list[str]]:
        """Operation index -> tensors that nothing reads after it."""
        last: dict[str, int] = {}
        for index, operation in enumerate(self.operations):
            for argument in operation.inputs.values():
                last.update({b.name: index for b in argument.arguments if b.name})
        uses: dict[int, list[str]] = {}
        for name, index in last.items():
            if name not in self.outputs:
                uses.setdefault(index, []).append(name)
        return uses

    def _apply(self, operation: Any, held: dict[str, Tensor]) -> tuple[Tensor, ...]:
        arguments: dict[str, Argument] = {
            key: self._argument(key, argument.arguments, held)
            for key, argument in operation.inputs.items()
        }
        for key, value in operation.attributes.items():
            if key != "name":
                arguments[key] = _widened(decode(value, self.weights))
        where = f"{self.name}: op {operation.type} ({operation.outputs[0].name})"
        if operation.blocks:
            raise MLProgramError(f"{where}: nested blocks are not known here")
        try:
            result = OPS[operation.type](**arguments)
        except (TypeError, ValueError, RuntimeError, KeyError, IndexError) as error:
            shapes = {k: list(v.shape) for k, v in arguments.items() if isinstance(v, Tensor)}
            raise MLProgramError(f"{where} with {shapes}: {error}") from error
        return result if isinstance(result, tuple) else (result,)

    def _argument(self, key: str, bindings: Any, held: dict[str, Tensor]) -> Argument:
        values = [
            _widened(
                decode(b.value, self.weights)
                if b.WhichOneof("binding") == "value"
                else held[b.name]
                if b.name in held
                else self._constants[b.name]
            )
            for b in bindings
        ]
        if len(values) == 1 and key != "values":
            return values[0]
        return [v for v in values if isinstance(v, Tensor)]

    def _check_shape(self, op: str, output: Any, tensor: Tensor) -> None:
        declared = known_shape(output.type.tensorType)
        same = len(declared) == tensor.ndim and all(
            size in (None, got) for size, got in zip(declared, tensor.shape, strict=True)
        )
        if not same:
            raise MLProgramError(
                f"{self.name}: op {op} ({output.name}) made {list(tensor.shape)} where the program "
                f"declares {declared}"
            )

    def _store(self, op: str, name: str, kind: str, tensor: Tensor, tap: Tap | None) -> Tensor:
        """Round to the declared type, and tell the tap."""
        stored = tensor.to(STORED[kind])
        if tap is not None:
            peak, overflows = 0.0, 0
            if tensor.is_floating_point():
                finite = torch.where(torch.isfinite(tensor), tensor, torch.zeros_like(tensor))
                peak = float(finite.abs().max()) if tensor.numel() else 0.0
                overflows = int((torch.isfinite(tensor) & ~torch.isfinite(stored)).sum())
            elif tensor.numel():
                peak = float(tensor.abs().max()) if tensor.dtype != torch.bool else 1.0
            tap(
                TensorEvent(
                    op, name, NAMES.get(kind, kind.lower()), _shown(stored), peak, overflows
                )
            )
        return stored


def _widened(value: Value) -> Value:
    """fp16 is a storage type only: computing happens in fp32."""
    if isinstance(value, Tensor) and value.dtype == torch.float16:
        return value.float()
    return value


def _held(array: NDArray[Any]) -> type:
    return np.float32 if array.dtype.kind == "f" else array.dtype.type


def _shown(tensor: Tensor) -> NDArray[Any]:
    return np.asarray(tensor.float() if tensor.is_floating_point() else tensor)
