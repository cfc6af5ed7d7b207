"""The tutorial and the gallery run as they are printed; what looks for loads from other hosts finds them."""

from __future__ import annotations

import importlib.util
import json
import re
import runpy
from pathlib import Path
from types import ModuleType
from typing import Any

import plotly.graph_objects as go
import pytest
from blocks import ROOT, blocks

import probes

SITE = ROOT / "docs" / "_site"
DRAWN = re.compile(r"^```\{drawn\} [^\n]+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def extension(name: str) -> ModuleType:
    """A module of the site's, which is in no package."""
    spec = importlib.util.spec_from_file_location(name, SITE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")


def test_the_tutorial_runs_and_says_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a script, whose source can be read; what is printed has the words and lines that stand there."""
    monkeypatch.chdir(tmp_path)
    found = [block for block in blocks("docs/tutorial.md") if block.language in ("python", "text")]
    script = tmp_path / "tutorial.py"
    script.write_text("\n".join(b.text for b in found if b.language == "python"), "utf-8")
    runpy.run_path(str(script))
    printed = NUMBER.sub("#", capsys.readouterr().out).split()
    told = NUMBER.sub("#", "".join(b.text for b in found if b.language == "text")).split()
    assert printed == told
    ends = [run.at(int(run.steps[-1])) for run in map(probes.Run, ("runs/digits", "runs/digits-collapsed"))]
    assert ends[0]["kl"].max() > 0.3, "a neuron lives"
    assert ends[1]["kl"].max() < 0.05, "none leaves its prior"


def test_each_block_of_the_gallery_makes_a_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = DRAWN.findall((ROOT / "docs" / "gallery.md").read_text("utf-8"))
    assert len(found) >= 8
    space: dict[str, Any] = {}
    for code in found:
        exec(compile(code, "docs/gallery.md", "exec"), space)
        figure = space.pop("figure")
        assert isinstance(figure, go.Figure)
        assert figure.data, code


def test_the_reference_has_every_public_name() -> None:
    text = (ROOT / "docs" / "api.md").read_text("utf-8")
    named = set(re.findall(r"^\.\. auto\w+:: probes\.(\w+)$", text, re.MULTILINE))
    assert named == set(probes.__all__)


def test_the_reference_has_methods_that_a_class_inherits() -> None:
    """autodoc shows a class's own methods alone unless it is told otherwise."""
    text = (ROOT / "docs" / "api.md").read_text("utf-8")
    told = set(re.findall(r"autoclass:: probes\.(\w+)\n   :inherited-members:", text))
    named = {name: getattr(probes, name) for name in re.findall(r"autoclass:: probes\.(\w+)$", text, re.M)}
    inherit = {
        name
        for name, value in named.items()
        if isinstance(value, type)
        for base in value.__mro__[1:]
        if base.__module__.startswith("probes.") and any(not key.startswith("_") for key in vars(base))
    }
    assert {"Recorder", "Run"} <= inherit
    assert told == inherit


def test_every_page_is_in_a_table_of_contents() -> None:
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    pages = {file.stem for kind in ("*.md", "*.ipynb") for file in (ROOT / "docs").glob(kind)} - {"index"}
    listed = set(re.findall(r"^(?:.* <)?(\w+)>?$", index, re.MULTILINE))
    assert pages <= listed


@pytest.mark.parametrize(
    ("name", "text", "outside"),
    [
        ("a.html", '<script src="https://cdn.example.org/a.js"></script>', True),
        ("a.html", '<link rel="stylesheet" href="//fonts.example.org/css">', True),
        ("a.html", '<img alt="x" src="http://example.org/a.png">', True),
        ("a.html", '<a href="https://example.org">followed by a reader</a>', False),
        ("a.html", '<script src="_static/a.js"></script>', False),
        ("a.css", "@import 'https://example.org/a.css';", True),
        ("a.css", "src: url(https://example.org/a.woff2)", True),
        ("a.js", 'load("https://example.org/a.js")', True),
        ("a.js", 'create("http://www.w3.org/2000/svg")', False),
    ],
)
def test_loads_from_another_host_are_found(tmp_path: Path, name: str, text: str, outside: bool) -> None:
    module = extension("outside")
    (tmp_path / name).write_text(text, "utf-8")
    assert bool(module.loads(tmp_path)) is outside


def test_a_notebook_is_a_page_of_all_its_cells_and_figures() -> None:
    notebook = json.loads((ROOT / "docs" / "notebook.ipynb").read_text("utf-8"))
    drawn: list[tuple[str, str]] = []

    def draw(figure: dict[str, Any], heading: str) -> str:
        drawn.append((figure["data"][0]["type"], heading))
        return f"<img alt='figure {len(drawn)}'>"

    text = extension("notebook_page").page(notebook, draw)
    assert text.startswith("# A run in a notebook")
    for cell in notebook["cells"]:
        assert "".join(cell["source"]) in text
    of_plotly = [
        output
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if any("plotly" in kind for kind in output.get("data", {}))
    ]
    assert len(drawn) == len(of_plotly) > 5
    assert drawn[0][1] == "Is it healthy?"
    assert all(f"figure {number + 1}'" in text for number in range(len(drawn)))
    assert "<svg" in text, "the widget's picture"
    assert "<table" in text
    assert "<style" not in text


def test_an_output_that_the_page_cannot_show_is_no_silence() -> None:
    output = {"output_type": "display_data", "data": {"application/javascript": "alert()"}}
    cells = [{"cell_type": "code", "source": "f()", "outputs": [output]}]
    with pytest.raises(ValueError, match=r"cell 1: .*application/javascript.*make notebook"):
        extension("notebook_page").page({"cells": cells}, lambda figure, heading: "")
