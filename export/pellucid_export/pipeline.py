"""One export: every file is made aside, validated, and only then gets its name."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pellucid.size import Size, size_text

from .calibration import fit
from .coreml.package import CoreMLMaker
from .darktable.maker import DarktableMaker, write_versions
from .htp.maker import HTPMaker
from .litert.maker import LiteRTMaker
from .onnx.file import Run
from .onnx.maker import OnnxMaker
from .onnx.opencv import opencv_reads
from .openvino.maker import OpenVinoMaker
from .quiet import quiet_libraries
from .report import Row, verdict
from .request import INTEGER, SUPPORTED, Request, check_combinations
from .source import ExportSource, Maker
from .targets import check_ready, targets_of
from .thresholds import ExportError, ParityError, QualityError, parity_floor_db
from .validator import Validation, Validator
from .web.maker import WebMaker

Tell = Callable[[str], None]
SPARE_BYTES = 50_000_000  # beyond the files themselves, for what converters write in between
BYTES_PER_PARAMETER = 16
RANGED_ALIKE = {"coreml": "onnx"}  # both take the smallest and the largest value of a layer's input
SAME_SIZE = ("darktable", "htp", "web")
ELSEWHERE = ("coreml", "htp")  # formats whose speed here says nothing about their device's


@dataclass(frozen=True)
class Made:
    """A file that was made aside. keep: layers that stayed in higher precision."""

    path: Path
    run: Run
    finding: Validation
    keep: tuple[str, ...] = ()


@dataclass
class Exporter:
    """Makers, validator and what was learned on the way; `rows` grows as files are made."""

    source: ExportSource
    request: Request
    tell: Tell
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_combinations(self.request)
        self.makers = _makers(self.source, self.request)
        self._validator = Validator(
            self.source.restoration, self.source.pictures.validation, self.source.image_io
        )
        self._base: dict[tuple[str, Size | None], Run] = {}  # fp32, to time the others against
        # (format, precision) -> candidate that was good for another size or a format alike
        self._first_try: dict[tuple[str, str], int] = {}

    def units(self) -> list[tuple[str, str, Size | None]]:
        """(format, precision, size) of every file to be made."""
        found: list[tuple[str, str, Size | None]] = []
        for form, precision in self.request.pairs():
            maker = self.makers[form]
            if isinstance(maker, CoreMLMaker):
                found.append((form, precision, maker.validation_size))
            elif isinstance(maker, DarktableMaker | WebMaker):
                found.append((form, precision, None))
            else:
                found += [(form, precision, size) for size in self.request.sizes]
        return found

    def run(self) -> list[Row]:
        """Make everything. A file that fails its gate becomes a row that says so; the rest goes on.

        Raises ExportError if the folder cannot be written; nothing half-written is left then.
        """
        out = self.request.out
        try:
            staging = _open_folder(out, len(self.units()), self.source)
            try:
                with quiet_libraries():
                    for index, unit in enumerate(self.units()):
                        self.rows.append(self._one(*unit, index, staging / str(index)))
                if any(row.format == "darktable" and row.made for row in self.rows):
                    listing = write_versions(out / "darktable", staging / "versions.json")
                    os.replace(listing, out / "darktable" / "versions.json")
            finally:
                shutil.rmtree(staging, ignore_errors=True)
        except OSError as error:
            raise ExportError(
                f"{out}: cannot write there ({error.strerror or error}); "
                "free some space or give another folder with -o"
            ) from error
        return self.rows

    def _one(self, form: str, precision: str, size: Size | None, index: int, folder: Path) -> Row:
        maker = self.makers[form]
        place = maker.place(precision, size)
        sides = f" {size_text(size)}" if size else ""
        self.tell(f"{index + 1}/{len(self.units())}  {form} {precision}{sides}")
        folder.mkdir()
        try:
            made = self._make(form, precision, size, folder)
            targets = targets_of(form, self.request.formats, self.request.targets)
            ready = check_ready(made.path, place, targets)
        except QualityError as error:
            return Row(
                form, precision, self.source.image_io, self._sizes(form, size), str(place),
                refused=str(error),
            )  # fmt: skip
        ms, base_ms = self._milliseconds(form, precision, size, made.run)
        row = Row(
            form, precision, self.source.image_io, self._sizes(form, size), str(place),
            bytes=sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()),
            sha256=digest(made.path),
            parity_db=made.finding.parity_db,
            drops=made.finding.drops,
            ms=ms,
            base_ms=base_ms,
            kept_layers=made.keep,
            targets=ready,
            opencv=self._opencv(form, size, made),
        )  # fmt: skip
        _publish(folder, self.request.out / place.parent)
        self.tell(f"  {verdict(row)}")
        return row

    def _make(self, form: str, precision: str, size: Size | None, folder: Path) -> Made:
        maker = self.makers[form]
        if precision in INTEGER:
            if (form, size) not in self._base and form not in ELSEWHERE:
                aside = folder.with_name(f"{folder.name}-base")
                aside.mkdir()
                path = maker.make("fp32", size, (), aside)
                self._base[form, size] = maker.runner(path, size, self.request.threads)
                shutil.rmtree(aside)
            return self._make_integer(form, precision, size, folder)
        path = maker.make(precision, size, (), folder)
        run = maker.runner(path, size, self.request.threads)
        finding = self._validator.look(run, size)
        floor = parity_floor_db(precision, self.source.image_io)
        if floor is not None and not finding.parity_db >= floor:
            raise ParityError(
                f"{maker.place(precision, size)}: agrees with torch to {finding.parity_db:.1f} dB, "
                f"expected at least {floor:.0f} dB; it was thrown away"
            )
        return Made(path, run, finding)

    def _make_integer(self, form: str, precision: str, size: Size | None, folder: Path) -> Made:
        """Quantise everything, then spare more and more of the layers that suffer most."""
        maker = self.makers[form]
        # The HTP takes no graph of two precisions.
        candidates = [()] if form == "htp" else self.source.sensitivity.candidates()
        best: Made | None = None
        start = self._first_try.get((RANGED_ALIKE.get(form, form), precision), 0)
        for index in range(self._first_try.get((form, precision), start), len(candidates)):
            for leftover in folder.iterdir():
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
            path = maker.make(precision, size, candidates[index], folder)
            run = maker.runner(path, size, self.request.threads)
            made = Made(path, run, self._validator.look(run, size), candidates[index])
            if made.finding.worst[1] <= self.request.max_drop:
                self._first_try[form, precision] = index
                return made
            if best is None or made.finding.worst[1] < best.finding.worst[1]:
                best = made
            self.tell(
                f"  {made.finding.worst[1]:.2f} dB lost on {made.finding.worst[0]} with "
                f"{len(made.keep)} layers spared: sparing more"
            )
        assert best is not None  # candidates() is never empty
        reason = (
            f"{maker.place(precision, size)}: loses {best.finding.worst[1]:.2f} dB on "
            f"{best.finding.worst[0]}, --max-drop allows {self.request.max_drop:g}"
        )
        if form == "htp":
            finer = " or -p w8a16" if precision == "w8a8" else ""
            raise QualityError(
                f"{reason}; it was thrown away. Try --calib with pictures of your own{finer}"
            )
        raise QualityError(
            f"{reason}, even with {len(best.keep)} of {len(self.source.sensitivity.errors)} layers "
            "in higher precision; it was thrown away. Try --calib with pictures of your own, or "
            "fp16"
        )

    def _milliseconds(
        self, form: str, precision: str, size: Size | None, run: Run
    ) -> tuple[float | None, float | None]:
        """Of this file, and of fp32 in the same format and size if this is another precision."""
        if form in ELSEWHERE:
            return None, None
        if precision == "fp32":
            self._base[form, size] = run
        base = self._base.get((form, size))
        if base is None or precision == "fp32":
            return self._validator.milliseconds([run], size)[0], None
        own, other = self._validator.milliseconds([run, base], size)
        return own, other

    def _opencv(self, form: str, size: Size | None, made: Made) -> str:
        if form != "onnx":
            return ""
        picture = self.source.pictures.validation[0].degraded
        picture = picture if size is None else fit(picture, size)
        return opencv_reads(made.path, self.source.image_io, picture, made.run(picture))

    def _sizes(self, form: str, size: Size | None) -> str:
        maker = self.makers[form]
        if isinstance(maker, CoreMLMaker):
            return ", ".join(map(size_text, maker.sizes))
        return "any" if size is None else size_text(size)


def _makers(source: ExportSource, request: Request) -> dict[str, Maker]:
    """Makers of the asked-for formats; a missing package is an error before any work is done."""
    _refuse_enlargers(source, request.formats)
    onnx_maker = OnnxMaker(source, request.opset)
    makers: dict[str, Maker] = {"onnx": onnx_maker}
    if "openvino" in request.formats:
        makers["openvino"] = OpenVinoMaker(source, onnx_maker)
    if "coreml" in request.formats:
        makers["coreml"] = CoreMLMaker(source, request.sizes)
    if "darktable" in request.formats:
        makers["darktable"] = DarktableMaker(source, onnx_maker)
    if "htp" in request.formats:
        makers["htp"] = HTPMaker(source, onnx_maker, request.sizes)
    if "litert" in request.formats:
        makers["litert"] = LiteRTMaker(source, request.sizes)
    if "web" in request.formats:
        if request.web_engine is None:
            raise ExportError("web files need Request.web_engine, onnxruntime-web's folder")
        makers["web"] = WebMaker(source, onnx_maker, request.web_engine)
    return makers


def _refuse_enlargers(source: ExportSource, formats: Sequence[str]) -> None:
    """ExportError for formats whose hosts expect a picture of the same size, before any work."""
    refused = [form for form in formats if form in SAME_SIZE]
    if source.card["scale"] != 1 and refused:
        takes = [form for form in SUPPORTED if form not in SAME_SIZE]
        raise ExportError(
            f"{source.id} enlarges, and {', '.join(refused)} files here keep the size; ask for "
            f"-f {','.join(takes)}"
        )


def _open_folder(out: Path, files: int, source: ExportSource) -> Path:
    """The export folder, made if need be, and a folder in it for work in progress."""
    if out.exists() and not out.is_dir():
        raise ExportError(f"{out}: is a file; -o takes a folder")
    out.mkdir(parents=True, exist_ok=True)
    parameters = sum(p.numel() for p in source.student.parameters())
    needed = SPARE_BYTES + BYTES_PER_PARAMETER * parameters * files
    free = shutil.disk_usage(out).free
    if free < needed:
        raise ExportError(
            f"{out}: {free / 1e6:.0f} MB free, the export needs {needed / 1e6:.0f} MB; "
            "free some space or give another folder with -o"
        )
    return Path(tempfile.mkdtemp(prefix=".partial-", dir=out))


def _publish(folder: Path, into: Path) -> None:
    """Move finished files to their place, replacing older ones."""
    into.mkdir(parents=True, exist_ok=True)
    for made in sorted(folder.iterdir()):
        target = into / made.name
        if target.is_dir():
            shutil.rmtree(target)  # a package is a folder, which no rename replaces
        os.replace(made, target)


def digest(path: Path) -> str:
    """SHA-256 of a file; of a folder's files, by name, one after another."""
    summed = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        if path.is_dir():
            summed.update(file.relative_to(path).as_posix().encode())
        summed.update(file.read_bytes())
    return summed.hexdigest()
