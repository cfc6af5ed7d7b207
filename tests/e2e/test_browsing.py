"""A person browses runs, and opens an exported report from disk."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from planted import write_run
from playwright.sync_api import Browser, Page, expect

from probes.export import export

pytestmark = pytest.mark.browser

WAIT_MS = 60_000
HEADER, ROW = 35, 36  # pixels of the table: canvas cells have no element of their own


def tick(page: Page, row: int) -> None:
    """Tick a row of the page's first table."""
    box = page.get_by_test_id("stDataFrame").first.bounding_box()
    assert box
    page.mouse.click(box["x"] + 17, box["y"] + HEADER + ROW * row + ROW / 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two seeds, of which the second loses its deeper layers, and a run that cannot be read."""
    for seed in range(2):
        write_run(tmp_path / f"seed{seed}", neurons=8, steps=60, seed=seed, dead_from=None if seed == 0 else 1)
        manifest = tmp_path / f"seed{seed}" / "run.json"
        content = json.loads(manifest.read_text())
        manifest.write_text(json.dumps({**content, "created": f"2026-01-0{seed + 1}T00:00:00+00:00"}))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    return tmp_path


def test_find_tag_compare_and_open_a_run(serve: Callable[..., str], page: Page, folder: Path) -> None:
    page.goto(f"{serve(folder)}/runs")
    page.get_by_text("1 of them cannot be read").click()
    page.get_by_text("is not readable as JSON").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    scroller = page.get_by_test_id("stDataFrame").first.locator(".dvn-scroller")
    assert scroller.evaluate("element => element.scrollWidth <= element.clientWidth"), "the table scrolls sideways at 1280 x 800"

    tick(page, 0)
    page.get_by_role("combobox", name="Tags").fill("keep")
    page.keyboard.press("Enter")
    page.get_by_label("Notes").fill("<script>alert(1)</script>")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved").wait_for()
    assert json.loads((folder / "seed1" / "notes.json").read_text()) == {"tags": ["keep"], "notes": "<script>alert(1)</script>"}

    tick(page, 1)
    page.get_by_text("What differs").wait_for()
    page.get_by_label("Find runs", exact=True).fill("seed=1")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("find=seed"))
    expect(page.get_by_text("What differs")).to_be_hidden(timeout=WAIT_MS)
    tick(page, 0)
    page.get_by_test_id("stPageLink").get_by_text("Overview").click()
    page.wait_for_url(re.compile(r"/overview\?.*run=seed1"))
    expect(page.locator("canvas[data-map]")).to_have_attribute("data-step", "60", timeout=WAIT_MS)
    page.get_by_text("Transitions").wait_for()


def test_a_report_works_from_disk(browser: Browser, folder: Path, tmp_path: Path) -> None:
    (file,) = export(folder / "seed0", html=tmp_path / "out" / "report.html")
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="dark")
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    asked: list[str] = []
    problems: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(file.as_uri())
    canvas = page.locator("canvas[data-canvas]")
    canvas.scroll_into_view_if_needed()
    page.get_by_role("button", name="Pause").click()
    page.get_by_label("Step of the replay").fill("0")
    expect(canvas).to_have_attribute("data-step", "1")
    canvas.focus()
    page.keyboard.press("ArrowRight")
    expect(canvas).to_have_attribute("data-step", "2")
    before = canvas.evaluate("c => c.toDataURL()")
    page.get_by_label("Step of the replay").fill("59")
    expect(canvas).to_have_attribute("data-step", "60")
    assert canvas.evaluate("c => c.toDataURL()") != before
    assert page.locator("[data-figure] .main-svg").count() >= 12
    for figure in page.locator("[data-figure]").all():
        assert figure.get_attribute("aria-label")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert problems == []
