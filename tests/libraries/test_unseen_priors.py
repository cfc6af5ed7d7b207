"""Models of libraries whose prior is their own: right, or absent, never Normal(0, 1) in silence.

What is expected was written before the models were watched.
"""

import pytest
import torch
from test_unseen_autoencoders import ANNEALED, USERS, B, X, Z, recommender
from torch import nn
from torch.distributions import Normal, kl_divergence
from training import between, close, outputs, train, without_pictures

import probes


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def recvae():
    return recommender(
        "RecVAE",
        hidden_dimension=8,
        latent_dimension=Z,
        beta=0.2,
        gamma=0.0,
        mixture_weights=[0.15, 0.75, 0.1],
        **ANNEALED,
    )


def test_a_composite_prior_of_recbole(tmp_path):
    """A mixture of three, one the encoder of a step before: mu_prior and logvar_prior are but one of them.
    Its inner encoder is no layer; nor is the encoder itself, since what is drawn has noise of sd 0.01, which
    is said.
    """
    model = recvae()
    read = train(model, tmp_path / "run", lambda: model.calculate_loss(USERS, True))
    assert read.layers == {}
    assert any("noise that encoder is sampled with is not Normal(0, 1)" in one for one in read.refused)


def state_space():
    modules = pytest.importorskip("torchrl.modules")
    nn_ = pytest.importorskip("tensordict.nn")
    data = pytest.importorskip("torchrl.data")
    prior = modules.RSSMPrior(data.Unbounded(2), hidden_dim=8, rnn_hidden_dim=8, state_dim=Z, action_dim=2)
    posterior = modules.RSSMPosterior(8, Z, rnn_hidden_dim=8, obs_embed_dim=6)
    return modules.RSSMRollout(
        nn_.TensorDictModule(
            prior,
            in_keys=["state", "belief", "action"],
            out_keys=[("next", "prior_mean"), ("next", "prior_std"), "_", ("next", "belief")],
        ),
        nn_.TensorDictModule(
            posterior,
            in_keys=[("next", "belief"), ("next", "encoded_latents")],
            out_keys=[("next", "posterior_mean"), ("next", "posterior_std"), ("next", "state")],
        ),
    )


def test_a_state_space_of_torchrl(tmp_path):
    """Prior and posterior of each time step, by two modules that return means and standard deviations."""
    from tensordict import TensorDict

    model, own = state_space(), []
    start = {
        "state": torch.zeros(B, 5, Z), "belief": torch.zeros(B, 5, 8), "action": torch.randn(B, 5, 2),
        "next": {"encoded_latents": torch.randn(B, 5, 6)},
    }  # fmt: skip

    def loss():
        out = model(TensorDict(start, [B, 5]))
        mean, std, prior_mean, prior_std = (
            out["next", name] for name in ("posterior_mean", "posterior_std", "prior_mean", "prior_std")
        )
        own.append(between(Normal(mean, std), Normal(prior_mean, prior_std)))
        return kl_divergence(Normal(mean, std), Normal(prior_mean, prior_std)).mean()

    read = train(model, tmp_path / "run", loss)
    assert close(read.kl(), own[-1])
    assert read.origin("prior") == "named"


def gaussian_process():
    gpvae = pytest.importorskip("pypots.nn.modules.gpvae")
    return gpvae.BackboneGPVAE(X, 6, Z, encoder_sizes=(8, 8), decoder_sizes=(8, 8), window_size=3)


def test_a_gaussian_process_prior_of_pypots(tmp_path):
    """A banded covariance over time under a Gaussian process: a KL of marginals to Normal(0, 1) is not its,
    so that it is absent, or said to be assumed.
    """
    model, x = gaussian_process(), torch.randn(B, 6, X)
    read = train(model, tmp_path / "run", lambda: model(x, torch.ones(B, 6, X)))
    assert len(read.layers) == 1
    assert read.kl() is None or read.origin("prior") == "assumed"
    assert "marginals" in read.said


def clusters():
    vader = pytest.importorskip("pypots.nn.modules.vader")
    model = vader.BackboneVaDER(6, X, 3, 8, Z)
    for parameter in model.gmm_layer.parameters():
        nn.init.normal_(parameter)
    return model


def test_a_mixture_prior_of_pypots(tmp_path):
    """stddev_layer puts out a log variance; the prior is a mixture, whose components are no layer."""
    model, x = clusters(), torch.randn(B, 6, X)
    seen = outputs(model)

    def loss():
        reconstruction, mu_c, var_c, _, z, mu, log_var = model(x, torch.ones(B, 6, X))
        paid = (z[:, None] - mu_c).square() / var_c
        return (reconstruction - x).square().mean() + paid.mean() - log_var.mean()

    read = train(model, tmp_path / "run", loss)
    *_, mu, log_var = seen[-1]
    assert [name for name in read.layers if "gmm" in name or "mu_c" in name] == []
    assert len(read.layers) == 1
    assert read.kl() is None or read.origin("prior") == "assumed"
    mean = torch.tensor(read.only["mean_variance"].to_numpy() if "mean_variance" in read.only else [])
    assert not len(mean) or torch.allclose(mean.float(), log_var.exp().mean(0).detach(), rtol=1e-4)


