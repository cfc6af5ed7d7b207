"""`Run.replay`: the widget's Python alone, and the widget in JupyterLab with a browser."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

if not os.environ.get("CI"):
    for package in ("anywidget", "jupyterlab", "nbclient", "playwright"):
        pytest.importorskip(package, reason=f"no {package}: `make test-notebook` installs it")

import nbformat
from find_browser import WAIT_MS, chromium
from playwright.sync_api import Page, Request, expect

import probes

ROOT = Path(__file__).resolve().parents[2]
HEALTHY = ROOT / "sample_runs" / "healthy"
PLAYED_MS = 3000


def layers(replay: object) -> list[dict]:
    payload = replay._payload
    return json.loads(payload[4 : 4 + int.from_bytes(payload[:4], "little")])["layers"]


@pytest.fixture(scope="module")
def run() -> probes.Run:
    return probes.Run(HEALTHY)


def test_layers_and_neurons_are_those_that_were_asked_for(run: probes.Run) -> None:
    shown = layers(run.replay(layers=["layer 1"], neurons=["2:17"]))
    assert [layer["index"] for layer in shown] == [0, 1], "the layer of a neuron that was named comes along"
    assert shown[1]["pinned"] == [17]
    assert 17 in shown[1]["neurons"]
    assert all(len(layer["neurons"]) == 3 for layer in layers(run.replay(neurons=3)))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"layers": ["no such layer"]}, "no such layer"),
        ({"neurons": ["9:1"]}, "has no neuron 9:1"),
        ({"neurons": ["1:64"]}, "has no neuron 1:64"),
        ({"neurons": ["seventeen"]}, "write layer:neuron"),
        ({"neurons": 0}, "at least 1"),
    ],
)
def test_what_a_run_has_not_is_named(run: probes.Run, asked: dict, words: str) -> None:
    with pytest.raises(probes.RunError, match=re.escape(words)):
        run.replay(**asked)


def test_a_run_without_distributions_says_so(tmp_path: Path) -> None:
    probes.Recorder(tmp_path / "empty", [{"name": "latent", "neurons": 2}]).close()
    with pytest.raises(probes.RunError, match="nothing to replay"):
        probes.Run(tmp_path / "empty").replay()


def test_export_writes_one_page_that_asks_no_host(run: probes.Run, tmp_path: Path) -> None:
    path = run.replay(layers=[0], step=500).export(tmp_path / "replay.html")
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    with chromium() as browser:
        page = browser.new_page()
        page.on("request", note)
        page.goto(path.as_uri())
        canvas = page.locator("canvas[data-ridges]")
        expect(canvas).to_have_attribute("data-draws", re.compile("[1-9]"), timeout=WAIT_MS)
        assert abs(int(canvas.get_attribute("data-step") or 0) - 500) < 60, "the nearest frame"
    assert [url for url in asked if not url.startswith(("file:", "blob:", "data:"))] == []


def _opened(page: Page, address: str) -> None:
    page.goto(address)
    page.locator(".jp-Notebook").wait_for()
    expect(page.locator(".jp-Spinner:visible")).to_have_count(0, timeout=WAIT_MS)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()  # a cell run before is not run


def _run_cell(page: Page, place: int) -> None:
    page.locator(".jp-CodeCell").nth(place).locator(".cm-content").click()
    page.keyboard.press("Control+Enter")


def test_in_jupyterlab_it_plays_and_shares_its_cursor(lab: Callable[[Path], str], tmp_path: Path) -> None:
    """Played at full speed, moved by Python, read by Python; nothing is asked of another host."""
    notebook = nbformat.v4.new_notebook()
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = (
        f"import probes\nreplay = probes.Run({str(HEALTHY)!r}).replay(step=500)\nreplay",
        "replay.step = 100",
        "print('python says', replay.step)",
    )
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(notebook, tmp_path / "replay.ipynb")
    outside: list[str] = []

    def note(request: Request) -> None:
        if not re.match(r"http://127\.0\.0\.1|ws://127\.0\.0\.1|blob:|data:", request.url):
            outside.append(request.url)

    with chromium() as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 1000})
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.on("request", note)
        _opened(page, lab(tmp_path / "replay.ipynb"))
        _run_cell(page, 0)
        canvas = page.locator("canvas[data-ridges]")
        expect(canvas).to_have_attribute("data-draws", re.compile("[1-9]"), timeout=WAIT_MS)

        _run_cell(page, 1)
        expect(canvas).to_have_attribute("data-step", re.compile(r"^(9\d|10\d)$"), timeout=WAIT_MS)
        page.locator("[data-play]").click()
        before = int(canvas.get_attribute("data-draws") or 0)
        page.wait_for_timeout(PLAYED_MS)
        drawn = int(canvas.get_attribute("data-draws") or 0) - before
        page.locator("[data-play]").click()
        at = int(canvas.get_attribute("data-step") or 0)
        assert at > 110, "it played"
        assert drawn > PLAYED_MS / 1000, f"{drawn} draws"
        print(f"{1000 * drawn / PLAYED_MS:.0f} draws a second")

        said = page.locator(".jp-CodeCell").nth(2).locator(".jp-OutputArea-output")
        for _ in range(20):  # the cursor is told once it rests
            _run_cell(page, 2)
            said.wait_for()
            if said.inner_text().strip() == f"python says {at}":
                break
            page.wait_for_timeout(300)
        assert said.inner_text().strip() == f"python says {at}"
        context.close()
    assert outside == []


BRIGHT = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, 60 * devicePixelRatio)
  let bright = 0
  for (let at = 0; at < data.length; at += 4) bright += Math.min(...data.slice(at, at + 4)) > 200
  return bright
}"""


