"""Before the first forward pass in training: steps wait, what they bring is counted, little is kept."""

import gc
import warnings

import networks
import numpy as np
import pytest
import torch
from foreign_models import WrappedNormal
from networks import BATCH, INPUTS, assert_statistics, expected
from torch import nn

from probes.errors import RunError
from probes.moments import Moments
from probes.run import Run
from probes.watching import finding, statistics_buffer
from probes.watching.attaching import watch
from probes.watching.finding import WatchError
from probes.watching.observing import observe


def rows(count=BATCH):
    return torch.randn(count, INPUTS)


class Siblings(nn.Module):
    """Two heads whose outputs are not returned."""

    def __init__(self, layer=nn.Linear, inputs=INPUTS):
        super().__init__()
        sizes = (inputs, 4, 1) if layer is nn.Conv2d else (inputs, 4)
        self.fc_mu, self.fc_logvar = layer(*sizes), layer(*sizes)

    def forward(self, x):
        return self.fc_mu(x) + self.fc_logvar(x)

    def truth(self, x):
        return expected(self.fc_mu(x), (self.fc_logvar(x) / 2).exp())


@pytest.mark.parametrize(("every", "steps", "lost"), [(1, [5, 6, 7, 8, 9], 5), (3, [5, 8, 9], 2)])
def test_steps_before_the_first_forward_pass_in_training_wait(tmp_path, every, steps, lost):
    """As the warm-up of a reinforcement learner, which acts in eval mode."""
    model = networks.SiblingVAE()
    with watch(model, tmp_path / "run", every) as recording, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for step in range(10):
            model.train(step >= 5)
            model(rows())
            recording.step(step, loss=float(step))
    assert [str(one.message).split("run: ")[1] for one in told] == [
        "step 0: nothing to record yet: its forward passes were in eval mode: model.train() goes back to"
        " training. Training goes on; what is not recorded is counted in `lost`"
    ]
    run = Run(tmp_path / "run")
    assert run.steps.tolist() == steps
    assert run.scalars()["value"].tolist() == list(range(10))  # numbers need no forward pass
    assert recording.lost == lost


@pytest.mark.filterwarnings("ignore")
def test_without_any_forward_pass_the_run_holds_the_numbers_and_says_why_no_more(tmp_path):
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False) as recording:
        for step in range(3):
            recording.step(step, loss=1.0)
    assert recording.lost == 3
    run = Run(tmp_path / "run")
    assert (len(run.layers), run.status) == (0, "finished")
    assert run.scalars()["value"].tolist() == [1, 1, 1]
    for asked in (lambda: run.at(0), lambda: run.history(0)):
        with pytest.raises(RunError, match="no posterior was seen: no forward pass yet"):
            asked()


@pytest.mark.filterwarnings("ignore")
def test_a_watch_without_a_step_leaves_nothing(tmp_path):
    watch(nn.Linear(1, 1), tmp_path / "run").close()
    assert not (tmp_path / "run").exists()


def test_numbers_that_wait_are_not_kept_without_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(statistics_buffer, "WAITING_SCALARS", 3)
    model = networks.SiblingVAE()
    with watch(model, tmp_path / "run") as recording:
        for value in range(3):
            recording.scalar(0, "loss", value)
        with pytest.warns(RuntimeWarning, match="no forward pass in training came before 3 numbers"):
            recording.scalar(0, "loss", 3)
        recording.scalar(0, "loss", 4)
        model(rows())
        recording.step(1)
    assert Run(tmp_path / "run").scalars()["value"].tolist() == [0, 1, 2]
    assert recording.lost == 2


@pytest.mark.filterwarnings("ignore:.*nothing to record yet")
def test_a_part_that_runs_later_is_waited_for_and_a_model_without_any_is_refused(tmp_path):
    model = nn.ModuleDict({"decoder": nn.Linear(INPUTS, 2), "encoder": Siblings()})
    with watch(model, tmp_path / "run") as recording:
        model["decoder"](rows())
        recording.step(0)
        model["encoder"](rows())
        recording.step(1)
    assert Run(tmp_path / "run").steps.tolist() == [1]
    recording = watch(nn.Sequential(nn.Linear(INPUTS, 2)), tmp_path / "other", strict=True)
    recording.model(rows())
    with pytest.raises(WatchError, match="no posterior was found"):
        recording.step(0)


