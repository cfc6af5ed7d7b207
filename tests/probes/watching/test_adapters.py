"""What is found in a foreign network, how it is read, and what is left alone; the numbers by
torch.distributions.
"""

import math
from types import SimpleNamespace

import foreign_models as foreign
import networks
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from networks import BATCH, INPUTS, NEURONS, assert_statistics, expected
from torch import nn
from torch.distributions import Categorical, Independent, Normal

from probes.run import Run
from probes.watching.attaching import watch
from probes.watching.naming import find_pairs, not_latent, returned_names
from probes.watching.nothing_found import HALVES, nothing_found
from probes.watching.stated import PartError, parse_spec


def record(model, path, x=None, **options):
    """One step of a model -> (the run, what was found)."""
    x = torch.randn(BATCH, INPUTS) if x is None else x
    with watch(model, path, **options) as recording:
        torch.manual_seed(1)
        model(x)
        recording.step(0)
    return Run(path), recording.found


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        ("fc_mu fc_var", [("fc_mu", "fc_var", "log_var", True)]),
        ("mean log_var", [("mean", "log_var", "log_var", False)]),
        ("loc scale", [("loc", "scale", "sigma", True)]),
        ("fcMu fcLogVar", [("fcMu", "fcLogVar", "log_var", False)]),
        ("mu2 sigma2", [("mu2", "sigma2", "sigma", True)]),
        ("mu log_sigma2", [("mu", "log_sigma2", "log_var", False)]),
        ("hidden2mean hidden2logv", [("hidden2mean", "hidden2logv", "log_var", False)]),
        ("m lv", [("m", "lv", "log_var", False)]),
        ("mean_z lv_z", [("mean_z", "lv_z", "log_var", False)]),
        ("mu std log_std", [("mu", "log_std", "log_sigma", False)]),
        ("weight_mu weight_rho", [("weight_mu", "weight_rho", "rho", False)]),
        ("fc21 fc22", [("fc21", "fc22", "log_var", False)]),
        ("running_mean weight bias", []),
        ("mean scale_proj", []),
        ("fc1 fc2", []),
        ("m v", []),
    ],
)
def test_names_that_belong_together(names, pairs):
    assert find_pairs(names.split()) == pairs


def test_the_last_word_that_speaks_says_whose_distribution_it_is():
    assert not_latent("decoder.0.mean")
    assert not_latent("prior_net")
    assert not not_latent("reconstruction_vae.encoder.fc_mu")
    assert not not_latent("decoder.levels.3.posterior")
    assert not not_latent("net.mean")


def test_a_tuples_names_come_from_the_source_of_forward():
    assert returned_names(networks.ReturnsMuLogVar.forward) == ("mu", "logvar")
    assert returned_names(networks.ConvolutionalEncoder.forward) == ("conv_mu", "conv_logvar")
    assert returned_names(networks.ReturnsExpressions.forward) == (None, None)
    assert returned_names(networks.ReturnsNormal.forward) == ()
    assert returned_names(len) == ()


def softplus_sigma(mu, raw):
    return mu, F.softplus(raw)


@pytest.mark.parametrize(
    ("kind", "form", "read", "sure"),
    [
        (networks.ReturnsMuLogVar, lambda mu, raw: (mu, (raw / 2).exp()), "mu=0, log_var=1", True),
        (networks.ReturnsMuSigma, softplus_sigma, "mu=0, sigma=1", False),
        (
            networks.ReturnsPythaeLike,
            lambda mu, raw: (mu, (raw / 2).exp()),
            "mu=embedding, log_var=log_covariance",
            True,
        ),
        (networks.ReturnsNormal, lambda mu, raw: (mu, raw.exp()), "distribution", True),
        (networks.ReturnsDiagonal, lambda mu, raw: (mu, (raw / 2).exp()), "distribution", True),
        (networks.ReturnsExpressions, lambda mu, raw: (mu, (raw / 2).exp()), "mu=0, log_var=1", False),
        (networks.Observing, lambda mu, raw: (mu, (raw / 2).exp()), "as handed over", True),
    ],
)
def test_posteriors_in_outputs(tmp_path, caplog, kind, form, read, sure):
    model, x = kind(), torch.randn(BATCH, INPUTS)
    run, found = record(model, tmp_path / "run", x)
    assert [part["read"] for part in found] == [read]
    assert ("ASSUMED" in found[0]["why"]) != sure
    # what is assumed is said aloud
    assert [record.levelname for record in caplog.records] == ([] if sure else ["WARNING"])
    assert run.config["watch"]["parts"] == found
    assert_statistics(run.at(0), expected(*form(*model.raw(x))))


