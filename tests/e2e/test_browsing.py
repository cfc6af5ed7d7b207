"""A person browses runs, and opens an exported report from disk."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from driving import WAIT_MS, cell, drawn, keep, new_profile, query, replay, scroll_to, table, tick
from planted import write_run
from playwright.sync_api import Browser, Page, expect

from probes.export import export
from probes.log.manifest import group_of

pytestmark = pytest.mark.browser

HEIGHT = 36  # pixels of a row of the table of runs
BROKEN = 45  # the step at which a neuron of the second seed is no number any more


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two seeds, of which the second loses its deeper layers, a run with another beta, and one that cannot be
    read.
    """
    for day, name, seed, beta in ((1, "strong", 0, 0.5), (2, "seed0", 0, 0.02), (3, "seed1", 1, 0.02)):
        failing = name == "seed1"
        write_run(
            tmp_path / name,
            neurons=8,
            steps=60,
            seed=seed,
            dead_from=1 if failing else None,
            broken_at=BROKEN if failing else None,
        )
        manifest, config = tmp_path / name / "run.json", {"beta": beta, "seed": seed}
        content = json.loads(manifest.read_text())
        content |= {"created": f"2026-01-0{day}T00:00:00+00:00", "config": config, "group": group_of(config)}
        manifest.write_text(json.dumps(content))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    return tmp_path


def most_living_first(page: Page) -> None:
    """Sort the table of runs by the living share."""
    page.get_by_role("combobox", name="Sort by").fill("living (%) ↓")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("sort_runs=-living"))
    drawn(page)


def test_a_run_that_went_wrong_is_found_and_its_alert_leads_to_the_step(
    serve: Callable[..., str], page: Page, folder: Path
) -> None:
    page.goto(serve(folder))
    expect(page.get_by_role("heading", name=re.compile("Replay · seed1"))).to_be_visible(timeout=WAIT_MS)
    expect(replay(page)).to_have_attribute("data-step", "60")  # it opens playing from the first step on
    keep(page, "1-latest-run-plays")

    page.get_by_role("link", name="Runs").click()
    drawn(page)
    expect(table(page).get_by_test_id("glide-cell-1-0")).to_have_text("seed1", timeout=WAIT_MS)
    most_living_first(page)
    expect(table(page).get_by_test_id("glide-cell-1-0")).not_to_have_text("seed1", timeout=WAIT_MS)
    readable = [cell(page, 0, row) for row in range(4)]
    assert readable.index("seed1") > max(readable.index("seed0"), readable.index("strong")), (
        "most living first"
    )
    keep(page, "1-sorted-by-living-share")

    page.get_by_role("radio", name="Seeds together").click()
    page.locator(".js-plotly-plot").first.wait_for()
    drawn(page)
    expect(table(page).get_by_test_id("glide-cell-3-1")).to_have_text(re.compile("^0(, 1)?$"))
    groups = [[cell(page, column, row) for column in (1, 2)] for row in range(2)]
    assert sorted(groups) == [["1", "0"], ["2", "0, 1"]]
    keep(page, "1-seeds-together")

    page.goto(f"{page.url.split('/runs')[0]}/overview?run=seed1")  # its name before
    page.wait_for_url(re.compile(r"/health\?.*run=seed1"))
    alert = page.get_by_role("button", name=re.compile(rf"layer 1 · step {BROKEN}"))
    alert.wait_for()
    drawn(page)
    box = alert.bounding_box()
    assert box
    assert box["y"] < 800, "seen without scrolling"
    page.get_by_text("1 neuron became non-finite").first.wait_for()
    alert.click()
    page.wait_for_url(re.compile(rf"step={BROKEN}\b"))
    expect(page.locator("canvas[data-map]")).to_have_attribute("data-step", str(BROKEN), timeout=WAIT_MS)
    expect(page.locator("canvas[data-map]")).to_have_attribute("aria-label", re.compile("1 non-finite"))
    keep(page, "1-alert-opened")
    # the canvas moves itself, and is then told the same step again
    page.get_by_role("button", name="One frame back").click()
    page.wait_for_url(lambda url: f"step={BROKEN}" not in url)
    drawn(page)
    alert.click()
    expect(page.locator("canvas[data-map]")).to_have_attribute("data-step", str(BROKEN), timeout=WAIT_MS)


