"""What Windows lacks is not needed: importing, reading, recording and the dashboard without it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WINDOWS = """
import os, sys, warnings
{first}
for name in ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty"):
    sys.modules[name] = None
for name in (
    "register_at_fork", "fork", "forkpty", "killpg", "setsid", "getpgid", "mkfifo", "nice", "getloadavg",
    "sysconf", "getuid", "geteuid", "getgid", "getegid", "fchmod", "chown", "fchown", "lchown",
    "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY",
):
    if hasattr(os, name):
        delattr(os, name)

real_open = os.open

def no_folder(path, *rest, **options):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", str(path))
    return real_open(path, *rest, **options)

os.open = no_folder
"""
READ = """
import probes
from probes.__main__ import main
assert len(probes.catalog(sys.argv[1])) > 1
run = probes.Run(sys.argv[1] + "/collapsed")
assert len(run.history(0, [0])) == len(run.steps) > 0
assert main(["ls", sys.argv[1]]) == main(["show", sys.argv[1] + "/collapsed"]) == 0
assert "filelock" not in sys.modules and "torch" not in sys.modules
"""
RECORD = """
import numpy as np
import probes
warnings.filterwarnings("ignore", "only soft file lock")  # filelock's own word on a Linux without fcntl
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    recorder = probes.Recorder(sys.argv[2], [dict(name="z", neurons=4)])
assert any("without locks" in str(warning.message) for warning in said)
for step in range(300):
    recorder.record(step, "z", mean=np.zeros(4), kl=np.zeros(4))
    recorder.scalar(step, "loss", 1.0)
recorder.close()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    probes.Recorder.resume(sys.argv[2], 99).close()
assert probes.Run(sys.argv[2]).steps.tolist() == list(range(100))
"""
PAGES = """
from streamlit.testing.v1 import AppTest
sys.argv = ["app.py", "--runs", sys.argv[1]]
import app
for page in ("runs", "health", "replay", "neurons"):
    shown = AppTest.from_file("app.py", default_timeout=100)
    shown.query_params["run"] = "collapsed"
    shown.switch_page(f"pages/{page}.py")
    shown.run()
    assert not shown.exception, (page, shown.exception)
    assert page == "runs" or f"## {page.title()} · collapsed" in shown.markdown[0].value
    assert page == "runs" or len(list(shown.main)) > 8, page
"""


@pytest.mark.parametrize(
    ("what", "first"),
    [
        (READ, ""),
        (RECORD, ""),
        (PAGES, ""),
        ("import probes.watching.attaching, vdn.__main__", "import torch"),
    ],
    ids=["reading", "recording", "dashboard", "watching and training"],
)
def test_without_what_windows_lacks(tmp_path: Path, what: str, first: str) -> None:
    """`first` is loaded while it is all there: a build for Linux needs it, one for Windows does not."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", WINDOWS.format(first=first) + what, "sample_runs", str(tmp_path / "run")],
        cwd=ROOT, capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
