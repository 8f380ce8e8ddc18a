"""The profile's page: one HTML file with its plots as SVG, nothing fetched."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from pellucid.profiling import Layered, Profile, Row

from .profile_report import COLUMNS, cells, noise, place

if TYPE_CHECKING:
    from pellucid_export.proof.roofline import Estimate

_STYLE = """
:root{color-scheme:light dark;--ink:#222;--paper:#fafafa;--soft:#5c5c5c;--line:#ddd;--own:#0a5c36;
 --bad:#b3401a}
@media(prefers-color-scheme:dark){:root{--ink:#e6e6e6;--paper:#16181a;--soft:#a3a3a3;
 --line:#383b3e;--own:#7fd6a8;--bad:#f09a6d}}
body{font:15px/1.5 system-ui,sans-serif;max-width:1340px;margin:2rem auto;padding:0 1rem;
 color:var(--ink);background:var(--paper)}
h1{font-size:1.4rem}h2{font-size:1.15rem;margin-top:2rem}h3{font-size:1rem}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.3rem .55rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
td:first-child,th:first-child,.why{text-align:left}.why,.warn{color:var(--bad)}
svg{max-width:100%;height:auto}svg text{fill:var(--ink);font-size:12px}
.bar,.dot{fill:var(--own)}.flag{fill:var(--bad)}.axis{stroke:var(--soft);fill:none}
"""
_BARS = 20  # layers shown of each row


def page(told: Profile, estimates: Sequence["Estimate"]) -> str:
    """HTML text."""
    titles = "".join(f'<th scope="col">{title}</th>' for title in ("row", *COLUMNS))
    body = "".join(_line(row) for row in told.rows)
    warning = f'<p class="warn">{escape(noise(told))}</p>' if noise(told) else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>pellucid profile</title>'
        f"<style>{_STYLE}</style></head><body><h1>What it costs</h1>"
        f"<p>Times in ms. Ratio: time over that of {escape(told.reference)}. Peak: "
        f"{told.peak:.1f} GMAC/s, a float32 matrix product on {told.conditions.threads} threads."
        f'</p>{warning}<div class="wide"><table><thead><tr>{titles}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{_scatter(told.rows)}{_layers(told.layered)}"
        f"{_estimates(estimates)}</body></html>"
    )


def _line(row: Row) -> str:
    if row.p50_ms is None:
        why = escape(f"{row.state.value}: {row.reason}")
        return f'<tr><td>{escape(place(row))}</td><td class="why" colspan="14">{why}</td></tr>'
    texts = "".join(f"<td>{escape(text)}</td>" for text in cells(row))
    return f"<tr><td>{escape(place(row))}</td>{texts}</tr>"


def _scatter(rows: Sequence[Row]) -> str:
    """Latency against quality, where pairs were given."""
    points = [(r.p50_ms, r.quality_db, place(r)) for r in rows if r.p50_ms and r.quality_db]
    if not points:
        return ""
    most = max(x for x, _, _ in points) * 1.1
    low, high = min(y for _, y, _ in points) - 0.5, max(y for _, y, _ in points) + 0.5
    marks = []
    for x, y, name in points:
        cx, cy = 60 + 560 * x / most, 300 - 270 * (y - low) / (high - low)
        text = f'<text x="{cx + 8:.0f}" y="{cy + 4:.0f}">{escape(name)}</text>'
        title = f"<title>{escape(name)}: {x:.1f} ms, {y:.2f} dB</title>"
        marks.append(
            f'<circle class="dot" cx="{cx:.0f}" cy="{cy:.0f}" r="4">{title}</circle>{text}'
        )
    return (
        '<h2>Latency and quality</h2><svg viewBox="0 0 980 345" width="980" role="img" '
        'aria-label="quality over latency"><path class="axis" d="M60 20V300H640"/>'
        f'<text x="10" y="34">{high:.1f} dB</text><text x="10" y="300">{low:.1f} dB</text>'
        f'<text x="60" y="318">0</text><text x="590" y="318">{most:.0f} ms</text>'
        f'<text x="300" y="335">p50</text>{"".join(marks)}</svg>'
    )


def _layers(layered: Sequence[Layered]) -> str:
    return ("<h2>Slowest layers</h2>" if layered else "") + "".join(_bars(one) for one in layered)


def _bars(one: Layered) -> str:
    shown = sorted(one.layers, key=lambda layer: -layer.ms)[:_BARS]
    most = max((layer.ms for layer in shown), default=0.0) or 1.0
    bars = []
    for index, layer in enumerate(shown):
        y, width = 18 * index, 300 * layer.ms / most
        told = f"{layer.ms:.2f} ms {layer.op} [{layer.kernel}] {layer.flag}"
        kind = "flag" if layer.flag else "bar"
        title = f"<title>{escape(layer.name)}. {escape(layer.hint)}</title>"
        bars.append(
            f'<text x="0" y="{y + 13}">{escape(layer.name[-44:])}</text><rect class="{kind}" '
            f'x="330" y="{y + 2}" width="{width:.1f}" height="13">{title}</rect>'
            f'<text x="{336 + width:.0f}" y="{y + 13}">{escape(told)}</text>'
        )
    return (
        f'<h3>{escape(one.key)}</h3><svg viewBox="0 0 1100 {18 * len(shown)}" width="1100" '
        f'role="img" aria-label="time a layer">{"".join(bars)}</svg>'
    )


def _estimates(estimates: Sequence["Estimate"]) -> str:
    if not estimates:
        return ""
    rows = "".join(f"<li>{escape(str(e.path))}: {escape(e.lines[0])}</li>" for e in estimates)
    assumed = "".join(f"<li>{escape(text)}</li>" for text in estimates[0].assumptions[1:])
    return (
        "<h2>Estimates, not measurements</h2><p>There is no NPU here. Ranges from the chips' "
        f"published peaks:</p><ul>{rows}</ul><p>Assumed:</p><ul>{assumed}</ul>"
    )