@pytest.mark.parametrize("scale", ["fc_var", "log_var", "logvar_layer"])
def test_sibling_layers_are_read_where_the_output_says_less(tmp_path, scale):
    mean = {"fc_var": "fc_mu", "log_var": "mean", "logvar_layer": "mu_layer"}[scale]

    class OnlyReconstruction(networks.SiblingVAE):
        def forward(self, x):
            return super().forward(x)[0]

    model, x = OnlyReconstruction(mean, scale).train(), torch.randn(BATCH, INPUTS)
    model.body[2].p = 0.0
    run, found = record(model, tmp_path / "run", x)
    assert [(part["name"], part["source"]) for part in found] == [(mean, f"{mean} & {scale}")]
    assert found[0]["why"].endswith(f"; sampled with mean = {mean}, σ = exp(0.5 * {scale})")
    assert_statistics(run.at(0), expected(*model.posterior(x)))


def test_a_scale_that_holds_negative_values_is_taken_as_its_logarithm_and_can_be_overridden(tmp_path):
    class Plain(nn.Module):
        """What it samples is out of autograd's sight."""

        def __init__(self):
            super().__init__()
            self.loc, self.scale = nn.Linear(INPUTS, NEURONS), nn.Linear(INPUTS, NEURONS)

        def forward(self, x):
            return Normal(self.loc(x), F.softplus(self.scale(x))).sample()

    model, x = Plain(), torch.randn(BATCH, INPUTS)
    run, found = record(model, tmp_path / "assumed", x)
    assert "negative values, so it is taken as ln σ" in found[0]["why"]
    assert_statistics(run.at(0), expected(model.loc(x), model.scale(x).exp()))
    run, found = record(model, tmp_path / "said", x, parts={"loc & scale": "mu, rho"})
    assert found[0]["why"] == "named by hand"
    assert_statistics(run.at(0), expected(model.loc(x), F.softplus(model.scale(x))))


def test_a_parameter_as_scale_serves_several_means(tmp_path):
    class Policy(nn.Module):
        def __init__(self):
            super().__init__()
            self.mu = nn.Linear(INPUTS, NEURONS)
            self.log_std = nn.Parameter(torch.linspace(-1, 0.5, NEURONS))

        def forward(self, x):
            return self.mu(x) + self.log_std.exp() * torch.randn(NEURONS)

    model, x = Policy(), torch.randn(BATCH, INPUTS)
    run, found = record(model, tmp_path / "run", x)
    assert found[0]["source"] == "mu & log_std"
    assert_statistics(run.at(0), expected(model.mu(x), model.log_std.exp()))


def test_the_networks_own_prior_beside_its_posterior(tmp_path):
    model, x = networks.ReturnsMapping(), torch.randn(BATCH, INPUTS)
    run, found = record(model, tmp_path / "run", x)
    assert found[0]["prior"] == "the network's own: mu=prior_mean, sigma=prior_std"
    assert run.layers[0]["prior"] == "given"
    mu, raw = model.raw(x)
    assert_statistics(run.at(0), expected(mu, raw.exp(), Normal(0.5 * mu.detach().double(), 2.0)))


def test_a_distribution_called_prior_is_the_posteriors_prior(tmp_path):
    class Both(networks.Encoder):
        def forward(self, x):
            mu, raw = self.raw(x)
            return {
                "q": Normal(mu, raw.exp()),
                "prior": Normal(torch.ones_like(mu), 0.5 * torch.ones_like(mu)),
            }

    model, x = Both(), torch.randn(BATCH, INPUTS)
    run, found = record(model, tmp_path / "run", x)
    assert [part["read"] for part in found] == ["distribution=q"]
    mu, raw = model.raw(x)
    ones = torch.ones_like(mu).double()
    assert_statistics(run.at(0), expected(mu, raw.exp(), Normal(ones, 0.5 * ones)))


