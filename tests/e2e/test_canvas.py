"""The dashboard's replay and the report's are one renderer: seen by the colours that fill their ridges."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from driving import new_profile, replay
from playwright.sync_api import Browser, Page

from probes import Recorder
from probes.export import export

pytestmark = pytest.mark.browser

FILLS = """() => {
  const style = Object.getOwnPropertyDescriptor(CanvasRenderingContext2D.prototype, 'fillStyle')
  const fill = CanvasRenderingContext2D.prototype.fill
  window.filled = []
  CanvasRenderingContext2D.prototype.fill = function (...rest) {
    window.filled.push(style.get.call(this))
    return fill.apply(this, rest)
  }
}"""
"""Keeps the colour of every area that a canvas fills."""

SD_0_2 = {"light": "rgba(59, 186, 117, 0.86)", "dark": "rgba(100, 202, 94, 0.9)"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_sd_has_one_colour_in_the_dashboard_and_in_the_report(
    serve: Callable[..., str], browser: Browser, tmp_path: Path, scheme: str
) -> None:
    narrow = {"mean": np.zeros((2, 3)), "variance": np.full((2, 3), 0.04), "spread": np.full((2, 3), 0.1)}
    with Recorder(tmp_path / "runs" / "narrow", [{"name": "one", "neurons": 3}]) as recorder:
        recorder.record_block(np.arange(2), 0, narrow)
    (file,) = export(tmp_path / "runs" / "narrow", html=tmp_path / "report.html")
    context = new_profile(browser, color_scheme=scheme)
    context.add_init_script(f"({FILLS})()")
    for address in (f"{serve(tmp_path / 'runs')}/?run=narrow&step=1", file.as_uri()):
        page = context.new_page()
        page.goto(address)
        replay(page)
        assert set(filled(page)) == {SD_0_2[scheme]}, address
        page.close()
    context.close()


def filled(page: Page) -> list[str]:
    return list(page.evaluate("window.filled"))
