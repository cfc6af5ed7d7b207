"""Renders the pictures of the docs from the sample runs, in a headless Chromium: python docs/pictures.py
[NAME ...]

set_points.png   neurons that were each asked for a persistence, or for an information, and what they do
replay.webp      the dashboard's replay of the sample run `healthy`, moving
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, expect

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))  # so that it runs from a checkout without an installation
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from find_browser import WAIT_MS, chromium  # noqa: E402
from serving import Server  # noqa: E402

import probes  # noqa: E402
from probes import palette  # noqa: E402
from probes.figures.set_points import set_points  # noqa: E402

SAMPLES = ROOT / "sample_runs"
WIDTH, HEIGHT = 1440, 900
PANEL = (1000, 340)  # pixels of one row of the set-points
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
        rows.append((set_points(asked, {each: table[each] for each in order}, title=title), PANEL[1]))
    page = browser.new_context(
        viewport={"width": PANEL[0], "height": 2 * PANEL[1]}, device_scale_factor=SHARP
    ).new_page()
    with tempfile.TemporaryDirectory() as folder:
        parts = []
        for index, (figure, height) in enumerate(rows):
            figure.update_layout(
                width=PANEL[0], height=height, font_color=palette.OKABE_ITO[7], colorway=palette.OKABE_ITO
            )
            parts.append(
                figure.to_html(full_html=False, include_plotlyjs=index == 0, config={"staticPlot": True})
            )
        file = Path(folder) / "figure.html"
        file.write_text(
            f"<meta charset=utf-8><body style='margin:0;background:white'>{''.join(parts)}</body>", "utf-8"
        )
        page.goto(file.as_uri())
        expect(page.locator(".main-svg >> nth=0")).to_be_visible(timeout=WAIT_MS)
        page.wait_for_function(f"document.querySelectorAll('.cartesianlayer').length === {len(rows)}")
        page.screenshot(path=DOCS / "set_points.png")


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


PICTURES = {"set_points": draw_set_points, "replay": draw_replay}


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
