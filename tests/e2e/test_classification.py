"""From training a classifier to its reliability diagram, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from driving import WAIT_MS, drawn, keep, panels
from playwright.sync_api import Page

from vdn.__main__ import main

pytestmark = pytest.mark.browser

TRAINING = {
    "data": "digits", "layers": 2, "neurons": 16, "steps": 240, "validate-every": 40, "threads": 1,
    "record-every": 20, "probe-inputs": 16, "probe-times": 2, "test-draws": 8,
}  # fmt: skip


def test_a_classifier_is_trained_and_its_reliability_looked_at(
    serve: Callable[..., str], page: Page, tmp_path: Path
) -> None:
    folder = tmp_path / "runs"
    flags = [f"--{name}={value}" for name, value in TRAINING.items()]
    assert main(["train", *flags, "--out", str(folder / "digits")]) == 0

    page.goto(serve(folder))  # the replay of the newest run
    drawn(page)
    page.get_by_role("link", name="Uncertainty").click()
    diagram = panels(page, "Reliability diagram")
    diagram.wait_for(timeout=WAIT_MS)
    drawn(page)
    bins, counts = diagram.evaluate(
        """plot => {
          const dots = plot._fullData.find((trace) => trace.name === 'this run')
          const bars = plot._fullData.find((trace) => trace.type === 'bar')
          return [dots.x.length, Array.from(bars.y).reduce((sum, count) => sum + count)]
        }"""
    )
    assert 10 <= bins <= 16
    keep(page, "10-reliability")

    page.get_by_role("radio", name="test").or_(page.get_by_role("button", name="test", exact=True)).click()
    page.wait_for_url("**split=test**")
    drawn(page)
    of_test = panels(page, "Reliability diagram").evaluate(
        "plot => Array.from(plot._fullData.find((t) => t.type === 'bar').y).reduce((sum, n) => sum + n)"
    )
    assert of_test > counts > 100
    panels(page, "Expected calibration error over steps").wait_for()
    panels(page, "Entropy of right and of wrong answers").wait_for()
