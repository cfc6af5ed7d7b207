"""Servers, and a Chromium with a new profile for each browser test."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "pages"))
import find_browser
from driving import new_profile
from planted import write_run
from serving import Server


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if find_browser.find() is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium, and CI is set: run `python tests/e2e/find_browser.py --install`")
        pytest.skip("no Chromium: run `python tests/e2e/find_browser.py --install`")
    with find_browser.chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new browser profile, in which no request leaves this machine."""
    context = new_profile(browser, color_scheme="dark")
    page = context.new_page()
    outside: list[str] = []
    page.on("request", lambda request: outside.append(request.url) if not _local(request.url) else None)
    yield page
    context.close()
    assert not outside, f"the dashboard asked other hosts: {outside}"


def _local(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run of three layers."""
    folder = tmp_path_factory.mktemp("runs")
    write_run(folder / "planted", neurons=32, steps=150)
    return folder


@pytest.fixture(scope="session")
def shared(runs: Path) -> Iterator[str]:
    """The address of one server of the one run for all tests that leave the run as it is."""
    with Server(runs) as server:
        yield server.address


@pytest.fixture
def serve(request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    """The address of a new server on the given folder; without one, of the one that is shared."""
    with ExitStack() as stack:

        def start(folder: Path | None = None) -> str:
            if folder is None:
                return str(request.getfixturevalue("shared"))
            return stack.enter_context(Server(folder)).address

        yield start