def test_a_channel_is_a_neuron_kl_is_summed_over_positions_the_rest_averaged(tmp_path):
    model, x = networks.ConvolutionalEncoder(), torch.randn(BATCH, 2, 5, 4)
    run, _ = record(model, tmp_path / "run", x)
    mu, sigma = model.conv_mu(x), (model.conv_logvar(x) / 2).exp()
    parts = expected(mu.flatten(1), sigma.flatten(1))
    positions = {name: value.reshape(3, 20) for name, value in parts.items()}
    truth = {name: value.sum(1) if name == "kl" else value.mean(1) for name, value in positions.items()}
    frame = run.at(0)
    assert_statistics(frame, truth)
    assert (run.layers[0]["neurons"], run.layers[0]["latent_dim"]) == (3, 20)
    np.testing.assert_allclose(frame["kl"], frame["information"] + frame["mismatch"], rtol=1e-4)


class ConvolutionInTime(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv_mu, self.conv_logvar = nn.Conv1d(2, 3, 3), nn.Conv1d(2, 3, 3)

    def forward(self, x):
        mu, logvar = self.conv_mu(x), self.conv_logvar(x)
        return Normal(mu, (logvar / 2).exp())


def test_three_dimensions_that_a_convolution_has_put_out_are_channels_and_positions(tmp_path):
    model, x = ConvolutionInTime(), torch.randn(BATCH, 2, 7)
    run, found = record(model, tmp_path / "run", x)
    assert [(part["read"], part["layout"]) for part in found] == [("distribution", "channels")]
    assert (run.layers[0]["neurons"], run.layers[0]["latent_dim"]) == (3, 5)
    posterior = model(x)
    kl = torch.distributions.kl_divergence(posterior, Normal(0.0, 1.0)).mean(0).sum(1)
    np.testing.assert_allclose(run.at(0)["kl"], kl.detach(), rtol=1e-5)


def test_positions_of_a_sequence_are_rows(tmp_path):
    model, x = networks.ReturnsMuLogVar(), torch.randn(BATCH, 7, INPUTS)
    run, _ = record(model, tmp_path / "run", x)
    mu, raw = (value.reshape(-1, NEURONS) for value in model.raw(x))
    assert_statistics(run.at(0), expected(mu, (raw / 2).exp()))


def test_posteriors_of_weights_are_labelled_and_in_units_of_their_prior(tmp_path):
    model = nn.Sequential(networks.BayesianLinear(prior_mu=0.05, prior_sigma=0.1))
    run, found = record(model, tmp_path / "run")
    assert [(part["name"], part["of"]) for part in found] == [("0.weight_mu (weights)", "weights")]
    assert "whitened" in found[0]["prior"]
    assert run.layers[0]["latent_dim"] == INPUTS
    layer = model[0]
    posterior = Normal(layer.weight_mu.detach(), layer.weight_log_sigma.detach().exp())
    kl = torch.distributions.kl_divergence(posterior, Normal(0.05, 0.1)).sum(1)
    frame = run.at(0)
    np.testing.assert_allclose(frame["kl"], kl, rtol=1e-5)
    np.testing.assert_allclose(
        frame["mean"], ((layer.weight_mu.detach() - 0.05) / 0.1).mean(1), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(frame["spread"], 0, atol=1e-7)


@pytest.mark.parametrize(
    ("prior", "sd"),
    [
        ({"prior_mean": 0.05, "prior_variance": 0.25}, 0.5),
        ({"prior_mu": 0.05, "prior_log_var": -2.0}, math.exp(-1)),
        ({"prior_mu": 0.05, "prior_rho": -1.0}, math.log1p(math.exp(-1))),
    ],
)
def test_a_prior_in_plain_numbers_is_read_by_its_name(tmp_path, prior, sd):
    model = nn.Sequential(networks.BayesianLinear(**prior))
    run, _ = record(model, tmp_path / "run")
    np.testing.assert_allclose(
        run.at(0)["mean"], ((model[0].weight_mu.detach() - 0.05) / sd).mean(1), rtol=1e-4, atol=1e-6
    )


def test_priors_by_name(tmp_path):
    model, x = networks.ReturnsMuSigma(), torch.randn(BATCH, INPUTS)
    run, _ = record(model, tmp_path / "run", x, priors={"*": (1.0, 2.0)})
    mu, raw = model.raw(x)
    whitened = expected((mu - 1) / 2, F.softplus(raw) / 2)
    assert_statistics(run.at(0), whitened)


def test_one_posterior_seen_at_several_places_is_one_layer(tmp_path):
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = networks.SiblingVAE()

        def forward(self, x):
            mu, sigma = self.encoder.posterior(x)
            q = Normal(mu, sigma)
            return {"recon": q.rsample(), "q": q, "mu": mu, "sigma": sigma}

    _, found = record(Whole(), tmp_path / "run")
    assert [part["read"] for part in found] == ["mu=0, log_var=1"] or [part["read"] for part in found] == [
        "distribution=q"
    ]


def test_two_levels_are_two_layers_in_order_of_the_forward_pass(tmp_path):
    class Ladder(nn.Module):
        def __init__(self):
            super().__init__()
            self.upper, self.lower = networks.ReturnsMuSigma(), networks.ReturnsMuLogVar()
            self.bridge = nn.Linear(NEURONS, INPUTS)

        def forward(self, x):
            mu, _ = self.lower(x)
            return self.upper(self.bridge(mu))[0]

    run, found = record(Ladder(), tmp_path / "run")
    assert [part["name"] for part in found] == ["lower", "upper"]
    assert [layer["name"] for layer in run.layers] == ["lower", "upper"]


@pytest.mark.parametrize(
    ("spec", "form"),
    [
        ("mu | log_sigma", torch.exp),
        (lambda module, output: output.chunk(2, -1)[0:1] + (output.chunk(2, -1)[1].exp(),), torch.exp),
        (
            lambda module, output: Independent(Normal(output[:, :NEURONS], output[:, NEURONS:].exp()), 1),
            torch.exp,
        ),
    ],
)
def test_parts_by_hand(tmp_path, spec, form):
    model, x = nn.Sequential(networks.ReturnsHalves()), torch.randn(BATCH, INPUTS)
    run, found = record(model, tmp_path / "run", x, parts={"[0-9]": spec})
    mu, raw = model[0].raw(x)
    assert [part["name"] for part in found] == ["0"]
    assert_statistics(run.at(0), expected(mu, form(raw)))


@pytest.mark.parametrize("spec", ["", "mean, var", "mu", "mu, sigma, var", "sigma | mu", "_, _"])
def test_a_spec_that_says_nothing_is_refused_with_the_grammar(spec):
    with pytest.raises(PartError, match="does not say where mean and scale are; write"):
        parse_spec(spec)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"encodr": "mu, sigma"}, "no module's path matches 'encodr'; near it are .*'encoder'"),
        ({"encoder & nowhere": "mu, sigma"}, r"not there: \['nowhere'\]"),
        ({"encoder.one & encoder.two": "mu | sigma"}, "say in order what they are"),
    ],
)
def test_parts_that_are_not_there(tmp_path, parts, message):
    model = nn.Sequential()
    model.add_module("encoder", networks.ReturnsMuSigma())
    with pytest.raises(PartError, match=message):
        watch(model, tmp_path / "run", parts=parts)
    assert not any(module._forward_hooks for module in model.modules())


