"""The Chromium that is driven by tests and others: on PATH, else Debian's package (apt and root), else
Playwright's own build.

`python tests/e2e/find_browser.py` prints the path of the one that is there; `--install` gets one if there is
none. Exit status 1, with the reason on stderr, when there is none.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--no-first-run",
]
WAIT_MS = 60_000  # for what a page should come to show; generous: two busy cores


def find() -> Path | None:
    """The browser that tests drive: the first known name on PATH, else Playwright's own if it is
    installed.
    """
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return Path(found)
    return _playwrights_own()


def _playwrights_own() -> Path | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return path if path.exists() else None


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, without a window, of which `expect` expects things within WAIT_MS. Raises RuntimeError if
    there is none.
    """
    from playwright.sync_api import expect, sync_playwright

    path = find()
    if path is None:
        raise RuntimeError("no Chromium: run `python tests/e2e/find_browser.py --install`")
    expect.set_options(timeout=WAIT_MS)  # 5 s otherwise, whatever the time limit of the page
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def install() -> Path | None:
    """Get a browser by the ways there are, quietest first; what fails is said on stderr."""
    found = find()
    if found is None and shutil.which("apt-get") and os.geteuid() == 0:
        _run(["apt-get", "update", "-qq"])
        _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"])
        found = find()
    if found is None:
        _run([sys.executable, "-m", "playwright", "install", "chromium"])
        found = find()
    return found


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, stdout=sys.stderr, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, check=False
    )
    if done.returncode:
        sys.stderr.write(f"{' '.join(command)} failed with status {done.returncode}\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--install", action="store_true", help="get one if there is none")
    found = install() if parser.parse_args().install else find()
    if found is None:
        sys.stderr.write(
            "no Chromium: install the package `chromium`, or run `playwright install chromium`\n"
        )
        return 1
    sys.stdout.write(f"{found}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
