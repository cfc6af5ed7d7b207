"""Autoencoders of libraries, each as its library trains it, beside the library's own KL.

What is expected was written before the models were watched.
"""

import pytest
import torch
from torch import nn
from training import between, close, outputs, standard, train, without_pictures

B, X, Z = 16, 12, 4


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def pythae_model(name, **options):
    models = pytest.importorskip("pythae.models")
    return getattr(models, name)(
        getattr(models, f"{name}_Config" if name.startswith("VAE_") else f"{name}Config")(
            input_dim=(X,), latent_dim=Z, **options
        )
    )


def pythae_loss(model, x, own):
    def loss():
        output = model({"data": x})
        own.append(output.reg_loss.mean().item())
        return output.loss

    return loss


def test_importance_weighted_of_pythae(tmp_path):
    """Posterior of the encoder under Normal(0, 1); the bound's own samples are a Monte Carlo of that KL."""
    model = pythae_model("CIWAE", number_samples=5)
    seen = outputs(model.encoder)
    read = train(model, tmp_path / "run", pythae_loss(model, torch.rand(B, X), []))
    last = seen[-1]
    assert close(read.kl(), standard(last.embedding, (last.log_covariance / 2).exp()))
    assert read.origin("prior") == "assumed"


def test_vamp_prior_of_pythae(tmp_path):
    """The prior is a mixture of the encoder's posteriors of pseudo-inputs: no Gaussian, so no KL."""
    model = pythae_model("VAMP")
    read = train(model, tmp_path / "run", pythae_loss(model, torch.rand(B, X), []))
    assert read.kl() is None
    assert read.origin("prior") == "absent"
    assert "prior" in read.said


def test_linear_flows_of_pythae(tmp_path):
    """z passes planar and radial flows behind the sample: the KL is not that of the Gaussian before them."""
    model = pythae_model("VAE_LinNF", flows=["Planar", "Radial"])
    read = train(model, tmp_path / "run", pythae_loss(model, torch.rand(B, X), []))
    assert read.kl() is None
    assert read.origin("prior") == "absent"
    assert "flow" in read.said


def test_inverse_autoregressive_flows_of_pythae(tmp_path):
    """As with other flows."""
    model = pythae_model("VAE_IAF", n_made_blocks=2)
    read = train(model, tmp_path / "run", pythae_loss(model, torch.rand(B, X), []))
    assert read.kl() is None
    assert read.origin("prior") == "absent"


def test_a_wrapped_normal_of_pythae(tmp_path):
    """The posterior lives in a Poincare ball, with a wrapped normal prior: nothing of it is a Gaussian's KL,
    and the family must not pass for one in silence.
    """
    model = pythae_model("PoincareVAE", posterior_distribution="wrapped_normal")
    read = train(model, tmp_path / "run", pythae_loss(model, torch.rand(B, X), []))
    for name in read.layers:
        assert read.kl(name) is None or read.origin("family", name) == "assumed"
    assert "WrappedNormal" in read.said or read.layers == {} or read.kl() is None


def test_von_mises_fisher_of_pythae(tmp_path):
    """Loc and concentration of a von Mises-Fisher distribution are no mean and scale of a Gaussian."""
    model = pythae_model("SVAE")
    read = train(model, tmp_path / "run", pythae_loss(model, torch.rand(B, X), []))
    assert read.layers == {}
    assert "nothing is recorded" in read.said


def test_tabular_data_of_ctgan(tmp_path):
    """fc1 and fc2 say nothing; the encoder returns mu, std, logvar."""
    tvae = pytest.importorskip("ctgan.synthesizers.tvae")
    model = nn.ModuleList([tvae.Encoder(X, (8,), Z), tvae.Decoder(Z, (8,), X)])
    x, own = torch.randn(B, X), []

    def loss():  # as in TVAE.fit
        mu, std, logvar = model[0](x)
        reconstruction, sigmas = model[1](torch.randn_like(std) * std + mu)
        own.append((-0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp())).item() / B)
        return ((reconstruction - x) ** 2 / 2 / sigmas**2).sum()

    read = train(model, tmp_path / "run", loss)
    assert close(read.kl(), own[-1])
    assert len(read.only) == Z
    assert read.origin("prior") == "assumed"


