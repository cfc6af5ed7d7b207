"""Renders the pictures of the docs from the sample runs, in a headless Chromium: python docs/pictures.py
[NAME ...]

set_points.png            neurons that were each asked for a persistence, or an information, and what they do
replay.webp               the dashboard's replay of the sample run `healthy`, moving
collapse-THEME.png        the page Health of the sample run `text-collapse`, as it was at its alert
sequence-THEME.png        the page Sequence of the sample run `text`, at a neuron that notices a line's end
rescue-THEME.png          the sample runs `text-collapse` and `text-rescued` side by side
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from PIL import Image
from playwright.sync_api import Browser, expect

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))  # so that it runs from a checkout without an installation
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from driving import drawn  # noqa: E402
from find_browser import WAIT_MS, chromium  # noqa: E402
from serving import Server  # noqa: E402

import probes  # noqa: E402
from probes import palette  # noqa: E402
from probes.alerts import alerts  # noqa: E402
from probes.figures.curves import scalar_curves  # noqa: E402
from probes.figures.regime_counts import regime_counts  # noqa: E402
from probes.figures.set_points import set_points  # noqa: E402

SAMPLES = ROOT / "sample_runs"
WIDTH, HEIGHT = 1440, 900
TALL = 1500  # pixels of the page Sequence, down to its tables
PANEL = (1000, 340)  # pixels of one row of the set-points
LEGEND = 94  # pixels over each of two regime counts, of which one has the longer legend
PAIR = (560, 270)  # pixels of one panel of the two runs side by side
THEMES = {"light": ("white", palette.OKABE_ITO[7]), "dark": ("#0e1117", "#fafafa")}  # page, text
SHARP = 2  # device pixels a pixel, for a figure of thin lines
SETTLE_MS = 60  # until a frame is drawn
CLIP = {"x": 340, "y": 64, "width": 1060, "height": 812}  # the page without its frame
FRAMES, FRAME_MS, REST_MS = 60, 110, 2500
QUALITY = 55  # of the moving picture: text stays clear, the file about a megabyte


def draw_set_points(browser: Browser) -> None:
    """Two rows: a run whose neurons have ten phi, and one whose neurons have ten informations to pay for."""
    rows = []
    for name, title, order in (
        ("persistent", "persistence that the prior asks for, φ", ("persistence", "information")),
        ("informed", "information that the thermostat asks for (nats)", ("information", "persistence")),
    ):
        run = probes.Run(SAMPLES / name)
        table = run.evaluation()
        setting = run.config["phi"] if name == "persistent" else run.config["c_min"]
        groups = np.array([float(part) for part in setting.split(",")])
        asked = groups[table["neuron"] * len(groups) // len(table)]  # neurons in order, in groups of one size
        rows.append(set_points(asked, {each: table[each] for each in order}, title=title))
    shown = [
        figure.update_layout(font_color=palette.OKABE_ITO[7], colorway=palette.OKABE_ITO) for figure in rows
    ]
    _photograph(browser, shown, DOCS / "set_points.png", PANEL, 1)


def draw_rescue(browser: Browser) -> None:
    """Two columns, a run each: what its neurons are, what they cost, what their KL weighs; the line is where
    the alert came.
    """
    names = ("text-collapse", "text-rescued")
    runs = [probes.Run(SAMPLES / name) for name in names]
    first = alerts(runs[0]).query("kind == 'left living'").iloc[0]
    for theme, (background, ink) in THEMES.items():
        shown = [
            regime_counts(run.layer_summary(), [name], step=int(first["step"])).update_layout(margin_t=LEGEND)
            for run, name in zip(runs, names, strict=True)
        ]
        for name, title, scale in (
            ("rate", "KL of all neurons (nats)", {"type": "log", "range": [-1, 2]}),
            ("beta", "mean weight of the KL, β", {"range": [0, 1.02]}),
        ):
            for run in runs:
                figure = scalar_curves(run.scalars(), [name], title=title, step=int(first["step"]))
                shown.append(figure.update_yaxes(scale).update_layout(showlegend=False))
        for figure in shown:
            figure.update_layout(font_color=ink, colorway=palette.OKABE_ITO)
        _photograph(browser, shown, DOCS / f"rescue-{theme}.png", PAIR, len(runs), background)


def draw_collapse(browser: Browser) -> None:
    """The overview at the step of the first alert, in both themes."""
    run = probes.Run(SAMPLES / "text-collapse")
    step = int(alerts(run).query("kind == 'left living'")["step"].iloc[0])
    with Server(SAMPLES) as server:
        for theme in THEMES:
            context = browser.new_context(
                viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=theme, reduced_motion="reduce"
            )
            page = context.new_page()
            page.goto(f"{server.address}/health?run=text-collapse&step={step}")
            expect(page.get_by_text("left living").first).to_be_visible(timeout=WAIT_MS)
            page.locator("canvas[data-map][data-step]").wait_for(timeout=WAIT_MS)
            drawn(page)
            page.wait_for_timeout(20 * SETTLE_MS)
            page.screenshot(path=DOCS / f"collapse-{theme}.png", clip=CLIP)
            context.close()


def draw_sequence(browser: Browser) -> None:
    """The page Sequence at its most surprising position, and the neuron whose KL follows a line's end most,
    in both themes.
    """
    with Server(SAMPLES) as server:
        for theme in THEMES:
            context = browser.new_context(
                viewport={"width": WIDTH, "height": TALL}, color_scheme=theme, reduced_motion="reduce"
            )
            page = context.new_page()
            page.goto(f"{server.address}/sequence?run=text&neurons=2:38&layer=layer+2&follows=line%27s+end")
            expect(page.get_by_text("belief along t").first).to_be_visible(timeout=WAIT_MS)
            expect(page.locator(".main-svg >> nth=0")).to_be_visible(timeout=WAIT_MS)
            drawn(page)
            page.wait_for_timeout(20 * SETTLE_MS)
            page.screenshot(path=DOCS / f"sequence-{theme}.png", clip={**CLIP, "height": TALL - CLIP["y"]})
            context.close()


def _photograph(
    browser: Browser,
    figures: list[go.Figure],
    file: Path,
    size: tuple[int, int],
    columns: int,
    background: str = "white",
) -> None:
    """Figures in so many columns, each of one size, as a picture."""
    rows = -(-len(figures) // columns)
    page = browser.new_context(
        viewport={"width": columns * size[0], "height": rows * size[1]}, device_scale_factor=SHARP
    ).new_page()
    with tempfile.TemporaryDirectory() as folder:
        parts = []
        for index, figure in enumerate(figures):
            figure.update_layout(width=size[0], height=size[1])
            parts.append(
                figure.to_html(full_html=False, include_plotlyjs=index == 0, config={"staticPlot": True})
            )
        html = Path(folder) / "figure.html"
        style = f"margin:0;background:{background};display:grid;grid-template-columns:repeat({columns},1fr)"
        html.write_text(f"<meta charset=utf-8><body style='{style}'>{''.join(parts)}</body>", "utf-8")
        page.goto(html.as_uri())
        expect(page.locator(".main-svg >> nth=0")).to_be_visible(timeout=WAIT_MS)
        page.wait_for_function(
            f"document.querySelectorAll('.js-plotly-plot .cartesianlayer').length === {len(figures)}"
        )
        page.screenshot(path=file)


def draw_replay(browser: Browser) -> None:
    """The dashboard as it opens on the run, from the first step to the last, and a rest there."""
    with Server(SAMPLES) as server:
        context = browser.new_context(
            viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="dark", reduced_motion="reduce"
        )
        page = context.new_page()
        page.goto(f"{server.address}/?run=healthy")
        scrub = page.locator("input[data-scrub]")
        scrub.wait_for(timeout=WAIT_MS)
        last = int(scrub.get_attribute("max") or 0)
        frames = []
        for position in np.linspace(0, last, FRAMES).round().astype(int).tolist():
            scrub.evaluate(
                "(range, to) => { range.value = to; range.dispatchEvent(new Event('input')) }", position
            )
            page.wait_for_timeout(SETTLE_MS)
            frame = Image.open(io.BytesIO(page.screenshot(clip=CLIP))).convert("RGB")
            frames.append(
                frame.resize((CLIP["width"] * 3 // 4, CLIP["height"] * 3 // 4), Image.Resampling.LANCZOS)
            )
        durations = [FRAME_MS] * (FRAMES - 1) + [REST_MS]
        frames[0].save(
            DOCS / "replay.webp",
            save_all=True,
            append_images=frames[1:],
            duration=durations,
            loop=0,
            quality=QUALITY,
            method=4,
        )


PICTURES = {
    "set_points": draw_set_points,
    "replay": draw_replay,
    "collapse": draw_collapse,
    "rescue": draw_rescue,
    "sequence": draw_sequence,
}


def main(names: list[str]) -> int:
    """Draws the named pictures, all without names; 2 for a name that is none of them."""
    unknown = [name for name in names if name not in PICTURES]
    if unknown:
        print(
            f"docs/pictures.py: no picture {unknown[0]!r}; there are {', '.join(PICTURES)}", file=sys.stderr
        )
        return 2
    with chromium() as browser:
        for name in names or PICTURES:
            PICTURES[name](browser)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
