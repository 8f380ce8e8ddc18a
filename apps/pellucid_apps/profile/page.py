"""The profile's page: one HTML file with its plots in it, nothing fetched, wide or on a phone."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from pellucid.profiling import Layered, LayerTime, Profile, Row
from pellucid.profiling.layers import BETWEEN

from .report import COLUMNS, cells, hurry, noise, place, whole

if TYPE_CHECKING:
    from pellucid_export.readiness.roofline import Estimate

_STYLE = """
:root{color-scheme:light dark;--ink:#222;--paper:#fafafa;--soft:#5c5c5c;--line:#ddd;--own:#0a5c36;
 --bad:#b3401a}
@media(prefers-color-scheme:dark){:root{--ink:#e6e6e6;--paper:#16181a;--soft:#a3a3a3;
 --line:#383b3e;--own:#7fd6a8;--bad:#f09a6d}}
body{font:15px/1.5 system-ui,sans-serif;max-width:1340px;margin:2rem auto;padding:0 1rem;
 color:var(--ink);background:var(--paper);overflow-wrap:anywhere}
h1{font-size:1.4rem}h2{font-size:1.15rem;margin-top:2rem}h3{font-size:1rem;margin-bottom:0}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.3rem .55rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
td:first-child,th:first-child{position:sticky;left:0;background:var(--paper);white-space:normal;
 min-width:8.5rem;text-align:left}tbody th{font-weight:400}
@media(min-width:75rem){th:first-child{min-width:17rem}}
.why{text-align:left;white-space:normal}.why div{max-width:calc(100vw - 13.5rem)}
.why,.warn{color:var(--bad)}.soft{color:var(--soft)}
.plot{display:block;width:100%;max-width:46rem}.plot text{fill:var(--ink);font-size:12px}
.dot{fill:var(--own)}.axis{stroke:var(--soft);fill:none}.grid{stroke:var(--line)}
.bars{list-style:none;padding:0;max-width:60rem;font-size:.85rem;line-height:1.35}
.bars li{margin:.45rem 0}.bars p{margin:0;display:flex;gap:.3rem 1rem;justify-content:space-between}
.bars b{white-space:nowrap;font-variant-numeric:tabular-nums}
.bar,.flag,.rest{height:.5rem;min-width:1px;background:var(--own)}.flag{background:var(--bad)}
.rest{background:var(--soft)}
"""
_BARS = 20  # layers shown of each row
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 380, 14, 232  # of the plot's frame, in a box of 400 x 270


def page(profile: Profile, estimates: Sequence["Estimate"]) -> str:
    """HTML text."""
    titles = "".join(f'<th scope="col">{title}</th>' for title in ("row", *COLUMNS))
    body = "".join(_line(row) for row in profile.rows)
    warnings = "".join(
        f'<p class="warn">{escape(text)}</p>' for text in (noise(profile), hurry(profile)) if text
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>pellucid profile</title><style>{_STYLE}</style></head><body>"
        "<h1>What it costs</h1>"
        f"<p>Times in ms. Ratio: time over that of {escape(profile.reference)}; +-: half its 95 % "
        f"interval. Peak: {profile.peak:.1f} GMAC/s, a float32 matrix product on "
        f'{profile.conditions.threads} threads.</p>{warnings}<div class="wide"><table><thead>'
        f"<tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>{_scatter(profile.rows)}"
        f"{_layers(profile.layered)}{_estimates(estimates)}</body></html>"
    )


def _line(row: Row) -> str:
    name = f'<th scope="row">{escape(place(row))}</th>'
    if row.p50_ms is None:
        why = escape(f"{row.state.value}: {row.reason}")
        return f'<tr>{name}<td class="why" colspan="{len(COLUMNS)}"><div>{why}</div></td></tr>'
    return f"<tr>{name}{''.join(f'<td>{escape(text)}</td>' for text in cells(row))}</tr>"


def _scatter(rows: Sequence[Row]) -> str:
    """Latency against quality, where pairs were given; numbers in the plot, names below it."""
    points = [(r.p50_ms, r.quality_db, place(r)) for r in rows if r.p50_ms and r.quality_db]
    if not points:
        return ""
    most = max(x for x, _, _ in points) * 1.1
    low, high = min(y for _, y, _ in points) - 0.5, max(y for _, y, _ in points) + 0.5
    marks, names = [], []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        tick = f"{most * share:.0f}" if most >= 10.0 else f"{most * share:.1f}"
        x, y = _LEFT + (_RIGHT - _LEFT) * share, _BOTTOM - (_BOTTOM - _TOP) * share
        marks.append(
            f'<path class="grid" d="M{_LEFT} {y:.0f}H{_RIGHT}M{x:.0f} {_TOP}V{_BOTTOM}"/>'
            f'<text x="{_LEFT - 5}" y="{y + 4:.0f}" text-anchor="end">'
            f"{low + (high - low) * share:.1f}</text>"
            f'<text x="{x:.0f}" y="{_BOTTOM + 16}" text-anchor="middle">{tick}</text>'
        )
    marks.append(f'<path class="axis" d="M{_LEFT} {_TOP}V{_BOTTOM}H{_RIGHT}"/>')
    for number, (ms, db, name) in enumerate(points, 1):
        cx = _LEFT + (_RIGHT - _LEFT) * ms / most
        cy = _BOTTOM - (_BOTTOM - _TOP) * (db - low) / (high - low)
        title = escape(f"{name}: {ms:.1f} ms, {db:.2f} dB")
        marks.append(
            f'<circle class="dot" cx="{cx:.1f}" cy="{cy:.1f}" r="4"><title>{title}</title></circle>'
            f'<text x="{cx + 6:.1f}" y="{cy - 5:.1f}">{number}</text>'
        )
        names.append(f"<li>{title}</li>")
    return (
        '<h2>Latency and quality</h2><svg class="plot" viewBox="0 0 400 270" role="img" '
        f'aria-label="PSNR in dB over p50 in ms">{"".join(marks)}'
        f'<text x="{(_LEFT + _RIGHT) // 2}" y="266" text-anchor="middle">p50, ms; upwards: dB'
        f"</text></svg><ol>{''.join(names)}</ol>"
    )


def _layers(layered: Sequence[Layered]) -> str:
    return ("<h2>Slowest layers</h2>" if layered else "") + "".join(_bars(one) for one in layered)


def _bars(one: Layered) -> str:
    shown = sorted(one.layers, key=lambda layer: -layer.ms)[:_BARS]
    others = sum(layer.ms for layer in one.layers) - sum(layer.ms for layer in shown)
    most = max([layer.ms for layer in shown] + [one.between_ms]) or 1.0
    bars = [_bar(layer, most) for layer in shown]
    if more := len(one.layers) - len(shown):  # their sum would dwarf every single one: no bar
        bars.append(_item(f"{more} other layers", others, others / one.whole_ms, "rest", 0.0))
    between = max(0.0, one.between_ms)
    bars.append(_item(BETWEEN, between, between / one.whole_ms, "rest", between / most))
    return (
        f'<h3>{escape(one.key)}</h3><p class="soft">{escape(whole(one))}.</p>'
        f'<ul class="bars">{"".join(bars)}</ul>'
    )


def _bar(layer: LayerTime, most: float) -> str:
    hint = f" {layer.flag}: {layer.hint}" if layer.flag else ""
    name = f"{layer.name} - {layer.op} [{layer.kernel}] {layer.precision}{hint}"
    return _item(name, layer.ms, layer.share, "flag" if layer.flag else "bar", layer.ms / most)


def _item(name: str, ms: float, share: float, kind: str, length: float) -> str:
    return (
        f"<li><p><span>{escape(name)}</span><b>{ms:.2f} ms, {share:.1%}</b></p>"
        f'<div class="{kind}" style="width:{100.0 * length:.1f}%"></div></li>'
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
