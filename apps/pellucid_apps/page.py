"""The evaluation page: one HTML file, figures and before/after sliders, nothing fetched."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import cv2
from numpy.typing import NDArray

from pellucid.image.encode import to_8_bits

_STYLE = """
:root{color-scheme:light dark;--ink:#222;--paper:#fafafa;--soft:#5c5c5c;--line:#ddd;--own:#0a5c36}
@media(prefers-color-scheme:dark){
 :root{--ink:#e6e6e6;--paper:#16181a;--soft:#a3a3a3;--line:#383b3e;--own:#7fd6a8}}
body{font:15px/1.5 system-ui,sans-serif;max-width:1340px;margin:2rem auto;padding:0 1rem;
 color:var(--ink);background:var(--paper)}
h1{font-size:1.4rem}h2{font-size:1.15rem;margin-top:2rem}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
td,th{padding:.35rem .6rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
td:first-child,th:first-child,td:nth-child(2),th:nth-child(2){text-align:left}
.own{font-weight:600;color:var(--own)}
main{display:flex;flex-wrap:wrap;gap:1.4rem 1rem;align-items:flex-start}
figure{margin:0;max-width:100%}figcaption{font-size:.85rem;color:var(--soft)}
.pair{position:relative;line-height:0;overflow:hidden}
.pair img{max-width:100%;display:block}
.pair .after{position:absolute;inset:0;clip-path:inset(0 0 0 var(--cut,50%))}
.pair::after{content:"";position:absolute;top:0;bottom:0;left:var(--cut,50%);width:2px;
 margin-left:-1px;background:#fff;box-shadow:0 0 3px #000;pointer-events:none}
.pair input{position:absolute;inset:0;width:100%;height:100%;margin:0;opacity:0;cursor:ew-resize;
 touch-action:pan-y}
.pair:focus-within{outline:3px solid var(--own);outline-offset:2px}
.pair span{position:absolute;bottom:.4rem;padding:.1rem .45rem;border-radius:.25rem;line-height:1.4;
 font-size:.8rem;color:#fff;background:#000a;pointer-events:none}
.pair .left{left:.4rem}.pair .right{right:.4rem}
"""

# A range input lies over each picture: mouse, touch and arrow keys come with it.
_SCRIPT = """
for (const slider of document.querySelectorAll(".pair input")) {
  const show = () => slider.parentElement.style.setProperty("--cut", slider.value + "%");
  slider.addEventListener("input", show);
  slider.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "mouse") return;
    const box = slider.getBoundingClientRect();
    const cut = Math.min(100, Math.max(0, 100 * (event.clientX - box.left) / box.width));
    slider.value = cut;
    slider.parentElement.style.setProperty("--cut", cut + "%");
  });
  show();
}
"""

Cell = tuple[str, bool]  # text, whether it is the set's own protocol


@dataclass(frozen=True)
class Shown:
    """One slider. before, after: (H, W, 3) in [0, 1]; label_*: a few words for each side."""

    name: str
    before: NDArray[Any]
    after: NDArray[Any]
    label_before: str
    label_after: str


def page(
    model: str, head: Sequence[str], rows: Sequence[Sequence[Cell]], pictures: Sequence[Shown]
) -> str:
    """HTML text. Every row has a cell for each title in `head`."""
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    body = "".join(f"<tr>{''.join(_cell(*cell) for cell in row)}</tr>" for row in rows)
    figures = "".join(_figure(shown) for shown in pictures)
    sliders = (
        "<h2>Before | after</h2><p>Move over a picture, or use Tab and the arrow keys; "
        f"left of the line is the input.</p><main>{figures}</main>"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>pellucid eval: {escape(model)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(model)}</h1><p>Input → output; the set's own protocol is set in bold. "
        "GT-mean: brightness given away by the clean picture, for low light only. "
        "Lower is better for dE2000 and ST-LPIPS.</p>"
        f'<div class="wide"><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>'
        f"</div>{sliders if pictures else ''}<script>{_SCRIPT}</script></body></html>"
    )


def _cell(text: str, own: bool) -> str:
    return f'<td class="own">{escape(text)}</td>' if own else f"<td>{escape(text)}</td>"


def _figure(shown: Shown) -> str:
    name = escape(shown.name)
    height, width = shown.before.shape[:2]
    size = f'width="{width}" height="{height}" style="height:auto"'
    return (
        f'<figure><div class="pair"><img src="{_data_uri(shown.before)}" alt="input" {size}>'
        f'<img class="after" src="{_data_uri(shown.after)}" alt="output" {size}>'
        f'<input type="range" min="0" max="100" value="50" '
        f'aria-label="{name}: share of the input">'
        f'<span class="left">input {escape(shown.label_before)}</span>'
        f'<span class="right">output {escape(shown.label_after)}</span></div>'
        f"<figcaption>{name}</figcaption></figure>"
    )


def _data_uri(picture: NDArray[Any]) -> str:
    codes = to_8_bits(picture)
    ok, data = cv2.imencode(".jpg", codes[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    if not ok:
        raise RuntimeError("OpenCV could not encode a picture of the page")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
