"""A freshly started server and a Chromium for each browser test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "pages"))
import find_browser
from planted import write_run

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
WAIT_MS = 60_000  # generous: two busy cores


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = find_browser.find()
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium, and CI is set: run `python tests/e2e/find_browser.py --install`")
        pytest.skip("no Chromium: run `python tests/e2e/find_browser.py --install`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=find_browser.FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new browser profile, in which no request leaves this machine."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="dark")
    context.set_default_timeout(WAIT_MS)
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


@pytest.fixture
def serve(runs: Path) -> Iterator[Callable[..., str]]:
    """Starts a new server on the given folder (default: the one run) and returns its address."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(folder: Path = runs) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port), "--server.headless", "true"]
        command += ["--", "--runs", str(folder)]
        quiet = subprocess.DEVNULL
        processes.append(subprocess.Popen(command, cwd=ROOT, stdout=quiet, stderr=quiet, start_new_session=True))
        address = f"http://127.0.0.1:{port}"
        _wait(address, processes[-1])
        return address

    yield start
    for process in processes:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=START_SECONDS)


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.fail(f"the server ended with status {process.returncode} before it was ready")
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:  # refused, or too slow to answer
            time.sleep(0.2)
    pytest.fail("the server was not ready in time")
