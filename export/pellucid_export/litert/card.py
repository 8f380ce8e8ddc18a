"""The model card inside a .tflite file, where its own tools look: an entry of `metadata`."""

import json
from pathlib import Path

from ..card import KEY

IDENTIFIER = b"TFL3"  # bytes 4 to 8 of every .tflite file


def with_card(data: bytes, card: dict[str, object]) -> bytes:
    """The file with the card as the buffer named `pellucid.config`."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data, 0)
    held = schema.BufferT()
    held.data = list(json.dumps(card).encode())
    entry = schema.MetadataT()
    entry.name, entry.buffer = KEY, len(model.buffers)
    model.buffers.append(held)
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def read_litert_card(path: Path) -> dict[str, object]:
    """The card of a file; empty where it has none."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    for entry in model.metadata or []:
        if entry.name.decode() == KEY:
            card: dict[str, object] = json.loads(bytes(model.buffers[entry.buffer].data))
            return card
    return {}
