"""The page of `pellucid web`: restoration in the browser, and what serves it."""

from pathlib import Path

PAGE = Path(__file__).parent / "page"
ENGINE = PAGE / "engine"  # onnxruntime-web, see its README.md