def test_images_of_monai(tmp_path):
    """mu and logvar, linear layers; noise is multiplied and added in place."""
    nets = pytest.importorskip("monai.networks.nets")
    model = nets.VarAutoEncoder(2, (1, 8, 8), 1, latent_size=Z, channels=(4, 8), strides=(2, 2))
    x, own = torch.rand(B, 1, 8, 8), []

    def loss():
        reconstruction, mu, logvar, _ = model(x)
        own.append((-0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp())).item() / B)
        return (reconstruction - x).square().sum()

    read = train(model, tmp_path / "run", loss)
    assert close(read.kl(), own[-1])
    assert read.origin("prior") == "assumed"


def latent_diffusion_of_monai():
    nets = pytest.importorskip("monai.networks.nets")
    return nets.AutoencoderKL(
        spatial_dims=2, in_channels=1, out_channels=1, num_res_blocks=(1, 1), channels=(8, 8),
        attention_levels=(False, False), latent_channels=3, norm_num_groups=4,
    )  # fmt: skip


def of_channels(mu, sigma):
    return between(
        torch.distributions.Normal(mu.flatten(1), sigma.flatten(1)), torch.distributions.Normal(0.0, 1.0)
    )


def test_latent_diffusion_of_monai(tmp_path):
    """Returns mu and sigma; inside, quant_conv_log_sigma is a log variance, and clamped."""
    model, x, own = latent_diffusion_of_monai(), torch.rand(B, 1, 8, 8), []

    def loss():
        reconstruction, mu, sigma = model(x)
        own.append(of_channels(mu, sigma))
        return (reconstruction - x).square().sum()

    read = train(model, tmp_path / "run", loss)
    assert close(read.kl(), own[-1])
    assert len(read.only) == 3  # channels


def test_latent_diffusion_of_monai_by_its_parts(tmp_path):
    """The same, where a loop calls encode, sampling and decode: only the heads are modules, and the name of
    one, log_sigma, is not what it is.
    """
    model, x, own = latent_diffusion_of_monai(), torch.rand(B, 1, 8, 8), []
    nn.init.constant_(model.quant_conv_log_sigma.conv.bias, -2.0)

    def loss():
        mu, sigma = model.encode(x)
        own.append(of_channels(mu, sigma))
        return (model.decode(model.sampling(mu, sigma)) - x).square().sum()

    read = train(model, tmp_path / "run", loss)
    assert close(read.kl(), own[-1])


def test_anomalies_of_pyod(tmp_path):
    """encoder_mu and encoder_logvar; the log variance is clipped in the sample and in the KL."""
    vae = pytest.importorskip("pyod.models.vae")
    model = vae.VAEModel(X, [8], [8], latent_dim=Z, logvar_clip=(-0.5, 0.5), dropout_rate=0.0)
    nn.init.constant_(model.encoder_logvar.bias, 2.0)
    seen = outputs(model)
    x = torch.rand(B, X)

    def loss():
        reconstruction, mu, logvar = model(x)
        return vae.vae_loss(x, reconstruction, mu, logvar, logvar_clip=model.logvar_clip, capacity=100.0)

    read = train(model, tmp_path / "run", loss)
    _, mu, logvar = seen[-1]
    assert close(read.kl(), standard(mu, (logvar.clamp(-0.5, 0.5) / 2).exp()))


