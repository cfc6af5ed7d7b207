"""A server of the dashboard as a process of its own, and what the kernel knows of it: CPU, memory, bytes read, libraries."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60
LOGGED = 3000  # bytes of the server's log that tell of an error


class Server:
    """`streamlit run app.py` on a free port; a context manager that ends it.

    folder: of the runs that it shows. Raises RuntimeError if it does not answer within START_SECONDS.
    """

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(self.port)]
        command += ["--server.headless", "true", "--", "--runs", str(folder)]
        self._log, path = tempfile.mkstemp()
        os.unlink(path)  # it lives as long as it is open
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=self._log, start_new_session=True)
        self._proc = Path(f"/proc/{self._process.pid}")
        self.address = f"http://127.0.0.1:{self.port}"
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended with status {self._process.returncode} before it was ready")
            try:
                with urllib.request.urlopen(f"{self.address}/_stcore/health", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"the server did not answer within {START_SECONDS} s")

    def stop(self) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(timeout=START_SECONDS)
        os.close(self._log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def log(self) -> str:
        """The end of what it wrote to stderr: errors in pages."""
        return os.pread(self._log, LOGGED, max(os.fstat(self._log).st_size - LOGGED, 0)).decode(errors="replace")

    def cpu(self) -> float:
        """CPU seconds of all its threads so far, in the kernel's ticks of 10 ms."""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Resident MB."""
        (line,) = [line for line in (self._proc / "status").read_text().splitlines() if line.startswith("VmRSS")]
        return int(line.split()[1]) / 1024

    def bytes_read(self) -> int:
        """Bytes that it asked of files (and pipes) so far, from the disk or the kernel's cache."""
        (line,) = [line for line in (self._proc / "io").read_text().splitlines() if line.startswith("rchar")]
        return int(line.split()[1])

    def has_torch(self) -> bool:
        """Whether torch's library is in its memory."""
        return "libtorch" in (self._proc / "maps").read_text()
