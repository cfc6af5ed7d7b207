"""Comparing neurons in a real browser: found by map, table and search, of two runs, drawn together, taken
away.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from driving import (
    WAIT_MS,
    drawn,
    find_neurons,
    keep,
    new_profile,
    panels,
    picture,
    query,
    replay,
    same_picture,
    scroll_to,
    settled_picture,
    tick,
)
from playwright.sync_api import Page, expect
from probed import write_probed
from serving import Server

from probes import Recorder
from probes.diagnostics import information, mismatch

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of two probed runs."""
    folder = tmp_path_factory.mktemp("compare")
    write_probed(folder / "one")
    write_probed(folder / "two", seed=1)
    with Server(folder) as server:
        yield server.address


def test_neurons_of_two_runs_are_found_pinned_drawn_and_taken_away(page: Page, two: str) -> None:
    page.goto(f"{two}/?run=one&vs=two&step=39")
    canvas = replay(page)
    before = settled_picture(canvas)
    box = canvas.bounding_box()
    assert box is not None
    canvas.click(position={"x": 0.6 * box["width"], "y": 0.7 * box["height"]})
    page.wait_for_url(re.compile(r"neurons=two(/|%2F)1(:|%3A)\d"))
    page.get_by_role("button", name="Pin", exact=True).click()
    page.wait_for_url(re.compile(r"pin=two(/|%2F)1(:|%3A)\d"))
    expect(page.get_by_text(re.compile(r"^1:\d · two$")).first).to_be_visible(timeout=WAIT_MS)
    assert picture(canvas) != before

    page.get_by_role("link", name="Compare them").click()
    page.locator(".js-plotly-plot").first.wait_for()
    find_neurons(page, "layer:2 sort:neuron")
    page.get_by_text("5 of 10 neurons").wait_for()
    tick(page, 3)
    page.wait_for_url(re.compile(r"one(/|%2F)2(:|%3A)3"))
    tick(page, 1)
    page.wait_for_url(re.compile(r"one(/|%2F)2(:|%3A)1"))
    tick(page, 3)
    page.wait_for_url(lambda url: not re.search(r"one(/|%2F)2(:|%3A)3", url))
    pins = query(page)["pin"][0].split(",")
    assert pins[0].startswith("two/1:")
    assert pins[1:] == ["one/2:1"]
    fans = panels(page, "Posterior mean and standard deviations")
    expect(fans).to_have_count(1, timeout=WAIT_MS)  # for a moment it stands in its old place too
    drawn(page)
    expect(fans.locator(".annotation-text", has_text="one/2:1")).to_be_visible(timeout=WAIT_MS)

    page.locator(".st-key-get_neurons-fans").get_by_role("button", name="Download").click()
    with page.expect_download() as caught:
        page.get_by_role("button", name="Data, CSV").click()
    taken = pd.read_csv(caught.value.path())
    assert set(pins) <= set(taken["name"])  # and what stands beside them in the second run
    with page.expect_download() as caught:
        page.get_by_role("button", name="Figure, HTML").click()
    assert "Plotly.newPlot" in Path(caught.value.path()).read_text(encoding="utf-8")
    assert page.url.count("pin=") == 1


def test_one_probe_input_in_a_new_browser_shows_the_same_picture(page: Page, two: str) -> None:
    address = two
    page.goto(f"{address}/?run=one&step=10")
    batch = settled_picture(replay(page))
    page.get_by_text("One probe input").click()
    page.wait_for_url(re.compile("input=0"))
    said = re.compile("posteriors of probe input 0")
    expect(replay(page)).to_have_attribute("aria-label", said, timeout=WAIT_MS)
    single = settled_picture(replay(page))
    assert single != batch
    browser = page.context.browser
    assert browser is not None
    context = new_profile(browser, color_scheme="dark")
    other = context.new_page()
    other.goto(page.url)
    canvas = replay(other)
    expect(canvas).to_have_attribute("aria-label", said, timeout=WAIT_MS)
    assert canvas.get_attribute("data-step") == "10"
    assert same_picture(canvas, single)
    context.close()


