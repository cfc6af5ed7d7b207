"""The example that needs no library of others: a watched VAE, and experiments on it."""

import numpy as np
import pytest
import torch

import probes
from examples import alert_webhook, digits_experiments
from examples.digits_vae import VAE
from probes.experiments import store


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs") / "digits"
    digits_experiments.main(str(place), 400)
    return place


def test_the_run_says_what_is_watched(folder):
    run = probes.Run(folder)
    (part,) = run.config["watch"]["parts"]
    assert (part["name"], part["read"], part["of"]) == ("VAE", "mu=1, log_var=2", "activations")
    assert run.at(0)["variance"].to_numpy() == pytest.approx(1, abs=0.05)
    assert run.at(int(run.steps[-1]))["variance"].min() < 0.6


def test_silencing_a_neuron_costs_what_it_told(folder):
    tables = store.load(folder, "ablation").tables
    effects = (
        tables["effects"]
        .query("mode == 'mean' and score == 'cross-entropy'")
        .merge(tables["neurons"], on="neuron")
    )
    assert len(effects) == 16
    told = effects["information"] > 0.1
    assert 1 <= told.sum() < 16
    assert effects[told]["effect"].min() > 3 * effects[~told]["effect"].abs().max()


def test_the_subject_answers_as_the_model_does_and_an_edit_reaches_the_decoder():
    torch.manual_seed(0)
    model, x = VAE(), torch.rand(5, 64)
    subject = digits_experiments.as_subject(model)
    response = subject.respond(x, 2, 0)
    _, mu, logvar = model(x)
    torch.testing.assert_close(response.mu[0][..., 0], mu.detach())
    torch.testing.assert_close(response.sigma[0][..., 0], (logvar / 2).exp().detach())
    z = response.z[0].clone()
    z[:, :, 3] = 2.0
    changed = subject.replace(response, 0, torch.tensor([3]), torch.full((1, 2, 5, 1), 2.0))
    torch.testing.assert_close(changed.mean[:, 0], model.decoder(z[..., 0]).sigmoid().detach())


def test_a_walked_neuron_moves_the_picture(folder):
    result = store.load(folder, "traversal")
    assert result.settings["image"] == [8, 8]
    curves, targets = result.tables["curves"], result.tables["targets"]
    moved = curves.groupby(["neuron", "input", "output"])["mean"].agg(np.ptp)
    assert moved.max() > 0.2
    images = digits_experiments.digits()[1][:3].numpy()
    np.testing.assert_array_equal(targets.pivot_table(index="input", columns="output", values="y"), images)


def test_the_webhook_gets_the_alert_of_a_collapse(
    tmp_path,
):
    received = alert_webhook.main(str(tmp_path / "run"), 400)
    alerts = probes.Run(tmp_path / "run").alerts()
    assert [body["step"] for body in received] == alerts["step"].tolist()
    assert any(200 <= body["step"] < 260 and "KL" in body["text"] for body in received)
    assert all(body["where"] and body["advice"] for body in received)
