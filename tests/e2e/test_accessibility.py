"""Every page by keyboard and screen reader, and readable: names, order, rings, text alternatives, contrast in
both themes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from driving import ROOT, WAIT_MS, drawn, keep, new_profile, query, replay
from playwright.sync_api import Browser, Page, TimeoutError, expect
from serving import Server

pytestmark = pytest.mark.browser

SAMPLES = ROOT / "sample_runs"
PAGES = {
    "?run=collapsed&pin=collapsed:0:3&step=500": "canvas[data-ridges][data-step]",
    "runs": "[data-testid=stDataFrame] canvas",
    "health?run=collapsed&neurons=0.3": "canvas[data-map][data-step]",
    "layers?run=collapsed&neurons=0.3": "canvas[data-image][aria-label*=Arrow]",
    "neurons?run=collapsed&pin=collapsed:0:3,healthy:1:5": ".js-plotly-plot",
    "uncertainty?run=healthy": ".js-plotly-plot",
    "sequence?run=text": ".js-plotly-plot",
    "persistence?run=persistent": ".js-plotly-plot",
    "experiments?run=healthy": ".js-plotly-plot",
    "reference": "[data-testid=stTable]",
}
"""Address of each page -> what is there once it is drawn."""
SETTLE_MS, POLL_MS = WAIT_MS, 500
STOPS = 400  # presses of Tab: more than any page has controls
NAMED = {
    "button",
    "link",
    "slider",
    "combobox",
    "textbox",
    "searchbox",
    "spinbutton",
    "switch",
    "checkbox",
    "radio",
    "tab",
}
NAMED |= {"menuitem", "listbox", "application", "figure", "Canvas", "grid"}
# rings are compared at once
STILL = "*, *::before, *::after { transition: none !important; animation: none !important }"


@pytest.fixture(scope="module")
def audited(browser: Browser) -> Iterator[Page]:
    """A page with `audit` in it, and in one profile for all of the dashboard's."""
    context = new_profile(browser, color_scheme="dark")
    context.add_init_script(path=Path(__file__).with_name("audit.js"))
    page = context.new_page()
    yield page
    context.close()


def unnamed(page: Page) -> list[str]:
    """Controls and figures of the accessibility tree without a name. Parts of a table count by the region
    around them.
    """
    session = page.context.new_cdp_session(page)
    session.send("Accessibility.enable")
    nodes = {node["nodeId"]: node for node in session.send("Accessibility.getFullAXTree")["nodes"]}

    def name(node: dict[str, Any]) -> str:
        return str(node.get("name", {}).get("value", "")).strip()

    def in_named_region(node: dict[str, Any]) -> bool:
        above = nodes.get(node.get("parentId", ""))
        while above is not None and not (above.get("role", {}).get("value") == "region" and name(above)):
            above = nodes.get(above.get("parentId", ""))
        return above is not None

    found = []
    for node in nodes.values():
        role = str(node.get("role", {}).get("value"))
        if not node.get("ignored") and role in NAMED and not name(node) and not in_named_region(node):
            found.append(f"{role} without a name")
    session.detach()
    return found


def undescribed(page: Page) -> list[str]:
    """Figures whose text alternative is missing or no longer than a title."""
    labels = page.locator("[data-testid=stPlotlyChart]").evaluate_all(
        "all => all.map((e) => e.getAttribute('aria-label') || '')"
    )
    canvases = page.locator("canvas[data-ridges], canvas[data-strip], canvas[data-map], canvas[data-image]")
    labels += canvases.evaluate_all("all => all.map((e) => e.getAttribute('aria-label') || '')")
    return [f"figure described as {label!r}" for label in labels if len(label.split()) < 6]


def scrolling_sideways(page: Page) -> list[str]:
    wide = page.evaluate(
        "[document.documentElement, ...document.querySelectorAll('[data-testid=stMain],"
        " [data-testid=stSidebarContent]')].filter((e) => e.scrollWidth > e.clientWidth"
        " && e.getBoundingClientRect().right > 0).map((e) =>"
        " e.dataset.testid || e.tagName)"
    )
    return [f"{element} scrolls sideways" for element in wide]


def unreadable(page: Page) -> list[str]:
    """Texts of too little contrast, once figures have taken on the theme."""
    try:
        page.wait_for_function("() => audit.unreadable().length === 0", timeout=SETTLE_MS, polling=POLL_MS)
    except TimeoutError:
        return [str(text) for text in page.evaluate("audit.unreadable()")]
    return []


