"""A profile as a table, as Markdown and as JSON. Measured rows and estimates stay apart."""

import platform
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pellucid.profiling import Layered, LayerTime, Profile, Row
from pellucid.profiling.layers import BETWEEN
from pellucid.profiling.timing import NOISY

if TYPE_CHECKING:
    from pellucid_export.readiness.roofline import Estimate

SCHEMA = 1
COLUMNS = (
    "load ms", "first ms", "p50", "p90", "p95", "p99", "fps", "MiB", "CPU", "J",
    "GMAC/s", "of peak", "ratio", "+-", "dB",
)  # fmt: skip
_WIDTHS = (8, 8, 7, 7, 7, 7, 7, 6, 5, 6, 7, 7, 6, 4, 6)


def cells(row: Row) -> tuple[str, ...]:
    """A text for each of COLUMNS; '-' where nothing is known."""
    return (
        _number(row.load_ms, 0),
        _number(row.first_ms, 1),
        _number(row.p50_ms, 1),
        _number(row.p90_ms, 1),
        _number(row.p95_ms, 1),
        _number(row.p99_ms, 1),
        _number(row.fps, 1),
        _number(row.peak_mb, 0),
        "-" if row.cpu_share is None else f"{row.cpu_share:.0%}",
        _number(row.joules, 2),
        _number(row.gmac_per_s, 1),
        "-" if row.peak_share is None else f"{row.peak_share:.0%}",
        _number(row.ratio, 2),
        "-" if row.ratio_error is None else f"{row.ratio_error:.0%}",
        _number(row.quality_db, 2),
    )


def place(row: Row) -> str:
    device = row.device.removesuffix("ExecutionProvider")
    size = f" {row.width}x{row.height}" if row.height else ""
    return f"{row.file} {row.engine} {device}{size}"


def header() -> str:
    titles = " ".join(f"{t:>{w}}" for t, w in zip(COLUMNS, _WIDTHS, strict=True))
    return f"{'file, engine, device, size':52} {titles}"


def line(row: Row) -> str:
    if row.p50_ms is None:
        return f"{place(row):52} {row.state.value}: {row.reason}"
    aligned = " ".join(f"{text:>{w}}" for text, w in zip(cells(row), _WIDTHS, strict=True))
    return f"{place(row):52} {aligned}" + (
        f"  {row.state.value}: {row.reason}" if row.reason else ""
    )


def footer(profile: Profile, estimates: Sequence["Estimate"], missing: str) -> list[str]:
    """Conditions, the warning of noise, layers worth a look, estimates."""
    lines = ["", f"ratio: time over that of {profile.reference}; +-: half its 95 % interval"]
    lines.append(
        f"peak: {profile.peak:.1f} GMAC/s, a float32 matrix product, "
        f"{profile.conditions.threads} threads"
    )
    if warning := noise(profile):
        lines.append(warning)
    if profile.hurried:
        lines.append(hurry(profile))
    for one in profile.layered:
        lines += ["", *_layers(one)]
    if estimates:
        lines += ["", "Estimates, not measurements (no NPU here):"]
        lines += [f"  {estimate.path}: {estimate.lines[0]}" for estimate in estimates]
        lines += [f"  assumed: {estimates[0].assumptions[i]}" for i in (1, 3)]
    return [*lines, missing] if missing else lines


def _layers(one: Layered) -> Iterator[str]:
    """The sum that adds up, the ten slowest layers, and each kind of flag once."""
    yield f"{one.key}: {whole(one)}"
    for layer in sorted(one.layers, key=lambda layer: -layer.ms)[:10]:
        what = f"{layer.op} [{layer.kernel}]"
        yield f"  {layer.ms:8.2f} ms {layer.share:4.0%}  {what:40} {layer.name}"
    for flag in dict.fromkeys(layer.flag for layer in one.layers if layer.flag):
        found = [layer for layer in one.layers if layer.flag == flag]
        share, names = sum(x.share for x in found), ", ".join(x.name for x in found[:3])
        more = ", ..." if len(found) > 3 else ""
        yield f"  {len(found)}x {flag}, {share:.0%}: {names}{more}. {found[0].hint}"


def whole(one: Layered) -> str:
    """How the times of layers add up to a call."""
    return (
        f"layers {one.whole_ms - one.between_ms:.1f} + {BETWEEN} {one.between_ms:.1f} = "
        f"{one.whole_ms:.1f} ms a call, mean of the {one.calls} quietest; "
        f"counting adds {one.overhead:+.0%}"
    )


def hurry(profile: Profile) -> str:
    """That rows were cut short; '' if none was."""
    if not profile.hurried:
        return ""
    asked, budget = profile.conditions.seconds, profile.conditions.budget
    return f"{profile.hurried} rows had less than {asked:g} s to keep within {budget:g} s: --budget"


def noise(profile: Profile) -> str:
    """A warning, or '' on a quiet machine."""
    worst = max((row.spread for row in profile.rows if row.spread is not None), default=0.0)
    if worst <= NOISY:
        return ""
    return (
        f"WARNING: the machine is noisy, the reference's own times spread by {worst:.0%} "
        f"(over {NOISY:.0%}); stop other work, or raise --seconds"
    )


def markdown(profile: Profile, estimates: Sequence["Estimate"]) -> str:
    lines = ["| row | " + " | ".join(COLUMNS) + " |", "|---|" + "--:|" * len(COLUMNS)]
    for row in profile.rows:
        why = f"{row.state.value}: {row.reason}"
        texts = cells(row) if row.p50_ms is not None else (why, *[""] * (len(COLUMNS) - 1))
        lines.append(f"| {place(row)} | " + " | ".join(t.replace("|", "/") for t in texts) + " |")
    lines += [
        "",
        f"Ratio: time over that of {profile.reference}.",
        "",
        noise(profile),
        "",
        hurry(profile),
    ]
    for one in profile.layered:
        lines += ["", f"## Layers of {one.key}", "", whole(one) + ".", ""]
        lines += ["| layer | op | kernel | precision | device | ms | share | flag |"]
        lines += ["|---|---|---|---|---|--:|--:|---|"]
        lines += [_markdown_layer(layer) for layer in one.layers]
    if estimates:
        lines += ["", "## Estimates, not measurements", ""]
        lines += [f"- {estimate.path}: {estimate.lines[0]}" for estimate in estimates]
        lines += ["", *(f"- assumed: {text}" for text in estimates[0].assumptions[1:])]
    return "\n".join(lines).rstrip() + "\n"


def _markdown_layer(layer: LayerTime) -> str:
    facts = (layer.name, layer.op, layer.kernel, layer.precision, layer.device)
    texts = (*facts, f"{layer.ms:.3f}", f"{layer.share:.1%}", layer.flag)
    return "| " + " | ".join(text.replace("|", "/") for text in texts) + " |"


def document(profile: Profile, estimates: Sequence["Estimate"]) -> dict[str, Any]:
    """For --save and --against. `rows` are measured, `estimates` are not."""
    return {
        "schema_version": SCHEMA,
        "machine": f"{platform.machine()} {platform.system()}",
        "threads": profile.conditions.threads,
        "reference": profile.reference,
        "peak_gmac_per_s": profile.peak,
        "noise": noise(profile),
        "hurried": profile.hurried,
        "rows": [{**row.to_dict(), "key": row.key} for row in profile.rows],
        "layers": [one.to_dict() for one in profile.layered],
        "estimates": [
            {k: v for k, v in estimate.to_dict().items() if k != "layers"} for estimate in estimates
        ],
    }


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
