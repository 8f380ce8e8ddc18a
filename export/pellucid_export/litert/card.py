"""The model card inside a .tflite file, where its own tools look: an entry of `metadata`."""

import json
from pathlib import Path

from ..card import KEY


def with_card(data: bytes, card: dict[str, object]) -> bytes:
    """The file with the card as the buffer named `pellucid.config`."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils  # it follows buffers that lie behind the rest

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
    held = schema.BufferT()
    held.data = list(json.dumps(card).encode())
    entry = schema.MetadataT()
    entry.name, entry.buffer = KEY, len(model.buffers)
    model.buffers.append(held)
    model.metadata = [*(model.metadata or []), entry]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def read_litert_card(path: Path) -> dict[str, object]:
    """The card of a file; empty where it has none."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    for entry in model.metadata or []:
        if entry.name.decode() == KEY:
            card: dict[str, object] = json.loads(bytes(model.buffers[entry.buffer].data))
            return card
    return {}
