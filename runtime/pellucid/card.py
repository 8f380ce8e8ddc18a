"""The model card that travels inside every exported file, metadata key `pellucid.config`."""

import json
from dataclasses import dataclass
from typing import Any

from .errors import ModelError

KEY = "pellucid.config"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ModelCard:
    """What the runtime needs to know about a model.

    receptive_field: radius in px, an output pixel depends on no input pixel farther away; None if
    unknown. tile_multiple: tiles must start at multiples of it. scene_size: length of the optional
    `scene` input, 0 if there is none. steps: calls of the network inside the file. scale: sides of
    the output over those of the input. mask: whether a second input tells which pixels to restore.
    degradations: names of the amounts that end the `scene` input, in their order.
    weights_sha256: of the weights that the file was made from, "" if unknown. default_steps: calls
    of the file that pay best, where the user does not say.
    """

    id: str
    task: str = "unknown"
    purpose: str = ""
    params: int = 0
    macs_per_pixel: float = 0.0
    steps: int = 1
    receptive_field: int | None = None
    tile_multiple: int = 1
    scene_size: int = 0
    license: str = "unknown"
    version: str = "unknown"
    scale: int = 1
    mask: bool = False
    degradations: tuple[str, ...] = ()
    weights_sha256: str = ""
    default_steps: int = 1

    def __post_init__(self) -> None:
        if self.scale < 1:
            raise ValueError(f"scale must be at least 1, got {self.scale}")

    def check_keeps_size(self) -> None:
        """ModelError for a model whose results are larger than its pictures."""
        if self.scale != 1:
            raise ModelError(
                f"{self.id} makes pictures {self.scale} times as large: `pellucid restore` and "
                "pellucid.Enlarger run it, on photos; expected a model that keeps the size"
            )


def read_card(metadata: dict[str, str], name: str) -> ModelCard:
    """Card from a file's metadata; a foreign file without one gets a card that says so.

    Raises ModelError if the card was written for a newer pellucid or is damaged.
    """
    text = metadata.get(KEY)
    if text is None:
        return ModelCard(id=name)
    try:
        card: dict[str, Any] = json.loads(text)
        schema = int(card["schema_version"])
        if schema > SCHEMA_VERSION:
            raise ModelError(
                f"{name}: its card has schema {schema}, this pellucid reads up to "
                f"{SCHEMA_VERSION}; update with: pip install --upgrade pellucid"
            )
        reach = card["receptive_field"]
        return ModelCard(
            id=str(card["id"]),
            task=str(card["task"]),
            purpose=str(card["purpose"]),
            params=int(card["params"]),
            macs_per_pixel=float(card["macs_per_pixel"]),
            steps=int(card["steps"]),
            receptive_field=None if reach is None else int(reach),
            tile_multiple=int(card["tile_multiple"]),
            scene_size=int(card["scene_size"]),
            license=str(card["license"]),
            version=str(card["version"]),
            scale=int(card.get("scale", 1)),  # older files lack these
            mask=bool(card.get("mask", False)),
            degradations=tuple(str(name) for name in card.get("degradations", ())),
            weights_sha256=str(card.get("sha256_weights", "")),
            default_steps=int(card.get("default_steps", 1)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{name}: its {KEY} entry is damaged ({error!r}); export the model again"
        ) from error
