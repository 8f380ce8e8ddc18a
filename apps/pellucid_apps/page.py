"""The evaluation page: one HTML file, figures and before/after sliders, nothing fetched."""

import base64
from collections.abc import Sequence
from html import escape
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2rem auto;padding:0 1rem;
 color:#222;background:#fafafa}
h1{font-size:1.4rem}table{border-collapse:collapse;width:100%}
td,th{padding:.35rem .6rem;text-align:right;border-bottom:1px solid #ddd}
td:first-child,th:first-child,td:nth-child(2),th:nth-child(2){text-align:left}
.own{font-weight:600}.pair{position:relative;display:inline-block;margin:.4rem 1rem .2rem 0;
 line-height:0;cursor:ew-resize;touch-action:pan-y}
.pair img{max-width:100%;display:block}.pair .after{position:absolute;inset:0;
 clip-path:inset(0 0 0 var(--cut,50%))}
.pair::after{content:"";position:absolute;top:0;bottom:0;left:var(--cut,50%);width:2px;
 background:#fff;box-shadow:0 0 3px #000}
figure{display:inline-block;margin:0 0 1.2rem}figcaption{font-size:.85rem;color:#555}
"""

_SCRIPT = """
for (const pair of document.querySelectorAll(".pair")) {
  const move = (event) => {
    const box = pair.getBoundingClientRect();
    const cut = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    pair.style.setProperty("--cut", 100 * cut + "%");
  };
  pair.addEventListener("pointermove", move);
  pair.addEventListener("pointerdown", move);
}
"""

Row = tuple[str, str, int, str, dict[str, float]]
Pictures = Sequence[tuple[str, NDArray[Any], NDArray[Any]]]


def page(model: str, rows: Sequence[Row], pictures: Pictures) -> str:
    """HTML text. rows: (set, task, pairs, headline, means); pictures: (name, in, out)
    in [0, 1]."""
    head = "<tr><th>set<th>task<th>n<th>RGB dB<th>luma dB<th>SSIM<th>ΔE2000<th>ms/MP</tr>"
    table = "".join(_row(row) for row in rows)
    figures = "".join(_figure(*entry) for entry in pictures)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>pellucid eval: {escape(model)}</title><style>{_STYLE}</style>"
        f"<h1>{escape(model)}</h1><p>Input → output; the set's own protocol in bold.</p>"
        f"<table>{head}{table}</table>"
        "<h2>Before | after</h2><p>Move over a picture; left of the line is the input.</p>"
        f"{figures}<script>{_SCRIPT}</script></html>"
    )


def _row(row: Row) -> str:
    name, task, pairs, headline, m = row
    rgb, y = (' class="own"', "") if headline == "rgb" else ("", ' class="own"')
    return (
        f"<tr><td>{escape(name)}<td>{escape(task)}<td>{pairs}"
        f"<td{rgb}>{m['psnr_in']:.2f} → {m['psnr_out']:.2f}"
        f"<td{y}>{m['psnr_y_in']:.2f} → {m['psnr_y_out']:.2f}"
        f"<td>{m['ssim_in']:.3f} → {m['ssim_out']:.3f}"
        f"<td>{m['delta_e_in']:.1f} → {m['delta_e_out']:.1f}<td>{m['ms_mp']:.0f}</tr>"
    )


def _figure(name: str, before: NDArray[Any], after: NDArray[Any]) -> str:
    return (
        f'<figure><div class="pair"><img src="{_data_uri(before)}" alt="input">'
        f'<img class="after" src="{_data_uri(after)}" alt="output"></div>'
        f"<figcaption>{escape(name)}</figcaption></figure>"
    )


def _data_uri(picture: NDArray[Any]) -> str:
    codes = np.rint(np.clip(picture, 0.0, 1.0) * 255.0).astype(np.uint8)
    ok, data = cv2.imencode(".jpg", codes[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    if not ok:
        raise RuntimeError("OpenCV could not encode a picture of the page")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
