"""Comparing neurons in a real browser: found by map, table and search, of two runs, drawn together, taken away."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page, expect
from probed import write_probed
from test_replay import picture, query, replay

pytestmark = pytest.mark.browser
WAIT_MS = 60_000
ROW, HEAD, TICK = 35, 36, 15  # pixels of Streamlit's table: a row, the head, where a row's box is


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    write_probed(folder / "one")
    write_probed(folder / "two", seed=1)
    return folder


def tick(page: Page, row: int) -> None:
    """Tick a row of the first table."""
    table = page.get_by_test_id("stDataFrame").first
    table.scroll_into_view_if_needed()
    table.click(position={"x": TICK, "y": HEAD + ROW * row + ROW / 2})


def test_neurons_of_two_runs_are_found_pinned_drawn_and_taken_away(serve: Callable[..., str], page: Page, two: Path) -> None:
    page.goto(f"{serve(two)}/?run=one&vs=two&step=39")
    canvas = replay(page)
    before = picture(canvas)
    box = canvas.bounding_box()
    assert box is not None
    canvas.click(position={"x": 0.6 * box["width"], "y": 0.5 * box["height"]})
    page.wait_for_url(re.compile(r"pin=two(:|%3A)0(:|%3A)\d"))
    expect(page.get_by_text(re.compile(r"^first:\d · two$")).first).to_be_visible(timeout=WAIT_MS)
    assert picture(canvas) != before

    page.get_by_role("link", name="Compare them").click()
    page.locator(".js-plotly-plot").first.wait_for()
    search = page.get_by_role("textbox", name="Find neurons")
    search.fill("layer:2 sort:neuron")
    search.press("Enter")
    page.get_by_text("5 of 10 neurons").wait_for()
    tick(page, 3)
    page.wait_for_url(re.compile(r"one(:|%3A)1(:|%3A)3"))
    tick(page, 1)
    page.wait_for_url(re.compile(r"one(:|%3A)1(:|%3A)1"))
    tick(page, 3)
    page.wait_for_url(lambda url: not re.search(r"one(:|%3A)1(:|%3A)3", url))
    pins = query(page)["pin"][0].split(",")
    assert pins[0].startswith("two:0:")
    assert pins[1:] == ["one:1:1"]
    first = page.locator(".js-plotly-plot").first
    expect(first.locator(".annotation-text", has_text="one:second:1")).to_be_visible(timeout=WAIT_MS)

    page.locator(".st-key-get_neurons-fans").get_by_role("button", name="Download").click()
    with page.expect_download() as caught:
        page.get_by_role("button", name="Data, CSV").click()
    taken = pd.read_csv(caught.value.path())
    assert set(taken["name"]) == {"one:second:1", pins[0].replace("two:0", "two:first")}
    with page.expect_download() as caught:
        page.get_by_role("button", name="Figure, HTML").click()
    assert "Plotly.newPlot" in Path(caught.value.path()).read_text(encoding="utf-8")
    assert page.url.count("pin=") == 1


def test_one_probe_input_in_a_new_browser_shows_the_same_picture(serve: Callable[..., str], page: Page, two: Path) -> None:
    address = serve(two)
    page.goto(f"{address}/?run=one&step=10")
    batch = picture(replay(page))
    page.get_by_text("One probe input").click()
    page.wait_for_url(re.compile("input=0"))
    page.get_by_text("posterior of probe input 0, exact").wait_for()
    single = picture(replay(page))
    assert single != batch
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="dark")
    other = context.new_page()
    other.goto(page.url)
    canvas = replay(other)
    other.get_by_text("posterior of probe input 0, exact").wait_for(timeout=WAIT_MS)
    assert canvas.get_attribute("data-step") == "10"
    assert picture(canvas) == single
    context.close()
