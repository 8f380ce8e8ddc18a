"""Verdicts, the three reports and the snippets."""

import importlib.util
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pellucid_export.report import ExportReport, Row, as_html, as_json, as_markdown, cells, verdict
from pellucid_export.snippets import next_commands, snippets

ROW = Row(
    "onnx", "w8a8", False, "any", "onnx/model_int8.onnx", 1_390_000, "ab" * 32, 43.6,
    {"rain": -0.02, "noise": 0.07}, 20.0, 44.0, ("head",),
)  # fmt: skip
CARD: dict[str, object] = {
    "id": "allinone-x", "purpose": "a < b", "params": 5, "steps": 1, "license": "Apache-2.0",
}  # fmt: skip


def report(*rows: Row) -> ExportReport:
    return ExportReport(CARD, rows, ["onnx w8: not made"], "24 crops", 1, "6 samples", 12.0)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (ROW, "ok, 2.2x faster than fp32 here, in higher precision: head"),
        (
            replace(ROW, ms=55.0, kept_layers=()),
            "not recommended: 0.07 dB worse and 1.2x slower than fp32 here",
        ),
        (
            replace(ROW, ms=55.0, drops={"rain": 0.01}, kept_layers=()),
            "ok, 1.2x slower than fp32 here",
        ),
        (replace(ROW, ms=44.5, precision="fp16", kept_layers=()), "ok, as fast as fp32"),
        (replace(ROW, ms=None, base_ms=None, kept_layers=()), "ok"),
        (replace(ROW, refused="too bad"), "refused: too bad"),
    ],
)  # fmt: skip
def test_verdicts(row: Row, expected: str) -> None:
    assert verdict(row) == expected
    assert row.recommended == expected.startswith("ok")


def test_many_sizes_are_told_in_short() -> None:
    assert cells(replace(ROW, size="48x64, 64x48"))[2] == "48x64, 64x48"
    assert cells(replace(ROW, size="256x256, 1280x720, 384x640"))[2] == "3 sizes to 1280 px"


def test_a_refusal_names_its_file_once_and_takes_the_empty_cells() -> None:
    row = replace(ROW, refused=f"{ROW.file}: loses 8 dB")
    assert verdict(row) == "refused: loses 8 dB"
    shown = as_html(report(row), 0.1, []).partition('<tr class="refused">')[2]
    assert shown.partition("</table>")[0].count("<td") == 4 and 'colspan="5"' in shown


def test_reports_tell_the_same() -> None:
    made = report(ROW, replace(ROW, precision="fp32", file="onnx/x.onnx", refused="a | b"))
    assert not made.complete
    told = json.loads(as_json(made))
    assert told["files"][0]["drops"] == {"rain": -0.02, "noise": 0.07}
    assert [f["made"] for f in told["files"]] == [True, False]
    table = [line for line in as_markdown(made).splitlines() if line.startswith("|")]
    assert len(table) == 4
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 9 for line in table)
    assert "+0.070 noise" in table[2] and "43.6" in table[2]


def test_page_fetches_nothing_and_is_well_formed() -> None:
    code = [("restore.cpp", "std::vector<float> x;")]
    page = as_html(report(ROW), 0.1, code)
    assert not re.search(r"(src|href)=|@import|url\(", page)
    assert "a &lt; b" in page and "std::vector&lt;float&gt;" in page
    assert "+0.070" in page and "limit 0.1" in page
    seen: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.append(tag)

    Reader().feed(page)
    assert seen.count("table") == 2 and seen.count("pre") == 1


ROWS = [
    replace(ROW, format=form, file=file, image_io=image, size="1280x720")
    for form, file in (
        ("onnx", "onnx/model.onnx"),
        ("openvino", "openvino/openvino_model.xml"),
        ("coreml", "coreml/x.mlpackage"),
        ("htp", "htp/model_w8a16_1280x720.onnx"),
    )
    for image in (False, True)
    if form != "htp" or not image  # its ports are floats
]


def code_for(form: str, image_io: bool, name: str) -> str:
    rows = [row for row in ROWS if row.format == form and row.image_io == image_io]
    return dict(snippets(rows))[name]


