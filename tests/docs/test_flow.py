"""The picture of docs/scale.md is what its code draws."""

import importlib.util
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_picture_is_fresh():
    spec = importlib.util.spec_from_file_location("flow", DOCS / "flow.py")
    flow = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(flow)
    assert (DOCS / "flow.svg").read_text("utf-8") == flow.drawn(), "run python docs/flow.py"
