"""Every page at every width, zoom and theme: `python tests/e2e/grid.py [--page NAME]`.

Nothing may scroll sideways or be too faint to read at 390, 768, 1024 and 1440 pixels and at 150 % of zoom, in
both themes, with reduced motion. Pictures of all, and of each page as people without red, green or blue cones
see it, lie in `screenshots/grid` afterwards, to be looked at one by one. Exit status 1 for any problem.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from driving import SCREENSHOTS, WAIT_MS, drawn
from find_browser import chromium
from playwright.sync_api import Browser, Page
from serving import Server
from test_accessibility import PAGES, SAMPLES, scrolling_sideways, unreadable

WIDTHS = {"390": (390, 1), "768": (768, 1), "1024": (1024, 1), "1440": (1440, 1), "150 %": (1440, 1.5)}
"""Name -> pixels of the screen, zoom: a page zoomed by 1.5 has so many fewer pixels of its own."""
THEMES = ("dark", "light")
CONES = ("protanopia", "deuteranopia", "tritanopia")
HEIGHT = 900  # pixels


def look(browser: Browser, address: str, path: str, size: str, theme: str) -> list[str]:
    """Open a page at a size and in a theme, keep its picture; what is wrong with it."""
    width, zoom = WIDTHS[size]
    context = browser.new_context(
        viewport={"width": round(width / zoom), "height": round(HEIGHT / zoom)},
        device_scale_factor=zoom,
        color_scheme=theme,  # type: ignore[arg-type]
        reduced_motion="reduce",
    )
    context.set_default_timeout(WAIT_MS)
    context.add_init_script(path=Path(__file__).with_name("audit.js"))
    page = context.new_page()
    try:
        page.goto(f"{address}/{path}")
        page.locator(PAGES[path]).first.wait_for(state="attached")
        drawn(page)
        name = path.partition("?")[0] or "replay"
        photograph(page, f"{name}-{size.removesuffix(' %')}-{theme}")
        if size == "1440" and theme == "light":
            seen = context.new_cdp_session(page)
            for kind in CONES:
                seen.send("Emulation.setEmulatedVisionDeficiency", {"type": kind})
                photograph(page, f"{name}-{kind}")
            seen.send("Emulation.setEmulatedVisionDeficiency", {"type": "none"})
        found = scrolling_sideways(page) + unreadable(page)
        return [f"{name} at {size}, {theme}: {problem}" for problem in found]
    finally:
        context.close()


def photograph(page: Page, name: str) -> None:
    """The whole page, not only what is seen of it."""
    size = page.viewport_size
    assert size is not None
    whole = int(page.locator("[data-testid=stMain]").evaluate("main => main.scrollHeight")) + 80
    page.set_viewport_size({"width": size["width"], "height": max(size["height"], whole)})
    page.wait_for_timeout(500)
    page.screenshot(path=SCREENSHOTS / "grid" / f"{name}.png")
    page.set_viewport_size(size)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--page", help="only this one, such as health or replay")
    parser.add_argument("--size", choices=WIDTHS, help="only this one")
    options = parser.parse_args()
    (SCREENSHOTS / "grid").mkdir(parents=True, exist_ok=True)
    problems = []
    with Server(SAMPLES) as server, chromium() as browser:
        for path in PAGES:
            if options.page in (None, path.partition("?")[0] or "replay"):
                for size in [options.size] if options.size else WIDTHS:
                    for theme in THEMES:
                        problems += look(browser, server.address, path, size, theme)
    print("\n".join(problems) or "no problem found")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
