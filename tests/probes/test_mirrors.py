"""Scalars in another tracker: its steps are its own, so ours are written beside the values."""

import pytest
import torch

import probes
from probes.integrations.mirrors import FOLDER, mlflow_mirror, tensorboard_mirror, wandb_mirror


class Run:
    """What the mirror uses of a Weights & Biases run."""

    def __init__(self):
        self.rows, self.metrics, self.summary = [], [], {}

    def define_metric(self, name, step_metric):
        self.metrics.append((name, step_metric))

    def log(self, row):
        self.rows.append(row)


def test_values_come_with_our_step():
    run = Run()
    mirror = wandb_mirror(run)
    mirror("train/loss", 1.5, 3)
    mirror("kl/encoder", 0.5, 2)  # a layer's block may come after a later scalar
    assert run.metrics == [("*", "probes/step")]
    assert run.rows == [{"train/loss": 1.5, "probes/step": 3}, {"kl/encoder": 0.5, "probes/step": 2}]


class Writer:
    """What the mirrors use of TensorBoard's writer and of MLflow."""

    def __init__(self):
        self.numbers, self.texts = {}, {}

    def add_scalar(self, name, value, step):
        self.numbers[name, step] = value

    def add_text(self, name, text):
        self.texts[name] = text

    def log_metric(self, name, value, step):
        self.add_scalar(name, value, step)

    set_tag = add_text


def watched(folder, mirror):
    torch.manual_seed(0)
    model = torch.nn.ModuleDict({"mu": torch.nn.Linear(3, 2), "log_var": torch.nn.Linear(3, 2)})
    with probes.watch(model, folder, mirror=mirror) as recording:
        for step in range(3):
            x = torch.randn(8, 3)
            model["mu"](x), model["log_var"](x)
            recording.step(step, loss=0.5)
    return probes.Run(folder)


@pytest.mark.parametrize("made", [tensorboard_mirror, mlflow_mirror])
def test_layer_summaries_and_the_runs_place_are_in_the_tracker(tmp_path, made):
    writer = Writer()
    run = watched(tmp_path / "run", made(writer))
    assert writer.texts == {FOLDER: str(tmp_path / "run")}
    assert {name for name, _ in writer.numbers} == {
        "kl/mu", "information/mu", "contraction/mu", "active_share/mu", "train/loss",
    }  # fmt: skip
    for step in range(3):
        row = run.at(step, statistics=["kl", "information", "contraction", "active_share"])
        assert writer.numbers["kl/mu", step] == pytest.approx(row["kl"].sum(), rel=1e-5)
        assert writer.numbers["information/mu", step] == pytest.approx(row["information"].sum(), rel=1e-5)
        for name in ("contraction", "active_share"):
            assert writer.numbers[f"{name}/mu", step] == pytest.approx(row[name].mean(), rel=1e-5)


def test_a_weights_and_biases_run_says_where_ours_lies(tmp_path):
    tracker = Run()
    watched(tmp_path / "run", wandb_mirror(tracker))
    assert tracker.summary == {FOLDER: str(tmp_path / "run")}


def test_a_place_that_a_tracker_does_not_take_is_warned_of(tmp_path):
    class Failing(Writer):
        def add_text(self, name, text):
            raise OSError("tracker is down")

    with pytest.warns(RuntimeWarning, match="tracker is down"):
        run = watched(tmp_path / "run", tensorboard_mirror(Failing()))
    assert run.steps.tolist() == [0, 1, 2]
