"""Constants of an ML Program: protobuf values and blobs in weight.bin -> torch tensors.

Format: coremltools' mlmodel/format/MIL.proto; numbers narrower than a byte are packed from the
lowest bit upwards. Blobs are read by the reader that ships with coremltools.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .proto import MLProgramError as MLProgramError
from .proto import proto_modules as proto_modules

# Stored type -> type held in torch. Integers narrower than a byte are held in a whole one.
STORED = {
    "FLOAT16": torch.float16,
    "FLOAT32": torch.float32,
    "INT8": torch.int8,
    "UINT8": torch.uint8,
    "INT16": torch.int16,
    "UINT16": torch.int32,
    "INT32": torch.int32,
    "UINT32": torch.int64,
    "INT64": torch.int64,
    "BOOL": torch.bool,
    "INT4": torch.int8,
    "UINT1": torch.uint8,
    "UINT2": torch.uint8,
    "UINT3": torch.uint8,
    "UINT4": torch.uint8,
    "UINT6": torch.uint8,
}
BLOB_READERS = {
    "FLOAT16": "read_fp16_data",
    "FLOAT32": "read_float_data",
    **{kind: f"read_{kind.lower()}_data" for kind in ("INT8", "UINT8", "INT16", "UINT16")},
    **{kind: f"read_{kind.lower()}_data" for kind in ("INT32", "UINT32", "INT4")},
    **{f"UINT{bits}": f"read_uint{bits}_data" for bits in (1, 2, 3, 4, 6)},
}

Value = Tensor | str


def type_name(tensor_type: Any) -> str:
    """'FLOAT16', 'INT32', ... of a protobuf TensorType."""
    return str(proto_modules()[1].DataType.Name(tensor_type.dataType))


def known_shape(tensor_type: Any) -> list[int | None]:
    """Declared sizes; None where a dimension is free."""
    return [
        int(d.constant.size) if d.WhichOneof("dimension") == "constant" else None
        for d in tensor_type.dimensions
    ]


def decode(value: Any, weights: Path) -> Value:
    """One protobuf Value; `weights`: folder with the blob files."""
    if value.type.WhichOneof("type") != "tensorType":
        raise MLProgramError(
            f"constant of type {value.type.WhichOneof('type')}: only tensors and strings are known"
        )
    kind = type_name(value.type.tensorType)
    shape = [size or 0 for size in known_shape(value.type.tensorType)]
    if value.WhichOneof("value") == "blobFileValue":
        return _as_tensor(_read_blob(value.blobFileValue, kind, weights), kind, shape)
    held = value.immediateValue.tensor
    which = held.WhichOneof("value")
    if kind == "STRING":
        return str(held.strings.values[0])
    if which is None:  # an empty list
        return _as_tensor(np.zeros(0), kind, shape)
    if which == "bytes":
        return _as_tensor(_unpack(held.bytes.values, kind, math.prod(shape)), kind, shape)
    return _as_tensor(np.array(getattr(held, which).values), kind, shape)


def _as_tensor(flat: NDArray[Any], kind: str, shape: list[int]) -> Tensor:
    if flat.size != math.prod(shape):
        raise MLProgramError(
            f"constant holds {flat.size} values where its shape {shape} needs "
            f"{math.prod(shape)}; the package is damaged, export it again"
        )
    if flat.dtype.kind == "u" and flat.dtype.itemsize > 1:
        flat = flat.astype(np.int64)  # torch computes with few unsigned types
    return torch.from_numpy(np.array(flat, order="C", copy=True)).to(STORED[kind]).reshape(shape)


def _unpack(data: bytes, kind: str, count: int) -> NDArray[Any]:
    """Immediate bytes -> values."""
    if kind in ("FLOAT16", "INT8", "UINT8", "INT16", "UINT16", "UINT32"):
        return np.frombuffer(data, np.dtype(kind.lower()))
    bits = int(kind.removeprefix("UINT").removeprefix("INT"))
    numbers = unpack_bits(np.frombuffer(data, np.uint8), bits, count)
    if kind.startswith("INT"):
        numbers = np.where(numbers >= 1 << (bits - 1), numbers - (1 << bits), numbers)
    return numbers


def unpack_bits(packed: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.int64]:
    """`count` unsigned numbers of `bits` bits each, lowest bit first."""
    flags = np.unpackbits(packed, bitorder="little")
    if flags.size < bits * count:
        raise MLProgramError(f"{packed.size} bytes cannot hold {count} numbers of {bits} bits")
    return flags[: bits * count].reshape(count, bits).astype(np.int64) @ (1 << np.arange(bits))


def _read_blob(blob: Any, kind: str, weights: Path) -> NDArray[Any]:
    from coremltools.libmilstoragepython import _BlobStorageReader

    path = weights / Path(blob.fileName).name
    if not path.is_file():
        raise MLProgramError(f"{path}: weights are missing; copy the whole .mlpackage folder")
    if kind not in BLOB_READERS:
        raise MLProgramError(f"{path}: weights of type {kind} are not known here")
    try:
        read = np.asarray(getattr(_BlobStorageReader(str(path)), BLOB_READERS[kind])(blob.offset))
    except (RuntimeError, ValueError) as error:
        raise MLProgramError(f"{path}: damaged at byte {blob.offset} ({error})") from error
    return read.view(np.float16) if kind == "FLOAT16" else read