def test_a_part_by_hand_that_returns_something_else_is_refused(tmp_path):
    with pytest.raises(PartError, match="cannot be read as mu=0, sigma=1: the output is one Tensor"):
        record(
            networks.ReturnsNormal(),
            tmp_path / "run",
            parts={"one": "mu=0, sigma=1"},
            x=torch.zeros(1, 2, INPUTS)[0],
        )


class ReturnsClasses(networks.Encoder):
    def forward(self, x):
        mu, raw = self.raw(x)
        return Categorical(logits=mu)


class Likelihood(nn.Module):
    def __init__(self):
        super().__init__()
        self.decoder = networks.ReturnsNormal()

    def forward(self, x):
        return self.decoder(x).mean


@pytest.mark.parametrize(
    ("model", "listed"),
    [
        (
            networks.ReturnsOther(),
            [
                "likely:\n  (the model itself): ",
                "tuple of Tensor (16, 4), Tensor (16, 4), called states, weights",
                "two: Linear returned",
            ],
        ),
        (ReturnsClasses(), ["a Categorical, which may be what the model predicts"]),
        (Likelihood(), ["decoder: ReturnsNormal returned Independent"]),
        (nn.LSTM(INPUTS, NEURONS), ["LSTM returned tuple of Tensor (16, 4), tuple of"]),
        (nn.MultiheadAttention(INPUTS, 1), ["MultiheadAttention returned"]),
    ],
)
def test_nothing_found_lists_what_was_looked_at_and_how_to_name_it(tmp_path, model, listed):
    x = torch.randn(BATCH, INPUTS)
    arguments = (x, x, x) if isinstance(model, nn.MultiheadAttention) else (x,)
    recording = watch(model, tmp_path / "run")
    model(*arguments)
    with pytest.warns(RuntimeWarning) as said:
        recording.step(0)
    recording.close()
    for text in [*listed, "parts={path pattern", "probes.observe(name, mu, sigma)"]:
        assert text in str(said[0].message)
    assert not any(module._forward_hooks for module in model.modules())
    assert Run(tmp_path / "run").layers == []