def walk(page: Page) -> dict[str, Any]:
    """Press Tab through the page, which has the keyboard: no ring is drawn in a window without it."""
    page.bring_to_front()
    page.wait_for_function("() => document.hasFocus()")
    for _ in range(STOPS):
        page.keyboard.press("Tab")
        if page.evaluate("audit.step()"):
            break
    return page.evaluate("audit.walked()")


@pytest.fixture(scope="module")
def samples() -> Iterator[str]:
    """The address of a server of the sample runs."""
    with Server(SAMPLES) as server:
        yield server.address


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.partition("?")[0] or "replay")
def test_every_page_is_reached_named_described_and_readable(samples: str, audited: Page, path: str) -> None:
    page = audited
    page.emulate_media(color_scheme="dark")
    page.goto(f"{samples}/{path}")
    page.locator(PAGES[path]).first.wait_for()
    drawn(page)
    page.add_style_tag(content=STILL)
    problems = unnamed(page) + undescribed(page) + scrolling_sideways(page)
    walked = walk(page)
    assert walked["stops"] > 10, f"Tab stops at {walked['stops']} controls"
    problems += [
        f"{what}: {label}" for what in ("missed", "disordered", "ringless") for label in walked[what]
    ]
    for theme in ("dark", "light"):
        if theme == "light":
            page.evaluate("audit.forget()")
            page.emulate_media(color_scheme="light")
        expect(page.locator("[data-testid=stApp]")).to_have_css("color-scheme", theme, timeout=WAIT_MS)
        problems += [f"{theme}: {text}" for text in unreadable(page)]
        page.locator("[data-testid=stMain]").evaluate("main => main.scrollTo(0, 0)")
        keep(page, f"6-{path.partition('?')[0] or 'replay'}-{theme}")
    assert not problems, "\n".join(problems)


def test_pictures_are_worked_by_keys_and_say_what_is_chosen(serve: Callable[..., str], page: Page) -> None:
    address = serve()
    page.goto(f"{address}/?run=planted&step=60")
    canvas, said = replay(page), page.locator("[data-say]").first
    canvas.focus()
    page.keyboard.press("ArrowRight")
    expect(canvas).to_have_attribute("data-step", "61", timeout=WAIT_MS)
    for key in ("ArrowDown", "ArrowDown", "PageDown"):
        page.keyboard.press(key)
    expect(said).to_have_text(re.compile(r"2:\d+\s+mean .* sd .* prior sds"))
    chosen = re.search(r"2:(\d+)", said.inner_text())
    assert chosen
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(rf"neurons=2(:|%3A){chosen[1]}$"))
    page.get_by_role("button", name="Open in Neurons").wait_for()
    canvas.focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Pin", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(rf"pin=planted(/|%2F)2(:|%3A){chosen[1]}$"))
    canvas.focus()
    page.keyboard.press(" ")
    page.get_by_role("button", name="Pause").wait_for()
    page.keyboard.press(" ")
    page.get_by_role("button", name="Play", exact=True).wait_for()

    page.goto(f"{address}/health?run=planted")
    drawn(page)
    page.locator("canvas[data-map]").focus()
    for key in ("ArrowRight", "ArrowRight", "PageDown"):
        page.keyboard.press(key)
    expect(page.locator("[data-say]").first).to_have_text(re.compile(r"2:1\s"))
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"neurons=2(:|%3A)1"))
    page.get_by_text("2:1 ", exact=False).first.wait_for()

    page.goto(f"{address}/layers?run=planted&step=60")
    drawn(page)
    page.locator("canvas[data-image]").focus()
    for key in ("ArrowDown", "ArrowDown", "Home"):
        page.keyboard.press(key)
    said = page.locator("[data-say]").first
    expect(said).to_have_text(re.compile(r"1:\d+\s+step 1\s+Information about"))
    chosen = re.search(r"1:(\d+)", said.inner_text())
    assert chosen
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"step=1\b"))
    assert query(page)["neurons"] == [f"1:{chosen[1]}"]
    keep(page, "6-keys-layers")


def test_nothing_moves_by_itself_where_motion_is_unwelcome(
    serve: Callable[..., str], browser: Browser
) -> None:
    context = new_profile(browser, reduced_motion="reduce")
    page = context.new_page()
    page.goto(serve())
    canvas = replay(page)
    expect(canvas).to_have_attribute("data-step", "150", timeout=WAIT_MS)
    page.get_by_role("button", name="Play", exact=True).click()
    expect(canvas).not_to_have_attribute("data-step", "150", timeout=WAIT_MS)
    context.close()