def test_behaviour_of_tianshou(tmp_path):
    """BCQ's VAE: mean and log_std, clamped from below at -4."""
    continuous = pytest.importorskip("tianshou.utils.net.continuous")
    model = continuous.VAE(
        encoder=nn.Sequential(nn.Linear(X + 2, 8), nn.ReLU()),
        decoder=nn.Linear(X + Z, 2),
        hidden_dim=8,
        latent_dim=Z,
        max_action=1.0,
    )
    nn.init.constant_(model.log_std.bias, -6.0)
    state, action, own = torch.randn(B, X), torch.rand(B, 2), []

    def loss():
        reconstruction, mean, std = model(state, action)
        own.append(standard(mean, std))
        return (reconstruction - action).square().mean() + 0.0 * std.sum()

    read = train(model, tmp_path / "run", loss)
    assert close(read.kl(), own[-1])


def test_imitation_of_d3rlpy(tmp_path):
    """Returns a Normal; heads that are called _mu and _logstd stand behind it, one of them clamped."""
    imitators = pytest.importorskip("d3rlpy.models.torch.imitators")

    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(X + 2, 8)

        def forward(self, x, action):
            return self.fc(torch.cat([x, action], 1)).relu()

    class Behaviour(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = imitators.VAEEncoder(Joined(), 8, Z, min_logstd=-1.0)
            self.decoder = nn.Linear(X + Z, 2)

    model, own = Behaviour(), []
    nn.init.constant_(model.encoder._logstd.bias, -3.0)
    x, action = torch.randn(B, X), torch.rand(B, 2)

    def loss():
        q = model.encoder(x, action)
        own.append(between(q, torch.distributions.Normal(0.0, 1.0)))
        return (model.decoder(torch.cat([x, q.rsample()], 1)) - action).square().mean()

    read = train(model, tmp_path / "run", loss)
    assert close(read.kl(), own[-1])
    assert read.origin("scale") == "stated"


def test_collective_variables_of_mlcolvar(tmp_path):
    """mean_nn and log_var_nn, the latter clamped at -15; trained by encode_decode, not by forward."""
    cvs = pytest.importorskip("mlcolvar.cvs")
    model, x, own = cvs.VariationalAutoEncoderCV(Z, [X, 8], options={"norm_in": None}), torch.rand(B, X), []

    def loss():
        mean, log_variance, reconstruction = model.encode_decode(x)
        total, _, kl = model.loss_fn(
            target=x, output=reconstruction, mean=mean, log_variance=log_variance, beta=1.0,
            return_loss_terms=True,
        )  # fmt: skip
        own.append(kl.item())
        return total

    read = train(model, tmp_path / "run", loss)
    assert close(read.kl(), own[-1])


def recommender(name, **config):
    models = pytest.importorskip("recbole.model.general_recommender")

    class Data:
        def num(self, field):
            return B if field == "user" else X

        def history_item_matrix(self):
            items = torch.arange(3)[None] + torch.arange(B)[:, None] % (X - 3)
            return items, torch.ones(B, 3), None

    plain = {"USER_ID_FIELD": "user", "ITEM_ID_FIELD": "item", "NEG_PREFIX": "neg_", "device": "cpu"}
    return getattr(models, name)({**plain, "dropout_prob": 0.5, **config}, Data())


ANNEALED = {"anneal_cap": 1.0, "total_anneal_steps": 0}
USERS = {"user": torch.arange(B)}


@pytest.mark.xfail(reason="its loss calls self.forward, past all hooks: refused, and named in the message")
def test_ratings_of_recbole(tmp_path):
    """One head of twice the width, cut inside; returns z, mu, logvar. Its sample has a hundredth of the
    noise, which its KL does not know of.
    """
    model = recommender("MultiVAE", mlp_hidden_size=[8], latent_dimension=2 * Z, **ANNEALED)
    seen = outputs(model.encoder)
    read = train(model, tmp_path / "run", lambda: model.calculate_loss(USERS))
    mu, logvar = seen[-1].chunk(2, 1)
    own = -0.5 * torch.mean(torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=1)).item()
    assert close(read.kl(), own)


