"""What an export made, as JSON, Markdown and one self-contained page."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path

from .request import INTEGER
from .targets import Readiness
from .thresholds import IDENTICAL_DB

SCHEMA = 1
WORSE_DB = 0.02  # a drop below it is not worth a word
HEAD = ("file", "precision", "size", "MB", "dB vs torch", "worst drop", "ms here", "verdict")


@dataclass(frozen=True)
class Row:
    """One file, or one that was refused. drops: PSNR lost by task in dB. base_ms: fp32 in the same
    format. kept_layers: layers of an integer file that stayed in higher precision. targets: named
    devices that take every layer. opencv: whether OpenCV's dnn reads the file."""

    format: str
    precision: str
    image_io: bool
    size: str
    file: str
    bytes: int = 0
    sha256: str = ""
    parity_db: float | None = None
    drops: dict[str, float] = field(default_factory=dict)
    ms: float | None = None
    base_ms: float | None = None
    kept_layers: tuple[str, ...] = ()
    targets: dict[str, Readiness] = field(default_factory=dict)
    opencv: str = ""
    refused: str = ""

    @property
    def made(self) -> bool:
        return not self.refused

    @property
    def worst(self) -> tuple[str, float]:
        return max(self.drops.items(), key=lambda entry: entry[1], default=("", 0.0))

    @property
    def recommended(self) -> bool:
        """Not for an integer file that is both worse and slower than fp32 on this machine."""
        slower = self.ms is not None and self.base_ms is not None and self.ms > self.base_ms
        return self.made and not (self.precision in INTEGER and slower and self.worst[1] > WORSE_DB)


@dataclass(frozen=True)
class ExportReport:
    """card: of the model. notes: what was asked for and not made. calibration: its source."""

    card: dict[str, object]
    rows: Sequence[Row]
    notes: Sequence[str]
    calibration: str
    threads: int
    validated_on: str
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether every file passed its gate."""
        return all(row.made for row in self.rows)

    def foot(self) -> list[str]:
        """What the table's columns mean, and on what they were measured."""
        return [
            "dB vs torch: worst agreement with the float32 network (PSNR of the difference, "
            f"peak 1; {IDENTICAL_DB:.0f} is identical); integer files are held to their drop.",
            f"worst drop: PSNR lost against the float32 network on {self.validated_on}.",
            f"ms here: one picture of 256x256, or of the file's own size; {self.threads} thread(s) "
            f"of {_machine()}, minutes apart from row to row; verdicts compare with fp32 timed in "
            "turns. Core ML and HTP files are checked, not timed: their devices differ.",
            f"integer ranges: {self.calibration}.",
            *self._slow(),
            *(f"{row.file}: {row.opencv}." for row in self.rows if row.opencv),
            *self.notes,
        ]

    def _slow(self) -> list[str]:
        """Each kind of layer that a named device takes and runs slowly, once."""
        causes = [
            f"slow on {name}: {kind}."
            for row in self.rows
            for name, ready in row.targets.items()
            for kind in ready.slow
        ]
        return list(dict.fromkeys(causes))


def verdict(row: Row) -> str:
    """One phrase a row."""
    if row.refused:
        return f"refused: {row.refused.removeprefix(f'{row.file}: ')}"
    words = []
    if row.ms is not None and row.base_ms is not None:
        ratio = row.base_ms / row.ms
        speed = f"{ratio:.1f}x faster" if ratio >= 1.05 else f"{1 / ratio:.1f}x slower"
        words.append(f"{speed} than fp32 here" if abs(ratio - 1) >= 0.05 else "as fast as fp32")
    if not row.recommended:
        words = [f"not recommended: {row.worst[1]:.2f} dB worse and {words[0]}"]
    else:
        words.insert(0, "ok")
    if row.kept_layers:
        words.append(f"in higher precision: {' '.join(row.kept_layers)}")
    for name, ready in row.targets.items():
        slow = f", {ready.slow_layers} slow" if ready.slow_layers else ""
        words.append(f"{name} takes all {ready.layers} layers{slow}")
    return ", ".join(words)


def sizes(row: Row) -> str:
    """The sizes a file takes; many of them by number and largest side."""
    several = row.size.split(", ")
    if len(several) < 3:
        return row.size
    return f"{len(several)} sizes to {max(max(map(int, one.split('x'))) for one in several)} px"


def cells(row: Row) -> tuple[str, ...]:
    """The table's columns after HEAD; empty where there is nothing to say."""
    if row.refused:
        return (row.file, row.precision, sizes(row), "", "", "", "", verdict(row))
    task, drop = row.worst
    return (
        row.file,
        row.precision,
        sizes(row),
        f"{row.bytes / 1e6:.2f}",
        "" if row.parity_db is None else f"{row.parity_db:.1f}",
        f"{drop:+.3f} {task}",
        "" if row.ms is None else f"{row.ms:.1f}",
        verdict(row),
    )


def as_json(report: ExportReport) -> str:
    record = {
        "schema": SCHEMA,
        "model": report.card,
        "machine": _machine(),
        "threads": report.threads,
        "seconds": round(report.seconds, 1),
        "calibration": report.calibration,
        "judged_on": report.validated_on,
        "notes": list(report.notes),
        "files": [
            asdict(row)
            | {"made": row.made, "recommended": row.recommended, "verdict": verdict(row)}
            for row in report.rows
        ],
    }
    return json.dumps(record, indent=1)


