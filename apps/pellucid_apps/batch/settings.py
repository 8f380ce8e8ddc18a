"""What one run does to every photo, in a form that travels to other processes and machines."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pellucid import PellucidError
from pellucid.restorer import find_model


@dataclass(frozen=True)
class Settings:
    """source, out: folders or addresses. steps: None: the model's own. fix, ignore: as of
    `pellucid restore`. model: a bundled name or a file's name among
    `model_files`. threads: of one worker. timeout_s: for one photo. run: names the run's scratch
    folder. model_files: a user's own model by file name, for machines that do not have it."""

    source: str
    out: str
    model: str = "tiny"
    steps: int | None = None
    strength: float = 1.0
    quality: int = 95
    fix: str | None = None
    ignore: str | None = None
    threads: int = 1
    overwrite: bool = False
    timeout_s: float = 600.0
    run: str = "0-of-1"
    model_digest: str = ""
    model_files: dict[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def digest(self) -> str:
        """12 hex digits of all that changes pixels: rows of equal digest are of equal make."""
        chosen = (
            *(self.model_digest, self.steps, self.strength, self.quality),
            *(self.fix, self.ignore),
        )
        return hashlib.sha256(json.dumps(chosen).encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """Without the model's bytes: `model` must be a bundled name or a path."""
        return json.dumps({k: v for k, v in asdict(self).items() if k != "model_files"})


def model_files(model: str) -> tuple[str, dict[str, bytes]]:
    """(digest, files by name) of a model; no files for bundled ones, which come with pellucid.

    An OpenVINO .xml has its weights in a .bin beside it. Raises ModelError for unknown models.
    """
    path = find_model(model)
    files = {path.name: path.read_bytes()}
    weights = path.with_suffix(".bin")
    if path.suffix == ".xml":
        if not weights.is_file():
            raise PellucidError(f"{path}: its weights {weights.name} are not beside it")
        files[weights.name] = weights.read_bytes()
    digest = hashlib.sha256(b"".join(files.values())).hexdigest()
    return digest, files if path == Path(model) else {}