def test_in_a_dark_notebook_its_words_are_bright(lab: Callable[[Path], str], tmp_path: Path) -> None:
    """Also before anything else has it drawn again: the heading, of whose words pixels are counted."""
    notebook = nbformat.v4.new_notebook()
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.cells = [
        nbformat.v4.new_code_cell(f"import probes\nprobes.Run({str(HEALTHY)!r}).replay(step=500)")
    ]
    nbformat.write(notebook, tmp_path / "dark.ipynb")
    with chromium() as browser:
        page = browser.new_page()
        page.set_default_timeout(WAIT_MS)
        _opened(page, lab(tmp_path / "dark.ipynb"))
        page.get_by_text("Settings", exact=True).first.click()
        page.get_by_text("Theme", exact=True).first.hover()
        page.get_by_text("JupyterLab Dark", exact=True).first.click()
        expect(page.locator("body")).to_have_attribute("data-jp-theme-name", "JupyterLab Dark")
        _run_cell(page, 0)
        canvas = page.locator("canvas[data-ridges]")
        expect(canvas).to_have_attribute("data-draws", re.compile("[1-9]"), timeout=WAIT_MS)
        page.wait_for_function(
            f"() => ({BRIGHT})(document.querySelector('.vdn-replay').shadowRoot"
            ".querySelector('canvas[data-ridges]')) > 100"
        )


def test_the_notebook_of_the_docs_runs_and_is_what_is_committed(
    jupyter: dict[str, str], tmp_path: Path
) -> None:
    """Executed anew it has the outputs that it was committed with, kind by kind."""
    path = ROOT / "docs" / "notebook.ipynb"
    assert path.stat().st_size < 500_000
    jupyter["PLOTLY_RENDERER"] = "plotly_mimetype"
    command = ["-m", "jupyter", "execute", str(path), f"--output={tmp_path / 'anew'}"]
    subprocess.run([sys.executable, *command], env=jupyter, check=True, capture_output=True, timeout=120)

    def kinds(file: Path) -> list[list[list[str]]]:
        return [
            [sorted(output.get("data", {output.output_type: 0})) for output in cell.get("outputs", [])]
            for cell in nbformat.read(file, 4).cells
        ]

    assert kinds(tmp_path / "anew.ipynb") == kinds(path)
    assert any("image/svg+xml" in names for cell in kinds(path) for names in cell)
