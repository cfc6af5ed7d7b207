"""A replay presented full screen and taken away: as a film, as a vector drawing, as a page of its own."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest
from driving import WAIT_MS, drawn, keep, replay
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

SVG = "{http://www.w3.org/2000/svg}"
WEBM = b"\x1a\x45\xdf\xa3"  # how a Matroska file begins


def export(page: Page, item: str) -> None:
    page.get_by_text("Export", exact=True).click()
    page.get_by_role("button", name=item, exact=True).click()


def test_a_replay_is_presented_full_screen_and_its_film_is_saved(
    serve: Callable[..., str], page: Page, tmp_path: Path
) -> None:
    page.goto(f"{serve()}/?run=planted&step=60")
    canvas = replay(page)
    drawn(page)
    small = canvas.bounding_box()
    page.get_by_role("button", name="Full screen").click()
    page.wait_for_function("() => document.fullscreenElement !== null", timeout=WAIT_MS)
    keep(page, "9-full-screen")
    page.keyboard.press("]")
    expect(page.get_by_label("Speed of the replay")).to_have_value("2")  # the film lasts five seconds
    with page.expect_download(timeout=WAIT_MS) as film:
        export(page, "Film, WebM")
        page.get_by_role("button", name="Stop and save").wait_for()
    assert re.fullmatch(r"planted-steps-1-\d+\.webm", film.value.suggested_filename)
    saved = tmp_path / "film.webm"
    film.value.save_as(saved)
    assert saved.stat().st_size > 10_000
    assert saved.read_bytes().startswith(WEBM)
    expect(canvas).to_have_attribute("data-step", "150")
    page.get_by_role("button", name="Leave full screen").click()
    page.wait_for_function("() => document.fullscreenElement === null", timeout=WAIT_MS)
    page.wait_for_url(re.compile("speed=2"))
    assert small
    expect(page.get_by_role("button", name="Stop and save")).to_have_count(0)


def test_a_picture_is_saved_as_vectors_and_as_pixels(
    serve: Callable[..., str], page: Page, tmp_path: Path
) -> None:
    page.goto(f"{serve()}/?run=planted&step=60")
    canvas = replay(page)
    before = canvas.evaluate("canvas => canvas.toDataURL()")
    with page.expect_download() as drawing:
        export(page, "Picture, SVG")
    assert drawing.value.suggested_filename == "planted-step-60.svg"
    saved = tmp_path / "picture.svg"
    drawing.value.save_as(saved)
    root = ElementTree.parse(saved).getroot()
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert {"planted", "layer 1", "step 60 of 150", "Loss, train"} <= set(texts)
    assert sum(bool(re.fullmatch(r"(◆ )?1:\d+", str(text))) for text in texts) == 16
    assert all(float(str(e.get("font-size"))) >= 11 for e in root.iter(f"{SVG}text"))
    assert len(list(root.iter(f"{SVG}path"))) > 3 * 16 * 3
    assert not list(root.iter(f"{SVG}image"))
    assert canvas.evaluate("canvas => canvas.toDataURL()") == before, "the page keeps its own colours"
    with page.expect_download() as picture:
        export(page, "Picture, PNG")
    assert picture.value.suggested_filename == "planted-step-60.png"


def test_a_page_to_embed_plays_from_disk(serve: Callable[..., str], page: Page, tmp_path: Path) -> None:
    page.goto(f"{serve()}/?run=planted&step=60")
    replay(page)
    page.get_by_role("button", name="Download").click()
    with page.expect_download() as found:
        page.get_by_role("button", name="Replay, HTML").click()
    saved = tmp_path / "replay.html"
    found.value.save_as(saved)
    assert found.value.suggested_filename == "planted-replay.html"
    # a page of its own: the fixture's takes any address that is not this machine's for a request
    alone = page.context.new_page()
    alone.goto(saved.as_uri())
    replay(alone)


def test_keys_work_wherever_the_focus_is_but_in_a_field(serve: Callable[..., str], page: Page) -> None:
    page.goto(f"{serve()}/?run=planted&step=60")
    canvas = replay(page)
    drawn(page)
    page.get_by_role("button", name="One frame forward").click()
    expect(canvas).to_have_attribute("data-step", "61")
    page.keyboard.press("End")
    expect(canvas).to_have_attribute("data-step", "150")
    page.keyboard.press("Home")
    expect(canvas).to_have_attribute("data-step", "1")
    page.keyboard.press(" ")
    page.get_by_role("button", name="Pause").wait_for()
    page.keyboard.press(" ")
    page.get_by_role("button", name="Play", exact=True).wait_for()
    step = canvas.get_attribute("data-step")
    page.keyboard.press("Enter")
    expect(canvas).not_to_have_attribute("data-step", str(step))
    page.get_by_test_id("stSidebar").get_by_role("radio", name="KL").click()
    drawn(page)
    page.keyboard.press("End")
    expect(canvas).to_have_attribute("data-step", "150")
    page.get_by_test_id("stSidebar").get_by_role("combobox", name="Show").click()
    page.get_by_role("option", name="Found").click()
    page.get_by_role("textbox", name="Find neurons").wait_for()
    drawn(page)
    search = page.get_by_role("textbox", name="Find neurons")
    search.fill("kl")
    search.press("Home")
    search.press("k")
    search.press(" ")
    expect(search).to_have_value("k kl")
    expect(canvas).to_have_attribute("data-step", "150")