def test_find_tag_compare_and_open_a_run(serve: Callable[..., str], page: Page, folder: Path) -> None:
    page.goto(f"{serve(folder)}/runs")
    page.get_by_text("1 of them cannot be read").click()
    page.get_by_text("is not readable as JSON").wait_for()
    drawn(page)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    scroller = page.get_by_test_id("stDataFrame").first.locator(".dvn-scroller")
    assert scroller.evaluate("element => element.scrollWidth <= element.clientWidth"), (
        "the table scrolls sideways at 1280 x 800"
    )

    tick(page, 0, height=HEIGHT)
    page.get_by_role("button", name="Details").click()
    page.get_by_role("combobox", name="Tags").fill("keep")
    page.keyboard.press("Enter")
    page.get_by_label("Notes").fill("<script>alert(1)</script>")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved").wait_for()
    assert json.loads((folder / "seed1" / "notes.json").read_text()) == {
        "tags": ["keep"],
        "notes": "<script>alert(1)</script>",
    }
    page.keyboard.press("Escape")

    tick(page, 2, height=HEIGHT)
    page.get_by_role("button", name="Compare 2").click()
    page.get_by_text("What differs").wait_for()
    page.get_by_text("2 of their settings").wait_for()
    drawn(page)
    keep(page, "1-what-differs")
    page.reload()
    page.get_by_text("What differs").wait_for()
    drawn(page)
    page.get_by_role("radio", name="Table").click()
    drawn(page)
    page.get_by_label("Find runs", exact=True).fill("seed=1")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("filter=seed"))
    page.get_by_role("button", name="Untick 2, 1 of them not in the table").wait_for()
    page.get_by_test_id("stPageLink").get_by_text("Uncertainty").click()
    page.wait_for_url(re.compile(r"/uncertainty\?"))
    drawn(page)
    assert (query(page)["run"], query(page)["vs"]) == (["seed1"], ["strong"])
    page.go_back()
    page.get_by_role("button", name="Untick 2, 1 of them not in the table").click()
    page.get_by_text("Tick a run to open it").wait_for()
    tick(page, 0, height=HEIGHT)
    page.get_by_test_id("stPageLink").get_by_text("Health").click()
    page.wait_for_url(re.compile(r"/health\?.*run=seed1"))
    assert "step" not in query(page)
    expect(page.locator("canvas[data-map]")).to_have_attribute("data-step", "60", timeout=WAIT_MS)
    page.get_by_text("Transitions").wait_for()


def test_a_report_works_from_disk(browser: Browser, folder: Path, tmp_path: Path) -> None:
    (file,) = export(folder / "seed0", html=tmp_path / "out" / "report.html")
    context = new_profile(browser, color_scheme="dark")
    page = context.new_page()
    asked: list[str] = []
    problems: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on(
        "console",
        lambda message: problems.append(message.text) if message.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(file.as_uri())
    canvas = page.locator("canvas[data-ridges]")
    scroll_to(canvas)
    page.get_by_role("button", name="Pause").click()
    page.get_by_label("Cursor over the run's steps").fill("0")
    expect(canvas).to_have_attribute("data-step", "1")
    canvas.focus()
    page.keyboard.press("ArrowRight")
    expect(canvas).to_have_attribute("data-step", "2")
    before = canvas.evaluate("c => c.toDataURL()")
    page.get_by_label("Cursor over the run's steps").fill("59")
    expect(canvas).to_have_attribute("data-step", "60")
    assert canvas.evaluate("c => c.toDataURL()") != before
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Home")
    expect(canvas).to_have_attribute("data-step", "60")  # keys of the page are the page's: it scrolls
    canvas.hover(position={"x": 150, "y": 300})
    tip = page.locator("[data-tip]")
    expect(tip).to_have_text(re.compile(r"^1:\d+\n"))
    assert "select" not in tip.inner_text(), "nobody would hear of it"
    page.wait_for_function("document.querySelectorAll('[data-figure] .main-svg').length >= 12")
    for figure in page.locator("[data-figure]").all():
        assert figure.get_attribute("aria-label")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert problems == []


def test_back_goes_one_page_back(serve: Callable[..., str], page: Page, folder: Path) -> None:
    page.goto(f"{serve(folder)}/layers?run=strong&step=40&statistic=kl")
    heading = page.get_by_role("heading", level=2).or_(page.get_by_role("heading", level=3)).first
    expect(heading).to_contain_text("Layers", timeout=WAIT_MS)
    page.wait_for_function("window.oneEntryAPage")
    entries = page.evaluate("history.length")
    for name in ("Neurons", "Uncertainty"):
        page.get_by_role("link", name=name, exact=True).click()
        expect(heading).to_contain_text(name, timeout=WAIT_MS)
        page.wait_for_url(lambda url: "step=40" in url and "statistic=kl" in url)
    assert page.evaluate("history.length") == entries + 2
    for name in ("Neurons", "Layers"):
        page.go_back(wait_until="commit")
        expect(heading).to_contain_text(name, timeout=WAIT_MS)
        assert query(page)["step"] == ["40"]


def test_on_a_phone_the_menu_dims_and_no_buttons_stand_over_figures(shared: str, browser: Browser) -> None:
    context = new_profile(
        browser,
        viewport={"width": 390, "height": 844},
        is_mobile=True,
        has_touch=True,
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(f"{shared}/health?run=planted")
    drawn(page)
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    expect(page.locator(".modebar:visible")).to_have_count(0)
    page.get_by_test_id("stExpandSidebarButton").tap()
    entry = page.get_by_test_id("stSidebarNavLink").filter(has_text="Sequence")
    expect(entry).to_have_attribute("title", "This run holds no probe sequence.")
    expect(page.get_by_test_id("stSidebarNavLink").filter(has_text="Layers")).not_to_have_attribute(
        "title", re.compile(".")
    )
    context.close()
