"""What the tests of notebooks share: modules of the browser tests, and a real JupyterLab on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "e2e")]
SECONDS, TOKEN = 60, "a-token-of-this-test"


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a Jupyter without its user's settings, whose kernels find the project."""
    folder = tmp_path_factory.mktemp("jupyter")
    folders = {f"JUPYTER_{kind}_DIR": str(folder / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    return {**os.environ, **folders, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder / "ipython")}


@pytest.fixture
def lab(jupyter: dict[str, str], tmp_path: Path) -> Iterator[Callable[[Path], str]]:
    """Address of a notebook in a JupyterLab that serves its folder."""
    with ExitStack() as stack:

        def serve(notebook: Path) -> str:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            settings = {
                "ServerApp.ip": "127.0.0.1", "ServerApp.port": port, "ServerApp.port_retries": 0,
                "ServerApp.root_dir": notebook.parent, "IdentityProvider.token": TOKEN,
                "LabApp.news_url": "None", "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
            }  # fmt: skip
            command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
            log = stack.enter_context((tmp_path / "lab.log").open("wb"))
            process = subprocess.Popen(
                [*command, *(f"--{name}={value}" for name, value in settings.items())],
                env=jupyter, stdout=log, stderr=log,
            )  # fmt: skip
            stack.callback(process.wait, timeout=SECONDS)
            stack.callback(process.terminate)
            end = time.monotonic() + SECONDS
            while True:
                assert process.poll() is None, (tmp_path / "lab.log").read_text()
                assert time.monotonic() < end, (tmp_path / "lab.log").read_text()
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        return f"http://127.0.0.1:{port}/lab/tree/{notebook.name}?token={TOKEN}"
                time.sleep(0.2)

        yield serve