def test_nothing_found_names_the_likeliest_part_as_it_would_be_written():
    looked_at = {
        "conv": f"Conv2d returned Tensor (64, 8, 2, 2); its 8 channels {HALVES}",
        "lstm": "LSTM returned tuple of Tensor (16, 4), tuple of Tensor (1, 4), Tensor (1, 4)",
        "block": "Block returned tuple of Tensor (64, 3, 8), Tensor (64, 4), Tensor (64, 4), called x, a, b",
    }
    said = nothing_found(nn.Identity(), looked_at, {})
    assert said.splitlines()[1:3] == ["Most likely:", f"  block: {looked_at['block']}"]
    assert 'such as {"block": "_, mu, log_var"}; for a pair' in said
    del looked_at["block"]
    assert 'such as {"conv": "mu | log_var"}; for a pair' in nothing_found(nn.Identity(), looked_at, {})
    del looked_at["conv"]
    assert "such as" not in nothing_found(nn.Identity(), looked_at, {})


def test_nothing_found_in_eval_mode_says_so(tmp_path):
    model = networks.SiblingVAE().eval()
    with watch(model, tmp_path / "run") as recording:
        model(torch.randn(BATCH, INPUTS))
        with pytest.warns(RuntimeWarning, match=r"nothing to record yet: .* in eval mode: model\.train\(\)"):
            recording.step(0)
    assert recording.lost == 1


@pytest.mark.parametrize("prior_pi", [1, 0.5])
def test_weights_of_a_module_that_is_never_called_are_read(tmp_path, prior_pi):
    torch.manual_seed(0)
    model = nn.Sequential(foreign.SampledLinear(prior_pi))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, tmp_path / "run") as recording:
        for step in range(3):
            model(torch.randn(BATCH, foreign.X)).square().mean().backward()
            optimiser.step()
            recording.step(step)
    assert recording.lost == 0
    frame = Run(tmp_path / "run").at(2)
    if prior_pi == 1:
        q = Normal(model[0].weight_mu, F.softplus(model[0].weight_sigma))
        kl = torch.distributions.kl_divergence(q, Normal(0.0, 0.2)).sum(1).detach()
        np.testing.assert_allclose(frame["kl"], kl, rtol=1e-4)
    else:
        assert "kl" not in frame


class Called(nn.Module):
    """A linear layer whose mean and rho stand in a dictionary of parameters, its prior in another."""

    def __init__(self, prior):
        super().__init__()
        self.numbers = nn.ParameterDict(
            {
                "weight_mean": nn.Parameter(torch.randn(NEURONS, INPUTS) / 4),
                "weight_rho": nn.Parameter(torch.randn(NEURONS, INPUTS) - 2),
            }
        )
        self.priors = {"weight": prior}

    def forward(self, x):
        sigma = F.softplus(self.numbers["weight_rho"])
        return F.linear(x, self.numbers["weight_mean"] + sigma * torch.randn_like(sigma))