class Speech(nn.Module):
    """VITS as it is trained: a posterior of spectrograms, a prior of the text behind a flow."""

    def __init__(self):
        super().__init__()
        vits = pytest.importorskip("transformers.models.vits.modeling_vits")
        from transformers import VitsConfig

        config = VitsConfig(
            hidden_size=8, num_hidden_layers=1, ffn_dim=8, flow_size=Z, spectrogram_bins=X,
            posterior_encoder_num_wavenet_layers=1, prior_encoder_num_flows=2,
            prior_encoder_num_wavenet_layers=1,
        )  # fmt: skip
        self.text_encoder = vits.VitsTextEncoder(config)
        self.posterior_encoder = vits.VitsPosteriorEncoder(config)
        self.flow = vits.VitsResidualCouplingBlock(config)
        self.decoder = nn.Conv1d(Z, X, 1)

    def forward(self, text, spectrogram):
        mask = torch.ones(len(text), text.shape[1], 1)
        out = self.text_encoder(text, mask)
        z, mean, log_stddev = self.posterior_encoder(spectrogram, mask.transpose(1, 2))
        latents = self.flow(z, mask.transpose(1, 2))
        prior = (one.transpose(1, 2) for one in (out.prior_means, out.prior_log_variances))
        return self.decoder(z), latents, log_stddev, *prior


def test_speech_of_transformers(tmp_path):
    """A prior behind a flow is no Gaussian: mean and log_stddev are read, KL is absent."""
    model = Speech()
    seen = outputs(model.posterior_encoder)
    text, spectrogram = torch.randint(1, 30, (B, 5)), torch.rand(B, X, 5)

    def loss():
        decoded, latents, log_stddev, mean, log_variance = model(text, spectrogram)
        paid = log_variance / 2 - log_stddev + 0.5 * (latents - mean).square() / log_variance.exp()
        return (decoded - spectrogram).square().mean() + paid.mean()

    read = train(model, tmp_path / "run", loss)
    assert len(read.layers) == 1
    assert len(read.only) == Z
    assert read.kl() is None
    assert read.origin("prior") == "absent"
    assert len(seen)


def weights():
    layers = without_pictures("torch_uncertainty.layers.bayesian")
    return layers.BayesLinear(5, 3, prior_sigma_1=0.1, prior_pi=1, sigma_init=-2.0, bias=False)


def test_weights_of_torch_uncertainty(tmp_path):
    """weight_sigma goes through a softplus; with prior_pi 1 the prior is Normal(0, prior_sigma_1)."""
    layer, x = weights(), torch.randn(B, 5)
    model = nn.Sequential(layer)
    read = train(model, tmp_path / "run", lambda: model(x).square().mean() - 0.0 * layer.log_prior)
    q = Normal(layer.weight_mu, nn.functional.softplus(layer.weight_sigma))
    own = kl_divergence(q, Normal(0.0, 0.1)).sum().item()
    for name in read.layers:
        assumed = "assumed" in (read.origin("prior", name), read.origin("scale", name))
        assert read.kl(name) is None or assumed or close(read.kl(name), own)


def test_weights_of_torch_uncertainty_named_by_hand(tmp_path):
    layer, x = weights(), torch.randn(B, 5)
    model, own = nn.Sequential(layer), []

    def loss():
        q = Normal(layer.weight_mu, nn.functional.softplus(layer.weight_sigma))
        own.append(kl_divergence(q, Normal(0.0, 0.1)).sum().item())
        return model(x).square().mean()

    part = probes.Part("mu, rho", prior=(0.0, 0.1))
    read = train(model, tmp_path / "run", loss, parts={"0.weight_mu & 0.weight_sigma": part})
    assert close(read.kl(), own[-1])


def test_conditions_of_multivae(tmp_path):
    """A CVAE with a prior network: both return embedding and log_covariance."""
    models = without_pictures("multivae.models")
    from multivae.data.datasets.base import MultimodalBaseDataset
    from multivae.models.nn.default_architectures import BaseDictEncoders, MultipleHeadJointEncoder

    sizes = {"image": (X,), "label": (3,)}
    config = models.CVAEConfig(
        input_dims=sizes, latent_dim=Z, conditioning_modalities=["label"], main_modality="image"
    )
    prior = MultipleHeadJointEncoder(
        BaseDictEncoders({"label": (3,)}, Z), config, hidden_dim=8, n_hidden_layers=1
    )
    model = models.CVAE(config, prior_network=prior)
    inputs = MultimodalBaseDataset({"image": torch.rand(B, X), "label": torch.rand(B, 3)})
    own = []

    def loss():
        out = model(inputs)
        own.append(out.metrics["kl"].item())
        return out.loss

    read = train(model, tmp_path / "run", loss)
    assert close(read.kl(), own[-1])
    assert read.origin("prior") == "named"


def test_users_and_items_of_cornac(tmp_path):
    """BiVAE: two posteriors, whose priors have means of their own that a method computes; sigma is a sigmoid
    of user_std.
    """
    bivae = pytest.importorskip("cornac.models.bivaecf.bivae")
    model = bivae.BiVAE(
        Z, [X, 8], [B, 8], "tanh", "bern", {"user": True, "item": True}, {"user": 3, "item": 3}, B
    )
    x, users, items, own = torch.rand(B, X).round(), torch.randn(B, 3), torch.randn(X, 3), {}

    def loss():
        _, decoded, mu, std = model(x, user=True, beta=model.beta)
        prior = model.encode_user_prior(users)
        own["user"] = between(Normal(mu, std), Normal(prior, 1.0))
        total = model.loss(x, decoded, mu, prior, std, 1.0)
        _, decoded, mu, std = model(x.t(), user=False, theta=model.theta)
        prior = model.encode_item_prior(items)
        own["item"] = between(Normal(mu, std), Normal(prior, 1.0))
        return total + model.loss(x.t(), decoded, mu, prior, std, 1.0)

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        side = next((side for side in own if side in name), None)
        right = side is not None and close(read.kl(name), own[side])
        assert read.kl(name) is None or right
    assert "prior" in read.said
