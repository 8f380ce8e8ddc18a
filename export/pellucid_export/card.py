"""The metadata that travels inside every exported file, key `pellucid.config`."""

import hashlib

from pellucid.card import KEY as KEY
from pellucid.card import SCHEMA_VERSION
from pellucid_student import enlarger
from pellucid_student.enlarger import Enlarger
from pellucid_student.plain_unet import PlainUNet, receptive_radius
from pellucid_student.temporal import TRUST_REACH
from pellucid_student.weights import AnyStudent, Provenance, parameter_count
from pellucid_teacher.macs import count_macs


def card(student: AnyStudent, provenance: Provenance, steps: int = 1) -> dict[str, object]:
    """Everything a runtime or another program needs to open the file with nothing beside it."""
    if isinstance(student, Enlarger):
        return _common(student, provenance, steps) | {
            "id": f"enlarge-{provenance.preset}",
            "task": "super-resolution",
            "purpose": f"enlarges pictures {student.config.scale} times",
            "arch": "enlarger",
            "scale": student.config.scale,
            "receptive_field": enlarger.receptive_radius(student.config),
        }
    return _common(student, provenance, steps) | {
        "id": f"allinone-{provenance.preset}" + (f"-{steps}steps" if steps > 1 else ""),
        "degradations": list(student.degradations),
        # Later calls measure what they see of a tile.
        "receptive_field": receptive_radius(student.config) if steps == 1 else None,
        "scene_size": student.scene_size,
    }


def _common(student: AnyStudent, provenance: Provenance, steps: int) -> dict[str, object]:
    """A card in its order, with what most students have in common."""
    return {
        "schema_version": SCHEMA_VERSION,
        "id": "",
        "task": "allinone",
        "purpose": "blind restoration of rain, low light, haze, snow, blur and noise",
        "arch": "plain-unet",
        "arch_args": student.config.to_dict(),
        "params": parameter_count(student),
        "macs_per_pixel": steps * macs_per_pixel(student),
        "steps": steps,
        "scale": 1,
        "mask": False,
        "degradations": [],
        "input_channels": 3,
        "output_channels": 3,
        "size_requirements": {"multiple_of": 1, "minimum": 1, "square": False},
        "tiling": "supported",
        "receptive_field": None,
        "tile_multiple": student.config.multiple,
        "scene_size": 0,
        "color_space": "srgb",
        "value_range": [0, 1],
        "layout": "NCHW",
        "channel_order": "RGB",
        "license": provenance.license,
        "datasets": provenance.datasets,
        "teacher": provenance.teacher,
        "recipe": provenance.recipe,
        "train_steps": provenance.steps,
        "date": provenance.date,
        "version": "1.0",
        "sha256_weights": weights_digest(student),
    }


def frame_card(student: PlainUNet, provenance: Provenance) -> dict[str, object]:
    """Of the file for frames of a stream: one call, two pictures in."""
    photo_card = card(student, provenance)
    return photo_card | {
        "id": f"allinone-{provenance.preset}-frames",
        "purpose": "blind restoration of video, each frame from the last one's result",
        "receptive_field": receptive_radius(student.config) + TRUST_REACH,
        "temporal": {"frames": 1, "state": "the last output, carried along the motion"},
    }


def macs_per_pixel(student: AnyStudent) -> float:
    """Multiply-accumulates of one call for one input pixel, convolutions only.

    The scene code's vector layers cost the same for any picture and are left out.
    """
    side = max(16, 4 * student.config.multiple)
    return count_macs(student, (1, 3, side, side)).convolution / side**2


def weights_digest(student: AnyStudent) -> str:
    """SHA-256 over the weights in name order: two files with the same digest restore alike."""
    digest = hashlib.sha256()
    for name, tensor in sorted(student.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
