"""The page as files to serve: names hold a hash of the content, so that they may be kept for ever.

The folder `page` works as it stands on any server; what is served and written is made from it.
"""

import hashlib
import json
import os
import re
from pathlib import Path

import cv2

from pellucid import PellucidError, read_photo
from pellucid.image.photo import write_atomically

from ..demo import SAMPLES
from . import PAGE

SHOWN_SAMPLES = ("rain", "lowlight", "haze")
SAMPLE_QUALITY = 90
# Browsers look for these by name; all other names are written into the files that ask for them.
FIXED_NAMES = ("index.html", "sw.js", "manifest.webmanifest")
TEXTS = (".html", ".mjs", ".js", ".css", ".webmanifest")
VENDORED = "engine/"
NOT_SERVED = ("README.md",)

Site = dict[str, bytes]


def build_site() -> Site:
    """Path below the site's root -> content. Takes a few tenths of a second."""
    raw = _read_page()
    names: dict[str, str] = {}
    site: Site = {}
    # A file is named once the files that it asks for have their names.
    for path in sorted(raw, key=lambda path: (path in FIXED_NAMES, _depth(path, raw))):
        data = _with_names(path, raw[path], names)
        names[path] = path if path in FIXED_NAMES else _hashed(path, data)
        site[names[path]] = data
    version = hashlib.sha256(json.dumps(sorted(site)).encode() + site["index.html"]).hexdigest()
    shell = ["./", *(f"./{n}" for p, n in sorted(names.items()) if _in_shell(p))]
    worker = site["sw.js"].decode()
    worker = worker.replace('const VERSION = "dev";', f'const VERSION = "{version[:10]}";')
    worker = worker.replace('const SHELL = ["./"];', f"const SHELL = {json.dumps(shell)};")
    site["sw.js"] = worker.encode()
    return site


def write_site(out: Path) -> int:
    """Write the site into a folder, new or empty or written by this before; -> bytes in all.

    Raises PellucidError if there is something else in the folder, or it cannot be written.
    """
    site = build_site()
    if out.exists() and not out.is_dir():
        raise PellucidError(f"{out}: is a file; --out takes a folder")
    foreign = out.is_dir() and any(out.iterdir()) and not (out / "sw.js").is_file()
    if foreign:
        raise PellucidError(f"{out}: holds other files; give --out a new or empty folder")
    try:
        for name, data in site.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(out / name, data)
        for old in [path for path in out.rglob("*") if path.is_file()]:
            if old.relative_to(out).as_posix() not in site:
                os.unlink(old)  # of an earlier version
    except OSError as error:
        raise PellucidError(f"{out}: cannot write there ({error.strerror or error})") from error
    return sum(map(len, site.values()))


def _read_page() -> Site:
    files = [path for path in sorted(PAGE.rglob("*")) if path.is_file()]
    raw = {
        path.relative_to(PAGE).as_posix(): path.read_bytes()
        for path in files
        if path.name not in NOT_SERVED
    }
    for name in SHOWN_SAMPLES:
        pixels = read_photo(SAMPLES / "degraded" / f"{name}.png").pixels
        flags = [cv2.IMWRITE_JPEG_QUALITY, SAMPLE_QUALITY]
        raw[f"samples/{name}.jpg"] = cv2.imencode(".jpg", pixels[..., ::-1], flags)[1].tobytes()
    return raw


def _asks_for(path: str, data: bytes, known: Site) -> list[str]:
    """Files that a text names as "./path"."""
    if not path.endswith(TEXTS) or path.startswith(VENDORED):
        return []
    found = re.findall(r'"\./([\w./-]+)"', data.decode())
    return [name for name in dict.fromkeys(found) if name in known and name != path]


def _depth(path: str, raw: Site) -> int:
    """0 for a file that asks for none, else one more than the deepest that it asks for."""
    return max((1 + _depth(asked, raw) for asked in _asks_for(path, raw[path], raw)), default=0)


def _with_names(path: str, data: bytes, names: dict[str, str]) -> bytes:
    for asked in _asks_for(path, data, dict.fromkeys(names, b"")):
        data = data.replace(f'"./{asked}"'.encode(), f'"./{names[asked]}"'.encode())
    return data


def _hashed(path: str, data: bytes) -> str:
    """engine/ort.wasm.min.mjs -> engine/ort.0123456789.wasm.min.mjs: suffixes tell the type."""
    folder, _, name = path.rpartition("/")
    stem, _, suffix = name.partition(".")
    digest = hashlib.sha256(data).hexdigest()[:10]
    parts = [f"{folder}/{stem}" if folder else stem, digest, suffix]
    return ".".join(part for part in parts if part)


def _in_shell(path: str) -> bool:
    """What the page needs before it knows which engine and model it will use."""
    return not path.startswith((VENDORED, "models/")) and path != "sw.js"