def test_a_model_of_which_nothing_can_be_recorded_trains_on(tmp_path):
    class Hyperbolic(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc_loc, self.fc_scale = nn.Linear(INPUTS, 2), nn.Linear(INPUTS, 2)

        def forward(self, x):
            return WrappedNormal(self.fc_loc(x), self.fc_scale(x).exp()).rsample()

    model = Hyperbolic()
    with watch(model, tmp_path / "run") as recording:
        for step in range(4):
            loss = model(rows()).square().mean()
            loss.backward()
            if step:
                recording.step(step, loss=loss)
                continue
            with pytest.warns(RuntimeWarning) as said:
                recording.step(step, loss=loss)
    [message] = [str(one.message) for one in said]
    assert "the posterior of fc_loc is a WrappedNormal, no Gaussian" in message
    assert "parts={path pattern" in message
    assert recording.found == []
    assert recording.lost == 4
    run = Run(tmp_path / "run")
    assert run.layers == []
    assert len(run.scalars()) == 4
    assert "WrappedNormal" in run.config["watch"]["refused"][0]
    assert not any(module._forward_hooks for module in model.modules())


def test_what_has_not_run_before_the_first_step_is_named(tmp_path, caplog):
    model = nn.ModuleDict({"first": Siblings(), "later": Siblings()})
    with watch(model, tmp_path / "run") as recording:
        model["first"](rows())
        recording.step(0)
    assert (
        "not watched, since they have not run before the first step: later.fc_mu & later.fc_logvar"
        in caplog.text
    )


@pytest.mark.parametrize("parts", [None, {"": "mu, log_var"}])
@pytest.mark.filterwarnings("ignore:.*nothing to record yet")
def test_a_first_batch_without_inputs_is_waited_out(tmp_path, parts):
    model = networks.ReturnsMuLogVar()
    with watch(model, tmp_path / "run", parts=parts) as recording:
        for step, count in enumerate((0, BATCH, 0, 1)):
            model(rows(count))
            recording.step(step)
    run = Run(tmp_path / "run")
    assert run.steps.tolist() == [1, 2, 3]
    assert [run.at(step)["rows"][0] for step in run.steps] == [BATCH, 0, 1]
    assert not (run.at(2)["regime"] == 1).any()  # nothing is known of it, and nothing broken
    assert recording.lost == 1


@pytest.mark.filterwarnings("ignore:.*nothing to record yet")
@pytest.mark.parametrize("sizes", [(0, BATCH), (BATCH, 0)])
def test_batches_without_inputs_that_are_handed_over(tmp_path, sizes):
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False) as recording:
        for step, count in enumerate(sizes):
            observe("z", torch.randn(count, 4), torch.ones(4))
            recording.step(step)
    assert Run(tmp_path / "run").steps.tolist() == ([1] if sizes[0] == 0 else [0, 1])


def test_the_forward_passes_before_the_first_step_are_pooled_and_not_kept(tmp_path):
    model, x = Siblings(nn.Conv2d, 3), torch.randn(20, 2, 3, 8, 8)
    alive = []
    with watch(model, tmp_path / "run") as recording:
        for batch in x:
            model(batch)
            gc.collect()
            alive.append(sum(type(one) is torch.Tensor and one.numel() >= 512 for one in gc.get_objects()))
        recording.step(0)
    assert alive[-1] <= alive[1]
    images = x.flatten(0, 1)
    mu, logvar = (head(images).flatten(2).detach() for head in (model.fc_mu, model.fc_logvar))
    truth = Moments().update(mu, (logvar / 2).exp()).result()
    row = Run(tmp_path / "run").at(0)
    for name in ("mean", "variance", "kl", "information", "spread"):
        np.testing.assert_allclose(row[name], truth[name], rtol=2e-5, err_msg=name)


def test_a_batch_of_another_size_before_the_first_step_is_counted(tmp_path):
    model = Siblings(nn.Conv2d, 3)
    with watch(model, tmp_path / "run") as recording:
        for size in (4, 6, 4):
            model(torch.randn(2, 3, size, size))
        with pytest.warns(RuntimeWarning, match="it has 16 dimensions or positions a neuron, a batch is"):
            recording.step(0)
    assert recording.lost == 1
    assert Run(tmp_path / "run").at(0)["rows"].tolist() == [4.0] * 4


def test_what_changes_in_place_before_the_first_step_was_read_before(tmp_path):
    class InPlace(Siblings):
        def forward(self, x):
            mu, logvar = self.fc_mu(x), self.fc_logvar(x)
            return mu.mul_(3) + logvar.add_(1)

    model, x = InPlace(), rows()
    with watch(model, tmp_path / "run") as recording:
        model(x)
        recording.step(0)
    assert_statistics(Run(tmp_path / "run").at(0), model.truth(x))


def test_constant_means_are_no_evidence_of_one_layer(tmp_path):
    """Heads may begin at one number: only what moves tells that two means are copies."""
    model = nn.ModuleDict({"low": Siblings(), "high": Siblings()})
    for heads in model.values():
        nn.init.zeros_(heads.fc_mu.weight)
        nn.init.constant_(heads.fc_mu.bias, 0.5)
    with watch(model, tmp_path / "run") as recording:
        for heads in model.values():
            heads(rows())
        recording.step(0)
    assert [part["name"] for part in recording.found] == ["low.fc_mu", "high.fc_mu"]


def test_what_goes_wrong_in_putting_layers_together_ends_no_training(tmp_path, monkeypatch):
    """Whatever it is: an error of ours is said, and counted, and training goes on."""

    def fails(*_):
        raise IndexError("tuple index out of range")

    monkeypatch.setattr(finding, "link_priors", fails)
    said = r"IndexError: tuple index out of range.*a fault of this package"
    model = networks.ReturnsMuLogVar()
    with watch(model, tmp_path / "run") as recording:
        for step in range(3):
            model(torch.randn(BATCH, INPUTS))
            if step:
                recording.step(step, loss=1.0)
                continue
            with pytest.warns(RuntimeWarning, match=said):
                recording.step(step, loss=1.0)
    run = Run(tmp_path / "run")
    assert run.layers == []
    assert len(run.scalars()) == 3
    assert "IndexError" in run.config["watch"]["refused"][0]
    with watch(model, tmp_path / "strict", strict=True) as strict:
        model(torch.randn(BATCH, INPUTS))
        with pytest.raises(WatchError, match=said):
            strict.step(0)
