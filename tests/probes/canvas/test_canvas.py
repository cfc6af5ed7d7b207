"""What Python offers of the canvas code: texts, payloads, and colours that are the figures' own."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from payloads import unpack

from probes import canvas, palette
from probes.canvas import palette_js
from probes.figures import style
from probes.schema import STATISTICS

ROOT = Path(__file__).parents[3]
VIEWS = ("cards", "heatmap", "regimes", "replay")


def theme() -> dict:
    return tomllib.loads((ROOT / ".streamlit/config.toml").read_text())["theme"]


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_has_markup_style_and_a_script_with_an_entry(name: str) -> None:
    html, css, js = canvas.markup(name), canvas.style(name), canvas.script(name)
    assert "<!--" not in html
    assert "@import" not in css
    assert re.search(r"export \{[^}]*\bas default\b", js)
    for part in set(re.findall(r'part\((?:this\.)?root, "(\w+)"', js)):
        assert f"data-{part}" in html, f"{name}.js works on data-{part}"


@pytest.mark.parametrize("name", [*VIEWS, "report"])
def test_a_bundle_stands_alone_and_says_nothing_of_the_machine(name: str) -> None:
    js = canvas.script(name)
    code = re.sub(r"/\*.*?\*/", "", js, flags=re.DOTALL)  # types in comments name modules
    assert not re.search(r"^import |\bimport\(|\brequire\(", code, re.MULTILINE)
    assert not re.search(r"sourceMappingURL|</script", js)
    assert set(re.findall(r"https?://[\w./-]+", js)) <= {"http://www.w3.org/2000/svg"}
    named = re.findall(r"^// (\S+\.js)$", js, re.MULTILINE)
    assert named
    assert all((ROOT / path).is_file() and path.startswith("probes/canvas/") for path in named)


def test_one_ridge_renderer_is_in_the_dashboard_and_in_the_report() -> None:
    parts = [
        set(re.findall(r"^// (\S+\.js)$", canvas.script(name), re.MULTILINE)) for name in ("replay", "report")
    ]
    assert parts[0] < parts[1]
    assert {
        f"probes/canvas/{name}.js" for name in ("color", "ridges", "strip", "picking", "transport")
    } <= parts[0]


def test_the_palette_is_what_the_figures_say() -> None:
    assert palette_js.FILE.read_text() == palette_js.module(), "run `make bundles`"


def test_every_scale_of_the_registry_has_colours() -> None:
    assert {statistic.colors for statistic in STATISTICS.values()} <= set(style.COLOR_SCALES)


def test_streamlits_charts_have_the_palette_too() -> None:
    assert tuple(theme()["chartCategoricalColors"]) == palette.OKABE_ITO


def test_the_reports_theme_is_the_dashboards() -> None:
    css = (ROOT / "probes/export/assets/report.css").read_text()
    blocks = re.findall(r":root \{([^}]*)\}", css)
    for block, kind in zip(blocks, ("light", "dark"), strict=True):
        found = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", block))
        colors = theme()[kind]
        assert (found["accent"], found["back"], found["line"]) == tuple(
            colors[name] for name in ("primaryColor", "backgroundColor", "borderColor")
        )


def test_a_payload_holds_its_arrays_in_the_types_that_canvases_read() -> None:
    sent = {
        "codes": np.array([[1, 2, 3]], np.uint8),
        "halves": np.array([0.5, np.nan], np.float16),
        "wide": np.array([1e300, 2.0])[1:],
    }
    header, arrays = unpack(canvas.pack({"name": "</script>é"}, sent))
    assert header["name"] == "</script>é"
    assert {name: values.dtype.name for name, values in arrays.items()} == {
        "codes": "uint8",
        "halves": "float16",
        "wide": "float32",
    }
    np.testing.assert_array_equal(arrays["codes"], [1, 2, 3])
    np.testing.assert_array_equal(arrays["halves"], sent["halves"])
    with pytest.raises(ValueError, match="JSON"):
        canvas.pack({"step": float("nan")}, {})


def test_it_loads_no_more_than_numpy() -> None:
    heavy = "('streamlit', 'plotly', 'pandas', 'pyarrow', 'torch')"
    code = f"import sys, probes.canvas; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