def test_five_neurons_of_two_layers_and_two_runs_on_shared_axes(page: Page, two: str) -> None:
    """Found by the map, the table and the search; one figure each for what is asked of them."""
    page.goto(f"{two}/layers?run=one&step=39")
    image = page.locator("canvas[data-image][aria-label*=Arrow]")
    image.wait_for()
    drawn(page)
    image.click(position={"x": 300, "y": 30})
    page.get_by_role("button", name="Pin", exact=True).click()
    page.wait_for_url(re.compile(r"pin=one(/|%2F)1(:|%3A)\d"))
    keep(page, "3-pinned-on-the-map")
    page.get_by_role("link", name="Neurons", exact=True).click()
    expect(page.get_by_role("textbox", name="Find neurons")).to_be_visible()
    drawn(page)  # its list of runs is another than that of the page before
    for run, text, rows in (
        ("one", "layer:2 sort:-kl", (0, 1)),
        ("two", "layer:1 information>0 sort:-information", (0, 1)),
    ):
        page.get_by_role("combobox", name="Run", exact=True).click()
        page.get_by_role("option", name=run, exact=True).click()
        page.wait_for_url(re.compile(f"run={run}"))
        drawn(page)
        find_neurons(page, text)
        page.get_by_text(re.compile(r"5 of 10 neurons")).wait_for()
        for row in rows:
            before = len(query(page)["pin"][0].split(","))
            tick(page, row)
            page.wait_for_url(lambda url, before=before: url.replace("%2C", ",").count(",") >= before)
    pins = [re.split("[/:]", item) for item in query(page)["pin"][0].split(",")]
    assert len(pins) == 5
    assert {run for run, *_ in pins} == {"one", "two"}
    assert {layer for _, layer, _ in pins} == {"1", "2"}
    drawn(page)

    expected = {
        "Posterior mean and standard deviations": ("z (prior sd)", ["mean"]),
        "Mean energy": ("prior sd²", ["band"]),
        "Persistence over steps": ("persistence", ["φ"]),
        "Densities at steps": ("z (prior sd)", ["prior"]),
    }
    for alt, (unit, parts) in expected.items():
        figure = panels(page, alt)
        figure.wait_for()
        said = figure.evaluate(SAID)
        assert unit.lower() in said["titles"].lower(), (alt, said)
        assert said["shared"], f"{alt}: the panels' vertical axes differ"
        assert len([text for text in said["panels"] if ":" in text]) == 5, (alt, said)
        for part in parts:
            assert part in said["names"].lower(), (alt, said)
    keep(page, "3-five-neurons")
    together = panels(page, "Information (nats) over steps").first
    together.wait_for()
    assert any("triangle" in str(symbol) for symbol in together.evaluate(SAID)["symbols"]), (
        "interventions are triangles"
    )
    drawn(page)
    scroll_to(together)
    keep(page, "3-together")
    page.get_by_role("tab", name="KL decomposition").click()
    figure = panels(page, "KL and its parts")
    figure.wait_for()
    assert figure.evaluate(SAID)["shared"]


def test_who_died_between_two_steps_is_pinned_and_compared_with_another_seed(
    serve: Callable[..., str], page: Page, tmp_path: Path
) -> None:
    """Search, three ticks, the same search in a second run; the link shows the same in a new browser."""
    for name, seed in (("seed0", 0), ("seed1", 1)):
        write_dying(tmp_path / name, seed)
    page.goto(f"{serve(tmp_path)}/neurons?run=seed0")
    find_neurons(page, "died:41-60 sort:died")
    page.get_by_text(re.compile("6 of 20 neurons at step 80")).wait_for()
    drawn(page)
    page.get_by_role("combobox", name="Compare with").click()
    page.get_by_role("option", name="seed1", exact=True).click()
    page.get_by_text("6 of 20 neurons match there.").wait_for()
    drawn(page)
    overlay = panels(page, "Information (nats) over steps").first
    assert overlay.evaluate(DASHED) == 6
    for row in range(3):
        tick(page, row)
        page.wait_for_url(lambda url, row=row: "pin=" in url and url.replace("%2C", ",").count(",") >= row)
        drawn(page)
    assert len(query(page)["pin"][0].split(",")) == 3
    assert query(page)["vs"] == ["seed1"]
    page.get_by_text("same numbers", exact=True).wait_for()
    page.wait_for_function(f"() => ({DASHED})(document.querySelector('.js-plotly-plot')) === 3")
    keep(page, "8-died-in-two-seeds")
    plot = page.locator(".js-plotly-plot").first
    plot.hover()
    with page.expect_download() as download:
        plot.locator('[data-title^="Download plot"]').click()
    assert download.value.suggested_filename.endswith(".svg")
    assert "<svg" in download.value.path().read_text("utf-8")[:200]


def write_dying(folder: Path, seed: int) -> None:
    """20 neurons that live; six of them, others by seed, are back at their prior from a step of 41 to 56 on,
    one more from step 70 on.
    """
    order = np.random.default_rng(seed).permutation(20)
    steps = np.arange(1, 81)
    ends = np.full(20, 1000)
    ends[order[:7]] = [41, 44, 47, 50, 53, 56, 70]
    alive = (steps[:, None] > 3) & (steps[:, None] < ends)
    variance = np.where(alive, 0.4, 1.0)
    spread = np.where(alive, 0.5, 0.0)
    told = information(variance, spread, np.log(variance))
    rows = {"mean": np.zeros_like(variance), "variance": variance, "spread": spread, "information": told}
    missed = mismatch(rows["mean"], variance, spread)
    with Recorder(folder, [{"name": "layer 1", "neurons": 20}], config={"seed": seed}) as recorder:
        recorder.record_block(steps, 0, {**rows, "mismatch": missed, "kl": told + missed})


DASHED = "plot => plot._fullData.filter((trace) => trace.line?.dash === 'dash').length"
SAID = """plot => {
  const axes = Object.entries(plot._fullLayout).filter(([name]) => /^[xy]axis[0-9]*$/.test(name))
  const upright = axes.filter(([name]) => name[0] === 'y')
    .map(([, axis]) => axis.range.map((v) => v.toFixed(6)).join())
  return {
    titles: axes.map(([, axis]) => axis.title?.text || '').join(' | '),
    shared: new Set(upright).size === 1,
    panels: (plot._fullLayout.annotations || []).map((note) => note.text),
    names: plot._fullData.map((trace) => trace.name || '').join(' | '),
    symbols: plot._fullData.map((trace) => trace.marker?.symbol),
  }
}"""