def test_snippets_name_the_file_in_hand() -> None:
    names = [name for name, _ in snippets([row for row in ROWS if row.image_io])]
    assert names == [
        "restore.kt", "restore_onnx.cpp", "restore.mjs", "restore_openvino.cpp", "restore.swift",
    ]  # fmt: skip
    for name in ("restore.kt", "restore_onnx.cpp", "restore.mjs"):
        assert "model.onnx" in code_for("onnx", True, name)
    assert "pixelBuffer" in code_for("coreml", True, "restore.swift")
    assert "MLMultiArray" in code_for("coreml", False, "restore.swift")
    htp = code_for("htp", False, "restore_htp.kt")
    assert "model_w8a16_1280x720.onnx" in htp and "of 1280x720" in htp
    assert snippets([replace(ROW, refused="x")]) == []


@pytest.mark.parametrize("image_io", [False, True])
def test_javascript_parses(tmp_path: Path, image_io: bool) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the JavaScript snippet is not parsed")
    path = tmp_path / "restore.mjs"
    path.write_text(code_for("onnx", image_io, "restore.mjs"))
    done = subprocess.run([node, "--check", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("image_io", [False, True])
def test_cpp_for_openvino_compiles_against_its_headers(tmp_path: Path, image_io: bool) -> None:
    compiler, package = shutil.which("g++"), importlib.util.find_spec("openvino")
    if compiler is None or package is None or package.origin is None:
        pytest.skip("needs g++ and the openvino package with its headers")
    path = tmp_path / "restore.cpp"
    path.write_text(code_for("openvino", image_io, "restore_openvino.cpp"))
    headers = Path(package.origin).parent / "include"
    command = [
        compiler,
        "-std=c++17",
        "-fsyntax-only",
        "-Wall",
        "-Werror",
        "-I",
        str(headers),
        str(path),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:2000]


# ONNX Runtime's wheel brings no headers: what the snippet uses, declared as its C++ API has it.
ORT_HEADER = """
#include <cstddef>
#include <cstdint>
#include <vector>
#define ORTCHAR_T char
enum OrtAllocatorType { OrtArenaAllocator };
enum OrtMemType { OrtMemTypeDefault };
namespace Ort {
struct Env {};
struct MemoryInfo { static MemoryInfo CreateCpu(OrtAllocatorType, OrtMemType); };
struct RunOptions { explicit RunOptions(std::nullptr_t); };
struct SessionOptions { SessionOptions &AddConfigEntry(const char *, const char *); };
struct Value {
  template <typename T>
  static Value CreateTensor(const MemoryInfo &, T *, size_t, const int64_t *, size_t);
  template <typename T> const T *GetTensorData() const;
};
struct Session {
  Session(Env &, const ORTCHAR_T *, const SessionOptions &);
  std::vector<Value> Run(const RunOptions &, const char *const *, const Value *, size_t,
                         const char *const *, size_t);
};
}
"""


@pytest.mark.parametrize("image_io", [False, True])
def test_cpp_for_onnx_parses(tmp_path: Path, image_io: bool) -> None:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed: the C++ snippet is not parsed")
    (tmp_path / "onnxruntime_cxx_api.h").write_text(ORT_HEADER)
    path = tmp_path / "restore.cpp"
    path.write_text(code_for("onnx", image_io, "restore_onnx.cpp"))
    command = [
        compiler,
        "-std=c++17",
        "-fsyntax-only",
        "-Wall",
        "-Werror",
        "-I",
        str(tmp_path),
        str(path),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:2000]


@pytest.mark.parametrize(
    ("compiler", "form", "name", "check"),
    [
        ("swiftc", "coreml", "restore.swift", ["-parse"]),
        ("kotlinc", "onnx", "restore.kt", []),
        ("kotlinc", "htp", "restore_htp.kt", []),
    ],
)
def test_swift_and_kotlin_parse(
    tmp_path: Path, compiler: str, form: str, name: str, check: list[str]
) -> None:
    text = code_for(form, form != "htp", name)
    assert text.count("{") == text.count("}") and text.count("(") == text.count(")")
    found = shutil.which(compiler)
    if found is None:
        pytest.skip(f"{compiler} is not installed: {name} is not parsed")
    (tmp_path / name).write_text(text)
    done = subprocess.run([found, *check, tmp_path / name], capture_output=True, text=True)
    assert "expecting" not in done.stderr and "expected" not in done.stderr, done.stderr[:2000]


def test_next_commands_fit_the_files() -> None:
    lines = next_commands([replace(r, size="any") for r in ROWS if not r.image_io], Path("out"))
    assert lines[0] == "pellucid restore photos/ -o restored/ -m out/onnx/model.onnx"
    assert lines[2].startswith("benchmark_app -m out/openvino/openvino_model.xml -shape [1,3,")
    assert next_commands([replace(ROW, refused="x")], Path("out")) == []
