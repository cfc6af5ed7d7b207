"""How uncertainty evolves, in a real browser: spread, calibration, parts of the variance, forecasts, the twin
beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
from driving import WAIT_MS, drawn, keep, panels, scroll_to
from forecasting import STEPS, write_forecasting
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser

TITLES = (
    "plot => Object.entries(plot._fullLayout).filter(([name]) => /^[xy]axis/.test(name)).map(([, axis]) =>"
    " axis.title?.text)"
)
NO_TWIN = """() => [...document.querySelectorAll('.js-plotly-plot')].every(
  (plot) => plot._fullData.every((trace) => !/twin/i.test(trace.name || '')))"""
NAMES = "plot => plot._fullData.map((trace) => trace.name || '')"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with forecasts at four steps, and its deterministic twin."""
    folder = tmp_path_factory.mktemp("uncertainty")
    write_forecasting(folder / "twin", twin=True)
    write_forecasting(folder / "run")
    return folder


def titles(figure: Locator) -> str:
    return " | ".join(title for title in figure.evaluate(TITLES) if title)


def names(figure: Locator) -> list[str]:
    return [str(name) for name in figure.evaluate(NAMES)]


def test_uncertainty_evolves_beside_the_twin(serve: Callable[..., str], page: Page, folder: Path) -> None:
    page.goto(f"{serve(folder)}/uncertainty?run=run")
    forecasts = panels(page, "Forecasts of 3 probe inputs at 4 steps")
    forecasts.wait_for()
    drawn(page)
    headings = forecasts.locator(".annotation-text").all_text_contents()
    assert [text for text in headings if text.startswith("step")] == [f"step {step}" for step in STEPS]
    assert len(re.findall(r"input \d+", titles(forecasts))) == 3
    assert any("twin" in name for name in names(forecasts))
    keep(page, "4-forecasts")

    fans = panels(page, "Posterior standard deviation and entropy over steps for 2 layers")
    assert "prior sd" in titles(fans)
    assert "entropy (nats)" in titles(fans)
    assert "latent" in " ".join(names(panels(page, "Latent and observation part"))).lower()
    assert "coverage" in titles(panels(page, "coverage over steps"))
    over_steps = panels(page, "Density of the probability integral transform at 4 steps")
    assert over_steps.evaluate("plot => plot._fullData[0].type") == "heatmap"
    panels(page, "Histogram of the probability integral transform at step 60").wait_for()
    scroll_to(page.get_by_text("Scores of the test split"))
    keep(page, "4-calibration")

    page.get_by_text("Twin beside it").click()
    expect(page.get_by_role("switch", name="Twin beside it")).not_to_be_checked(timeout=WAIT_MS)
    drawn(page)
    page.wait_for_function(NO_TWIN)
    page.get_by_role("button", name=re.compile("^Remove")).first.click()
    panels(page, "Forecasts of 2 probe inputs at 4 steps").wait_for()
    page.wait_for_url(lambda url: len(parse_qs(urlparse(url).query)["inputs"][0].split(",")) == 2)
