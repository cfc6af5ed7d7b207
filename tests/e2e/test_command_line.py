"""A wrong command line is refused before the server listens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true", "--server.port", "0", "--"]
    return subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_a_folder_that_is_not_there_is_one_line_and_status_2(tmp_path: Path) -> None:
    done = start("--runs", str(tmp_path / "missing"))
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if line] == [
        f"{tmp_path / 'missing'} is not a folder of runs: name one that is there, or make a run with `make train`"
    ]


def test_an_unknown_option_is_refused(tmp_path: Path) -> None:
    done = start("--rnus", str(tmp_path))
    assert done.returncode == 2
    assert "--rnus" in done.stderr