def test_ratings_of_recbole_named_by_hand(tmp_path):
    """As the message of the refusal says."""
    model = recommender("MultiVAE", mlp_hidden_size=[8], latent_dimension=2 * Z, **ANNEALED)
    seen = outputs(model.encoder)
    read = train(model, tmp_path / "silent", lambda: model.calculate_loss(USERS))
    assert read.layers == {}
    assert "encoder: Sequential returned Tensor (16, 8); its 8 channels could be mu | log_var" in read.said
    options = {"parts": {"encoder": "mu | log_var"}}
    read = train(model, tmp_path / "said", lambda: model.calculate_loss(USERS), **options)
    mu, logvar = seen[-1].chunk(2, 1)
    assert close(read.kl(), standard(mu, (logvar / 2).exp()))


def test_disentangled_ratings_of_recbole(tmp_path):
    """Lists of means, normalised, and of log variances, of one module that is called for each of them: not
    found, and said; handed over, it is the KL of torch.
    """
    import probes

    options = {
        "encoder_hidden_size": [8], "embedding_size": Z, "kfac": 3, "tau": 0.1, "nogb": False, "std": 0.01,
        "reg_weights": [0.0, 0.0], **ANNEALED,
    }  # fmt: skip
    model = recommender("MacridVAE", **options)
    read = train(model, tmp_path / "silent", lambda: model.calculate_loss(USERS))
    for name in read.layers:
        assert read.kl(name) is None or "assumed" in (read.origin("mean", name), read.origin("scale", name))

    own = []

    def loss():
        logits, means, logvars = model(model.get_rating_matrix(USERS["user"]))
        own.clear()
        for place, (mu, logvar) in enumerate(zip(means, logvars, strict=True)):
            probes.observe(f"z{place}", mu, (logvar / 2).exp())
            own.append(standard(mu, (logvar / 2).exp()))
        return -logits.log_softmax(1).mean()

    read = train(model, tmp_path / "said", loss, hooks=False)
    assert all(close(read.kl(f"z{place}"), own[place]) for place in range(3))


def test_factors_of_disent(tmp_path):
    """One head of twice the width, whose halves the encoder returns unnamed; a framework's code draws.

    Written as refused; it is read, as it is sampled.
    """
    vae = without_pictures("disent.frameworks.vae")
    from disent.model import AutoEncoder
    from disent.model.ae import DecoderFC, EncoderFC

    shape = (1, 8, 8)
    model = vae.Vae(AutoEncoder(EncoderFC(shape, Z, 2), DecoderFC(shape, Z)))
    seen = outputs(model._model._encoder.model)
    batch = {"x_targ": (torch.rand(B, *shape),)}
    model.log_dict = lambda *_, **__: None
    read = train(model, tmp_path / "run", lambda: model.do_training_step(batch, 0))
    mu, logvar = seen[-1].chunk(2, 1)
    assert close(read.kl(), standard(mu, (logvar / 2).exp()))


@pytest.mark.xfail(reason="it makes the Laplace between two modules, which is not heard: refused, and named")
def test_factors_of_disent_that_are_laplace(tmp_path):
    """The same, drawn from a Laplace."""
    vae = without_pictures("disent.frameworks.vae")
    from disent.model import AutoEncoder
    from disent.model.ae import DecoderFC, EncoderFC

    shape = (1, 8, 8)
    config = vae.Vae.cfg(latent_distribution="laplace")
    model = vae.Vae(AutoEncoder(EncoderFC(shape, Z, 2), DecoderFC(shape, Z)), cfg=config)
    batch = {"x_targ": (torch.rand(B, *shape),)}
    model.log_dict = lambda *_, **__: None
    read = train(model, tmp_path / "run", lambda: model.do_training_step(batch, 0))
    assert [part["family"] for part in read.found.values()] == ["laplace"]
    assert "kl" not in read.only
