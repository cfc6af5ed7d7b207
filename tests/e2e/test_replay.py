"""The replay in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from driving import WAIT_MS, drawn, keep, new_profile, picture, query, replay, same_picture, settled_picture
from planted import write_run
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser

PLAYED_MS, FRAME_MS = 600, 20  # of the run, at a speed


def medians(canvas: Locator) -> list[float]:
    """The median sd of each layer, as the canvas says it."""
    return [
        float(number)
        for number in re.findall(r"median sd (\d+(?:\.\d+)?)", str(canvas.get_attribute("aria-label")))
    ]


def frames_played(page: Page, speed: str) -> float:
    """How far the cursor comes from the beginning in PLAYED_MS by the page's clock, in frames.

    The clock is the test's meanwhile, so that a busy machine plays as far as an idle one.
    """
    page.get_by_label("Cursor over the run's steps").fill("0")
    drawn(page)  # an answer to the speed of before would put that back
    page.get_by_label("Speed of the replay").select_option(speed)
    drawn(page)
    frames = page.get_by_role("button", name="Play", exact=True).evaluate(
        """(play, [scrub, wait, frame]) => {
          const [request, clock] = [window.requestAnimationFrame, performance.now]
          let now = performance.now(), asked = []
          performance.now = () => now
          window.requestAnimationFrame = (then) => asked.push(then)
          play.click()
          for (const end = now + wait; now < end;) {
            now += frame
            for (const then of asked.splice(0)) then(now)
          }
          const share = parseFloat(scrub.style.getPropertyValue("--done")) / 100
          window.requestAnimationFrame = request
          performance.now = clock
          for (const then of asked) request(then)
          play.click()
          return share * Number(scrub.max)
        }""",
        [page.get_by_label("Cursor over the run's steps").element_handle(), PLAYED_MS, FRAME_MS],
    )
    return float(frames)


def test_a_deep_link_opens_on_its_step_and_plays_from_there(serve: Callable[..., str], page: Page) -> None:
    messages: list[int] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: messages.append(len(frame))))
    page.goto(f"{serve()}/?run=planted&step=40")
    canvas = replay(page)
    assert canvas.get_attribute("data-step") == "40"
    before = settled_picture(canvas)
    sent = len(messages)
    page.get_by_role("button", name="Play", exact=True).click()
    expect(canvas).not_to_have_attribute("data-step", "40", timeout=WAIT_MS)
    assert picture(canvas) != before
    assert len(messages) == sent, "playing asks nothing of the server"
    page.get_by_role("button", name="Pause").click()
    page.wait_for_url(lambda url: "step=40" not in url)
    assert query(page)["step"] == [canvas.get_attribute("data-step")]


def test_replay_is_a_page_under_its_own_name(serve: Callable[..., str], page: Page) -> None:
    page.goto(f"{serve()}/replay?run=planted&step=40")
    assert replay(page).get_attribute("data-step") == "40"
    expect(page.get_by_text("Page not found")).to_have_count(0)
    link = page.get_by_role("link", name="Replay", exact=True)
    expect(link).to_have_attribute("aria-current", "page")
    page.get_by_role("link", name="Layers").click()
    page.locator("canvas[data-image]").wait_for()
    expect(link).not_to_have_attribute("aria-current", "page")
    link.click()
    assert replay(page).get_attribute("data-step") == "40"
    expect(link).to_have_attribute("aria-current", "page")


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


def test_a_page_asked_for_first_on_a_fresh_server_has_the_whole_frame(
    serve: Callable[..., str], page: Page, runs: Path
) -> None:
    page.goto(f"{serve(runs)}/layers?run=planted&layer=layer+3&step=60")
    page.locator("canvas[data-image]").wait_for()
    page.get_by_role("link", name="Health").click()
    expect(page.locator("canvas[data-map]")).to_have_attribute("data-step", "60", timeout=WAIT_MS)
    assert query(page)["step"] == ["60"]


def test_a_click_selects_a_ridge_as_it_selects_a_tile(serve: Callable[..., str], page: Page) -> None:
    page.goto(f"{serve()}/?run=planted&step=149")
    canvas = replay(page)
    drawn(page)  # nothing above moves it any more
    canvas.click(position={"x": 150, "y": 300})
    page.wait_for_url(re.compile(r"neurons=1(:|%3A)\d"))
    assert "pin" not in query(page)
    selected = query(page)["neurons"][0]
    drawn(page)
    canvas.hover(position={"x": 150, "y": 300})
    expect(page.locator("[data-tip]").first).to_have_text(re.compile(rf"^{selected}\n.*selected$", re.DOTALL))
    keep(page, "2-ridge-selected")
    page.get_by_role("button", name="Pin", exact=True).click()
    page.wait_for_url(re.compile(rf"pin=planted(/|%2F){selected.replace(':', '(:|%3A)')}"))
    expect(page.get_by_role("button", name="Unpin", exact=True)).to_be_visible()
    page.get_by_role("link", name="Health").click()
    tiles = page.locator("canvas[data-map]")
    expect(tiles).to_have_attribute("data-step", "149", timeout=WAIT_MS)
    page.locator(".js-plotly-plot").first.wait_for()
    drawn(page)
    tiles.click(position={"x": 105, "y": 10})
    page.wait_for_url(re.compile(r"neurons=1(:|%3A)0"))
    page.get_by_text("1:0", exact=False).first.wait_for()


def test_layers_contract_from_the_prior_by_scrub_key_and_speed(serve: Callable[..., str], page: Page) -> None:
    page.goto(f"{serve()}/?run=planted&step=1")
    canvas = replay(page)
    first = medians(canvas)
    assert len(first) == 3
    assert min(first) > 0.75, "all three layers begin near their prior of sd 1"
    keep(page, "2-first-step")
    scrub = page.get_by_label("Cursor over the run's steps")
    scrub.fill(str(scrub.get_attribute("max")))
    expect(canvas).to_have_attribute("data-step", "150", timeout=WAIT_MS)
    last = medians(canvas)
    assert all(after < 0.85 * before for before, after in zip(first, last, strict=True))

    page.wait_for_url(lambda url: "step=" not in url)  # the last one is said by none
    drawn(page)
    strip = page.locator("canvas[data-strip]").bounding_box()
    assert strip
    page.mouse.move(strip["x"] + strip["width"] - 80, strip["y"] + 40)
    page.mouse.down()
    page.mouse.move(strip["x"] + strip["width"] / 2, strip["y"] + 40, steps=5)
    page.mouse.up()
    page.wait_for_url(re.compile("step="))
    expect(canvas).to_have_attribute("data-step", query(page)["step"][0])
    middle = int(str(canvas.get_attribute("data-step")))
    assert 1 < middle < 150
    canvas.focus()
    for key, expected in (
        ("ArrowRight", middle + 1),
        ("ArrowLeft", middle),
        ("Shift+ArrowRight", middle + 10),
        ("Home", 1),
    ):
        page.keyboard.press(key)
        expect(canvas).to_have_attribute("data-step", str(expected), timeout=WAIT_MS)
    page.keyboard.press("[")
    expect(page.get_by_label("Speed of the replay")).to_have_value("0.5")
    slow, fast = frames_played(page, "0.25"), frames_played(page, "8")
    assert slow > 0
    assert fast / slow == pytest.approx(32, rel=0.01)


def test_two_runs_under_one_cursor_look_the_same_in_a_new_browser(
    serve: Callable[..., str], page: Page, tmp_path: Path
) -> None:
    for seed in range(2):
        write_run(tmp_path / f"seed{seed}", neurons=12, steps=80, seed=seed)
    page.goto(f"{serve(tmp_path)}/?run=seed0&step=40")
    canvas = replay(page)
    alone = settled_picture(canvas)
    page.get_by_role("combobox", name="Compare with").click()
    page.get_by_role("option", name="seed1").click()
    page.wait_for_url(re.compile("vs=seed1"))
    page.get_by_text("Left seed0, right seed1").wait_for()
    expect(canvas).to_have_attribute("aria-label", re.compile("seed1, layer 3"))
    assert len(medians(canvas)) == 6
    drawn(page)
    canvas.focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(re.compile(r"step=39\b"))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("neurons="))
    page.get_by_role("button", name="Pin", exact=True).click()
    page.wait_for_url(re.compile("pin=seed0"))
    page.get_by_role("link", name="Compare them").wait_for()
    keep(page, "2-two-runs")
    canvas.evaluate("canvas => canvas.blur()")
    page.mouse.move(5, 5)
    shown, address = settled_picture(canvas), page.url
    assert shown != alone

    browser = page.context.browser
    assert browser is not None
    context = new_profile(browser, color_scheme="dark")
    other = context.new_page()
    other.goto(address)
    again = replay(other)
    expect(again).to_have_attribute("data-step", "39", timeout=WAIT_MS)
    assert same_picture(again, shown)
    context.close()
