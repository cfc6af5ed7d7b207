"""The dashboard as a process of its own, for whoever looks at it from outside: tests, pictures of the docs,
benchmarks.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120
# two workers' own ports, below those that the system gives to whoever asks for any
PORTS, PORTS_EACH = 20_000, 6_000


def free_port() -> int:
    """A port that neither a server nor the other of two workers has: the system may give one twice before a
    server listens there.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = PORTS + PORTS_EACH * (worker % 2)
    while True:
        port = random.randrange(first, first + PORTS_EACH)
        with socket.socket() as free:
            if free.connect_ex(("127.0.0.1", port)) != 0:
                return port


class Server:
    """`streamlit run app.py` on a free port; a context manager that ends it.

    folder: of the runs that it shows; log: where it writes what it says, nowhere without it; script: another
    one than app.py, with the same settings; settings, options: more of Streamlit's and of the dashboard's own
    command line, path: the base path that these name. Raises RuntimeError if it ends, or does not answer
    within START_SECONDS.
    """

    def __init__(
        self,
        folder: Path,
        log: IO[bytes] | int = subprocess.DEVNULL,
        script: str | Path = "app.py",
        settings: Sequence[str] = (),
        options: Sequence[str] = (),
        path: str = "",
    ) -> None:
        port = free_port()
        command = [
            sys.executable,
            "-m",
            "streamlit",
            "run",
            str(script),
            "--server.port",
            str(port),
            "--server.headless",
            "true",
            *settings,
        ]
        command += ["--", "--runs", str(folder), *options]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        self.port = port
        self.address = f"http://127.0.0.1:{port}{path}"
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(
                    f"the server ended with status {self.process.returncode} before it was ready"
                )
            try:
                with urllib.request.urlopen(f"{self.address}/_stcore/health", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except OSError:  # refused, or too slow to answer
                time.sleep(0.2)
        self.stop()
        raise RuntimeError(f"the server did not answer within {START_SECONDS} s")

    def stop(self) -> None:
        """Ends it and what it started."""
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(timeout=START_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def memory(self) -> float:
        """Resident MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
        return int(line.split()[1]) / 1024
