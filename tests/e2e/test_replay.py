"""The replay in a real browser, on a server that was started for the test."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser
WAIT_MS = 60_000


def replay(page: Page) -> Locator:
    """The replay's canvas, drawn at least once."""
    canvas = page.locator("canvas[data-ridges]")
    expect(canvas).to_have_attribute("data-draws", re.compile("[1-9]"), timeout=WAIT_MS)
    return canvas


def picture(canvas: Locator) -> str:
    """A hash of what the canvas shows."""
    return hashlib.sha256(canvas.evaluate("canvas => canvas.toDataURL()").encode()).hexdigest()


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlparse(page.url).query)


def test_a_deep_link_opens_on_its_step_and_plays_from_there(serve: Callable[..., str], page: Page) -> None:
    messages: list[int] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: messages.append(len(frame))))
    page.goto(f"{serve()}/?run=planted&step=40")
    canvas = replay(page)
    assert canvas.get_attribute("data-step") == "40"
    page.wait_for_timeout(1000)
    before, sent = picture(canvas), len(messages)
    page.get_by_role("button", name="Play", exact=True).click()
    expect(canvas).not_to_have_attribute("data-step", "40", timeout=WAIT_MS)
    assert picture(canvas) != before
    assert len(messages) == sent, "playing asks nothing of the server"
    page.get_by_role("button", name="Pause").click()
    page.wait_for_url(lambda url: "step=40" not in url)
    assert query(page)["step"] == [canvas.get_attribute("data-step")]


def test_it_opens_playing_and_ends_on_the_last_step(serve: Callable[..., str], page: Page) -> None:
    page.goto(serve())
    canvas = replay(page)
    page.get_by_label("Speed of the replay").select_option("8")
    expect(canvas).to_have_attribute("data-step", "150", timeout=WAIT_MS)
    assert "step" not in query(page)
    page.get_by_role("button", name="One frame back").click()
    page.wait_for_url(re.compile("step="))
    page.keyboard.press("Home")
    page.wait_for_url(re.compile("step=1$"))
    assert canvas.get_attribute("data-step") == "1"


def test_a_page_asked_for_first_on_a_fresh_server_has_the_whole_frame(serve: Callable[..., str], page: Page) -> None:
    page.goto(f"{serve()}/layers?run=planted&layer=layer+3&step=60")
    page.locator("canvas[data-image]").wait_for()
    page.get_by_role("link", name="Overview").click()
    expect(page.locator("canvas[data-map]")).to_have_attribute("data-step", "60", timeout=WAIT_MS)
    assert query(page)["step"] == ["60"]


def test_a_click_pins_a_ridge_and_explains_a_tile(serve: Callable[..., str], page: Page) -> None:
    page.goto(f"{serve()}/?run=planted&step=149")
    canvas = replay(page)
    canvas.click(position={"x": 150, "y": 300})
    page.wait_for_url(re.compile(r"pin=planted(:|%3A)0(:|%3A)\d"))
    page.get_by_role("link", name="Overview").click()
    tiles = page.locator("canvas[data-map]")
    expect(tiles).to_have_attribute("data-step", "149", timeout=WAIT_MS)
    page.locator(".js-plotly-plot").first.wait_for()
    tiles.click(position={"x": 105, "y": 10})
    page.wait_for_url(re.compile(r"neurons=0\.0"))
    page.get_by_text("layer 1 · neuron 0", exact=False).first.wait_for()
