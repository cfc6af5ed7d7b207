"""A wrong command line is refused before the server listens; a server answers to its own names alone."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlparse

from serving import ROOT, START_SECONDS, free_port


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        "app.py",
        "--server.headless",
        "true",
        "--server.port",
        "0",
        "--",
    ]
    return subprocess.run(
        [*command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=START_SECONDS, check=False
    )


def test_a_folder_that_is_not_there_is_one_line_and_status_2(tmp_path: Path) -> None:
    done = start("--runs", str(tmp_path / "missing"))
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if line] == [
        f"{tmp_path / 'missing'} is not a folder of runs: name one that is there, or look at `probes ui"
        " --demo`"
    ]


def test_an_unknown_option_is_refused(tmp_path: Path) -> None:
    done = start("--rnus", str(tmp_path))
    assert done.returncode == 2
    assert "--rnus" in done.stderr


def test_only_its_own_names_are_answered(serve: Callable[..., str]) -> None:
    """A page elsewhere whose name was made to point here (DNS rebinding) gets no session; neither does
    another origin.
    """
    address = urlparse(serve())
    for host, origin, status in (
        ("attacker.example", "http://attacker.example", 403),
        (address.netloc, "http://attacker.example", 403),
        (address.netloc, f"http://{address.netloc}", 101),
    ):
        connection = http.client.HTTPConnection(address.netloc, timeout=30)
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "streamlit"}
        connection.request(
            "GET", "/_stcore/stream", headers={"Host": host, "Origin": origin, **upgrade, **key}
        )
        assert connection.getresponse().status == status, (host, origin)
        connection.close()


def test_a_first_start_on_a_terminal_does_not_wait_for_an_address() -> None:
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert settings["server"]["showEmailPrompt"] is False


def test_probes_ui_serves_from_any_folder(runs: Path, tmp_path: Path) -> None:
    """Options of the command, Streamlit's and the dashboard's arrive; Ctrl-C is no error."""
    port = free_port()
    words = ["ui", str(runs), "--port", str(port), "--no-browser", "--base-path", "/dash", "--read-only"]
    with subprocess.Popen(
        [sys.executable, "-m", "probes", *words],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        try:
            lines = iter(server.stdout.readline, "")
            link = next(line for line in lines if "Dashboard: " in line).split()[-1]
            assert link == f"http://127.0.0.1:{port}/dash/"
            assert answer(port, "/dash/_stcore/health") == b"ok"
            assert b"<title>Streamlit</title>" in answer(port, "/dash/")
            server.send_signal(signal.SIGINT)  # as Ctrl-C does
            assert server.wait(timeout=START_SECONDS) == 0
        finally:
            server.terminate()


def answer(port: int, path: str) -> bytes:
    """The body at a path, once the server listens."""
    end = time.monotonic() + START_SECONDS
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        except ConnectionRefusedError:
            assert time.monotonic() < end
            time.sleep(0.2)
        finally:
            connection.close()
