"""A run that another process writes grows on the pages without a reload; killed, it is told as crashed and
all of it is shown.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from driving import ROOT, WAIT_MS, drawn, keep, panels, replay
from playwright.sync_api import Page, expect

from probes import Run
from probes.log.manifest import SILENT_SECONDS

pytestmark = pytest.mark.browser

WRITER = """
    import sys, time
    import numpy as np
    from probes import Recorder

    random, neurons = np.random.default_rng(0), 8
    layers = [{"name": f"layer {i + 1}", "neurons": neurons} for i in range(2)]
    recorder = Recorder(sys.argv[1], layers, config={"beta": 0.02, "seed": 0}, flush_seconds=1)
    for step in range(1, 100_000):
        for layer in range(2):
            variance = np.full(neurons, 1 / (1 + step / 200)) * random.uniform(0.9, 1.1, neurons)
            information = 0.5 * np.log((variance + 0.5) / variance)
            recorder.record(step, layer, mean=np.zeros(neurons), variance=variance,
                            spread=np.full(neurons, 0.5), information=information,
                            mismatch=np.zeros(neurons), kl=information)
        recorder.scalar(step, "loss", 1 / step, split="train")
        time.sleep(0.02)
"""
"""A training in miniature: fifty steps a second until it is killed."""

REACH = "plot => Math.max(...plot._fullData.flatMap((trace) => Array.from(trace.x || [0])))"
"""The last step of a figure."""
REACHED = f"""figure => {{
  const plot = document.querySelector(`[aria-label*='${{figure}}'] .js-plotly-plot`)
  return plot && plot._fullData ? ({REACH})(plot) : -1
}}"""
"""The same of the figure of this name, -1 while it is not there."""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The other process, once it has written its first steps to `tmp_path / "run"`."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path / "run")], cwd=ROOT
    )
    while not (tmp_path / "run" / "run.json").exists() or not len(Run(tmp_path / "run").steps):
        assert process.poll() is None, "the writer has failed"
        time.sleep(0.2)
    yield process
    if process.poll() is None:
        process.kill()
    process.wait()


def reach(page: Page, figure: str) -> int:
    # while a page is drawn anew, a figure may for a moment stand in its old place and in its new one
    expect(panels(page, figure)).to_have_count(1, timeout=WAIT_MS)
    return int(panels(page, figure).evaluate(REACH))


def comes_to(page: Page, figure: str, step: int) -> None:
    """Wait until a figure ends at this step."""
    page.wait_for_function(f"([figure, step]) => ({REACHED})(figure) === step", arg=[figure, step])


def end_of_replay(page: Page) -> int:
    said = page.locator("[data-readout]").inner_text()
    return int(said.rsplit("/", 1)[1].replace(",", ""))


def test_a_run_grows_on_its_pages_and_a_killed_one_says_crashed(
    serve: Callable[..., str], page: Page, tmp_path: Path, writer: subprocess.Popen[bytes]
) -> None:
    address = serve(tmp_path)
    health, layers = page, page.context.new_page()
    health.goto(f"{address}/health?run=run")
    layers.goto(f"{address}/layers?run=run")
    watched = page.context.new_page()
    watched.goto(f"{address}/?run=run")
    replay(watched)
    for opened in (health, layers):
        drawn(opened)
        opened.locator(".js-plotly-plot").first.wait_for()
    pages = {"health": health, "layers": layers, "replay": watched}
    for name, opened in pages.items():
        opened.evaluate("window.sameDocument = true")
        expect(opened.get_by_role("heading", name=re.compile("live"))).to_be_visible(timeout=WAIT_MS)
        keep(opened, f"5-{name}-live")
    before = {
        "health": reach(health, "Share of neurons"),
        "layers": reach(layers, "over steps, one panel a layer"),
    }
    before["replay"] = end_of_replay(watched)
    said = health.get_by_text(re.compile(r"Being written: step"))
    counted = said.inner_text()
    expect(said).not_to_have_text(counted, timeout=WAIT_MS)
    for opened, name, figure in (
        (health, "health", "Share of neurons"),
        (layers, "layers", "over steps, one panel a layer"),
    ):
        opened.wait_for_function(
            f"([figure, step]) => ({REACHED})(figure) > step", arg=[figure, before[name]]
        )
    expect(watched.locator("[data-readout]")).not_to_have_text(
        re.compile(rf"/ {before['replay']:,}$"), timeout=WAIT_MS
    )

    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    age(tmp_path / "run")
    last = int(Run(tmp_path / "run").steps[-1])
    for name, opened in pages.items():
        expect(opened.get_by_role("heading", name=re.compile("crashed"))).to_be_visible(timeout=WAIT_MS)
        assert opened.evaluate("window.sameDocument"), "without a reload"
        assert "to=" not in opened.url, "the range of steps follows the run"
        if name == "replay":
            expect(opened.locator("[data-readout]")).to_have_text(
                re.compile(rf"/ {last:,}$"), timeout=WAIT_MS
            )
        keep(opened, f"5-{name}-crashed")
    expect(health.get_by_text(f"after step {last:,}")).to_be_visible(timeout=WAIT_MS)
    comes_to(layers, "over steps, one panel a layer", last)

    afterwards = page.context.new_page()
    afterwards.goto(f"{address}/layers?run=run")
    drawn(afterwards)
    expect(afterwards.get_by_role("heading", name=re.compile("crashed"))).to_be_visible(timeout=WAIT_MS)
    comes_to(afterwards, "over steps, one panel a layer", last)


def age(folder: Path) -> None:
    """Let the time pass after which a writer without a sign of life counts as crashed: its last sign is made
    older.
    """
    manifest = folder / "run.json"
    content = json.loads(manifest.read_text())
    content["heartbeat"] -= SILENT_SECONDS
    manifest.write_text(json.dumps(content))
