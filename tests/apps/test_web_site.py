"""What `pellucid web` serves and writes: every name resolves, headers, folders, models at hand."""

import gzip
import hashlib
import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path

import onnxruntime
import pytest
from typer.testing import CliRunner

from pellucid import PellucidError
from pellucid.restorer import MODELS, bundled_names
from pellucid_apps.cli import app
from pellucid_apps.web import ENGINE, PAGE
from pellucid_apps.web.server import media_type, open_server
from pellucid_apps.web.site import FIXED_NAMES, TEXTS, VENDORED, Site, build_site, write_site


@pytest.fixture(scope="module")
def site() -> Site:
    return build_site()


@pytest.fixture(scope="module")
def address(site: Site) -> Iterator[str]:
    server = open_server(site)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()
    thread.join()


def get(url: str) -> HTTPResponse:
    response = urllib.request.urlopen(url, timeout=10)
    assert isinstance(response, HTTPResponse)
    return response


def test_every_file_is_named_by_its_content_and_every_name_resolves(site: Site) -> None:
    for name, data in site.items():
        if name not in FIXED_NAMES:
            assert hashlib.sha256(data).hexdigest()[:10] in name
        if name.endswith(TEXTS) and not name.startswith(VENDORED):
            for asked in re.findall(r'"\./([\w./-]+)"', data.decode()):
                assert asked in site, f"{name} asks for {asked}"


def test_a_change_of_a_module_changes_the_name_of_all_that_ask_for_it(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    from pellucid_apps.web import site as module

    shutil.copytree(PAGE, tmp_path / "page")
    with (tmp_path / "page" / "tiles.mjs").open("a") as file:
        file.write("// changed\n")
    monkeypatch.setattr(module, "PAGE", tmp_path / "page")
    changed = build_site()
    gone = {name.partition(".")[0] for name in set(site) - set(changed)}
    assert gone == {"tiles", "amounts", "photos", "restore", "worker", "work", "app"}
    assert changed["sw.js"] != site["sw.js"]


def test_nothing_of_the_page_names_another_origin(site: Site) -> None:
    for name, data in site.items():
        if name.endswith((".html", ".mjs", ".js", ".css")) and "engine/" not in name:
            assert set(re.findall(r"https?://[\w./-]+", data.decode())) <= {
                "http://ns.adobe.com/xap/1.0/",  # names inside JPEG files
                "http://ns.adobe.com/xmp/extension/",
            }


def test_the_first_visit_is_small_enough(site: Site) -> None:
    others = ("models/nano", "models/tiny", "engine/LICENSE", "engine/Third")
    for gpu in (False, True):
        needed = [n for n in site if not n.startswith(others)]
        needed = [n for n in needed if not n.startswith(VENDORED) or ("jspi" in n) == gpu]
        size = sum(len(gzip.compress(site[name], 6)) for name in needed)
        assert size < 6e6, f"{size / 1e6:.2f} MB with WebGPU {gpu}"


def test_types_and_isolation_are_told(address: str, site: Site) -> None:
    for name in site:
        response = get(address + name)
        assert response.headers["Content-Type"] == media_type(name)
        assert response.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert ("immutable" in response.headers["Cache-Control"]) == (name not in FIXED_NAMES)
        assert response.read() == site[name]
    assert media_type("a.mjs").startswith("text/javascript")
    assert media_type("a.wasm") == "application/wasm"
    assert "Content-Encoding" not in get(address).headers


@pytest.mark.parametrize("path", ["nothing", "../site.py", "engine", "%2e%2e/server.py"])
def test_only_the_site_is_served(address: str, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(address + path)


def test_writing_keeps_foreign_folders_and_cleans_its_own(site: Site, tmp_path: Path) -> None:
    out = tmp_path / "site"
    write_site(out)
    (out / "old.0123456789.mjs").write_text("of an earlier version")
    write_site(out)
    written = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert written == set(site)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("precious")
    with pytest.raises(PellucidError, match="holds other files"):
        write_site(foreign)
    with pytest.raises(PellucidError, match="is a file"):
        write_site(foreign / "thesis.txt")


def test_a_taken_port_is_told(address: str) -> None:
    port = int(address.rstrip("/").rpartition(":")[2])
    with pytest.raises(PellucidError, match="try another --port"):
        open_server({}, port=port)


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["web", "--out", str(tmp_path / "site")])
    assert result.exit_code == 0 and "MB; serve it with https" in result.output
    assert (tmp_path / "site" / "index.html").is_file()


def test_the_models_are_those_of_the_command() -> None:
    for name in bundled_names():
        bundled = onnxruntime.InferenceSession(MODELS / f"allinone-{name}.onnx")
        told = json.loads(bundled.get_modelmeta().custom_metadata_map["pellucid.config"])
        card = json.loads((PAGE / "models" / name / "card.json").read_text())
        assert card["sha256_weights"] == told["sha256_weights"], f"{name}: run make web-models"
        assert card["degradations"] == told.get("degradations", [])


def test_the_engine_is_the_published_one() -> None:
    readme = (ENGINE / "README.md").read_text()
    for path in ENGINE.glob("*.wasm.gz"):
        assert hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest() in readme
