"""What the README and the documentation show as code runs as it is printed, and gives what they say it
gives.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from blocks import ROOT, Block, blocks, run_block
from torch import nn

import probes
from probes.log.check import check
from probes.recorder import RecorderError
from vdn.__main__ import main as vdn

README, FORMAT, WATCH, RESCUE = "README.md", "docs/format.md", "docs/watch.md", "docs/rescue.md"
LOG, DATA, INSTALL = "docs/log.md", "docs/data.md", "docs/install.md"
SEQUENCE, SEQUENCES = "docs/sequence.md", "Sequences: causality carried by the neurons' samples"
NEURONS = 64


def block(document: str, heading: str, number: int = 0, language: str = "python") -> Block:
    return [b for b in blocks(document) if b.heading == heading and b.language == language][number]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(here: Path) -> probes.Run:
    """A run called RUN with 501 steps to step 5,000 of two layers of 64 neurons."""
    random = np.random.default_rng(0)
    steps = np.arange(0, 5001, 10)
    with probes.Recorder("RUN", [{"name": f"layer {i}", "neurons": NEURONS} for i in (0, 1)]) as recorder:
        for layer in (0, 1):
            kl, mean, variance = np.abs(random.normal(size=(3, steps.size, NEURONS)))
            recorder.record_block(steps, layer, {"mean": mean, "variance": variance, "kl": kl})
        recorder.scalar(5000, "nll", 1.0)
        recorder.event(5000, "phase")
        recorder.probe(5000, 0, np.zeros((2, NEURONS)), np.ones((2, NEURONS)))
    return probes.Run("RUN")


DURING = """
import os, signal, sys
import numpy as np
import probes
from probes.storage.local import LocalStorage

recorder = probes.Recorder("RUN", [{"name": f"layer {i}", "neurons": 64} for i in (0, 1)])
begin = 100 if sys.argv[1] == "late" else 0
if sys.argv[1] == "killed":  # when small files are compacted into a larger one, and not deleted yet
    LocalStorage.delete = lambda self, path: os.kill(os.getpid(), signal.SIGKILL)
for start in range(0, 5001, 100):
    steps = np.arange(start, min(start + 100, 5001), 10)
    for layer in (0, 1):
        values = np.broadcast_to(1.0 + steps[:, None] + layer, (steps.size, 64))
        statistics = {"mean": values, "variance": values} | ({"kl": values} if start >= begin else {})
        recorder.record_block(steps, layer, statistics)
    recorder.scalar(start, "nll", 1.0)
    recorder.flush()
    if sys.argv[1] == "live" and start == 2500:
        break
if sys.argv[1] == "late":
    recorder.close()
else:
    print("live", flush=True)
    sys.stdin.read()
    os._exit(0)
