"""A new user on a run of text: which neurons noticed a line's end, how long they remember, where the model
was unsure.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from driving import drawn, keep, query, replay, scroll_to
from playwright.sync_api import Page, expect
from sequences import LINE_END, TEXT, add_continuations, write_sequence

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequence")
    add_continuations(write_sequence(folder / "text"), list("The cat\n"))
    return folder


def test_a_line_s_end_leads_to_the_neuron_that_noticed_it(
    serve: Callable[..., str], page: Page, folder: Path
) -> None:
    page.goto(f"{serve(folder)}/sequence?run=text")
    drawn(page)
    # where it was unsure: what is chosen at first is the most surprising position
    unsure = page.locator(".token.chosen").first
    expect(unsure).to_have_attribute("data-t", "50")
    expect(unsure).to_have_attribute("title", f"t 50 “{TEXT[50]}” · surprise at what came next (nats) 6.5")
    keep(page, "sequence")

    end = TEXT.index("\n")
    page.locator(f".token[data-t='{end}']").first.click()
    page.wait_for_url(f"**t={end}*")
    drawn(page)
    moved = page.get_by_test_id("stDataFrame").first
    scroll_to(moved)
    moved.click(position={"x": 17, "y": 35 + 17})  # the neuron that moved most
    page.wait_for_url("**neurons=*")
    assert query(page)["neurons"] == [f"1:{LINE_END}"]
    drawn(page)

    expect(page.get_by_text(f"What 1:{LINE_END} goes with")).to_be_visible()
    card = page.locator(".card", has_text="Measured half-life")
    expect(card.locator(".value")).not_to_have_text("")
    keep(page, "sequence-neuron")

    # by keys, and the same position in the replay along the sequence
    drawn(page)
    page.get_by_role("listbox", name="Probe sequence").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**t={end + 1}*")
    page.goto(page.url.replace("/sequence?", "/replay?") + "&over=sequence")
    canvas = replay(page)
    expect(canvas).to_have_attribute("data-step", str(end + 1))
    assert "t " in (canvas.get_attribute("aria-label") or "")
