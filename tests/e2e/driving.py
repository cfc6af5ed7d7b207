"""What several browser tests do: wait until a page is drawn, keep a picture of it, work Streamlit's
tables.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

from find_browser import WAIT_MS
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from serving import ROOT

SCREENSHOTS = ROOT / "screenshots"  # git-ignored
SETTLE_TRIES = 2 * WAIT_MS // 1000  # twice a second
# pixels of Streamlit's table, whose cells are drawn on a canvas: its head, where a row's box is
HEAD, TICK = 35, 17

_DRAWN = """() => {
  const app = document.querySelector('[data-testid=stApp]')
  if (window.asked?.busy()) return false
  if (!app || app.dataset.testScriptState !== 'notRunning' || !document.querySelector('h2')) return false
  const charts = [...document.querySelectorAll('[data-testid=stPlotlyChart]')]
  const waiting = document.querySelector('[data-stale=true], [data-testid=stSkeleton]')
  return !waiting && charts.every((chart) => chart.querySelector('.main-svg'))
}"""


def new_profile(browser: Browser, **options: Any) -> BrowserContext:
    """A new profile of the browser, whose pages can tell `drawn` what they still wait for; `options` are
    those of `browser.new_context`.
    """
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | options)
    context.set_default_timeout(WAIT_MS)
    context.add_init_script(path=Path(__file__).with_name("asked.js"))
    return context


def drawn(page: Page) -> None:
    """Wait until the server has run the page as often as was asked of it and its figures are drawn."""
    page.wait_for_function(_DRAWN, timeout=WAIT_MS)


def keep(page: Page, name: str) -> None:
    """Keep a picture of what is seen."""
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def replay(page: Page) -> Locator:
    """The replay's canvas, drawn at least once."""
    canvas = page.locator("canvas[data-ridges]")
    expect(canvas).to_have_attribute("data-draws", re.compile("[1-9]"), timeout=WAIT_MS)
    return canvas


def picture(canvas: Locator) -> str:
    """A hash of what the canvas shows."""
    return hashlib.sha256(canvas.evaluate("canvas => canvas.toDataURL()").encode()).hexdigest()


def settled_picture(canvas: Locator) -> str:
    """The picture of a canvas once its page is drawn and it stays the same for half a second."""
    drawn(canvas.page)
    before = picture(canvas)
    for _ in range(SETTLE_TRIES):
        canvas.page.wait_for_timeout(500)
        shown = picture(canvas)
        if shown == before:
            return shown
        before = shown
    raise AssertionError("the picture does not come to rest")


def same_picture(canvas: Locator, shown: str) -> bool:
    """Whether the canvas comes to show this picture: what is above it may still be drawn, and moves its
    size.
    """
    for _ in range(SETTLE_TRIES):
        if picture(canvas) == shown:
            return True
        canvas.page.wait_for_timeout(500)
    return False


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlparse(page.url).query)


def table(page: Page, place: int = 0) -> Locator:
    """A table of the page."""
    return page.get_by_test_id("stDataFrame").nth(place)


def scroll_to(place: Locator) -> None:
    """Bring it into view, also while the page draws it anew."""
    place.evaluate("element => element.scrollIntoView({ block: 'center' })")


def find_neurons(page: Page, text: str) -> None:
    """Ask the search line, and wait until the page of before is gone: a tick there would tick nothing."""
    search = page.get_by_role("textbox", name="Find neurons")
    search.wait_for()
    drawn(page)
    search.fill(text)
    search.press("Enter")
    page.wait_for_url(lambda url: parse_qs(urlparse(url).query).get("find") == [text])
    drawn(page)


def tick(page: Page, row: int, *, height: int = 35, place: int = 0) -> None:
    """Tick a row of a table that is drawn; `height` is that of a row in pixels."""
    drawn(page)
    found = table(page, place)
    scroll_to(found)
    found.click(position={"x": TICK, "y": HEAD + height * (row + 0.5)})


def cell(page: Page, column: int, row: int, place: int = 0) -> str:
    """The text of a cell, from the table that screen readers get; columns count from 0 beside the ticks."""
    return table(page, place).get_by_test_id(f"glide-cell-{column + 1}-{row}").inner_text()


def panels(page: Page, title: str) -> Locator:
    """The figure whose text alternative contains this."""
    return page.locator(f'[data-testid=stPlotlyChart][aria-label*="{title}"] .js-plotly-plot')
