"""Pages on runs with more steps than a figure shows: what is drawn is thinned, and said to be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from planted import write_run
from shown import figures, texts
from streamlit.testing.v1 import AppTest

STEPS = 1300


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long")
    write_run(folder / "long", layers=2, neurons=6, steps=STEPS)
    return folder


@pytest.mark.parametrize(
    ("page", "words"), [("health", "are means of"), ("layers", "stand for"), ("uncertainty", "stand for")]
)
def test_bands_are_thinned_and_the_caption_says_so(
    open_page: Callable[..., AppTest], long: Path, page: str, words: str
) -> None:
    app = open_page(page, long)
    assert f"late points {words} 2 recorded steps" in texts(app)
    assert max(len(chart.proto.spec) for chart in app.get("plotly_chart")) < 250_000
    assert figures(app)
