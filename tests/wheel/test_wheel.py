"""The wheel in an environment where nothing of the project was: what it changes there, and that it does all
that the README's first screen says. `make test-wheel` runs it; it installs a gigabyte.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
sys.path.insert(0, str(ROOT / "tests" / "docs"))
import find_browser  # noqa: E402
from blocks import blocks  # noqa: E402

TORCH = re.findall(r"^torch==\S+$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
THEIRS = ("numpy==2.2.6", "pandas==2.2.3", "plotly==6.0.1", "rich==13.9.4")
"""What the user has: within the ranges, and neither the lowest nor the newest."""

START_SECONDS = 60

pytestmark = pytest.mark.timeout(900)

MODEL = """
import torch
from torch import nn

class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc_mu, self.fc_var, self.decoder = nn.Linear(5, 16), nn.Linear(5, 16), nn.Linear(16, 5)
    def forward(self, x):
        mu, log_var = self.fc_mu(x), self.fc_var(x)
        return self.decoder(mu + (log_var / 2).exp() * torch.randn_like(mu))

model, loader = Vae(), list(torch.randn(60, 8, 5))
def train_step(model, batch):
    return (model(batch) - batch).square().mean()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, made of the source distribution, as an index would."""
    folder = tmp_path_factory.mktemp("dist")
    for target, source in (("sdist", ROOT), ("wheel", folder / "source")):
        if target == "wheel":
            [archive] = folder.glob("*.tar.gz")
            source.mkdir()
            subprocess.run(["tar", "xf", archive, "-C", source, "--strip-components=1"], check=True)
        command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
        subprocess.run(command, cwd=source, check=True, stdout=subprocess.DEVNULL)
    [found] = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands of an environment that had packages of its own before the wheel came."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip(folder, "install", *TORCH, *THEIRS)
    before = versions(folder)
    pip(folder, "install", f"{wheel}[all]")
    after = versions(folder)
    assert {name: after.get(name) for name in before} == before
    pip(folder, "check")
    return folder / "bin"


def pip(environment: Path, *words: str) -> str:
    command = [str(environment / "bin" / "pip"), "--disable-pip-version-check", *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def versions(environment: Path) -> dict[str, str]:
    return {one["name"]: one["version"] for one in json.loads(pip(environment, "list", "--format", "json"))}


def run(command: Path, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(command), *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_what_lies_in_the_wheel(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
        [metadata] = [archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA")]
    tracked = subprocess.run(
        ["git", "ls-files", "probes", "vdn", "pages", ".streamlit", "app.py"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    packages = {name for name in tracked if name.startswith(("probes/", "vdn/"))}
    dashboard = {f"probes/_dashboard/{name}" for name in set(tracked) - packages}
    assert packages | dashboard <= names
    others = {name for name in names - packages - dashboard if ".dist-info/" not in name}
    assert {name.rpartition("/")[0].removesuffix("/checkpoints") for name in others} >= {
        "probes/_dashboard/demo_runs/healthy", "vdn/_data",
    }  # fmt: skip
    assert all(name.startswith(("probes/_dashboard/demo_runs/healthy/", "vdn/_data/")) for name in others)
    assert "Name: vdn-probes" in metadata
    assert "License-Expression: Apache-2.0" in metadata


def test_six_lines_of_watch_and_the_dashboard_shows_the_run(installed: Path, tmp_path: Path) -> None:
    [lines] = [b.text for b in blocks("README.md") if b.language == "python" and "probes.watch(" in b.text]
    script = tmp_path / "training.py"
    script.write_text(MODEL + lines)
    done = run(installed / "python", str(script), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [str(installed / "probes"), "ui", "runs", "--port", str(port), "--no-browser"], cwd=tmp_path
    )
    try:
        end = time.monotonic() + START_SECONDS
        while not answers(port):
            assert server.poll() is None
            assert time.monotonic() < end
            time.sleep(0.2)
        with find_browser.chromium() as browser:
            page = browser.new_page()
            page.set_default_timeout(find_browser.WAIT_MS)
            page.goto(f"http://127.0.0.1:{port}/")
            page.get_by_role("heading", name="my-vae").wait_for()
            page.locator("canvas").first.wait_for()
    finally:
        server.terminate()
        server.wait()


def test_a_training_on_the_data_that_comes_with_it(installed: Path, tmp_path: Path) -> None:
    small = ["--neurons", "16", "--test-draws", "2", "--probe-inputs", "8", "--probe-sequence", "8"]
    done = run(installed / "vdn", "train", "--data", "nyc", "--steps", "20", *small, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    [folder] = (tmp_path / "runs").iterdir()
    listed = run(installed / "probes", "ls", "runs", folder=tmp_path)
    assert folder.name in listed.stdout
    probed = run(installed / "vdn", "probe", str(folder), "ablation", "--windows", "8", folder=tmp_path)
    assert probed.returncode == 0, probed.stderr
