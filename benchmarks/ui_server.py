"""A server of the dashboard, and what the kernel knows of it: CPU, bytes read, libraries."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import serving

LOGGED = 3000  # bytes of the server's log that tell of an error


class Server(serving.Server):
    """The dashboard on a folder of runs, measured from outside."""

    def __init__(self, folder: Path) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the server
        super().__init__(folder, self._log)
        self._proc = Path(f"/proc/{self.process.pid}")

    def stop(self) -> None:
        super().stop()
        self._log.close()

    def log(self) -> str:
        """The end of what it wrote: errors in pages."""
        file = self._log.fileno()
        return os.pread(file, LOGGED, max(os.fstat(file).st_size - LOGGED, 0)).decode(errors="replace")

    def cpu(self) -> float:
        """CPU seconds of all its threads so far, in the kernel's ticks of 10 ms."""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def bytes_read(self) -> int:
        """Bytes that it asked of files (and pipes) so far, from the disk or the kernel's cache."""
        (line,) = [line for line in (self._proc / "io").read_text().splitlines() if line.startswith("rchar")]
        return int(line.split()[1])

    def has_torch(self) -> bool:
        """Whether torch's library is in its memory."""
        return "libtorch" in (self._proc / "maps").read_text()