"""


@pytest.fixture(params=["finished", "live", "killed", "late"])
def any_run(request: pytest.FixtureRequest, here: Path) -> Iterator[probes.Run]:
    """A run called RUN: finished, being written, killed amidst a compaction, with a kl that begins late."""
    if request.param == "finished":
        yield request.getfixturevalue("run")
        return
    writer = subprocess.Popen(
        [sys.executable, "-c", DURING, request.param],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert writer.stdout is not None
    if request.param == "live":
        assert writer.stdout.readline() == b"live\n"
    else:
        writer.wait(60)
    run = probes.Run("RUN")
    doubled = len(list(Path("RUN/neurons").glob("*.parquet"))) - len(run.files())
    assert (doubled > 0) == (request.param in ("live", "killed"))
    yield run
    writer.communicate()


class Vae(nn.Module):
    """Two layers whose names say what they are, as most VAEs have them."""

    def __init__(self, latent: int = 16) -> None:
        super().__init__()
        self.fc_mu, self.fc_var = nn.Linear(5, latent), nn.Linear(5, latent)
        self.decoder = nn.Linear(latent, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mu, log_var = self.fc_mu(x), self.fc_var(x)
        return self.decoder(mu + (log_var / 2).exp() * torch.randn_like(mu))


def trained(model: nn.Module) -> dict[str, Any]:
    """What a training script has at hand: model, batches, an optimiser."""
    torch.manual_seed(0)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    return {
        "probes": probes,
        "model": model,
        "loader": list(torch.randn(6, 8, 5)),
        "optimiser": optimiser,
        "torch": torch,
    }


def test_readme_watch_your_own_model(here: Path) -> None:
    def train_step(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return (model(batch) - batch).square().mean()

    space = run_block(block(README, "Watch your own model"), trained(Vae()) | {"train_step": train_step})
    run = probes.Run("runs/my-vae")
    assert run.steps.tolist() == list(range(6))
    assert [layer["neurons"] for layer in run.layers] == [16]
    assert run.scalars()["value"].iloc[-1] == pytest.approx(space["loss"].item())


def test_log_one_neurons_history(any_run: probes.Run) -> None:
    example = block(LOG, "The log, in thirty lines")
    *_, last = example.text.strip().splitlines()
    space = run_block(example, {})
    frame = eval(last, space)
    expected = any_run.history(0, 17, ["kl"])
    np.testing.assert_array_equal(frame["step"], expected["step"])
    np.testing.assert_array_equal(frame["kl"], expected["kl"])


def test_log_layout_names_the_folders_of_a_run(run: probes.Run) -> None:
    [layout] = [b for b in blocks(LOG) if b.heading == "The log, in thirty lines" and not b.language]
    names = set(re.findall(r"^RUN/([a-z.]+)", layout.text, re.MULTILINE))
    of_other_families = {"parameters", "classes"}
    assert {"run.json", "neurons", "layers", "pyramid", "scalars", "events", "probe"} == (
        names - of_other_families
    )
    assert of_other_families < names
    assert all(Path("RUN", name).exists() for name in names - of_other_families)


def shell(line: str, **names: str) -> subprocess.CompletedProcess[str]:
    """A command as printed, run by this interpreter; names in capitals stand for what the reader has."""
    words = [
        re.sub(r"\b[A-Z]+\b", lambda found: names.get(found[0], found[0]), word)
        for word in shlex.split(line, comments=True)
    ]
    if words[0] in ("probes", "vdn"):
        words = ["python", "-m", *words]
    assert words[0] in (".venv/bin/python", "python")
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(Path.cwd())}
    return subprocess.run(
        [sys.executable, *words[1:]], capture_output=True, text=True, env=environment, check=False
    )


def test_data_train_your_own_series(here: Path) -> None:
    """As printed, on a small series; smaller settings come on top, of which the last counts."""
    hours = pd.date_range("2026-01-01", periods=1500, freq="h")
    wave = np.sin(np.arange(1500) / 24 * 2 * np.pi)
    noise = np.random.default_rng(0).normal(size=(2, 1500))
    series = pd.DataFrame({"time": hours, "a": wave + 0.1 * noise[0], "b": 2 * wave + 0.1 * noise[1]})
    series.to_csv("my_series.csv", index=False)
    small = (
        " --neurons 8 --steps 12 --test-draws 2 --window 24 --horizon 6 --batch 16 --probe-inputs 8"
        " --probe-sequence 8"
    )
    train, *others = block(DATA, "Train your own series", language="").text.strip().splitlines()
    done = shell(train + small)
    assert done.returncode == 0, done.stderr
    [folder] = Path("runs").iterdir()
    assert len(probes.Run(folder).layers) == 3
    assert probes.Run(folder).config["beta"] == 0.01  # the default of series
    said = []
    for line in others:
        done = shell(line, NAME=folder.name)
        assert done.returncode == 0, (line, done.stderr)
        said.append(done.stdout)
    assert len(said) == 3
    assert folder.name in said[0]
    assert "living share" in said[1]
    assert "<html" in Path("report.html").read_text("utf-8")[:300].lower()


def test_format_reading_with_other_tools(any_run: probes.Run) -> None:
    example = block(FORMAT, "Reading it with other tools")
    space = run_block(example, {})
    expected = any_run.history(0, 17, ["kl"])
    lines = example.text.strip().splitlines()
    *by_tools, scalars, files = [line for line in lines if line.startswith(("neurons.", "pl.", "probes."))]
    assert len(by_tools) == 3
    for line in by_tools:
        frame = eval(line, space)
        assert frame["step"].to_numpy().tolist() == expected["step"].tolist(), line
        np.testing.assert_array_equal(np.asarray(frame["kl"], float), expected["kl"])
    assert len(eval(scalars, space)) == len(any_run.scalars())
    assert all(Path(file).exists() for file in eval(files, space))


def test_format_reading_any_run_with_this_project(any_run: probes.Run) -> None:
    """Each line gives each step once, whatever state the run is in."""
    Path("runs").mkdir()  # whose catalog is asked for too
    steps = any_run.steps
    example = block(FORMAT, "Reading it with this project")
    text = example.text.replace("5000", str(steps[-1]))
    space = run_block(Block(example.document, example.heading, example.line, "python", text), {})
    assert space["values"].shape == (NEURONS, steps.size)
    found = [eval(line.split("  #")[0], space) for line in text.splitlines() if line.startswith("run.")]
    assert found[0]["step"].tolist() == np.repeat(steps, 2).tolist()
    assert found[2]["step"].tolist() == [steps[-1]] * 2 * NEURONS
    assert found[3][0]["step"].tolist() == np.repeat(steps, 2).tolist()


def test_format_reading_with_this_project(run: probes.Run, here: Path) -> None:
    example = block(FORMAT, "Reading it with this project")
    (here / "runs").mkdir()
    (here / "RUN").rename(here / "runs" / "RUN")
    (here / "RUN").symlink_to("runs/RUN", target_is_directory=True)
    space = run_block(example, {})
    assert space["values"].shape == (NEURONS, 501)
    assert space["edges"][[0, -1]].tolist() == [0, 5001]
    found = {
        line.split("  #")[0]: eval(line.split("  #")[0], space)
        for line in example.text.splitlines()
        if line[:4] in ("run.", "prob")
    }
    history, few, at, summaries, posteriors, refreshed, catalog = found.values()
    assert history.columns.tolist() == ["step", "layer", "neuron", "mean", "variance", "kl"]
    assert history["neuron"].unique().tolist() == [17, 40]
    assert {"kl_min", "kl_max"} <= set(few.columns)
    assert len(at) == 2 * NEURONS
    assert len(summaries) == 5
    assert [len(rows) for rows in posteriors] == [0, 0, 0], "a run of Gaussians has none"
    assert refreshed is False
    assert catalog["name"].tolist() == ["RUN"]


def test_format_many_runs(run: probes.Run, here: Path) -> None:
    (here / "runs").mkdir()
    (here / "RUN").rename(here / "runs" / "RUN")
    space = run_block(block(FORMAT, "Many runs"), {})
    assert space["fleet"].left_out == {}


def test_format_the_command_line_and_its_exit_status(run: probes.Run, here: Path) -> None:
    text = (ROOT / FORMAT).read_text("utf-8")
    [commands] = re.findall(r"^`python -m probes (.*?)`", text, re.MULTILINE)
    (here / "runs").mkdir()
    (here / "RUN").rename(here / "runs" / "RUN")
    for command in commands.split(" | "):
        for line in dict.fromkeys(
            [command.replace("[--json]", ""), command.replace("[", "").replace("]", "")]
        ):
            done = shell(f"python -m probes {line}", FOLDER="runs", RUN="runs/RUN", FILE="report.html")
            assert done.returncode == 0, (line, done.stderr)
    assert shell("python -m probes show nowhere").returncode == 2
    next(Path("runs/RUN/neurons").iterdir()).unlink()
    assert shell("python -m probes check runs/RUN").returncode == 1
    assert "0, 1 when `check` found errors, 2 when" in text


def test_format_writing_a_run(here: Path) -> None:
    random = np.random.default_rng(0)
    given = {
        "probes": probes,
        "steps": 5,
        "nll": 0.5,
        "epoch": 0.0,
        "probability": np.full((4, 2), 0.5),
        "y": [0, 1, 0, 1],
        "array": lambda: np.abs(random.normal(size=256)),
    }
    run_block(block(FORMAT, "Writing it"), given, {"mean": "array()", "variance": "array()", "kl": "array()"})
    run = probes.Run("RUN")
    assert run.steps.tolist() == run.scalars()["step"].tolist() == list(range(5))
    assert run.statistics == ["mean", "variance", "kl"]
    assert run.status == "finished"
    assert check("RUN") == []
    with pytest.raises(probes.RunError):
        run_block(
            block(FORMAT, "Writing it"), given, {"mean": "array()", "variance": "array()", "kl": "array()"}
        )
    assert issubclass(probes.RecorderError, RecorderError)


def test_format_writing_families_that_are_no_gaussian(here: Path) -> None:
    probability = np.random.default_rng(0).dirichlet(np.ones(8), (5, 32))
    given = {
        "probes": probes,
        "step": 3,
        "usage": probability.mean(axis=0),
        "probability": probability,
        "np": np,
    }
    filled = dict.fromkeys(("kl", "information", "entropy", "prior_entropy"), "np.ones(32)")
    given |= {"share": np.full(512, 1 / 512), "told": np.full(512, np.log(512) / 512)}
    run_block(block(FORMAT, "Families that are no Gaussian"), given, filled)
    run = probes.Run("RUN")
    assert run.parameters(3, "words")["value"].to_numpy()[:8] == pytest.approx(probability[0, 0])
    assert len(run.classes(3)) == 32 * 8
    assert run.layer_summary()["layer_window"].dropna().tolist() == [262144]
    assert check("RUN") == []


def test_watch_two_lines_around_a_training_loop(here: Path) -> None:
    space = run_block(
        block(WATCH, "Watching anybody's network"),
        trained(Vae()),
        {"loss": "(model(batch) - batch).square().mean()"},
    )
    run = probes.Run("runs/my-vae")
    assert run.steps.tolist() == list(range(6))
    assert [layer["neurons"] for layer in run.layers] == [16]
    assert run.scalars()["value"].iloc[-1] == pytest.approx(space["loss"].item())


class Pair(nn.Module):
    """Two linear layers of one input, given to `build`."""

    def __init__(self, build: Callable[[torch.Tensor, torch.Tensor], Any], features: int = 5) -> None:
        super().__init__()
        self.first, self.second, self.build = nn.Linear(features, 4), nn.Linear(features, 4), build

    def forward(self, x: torch.Tensor) -> Any:
        return self.build(self.first(x), self.second(x))


class Every(nn.Module):
    """A network with each kind of part that the documentation names."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Pair(lambda a, b: (a, b))
        self.encoder.block = nn.ModuleDict({"head": nn.Linear(5, 6)})
        self.vae = Pair(lambda a, b: SimpleNamespace(embedding=a, log_covariance=b))
        self.fc_loc, self.fc_scale = nn.Linear(5, 2), nn.Linear(5, 2)
        self.flow = Pair(lambda a, b: SimpleNamespace(m=a, s=b.exp()))
        self.text = nn.Linear(5, 4)

    def forward(self, x: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        mu, _ = self.encoder(x)
        parts = (
            self.encoder.block["head"](x),
            self.vae(x).embedding,
            self.fc_loc(x),
            self.fc_scale(x),
            self.flow(x).m,
            self.text(x[:, None].expand(-1, 3, -1)),
        )
        return mu.sum() + sum(part.sum() for part in parts)


def test_watch_parts_named_by_hand(here: Path) -> None:
    opened = []
    real = probes.watch
    given = trained(Every()) | {"folder": "runs/parts"}
    given["probes"] = SimpleNamespace(
        watch=lambda *options, **named: opened.append(real(*options, **named)), Part=probes.Part
    )
    run_block(block(WATCH, "Saying it by hand"), given)
    [recording] = opened
    with recording:
        for step, batch in enumerate(given["loader"]):
            recording.step(step, loss=given["model"](batch).detach())
    run = probes.Run("runs/parts")
    assert sorted(layer["neurons"] for layer in run.layers) == [2, 2, 3, 4, 4, 4]
    assert run.steps.tolist() == list(range(6))


def test_watch_a_posterior_named_in_compiled_code(here: Path) -> None:
    space: dict[str, Any] = {}

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(5, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return space["forward"](self, x)

    space |= trained(Model()) | {"folder": "runs/compiled"}
    filled = {
        "mu, sigma": "self.body(x).split(3, -1)[0], self.body(x).split(3, -1)[1].exp()",
        "in def": "return mu",
        "in with": "for step, batch in enumerate(loader):\n    model(batch)\n    recording.step(step)",
    }
    run_block(block(WATCH, "Compiled models"), space, filled)
    run = probes.Run("runs/compiled")
    assert [(layer["name"], layer["neurons"]) for layer in run.layers] == [("latent", 3)]
    assert run.steps.tolist() == list(range(6))


def test_watch_an_experiment_on_ones_own_network(here: Path) -> None:
    """A decoder that adds what two of 16 neurons say: silencing one of these costs, silencing any other does
    not.
    """
    torch.manual_seed(0)
    weights = torch.zeros(16)
    weights[[3, 11]] = 1.0
    x = torch.randn(200, 16)
    given = {
        "torch": torch,
        "encode": lambda x: (x, torch.full_like(x, 0.1)),
        "decode": lambda z: (z * weights).sum(-1, keepdim=True),
        "scale": None,
        "x": x,
        "y": (x * weights).sum(-1, keepdim=True),
    }
    effects = run_block(block(WATCH, "What does a neuron do?"), given)["effects"]
    costs = effects.groupby("neuron")["effect"].mean()
    assert costs[[3, 11]].min() > 0.5
    assert costs.drop([3, 11]).abs().max() < 0.05


def test_rescue_a_thermostat_in_a_training_loop(here: Path) -> None:
    """Neurons that nothing needs and that are at 2 nats: beta is left at its upper end, and written."""

    def losses(model: nn.Module, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return (model(batch) - batch).square().mean(), torch.full((8, 16), 2.0)

    given = trained(Vae())
    with probes.watch(given["model"], "runs/rescued") as recording:
        space = run_block(block(RESCUE, "What was done"), given | {"losses": losses, "recording": recording})
    assert space["thermostat"].beta.tolist() == [1] * 16
    scalars = probes.Run("runs/rescued").scalars()
    assert scalars[scalars["name"] == "beta"]["value"].tolist() == [1] * 6


def test_watch_statistics_of_numpys_arrays(here: Path) -> None:
    """One neuron at its prior, fifteen that move."""
    random = np.random.default_rng(0)
    moving = np.arange(16) > 0
    posteriors = [
        (random.normal(size=(32, 16)) * moving, np.tile(np.where(moving, -2.0, 0.0), (32, 1)))
        for _ in range(3)
    ]
    space = run_block(block(WATCH, "Numpy, JAX"), {"posteriors": posteriors})
    run = probes.Run("runs/mine")
    assert run.steps.tolist() == [0, 1, 2]
    assert run.at(2)["regime"].tolist() == [4] + [0] * 15
    assert set(run.statistics) == space["statistics"].keys()


class Observed(Vae):
    """A VAE that hands its posterior over under the name `latent`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mu, log_var = self.fc_mu(x), self.fc_var(x)
        probes.observe("latent", mu, (log_var / 2).exp())
        return self.decoder(mu)


def test_watch_acting_on_it_while_it_trains(here: Path) -> None:
    given = trained(Observed()) | {"folder": "runs/acting", "beta": 1.0}
    space = run_block(
        block(WATCH, "Acting on it while it trains"), given, {"in with": "model(batch); recording.flush()"}
    )
    assert space["new"] == []
    assert space["latest"]["kl"].shape == (16,)
    assert space["beta"] == 1.0 or space["latest"]["kl"].sum() < 0.1


def test_watch_a_trained_model_without_its_loop(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = Vae()
    with torch.no_grad():  # the first half of the neurons says nothing
        for layer in (model.fc_mu, model.fc_var):
            layer.weight[:8], layer.bias[:8] = 0, 0
        model.fc_mu.weight[8:], model.fc_var.bias[8:] = torch.eye(8, 5) + 1, -4
    space = run_block(block(WATCH, "A trained model without its loop"), trained(model))
    collapsed = space["run"].regimes().query("regime == 4")["neuron"].tolist()
    assert collapsed == list(range(8))
    assert "4" in capsys.readouterr().out


def test_watch_other_families(here: Path) -> None:
    given = {
        "torch": torch,
        "Independent": torch.distributions.Independent,
        "OneHotCategorical": torch.distributions.OneHotCategorical,
        "a": torch.rand(32, 4) + 1,
        "b": torch.rand(32, 4) + 1,
        "logits": torch.randn(32, 4, 3),
        "indices": torch.randint(512, (32, 7)),
        "z": torch.randn(5, 32, 4),
        "log_q": torch.randn(5, 32, 4),
        "log_prior": torch.randn(5, 32, 4),
    }
    with probes.watch(nn.Linear(1, 1), "runs/families", hooks=False) as recording:
        run_block(block(WATCH, "Other families"), given | {"probes": probes})
        recording.step(0)
    run = probes.Run("runs/families")
    assert {layer["name"]: layer["family"] for layer in run.layers} == {
        "z": "beta", "stoch": "categorical", "codes": "codes", "theta": "samples",
    }  # fmt: skip


def test_watch_draws_of_dropout_and_ensembles(here: Path) -> None:
    def member() -> nn.Module:
        return nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5), nn.Linear(8, 2))

    given = {"model": member(), "models": [member() for _ in range(16)], "x": torch.randn(32, 5)}
    with probes.watch(nn.Linear(1, 1), "runs/draws", hooks=False) as recording:
        space = run_block(block(WATCH, "Dropout and ensembles"), given | {"probes": probes})
        recording.step(0)
    assert space["z"].shape == (16, 32, 2)
    assert probes.Run("runs/draws").layers[0]["neurons"] == 2


def test_watch_what_the_inputs_are(here: Path) -> None:
    given = trained(Vae()) | {"images": torch.rand(8, 64)}
    given["model"] = nn.Sequential(nn.Linear(64, 5), given["model"])
    given["loader"] = list(torch.rand(4, 8, 64))
    run_block(block(WATCH, "What the inputs are"), given)
    assert probes.Run("runs/with-inputs").inputs()["kind"].tolist() == ["image"] * 8


class Tagger(nn.Module):
    """A posterior for each position of a text."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(128, 8)
        self.mu, self.log_var = nn.Linear(8, 4), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = self.embedding(x)
        return self.mu(h), self.log_var(h)


def test_watch_a_sequence(here: Path) -> None:
    given = trained(Tagger()) | {"encode": lambda text: torch.tensor([[ord(letter) for letter in text]])}
    given["loader"] = list(torch.randint(0, 128, (4, 2, 6)))
    space = run_block(block(WATCH, "Sequences"), given)
    run = probes.Run("runs/sequence")
    assert run.sequence_steps().tolist() == [0, 1, 2, 3]
    assert "".join(run.inputs()["content"]) == space["text"]
    assert run.sequence()["t"].nunique() == len(space["text"])


def test_sequence_commands(here: Path) -> None:
    """Each line as printed trains two steps of a small network on a small file."""
    rng = np.random.default_rng(0)
    Path("text.txt").write_text("to be or not to be " * 200)
    pieces = [[[60, 64], [62]]] * 4
    Path("chords.json").write_text(json.dumps({"train": pieces, "valid": pieces, "test": pieces}))
    pd.DataFrame({"a": rng.normal(size=900), "b": rng.normal(size=900)}).to_csv("series.csv", index=False)
    files = {"text": "text:text.txt", "chords:FILE": "chords:chords.json", "csv:FILE": "csv:series.csv"}
    small = ["--steps=2", "--neurons=16", "--batch=4", "--test-draws=2", "--probe-sequence=8", "--threads=1"]
    lines = block(SEQUENCE, SEQUENCES, language="").text.splitlines()
    for number, line in enumerate(lines):
        words = [files.get(word, word) for word in shlex.split(line, comments=True)]
        assert words[:3] == ["python", "-m", "vdn"]
        assert vdn([*words[3:], *small, "--out", f"run-{number}"]) == 0
    assert len(list(Path().glob("run-*/run.json"))) == len(lines) == 5

    small = {"RUN": "run-0", "200": "5", "8": "2", "40": "2", "80": "3", "1:17": "1:1", "To be": "to be"}
    asked = block(SEQUENCE, "Ask a trained network", language="").text.splitlines()
    for line in asked:
        words = [small.get(word, word) for word in shlex.split(line, comments=True)]
        assert words[:3] == ["python", "-m", "vdn"]
        assert vdn(words[3:]) == 0, line
    assert len(asked) == 3


SKIPPED = {
    (
        README,
        "Two commands in a checkout",
        "",
    ): "installs everything and opens a server; make itself is what runs these tests",
    (README, "Watch your own model", "bash"): "installs everything: tests/wheel does",
    (README, "Watch your own model", "shell"): "opens a server: tests/wheel does",
    (INSTALL, "Install", "bash"): "installs everything: tests/wheel does",
    (INSTALL, "In a checkout", ""): "as in the README",
    (DATA, "What is read", ""): "a line that is printed: tests/vdn/test_table.py",
    (FORMAT, "The log: an open folder of Parquet files", ""): "a list of files and columns, no code",
    (
        WATCH,
        "Trainers and trackers",
        "python",
    ): "needs Lightning, transformers, TensorBoard and W&B: tests/integrations runs it",
}
RUN_HERE = {
    (SEQUENCE, SEQUENCES, ""),
    (SEQUENCE, "Ask a trained network", ""),
    (DATA, "Train your own series", ""),
    (README, "Watch your own model", "python"),
    (LOG, "The log, in thirty lines", ""),
    (LOG, "The log, in thirty lines", "python"),
    (FORMAT, "Reading it with other tools", "python"),
    (FORMAT, "Reading it with this project", "python"),
    (FORMAT, "Writing it", "python"),
    (WATCH, "Watching anybody's network", "python"),
    (WATCH, "Other families", "python"),
    (WATCH, "Dropout and ensembles", "python"),
    (WATCH, "Saying it by hand", "python"),
    (WATCH, "Compiled models", "python"),
    (WATCH, "What does a neuron do?", "python"),
    (RESCUE, "What was done", "python"),
    (FORMAT, "Many runs", "python"),
    (FORMAT, "Families that are no Gaussian", "python"),
    (WATCH, "Numpy, JAX", "python"),
    (WATCH, "Acting on it while it trains", "python"),
    (WATCH, "A trained model without its loop", "python"),
    (WATCH, "What the inputs are", "python"),
    (WATCH, "Sequences", "python"),
}


@pytest.mark.parametrize("document", [README, INSTALL, LOG, DATA, FORMAT, WATCH, RESCUE, SEQUENCE])
def test_every_block_is_run_or_has_a_reason(document: str) -> None:
    """A block that is added needs a test here; docs/how_to_add.md has tests/docs/test_recipes.py."""
    shown = [(b.document, b.heading, b.language) for b in blocks(document)]
    assert len(set(shown)) == len(shown)
    assert set(shown) == {key for key in RUN_HERE | SKIPPED.keys() if key[0] == document}
