"""Every page at every width, zoom and theme: `python tests/e2e/grid.py [--page NAME ...] [--size SIZE]`.

Nothing may scroll sideways or be too faint to read at 390, 768, 1024 and 1440 pixels and at 150 % of zoom,
in both themes, with reduced motion. Each problem is said as it is found, each page once it is done. Pictures
of all, and of each page as people without red, green or blue cones see it, lie in `screenshots/grid`
afterwards, to be looked at one by one. Exit status 1 for any problem.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from driving import SCREENSHOTS, WAIT_MS, drawn, new_profile
from find_browser import chromium
from playwright.sync_api import Browser, Page, expect
from serving import Server
from test_accessibility import PAGES, SAMPLES, scrolling_sideways, unreadable

WIDTHS = {"390": (390, 1), "768": (768, 1), "1024": (1024, 1), "1440": (1440, 1), "150 %": (1440, 1.5)}
"""Name -> pixels of the screen, zoom: a page zoomed by 1.5 has so many fewer pixels of its own."""
LOADS = (("390", "768"), ("1024", "1440"), ("150 %",))
"""Sizes that share a load, from narrow to wide: the menu is open from the start, or is not."""
THEMES = ("dark", "light")
CONES = ("protanopia", "deuteranopia", "tritanopia")
HEIGHT = 900  # pixels
SETTLE_MS = 500  # until what a new width has set going has begun
NAMES = {path: path.partition("?")[0] or "replay" for path in PAGES}


def viewport(size: str) -> dict[str, int]:
    """Width and height in the page's own pixels."""
    width, zoom = WIDTHS[size]
    return {"width": round(width / zoom), "height": round(HEIGHT / zoom)}


def opened(browser: Browser, size: str) -> Page:
    """An empty page of a size, that keeps the scripts of one page for the next."""
    context = new_profile(
        browser,
        viewport=viewport(size),
        device_scale_factor=WIDTHS[size][1],
        color_scheme=THEMES[0],
        reduced_motion="reduce",
    )
    context.add_init_script(path=Path(__file__).with_name("audit.js"))
    return context.new_page()


def look(page: Page, address: str, path: str, sizes: list[str]) -> Iterator[str]:
    """Load a page of the dashboard, keep its pictures of each size and theme; what is wrong."""
    page.set_viewport_size(viewport(sizes[0]))
    page.emulate_media(color_scheme=THEMES[0])
    page.goto(f"{address}/{path}")
    page.locator(PAGES[path]).first.wait_for(state="attached")
    for theme in THEMES:
        page.evaluate("audit.forget()")
        page.emulate_media(color_scheme=theme)
        expect(page.locator("[data-testid=stApp]")).to_have_css("color-scheme", theme, timeout=WAIT_MS)
        for size in sizes:
            page.set_viewport_size(viewport(size))
            page.wait_for_timeout(SETTLE_MS)
            drawn(page)
            photograph(page, f"{NAMES[path]}-{size.removesuffix(' %')}-{theme}")
            for problem in scrolling_sideways(page) + unreadable(page):
                yield f"{NAMES[path]} at {size}, {theme}: {problem}"
        if theme == "light" and "1440" in sizes:
            photograph_as_others_see(page, NAMES[path])


def photograph_as_others_see(page: Page, name: str) -> None:
    """The page as people without one of the three cones see it."""
    seen = page.context.new_cdp_session(page)
    for kind in CONES:
        seen.send("Emulation.setEmulatedVisionDeficiency", {"type": kind})
        photograph(page, f"{name}-{kind}")
    seen.send("Emulation.setEmulatedVisionDeficiency", {"type": "none"})
    seen.detach()


def photograph(page: Page, name: str) -> None:
    """The whole page, not only what is seen of it."""
    size = page.viewport_size
    assert size is not None
    whole = int(page.locator("[data-testid=stMain]").evaluate("main => main.scrollHeight")) + 80
    page.set_viewport_size({"width": size["width"], "height": max(size["height"], whole)})
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=SCREENSHOTS / "grid" / f"{name}.png")
    page.set_viewport_size(size)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--page", nargs="+", choices=NAMES.values(), help="only these, such as health or replay"
    )
    parser.add_argument("--size", choices=WIDTHS, help="only this one")
    options = parser.parse_args()
    (SCREENSHOTS / "grid").mkdir(parents=True, exist_ok=True)
    loads = [[size for size in sizes if options.size in (None, size)] for sizes in LOADS]
    problems = 0
    with Server(SAMPLES) as server, chromium() as browser:
        pages = [(opened(browser, sizes[0]), sizes) for sizes in loads if sizes]
        for path, name in NAMES.items():
            if options.page and name not in options.page:
                continue
            before, begun = problems, time.monotonic()
            for page, sizes in pages:
                for problem in look(page, server.address, path, sizes):
                    problems += 1
                    print(problem, flush=True)
            took = time.monotonic() - begun
            print(f"{name}: {problems - before or 'no'} problems, {took:.0f} s", flush=True)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
