"""The dashboard behind jupyter-server-proxy, as docs/remote.md describes it: a real notebook server, on this
machine alone.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from raw_requests import SECONDS, ask, open_socket  # noqa: E402
from serving import Server  # noqa: E402

HUB, BASE = "hub.example.org", "/user/name"
TOKEN, HUB_TOKEN = "a-token-of-this-test", "the-token-of-the-hub"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[int]:
    """The port of a notebook server with jupyter-server-proxy, under a user's path of a hub."""
    program = shutil.which("jupyter-server", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        pytest.skip("no jupyter-server: `make test-integrations` installs it with jupyter-server-proxy")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    folders = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    settings = {
        "ip": "127.0.0.1", "port": port, "token": HUB_TOKEN, "base_url": f"{BASE}/", "root_dir": tmp_path,
        "allow_remote_access": True, "port_retries": 0,
    }  # fmt: skip
    command = [program, "--no-browser", "--allow-root"]
    command += [f"--ServerApp.{name}={value}" for name, value in settings.items()]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **folders}, stdout=log, stderr=log)
    try:
        end = time.monotonic() + SECONDS
        while True:
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < end, (tmp_path / "log").read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=SECONDS)


def log_in(hub: int) -> str:
    """The cookie that a browser has of the notebook server, which takes a token under the same name."""
    return ask(hub, f"{BASE}/api/status?token={HUB_TOKEN}", HUB).cookie


def test_the_proxy_keeps_the_hubs_name_and_takes_its_path_off(hub: int) -> None:
    options = ["--token", TOKEN, "--allow-host", HUB]
    own = log_in(hub)
    with Server(ROOT / "sample_runs", options=options) as server:
        path = f"{BASE}/proxy/{server.port}"
        assert ask(hub, f"{path}/", HUB, Cookie=own).status == 401
        entered = ask(hub, f"{path}/?token={TOKEN}&run=healthy", HUB, Cookie=own)
        assert (entered.status, entered.headers["location"]) == (303, "./?run=healthy")
        known = {"Cookie": f"{own}; {entered.cookie}"}
        page = ask(hub, f"{path}/", HUB, **known)
        assert (page.status, b"<title>Streamlit</title>" in page.body) == (200, True)
        assert ask(hub, f"{path}/_stcore/host-config", HUB, **known).status == 200
        assert ask(hub, f"{path}/_stcore/health", HUB, Cookie=own).body == b"ok"
        assert open_socket(hub, f"{path}/_stcore/stream", HUB, Origin=f"http://{HUB}", **known) == 101


def test_a_hub_that_was_not_named_is_refused(hub: int) -> None:
    with Server(ROOT / "sample_runs") as server:
        answer = ask(hub, f"{BASE}/proxy/{server.port}/", HUB, Cookie=log_in(hub))
        assert (answer.status, b"--allow-host" in answer.body) == (403, True)