class Wrapped(nn.Module):
    """A distribution in a module, so that it moves with the others."""

    def __init__(self, distribution):
        super().__init__()
        self.distribution = distribution


@pytest.mark.parametrize("wrap", [Wrapped, lambda distribution: distribution])
def test_a_prior_in_a_dictionary_is_that_of_the_weights_of_its_name(tmp_path, wrap):
    model = nn.Sequential(Called(wrap(Normal(0.1, 0.5))))
    run, found = record(model, tmp_path / "run")
    numbers = model[0].numbers
    q = Normal(numbers["weight_mean"], F.softplus(numbers["weight_rho"]))
    kl = torch.distributions.kl_divergence(q, Normal(0.1, 0.5)).sum(1).detach()
    np.testing.assert_allclose(run.at(0)["kl"], kl, rtol=1e-4)
    assert found[0]["origins"]["prior"] == "named"


def test_a_prior_in_a_dictionary_that_is_no_gaussian_leaves_kl_out(tmp_path):
    mixture = torch.distributions.MixtureSameFamily(
        Categorical(torch.ones(2)), Normal(torch.zeros(2), torch.tensor([0.1, 1.0]))
    )
    run, found = record(nn.Sequential(Called(mixture)), tmp_path / "run")
    assert "kl" not in run.at(0)
    assert "priors['weight'], a MixtureSameFamily" in found[0]["prior"]


class PutTogether(nn.Module):
    """Two levels, which are returned one by one and side by side."""

    def __init__(self, apart=True):
        super().__init__()
        self.low, self.high, self.apart = nn.Linear(INPUTS, 2 * 2), nn.Linear(INPUTS, 2 * 3), apart

    def forward(self, x):
        low, high = self.low(x).chunk(2, 1), self.high(x).chunk(2, 1)
        mean, log_var = (torch.cat(both, 1) for both in zip(low, high, strict=True))
        out = {"mean": mean, "log_var": log_var}
        if self.apart:
            out |= {"low_mean": low[0], "low_log_var": low[1], "high_mean": high[0], "high_log_var": high[1]}
        return out


def test_a_neuron_of_levels_that_stand_side_by_side_too_is_of_one_layer(tmp_path):
    run, found = record(PutTogether(), tmp_path / "run")
    assert [part["name"] for part in found] == ["low_mean", "high_mean"]
    assert [layer["neurons"] for layer in run.layers] == [2, 3]
    run, found = record(PutTogether(apart=False), tmp_path / "whole")
    assert [part["source"] for part in found] == ["(the model itself)"]
    assert run.layers[0]["neurons"] == 5


class Predictive(nn.Module):
    """A last layer that returns what it predicts, a Gaussian, in a field of an object."""

    def __init__(self, name):
        super().__init__()
        self.body, self.name = nn.Linear(INPUTS, 2), name

    def forward(self, x):
        return SimpleNamespace(**{self.name: Normal(self.body(x), 0.5)})


@pytest.mark.parametrize("name", ["predictive", "prediction", "y_pred", "forecast", "output"])
def test_a_gaussian_that_is_returned_as_a_prediction_is_no_layer(tmp_path, name):
    with pytest.warns(RuntimeWarning, match="a Normal, which may be what the model predicts"):
        _, found = record(Predictive(name), tmp_path / "run")
    assert found == []


@pytest.mark.parametrize("name", ["z", "latent", "q_pred", "belief"])
def test_a_gaussian_that_is_returned_otherwise_is_one(tmp_path, name):
    _, found = record(Predictive(name), tmp_path / "run")
    assert len(found) == 1


def test_what_is_no_step_to_resume_from_is_refused_before_the_first_step(tmp_path):
    with pytest.raises(ValueError, match="resume, the last step to keep, is True"):
        watch(networks.SiblingVAE(), tmp_path / "run", resume=True)
