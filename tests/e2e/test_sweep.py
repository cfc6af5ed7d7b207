"""From a folder of sweeps to the beta at which a layer collapses, and to the run where it did."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from driving import WAIT_MS, drawn, keep
from playwright.sync_api import Page, expect
from serving import ROOT

pytestmark = pytest.mark.browser


def test_the_beta_at_which_a_layer_collapses_and_its_run(serve: Callable[..., str], page: Page) -> None:
    page.goto(f"{serve(ROOT / 'sample_runs')}/runs")
    drawn(page)
    page.get_by_role("radio", name=re.compile("^sweep$", re.IGNORECASE)).click()  # the first click
    expect(
        page.get_by_text(
            "Layer 3 collapses from beta 1 (lr 0.001), from beta 1 (lr 0.003), from beta 0.3 (lr 0.01)"
        )
    ).to_be_visible(timeout=WAIT_MS)
    drawn(page)
    keep(page, "7-sweep")

    layer_3 = page.get_by_test_id("stPlotlyChart").nth(2)
    expect(layer_3.locator(".annotation-text")).to_have_text("Layer 3")
    box = layer_3.locator(".textpoint text", has_text="100%").last.bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)  # the second: beta 1, lr 0.01
    run = page.get_by_text("beta1.0-lr0.01-seed0", exact=True)
    expect(run).to_be_visible(timeout=WAIT_MS)
    keep(page, "7-cell")
    page.get_by_test_id("stMain").get_by_role("link", name="Layers").first.click()  # the third
    expect(page.get_by_role("heading", name=re.compile("Layers"))).to_be_visible(timeout=WAIT_MS)
    page.wait_for_url(re.compile(r"/layers\?.*run=beta1\.0-lr0\.01-seed"))