def as_markdown(report: ExportReport) -> str:
    lines = [f"# {report.card['id']}", "", str(report.card["purpose"]), ""]
    lines += ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    lines += [
        "| " + " | ".join(c.replace("|", "\\|") for c in cells(r)) + " |" for r in report.rows
    ]
    lines += ["", *(f"- {line}" for line in report.foot()), ""]
    return "\n".join(lines)


_STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:1200px;margin:2rem auto;padding:0 1rem;
 color:#222;background:#fafafa}
.wide{overflow-x:auto}
h1{font-size:1.4rem;margin-bottom:.2rem}h2{font-size:1.05rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}
td,th{padding:.35rem .6rem;text-align:left;border-bottom:1px solid #ddd;vertical-align:top}
.n,.s{white-space:nowrap}.n{text-align:right}td.f{font-family:ui-monospace,monospace;
 font-size:.9em;overflow-wrap:anywhere;min-width:17.5rem}
.refused td{color:#a11}.doubtful td:last-child{color:#a60}
.bar{display:inline-block;height:.6em;background:#37a;border-radius:2px}.over{background:#c33}
ul{color:#555;font-size:.92rem;padding-left:1.2rem}
pre{background:#fff;border:1px solid #ddd;padding:.8rem;overflow-x:auto;font-size:.85rem}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#222}
 td,th,pre{border-color:#444}ul{color:#aaa}.refused td{color:#f77}
 .doubtful td:last-child{color:#fa5}.bar{background:#6ad}}
@media(max-width:60rem){.files th{display:none}.files tr{display:block;padding:.6rem 0;
 border-bottom:1px solid #888}.files td{display:block;border:0;padding:.1rem 0;text-align:left}
 .files td:empty{display:none}.files td:not(.f)::before{content:attr(data-of) ": ";opacity:.6}}
"""


_MARKS = ("f", "", "s", "n", "n", "n", "n", "")  # of the columns of HEAD


def as_html(report: ExportReport, max_drop: float, snippets: Sequence[tuple[str, str]]) -> str:
    """One page, nothing fetched. snippets: (title, code)."""
    head = "".join(f'<th class="{m}">{escape(n)}' for m, n in zip(_MARKS, HEAD, strict=True))
    facts = ", ".join(
        f"{name} {report.card[key]}"
        for name, key in (("parameters", "params"), ("steps", "steps"), ("licence", "license"))
    )
    rows = "".join(map(_html_row, report.rows))
    code = "".join(f"<h2>{escape(t)}</h2><pre>{escape(c)}</pre>" for t, c in snippets)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>pellucid export: {escape(str(report.card['id']))}</title><style>{_STYLE}</style>"
        f"<h1>{escape(str(report.card['id']))}</h1><p>{escape(str(report.card['purpose']))}<br>"
        f'{escape(facts)}</p><table class="files"><tr>{head}</tr>{rows}</table>'
        f"<ul>{''.join(f'<li>{escape(line)}' for line in report.foot())}</ul>"
        f"{_drops_table(report.rows, max_drop)}{code}</html>"
    )


def _html_row(row: Row) -> str:
    kind = "refused" if row.refused else "" if row.recommended else "doubtful"
    row_cells = zip(_MARKS, HEAD, cells(row), strict=True)
    shown = [cell for cell in row_cells if cell[2] or row.made]
    missing = len(HEAD) - len(shown) + 1  # cells whose place the reason of a refusal takes
    body = "".join(f'<td class="{m}" data-of="{n}">{escape(t)}</td>' for m, n, t in shown[:-1])
    _, name, text = shown[-1]
    return f'<tr class="{kind}">{body}<td colspan="{missing}" data-of="{name}">{escape(text)}</td>'


def _drops_table(rows: Sequence[Row], max_drop: float) -> str:
    """dB lost by task for the files that lose anything, with bars up to the limit."""
    chosen = [row for row in rows if row.made and row.precision in INTEGER]
    if not chosen:
        return ""
    tasks = list(chosen[0].drops)
    head = "<th>file" + "".join(f"<th>{escape(task)}" for task in tasks)
    body = ""
    for row in chosen:
        body += f'<tr><td class="f">{escape(row.file)}'
        for task in tasks:
            drop = row.drops.get(task, 0.0)
            width = round(60 * min(max(drop, 0.0) / max(max_drop, 1e-6), 1.5))
            mark = "bar over" if drop > max_drop else "bar"
            body += f'<td>{drop:+.3f} <span class="{mark}" style="width:{width}px"></span>'
        body += "</tr>"
    title = f"dB lost to integers, by task (limit {max_drop:g})"
    return f'<h2>{title}</h2><div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def write_reports(
    report: ExportReport, out: Path, max_drop: float, snippets: Sequence[tuple[str, str]]
) -> list[Path]:
    """export.json, export.md and export.html in `out`."""
    texts = {
        "export.json": as_json(report),
        "export.md": as_markdown(report),
        "export.html": as_html(report, max_drop, snippets),
    }
    for name, text in texts.items():
        (out / f"{name}.partial").write_text(text, "utf-8")
        (out / f"{name}.partial").replace(out / name)
    return [out / name for name in texts]


def _machine() -> str:
    return f"{platform.machine()} {platform.system()}"
