"""Ten libraries that no table of docs/watch.md named, each with a family or a layout of its own: noise on
activations, weights under a spike and a slab, bits, weights with a covariance, one posterior of all weights,
a topic model whose prior moves, code books, a Gaussian process, a hierarchy, a sphere.

What is expected was written before the models were watched: right, said to be assumed, or absent.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Categorical, Normal, kl_divergence
from training import between, nothing, outputs, standard, train, verdict, without_pictures

B, X, Z = 16, 12, 4


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def shares(indices, size):
    return (torch.bincount(indices.flatten(), minlength=size) / indices.numel()).numpy()


def moment_is(read, name, moment, *expected):
    """Whether a layer's mean or variance is one of what it may be, absent, or said to be assumed."""
    frame = read.layers[name]
    if moment not in frame or frame[moment].isna().any() or read.origin("scale", name) == "assumed":
        return True
    return any(
        len(frame) == len(one) and np.allclose(frame[moment], one.detach(), rtol=1e-3, atol=1e-6)
        for one in expected
    )


def test_activations_with_noise_of_vnn(tmp_path):
    """`means` and `stds` are layers, and a ReLU stands behind the means; what `stds` puts out is multiplied
    with the noise as it is, so that sigma is its absolute value.
    """
    library = pytest.importorskip("vnn")
    noisy = library.VariationalLinear(X, Z, activation=nn.ReLU(), activation_mode="mean")
    model, x = nn.Sequential(noisy, nn.Linear(Z, 2)), torch.randn(B, X)
    means, stds = outputs(noisy.means), outputs(noisy.stds)
    read = train(model, tmp_path / "run", lambda: model(x).square().mean())
    mu, sigma = means[-1].detach(), stds[-1].detach().abs()
    for name in read.layers:
        assert verdict(read, name, [], [standard(mu, sigma)]) in ("assumed", "absent")
        assert moment_is(read, name, "mean", mu.mean(0))
        assert moment_is(read, name, "variance", sigma.square().mean(0))
    assert read.layers or nothing(read)


def test_weights_of_fastbnns(tmp_path):
    """`weight_mean` and `weight_rho` stand in a dictionary of parameters; the priors in one that is no
    module's, the second a spike and a slab.
    """
    wrappers = pytest.importorskip("fastbnns.bnn.wrappers")
    priors = pytest.importorskip("fastbnns.bnn.priors")
    kinds = priors.Distribution(Normal(0.1, 0.5)), priors.SpikeSlab()
    first, second = (
        wrappers.BayesianModule(nn.Linear(*size, bias=False), priors={"weight": prior})
        for size, prior in zip(((X, 6), (6, 2)), kinds, strict=True)
    )
    for parameter in (*first.parameters(), *second.parameters()):  # views of one number, which no optimiser
        parameter.data = parameter.detach() + 0.1 * torch.randn_like(parameter)  # can move
    model, x, own = nn.Sequential(first, nn.ReLU(), second), torch.randn(B, X), []

    def loss():
        own.append(first.compute_kl_divergence().item())
        return model(x).square().mean() + 1e-3 * first.compute_kl_divergence()

    read = train(model, tmp_path / "run", loss)
    own.append(first.compute_kl_divergence().item())  # as the last optimiser step left it
    for name in read.layers:
        assert verdict(read, name, own[-2:] if name.startswith("0") else []) in ("right", "absent")
    assert read.layers or nothing(read)


def test_bits_of_free_transformer(tmp_path):
    """Logits of independent bits at each position of a text, drawn by torch.bernoulli: no classes, though
    (batch, positions, bits) look like them.
    """
    library = pytest.importorskip("free_transformer")
    losses = pytest.importorskip("free_transformer.losses")
    bits = 5
    config = library.ModelConfig(
        vocab_size=11,
        hidden_dim=16,
        num_layers=2,
        num_heads=2,
        ffn_hidden_dim=16,
        max_seq_len=8,
        latent_dim=bits,
    )
    model, tokens, own = library.FreeTransformer(config), torch.randint(0, 11, (B, 6)), []
    nn.init.normal_(model.encoder.readout.weight, std=0.5)

    def loss():
        logits, z_logits = model(tokens)
        own.append(losses.compute_kl_divergence(z_logits, bits, free_bits=0.0).item())
        return losses.compute_vae_loss(logits, tokens, z_logits, bits)[0]

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        assert read.found[name]["family"] == "bernoulli"
        assert len(frame) == bits
        assert verdict(read, name, own[-1:]) in ("right", "absent")
    assert read.layers or nothing(read)


def test_covariances_of_inferno(tmp_path):
    """Means of weights beside a scale that may be negative, beside the factor of a covariance of all weights
    and biases together, and beside the factors of a Kronecker product.
    """
    bnn = without_pictures("inferno.bnn")
    covariances = (
        bnn.params.DiagonalCovariance(),
        bnn.params.FactorizedCovariance(2),
        bnn.params.KroneckerCovariance(),
    )
    model = nn.Sequential(*(bnn.Linear(5, 5, cov=one) for one in covariances))
    x = torch.randn(B, 5)

    def loss():
        return model(x).square().mean() + sum(one.params.weight.square().mean() for one in model)

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        place = int(name[0])
        layer, right = model[place].params, []
        variance = layer.cov.to_dense().diagonal().detach()
        weights = variance[:25].view(5, 5) if place < 2 else None
        if place == 0:  # the last record is of before or after the last step of a small learning rate
            q = Normal(layer.weight.detach(), layer.cov.scale["weight"].detach().abs())
            right = [kl_divergence(q, Normal(0.0, 1.0)).sum().item()]
        kl = read.kl(name)
        assert kl is None or (
            read.origin("prior", name) == "assumed" and right and np.isclose(kl, right[0], rtol=0.02)
        ), name
        if weights is not None and "variance" in read.layers[name]:
            frame = read.layers[name]["variance"]
            assert frame.isna().any() or np.allclose(frame, weights.mean(1), rtol=0.05), name
    assert read.layers or nothing(read)


def test_posterior_of_all_weights_of_bayestorch(tmp_path):
    """One distribution for the whole network, whose numbers are parameters and buffers of a module that
    copies the network for each draw and detaches its parameters.
    """
    library = pytest.importorskip("bayestorch.nn")
    distributions = pytest.importorskip("bayestorch.distributions")
    net = nn.Sequential(nn.Linear(X, 3), nn.Tanh(), nn.Linear(3, 2))
    size = sum(one.numel() for one in net.parameters())
    model = library.VariationalPosteriorModule(
        net,
        prior_builder=distributions.LogScaleNormal,
        prior_kwargs={"loc": torch.full((size,), 0.1), "log_scale": torch.full((size,), -1.0)},
        posterior_builder=distributions.SoftplusInvScaleNormal,
        posterior_kwargs={
            "loc": torch.randn(size).mul(0.3).requires_grad_(),
            "softplus_inv_scale": torch.randn(size).sub(2.0).requires_grad_(),
        },
    )
    x, own = torch.randn(B, X), []

    def note():
        own.append(kl_divergence(model.posterior, model.prior).item())

    def loss():
        note()
        out, kl = model(x, num_mc_samples=2, return_kl_div=True, exact_kl_div=True)
        return out.square().mean() + 1e-3 * kl

    read = train(model, tmp_path / "run", loss)
    note()
    for name in read.layers:
        assert verdict(read, name, own[-2:]) in ("right", "absent")
        assert not name.startswith("prior")
    assert read.layers or nothing(read)


def test_topics_that_move_of_easy_detm(tmp_path):
    """`logsigma` is a log variance in all three pairs, and no prior is Normal(0, 1): each step's is the draw
    of the step before, a document's the draw of its time.
    """
    library = pytest.importorskip("easy_detm.model")
    topics, times, words, size = 3, 4, 10, 5
    args = SimpleNamespace(
        num_topics=topics, num_times=times, vocab_size=words, t_hidden_size=8, eta_hidden_size=6,
        rho_size=size, emb_size=size, enc_drop=0.0, eta_nlayers=1, eta_dropout=0.0, delta=0.05,
        train_embeddings=True, theta_act="tanh",
    )  # fmt: skip
    model = library.DETM(args, None)
    bows, moments = torch.poisson(torch.full((B, words), 2.0)), torch.randint(0, times, (B,))
    shares_of_words, history = bows / bows.sum(1, keepdim=True), torch.rand(times, words)
    theta = outputs(model.mu_q_theta), outputs(model.logsigma_q_theta)
    eta = outputs(model.mu_q_eta), outputs(model.logsigma_q_eta)
    own = []

    def loss():
        own.append((model.mu_q_alpha.detach().clone(), model.logsigma_q_alpha.detach().clone()))
        value, _, _, _, kl_theta = model(bows, shares_of_words, moments, history, B)
        own[-1] += (kl_theta.item() / B,)
        return value / 100

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        if "theta" in name:
            mu, log_var = theta[0][-1].detach(), theta[1][-1].detach()
            right = own[-1][2:]
        elif "eta" in name:
            mu, log_var = (torch.stack(one[-times:]).detach() for one in eta)
            right = []
        else:
            mu, log_var = own[-1][:2]
            right = []
            assert "alpha" in name
        within = [axes for axes in ((0,), (0, 1), (1, 2), (0, 2)) if max(axes) < mu.ndim]
        assert moment_is(read, name, "mean", *(mu.mean(axes) for axes in within)), name
        assert moment_is(read, name, "variance", *(log_var.exp().mean(axes) for axes in within)), name
        flat = mu.reshape(-1, len(frame)), (log_var / 2).exp().reshape(-1, len(frame))
        assumed = [standard(*flat), standard(*flat) * len(flat[0]), standard(*flat) * len(flat[0]) / topics]
        assert verdict(read, name, right, assumed) in ("right", "assumed", "absent"), name
    assert read.layers or nothing(read)


def autoencoder(name, kind, **options):
    """A model of the library `autoencoders` for rows of X numbers, or of 3 positions of X numbers."""
    library = pytest.importorskip(f"autoencoders.models.{kind}")
    TensorSpec = pytest.importorskip("autoencoders.data.base").TensorSpec
    shape = (3, X) if kind == "gumbelvq" else (X,)
    config = getattr(library, f"{name}Config")(latent_dim=Z, **options)
    more = {"decoder": "mlp", "decoder_config": {"hidden_dims": [8, X]}} if kind == "hvae" else {}
    return getattr(library, f"{name}Model")(
        config=config,
        sample_spec=TensorSpec(shape),
        encoder="mlp",
        encoder_config={"hidden_dims": [8, 6]},
        **more,
    )


def test_hierarchy_of_autoencoders(tmp_path):
    """Two levels, whose means and log variances the model returns together and one by one; the first is drawn
    twice a pass.
    """
    model = autoencoder("HierarchicalVariationalAutoencoder", "hvae", top_latent_dim=3)
    x, own = torch.randn(B, X), {}

    def loss():
        out = model(x)
        halves = [one.detach().split([3, Z], 1) for one in (out.posterior_mean, out.posterior_logvar)]
        for size, mean, log_var in zip((3, Z), *halves, strict=True):
            own[size] = standard(mean, (log_var / 2).exp())
        own[3 + Z] = out.kl_loss.item()
        assert own[3] + own[Z] == pytest.approx(own[3 + Z], rel=1e-4)
        return out.loss

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        assert verdict(read, name, [own[len(frame)]]) in ("right", "absent")
        assert "decoder" not in name
    assert read.layers or nothing(read)


def test_relaxed_picks_of_autoencoders(tmp_path):
    """What F.gumbel_softmax draws from are negative distances to the codes, at three positions a row."""
    model = autoencoder("GumbelQuantizedAutoencoder", "gumbelvq", codebook_size=8, temperature=0.5)
    nn.init.normal_(model.codebook.weight)
    x, picked, distances = torch.randn(B, 3, X), [], []

    def loss():
        out = model(x)
        picked.append(out.codebook_indices.detach())
        with torch.no_grad():
            encoded = model.project_to_core(out.encoded)
            distances.append(-torch.cdist(encoded, model.codebook.weight).square())
        return out.loss

    read = train(model, tmp_path / "run", loss)
    uniform = Categorical(logits=torch.zeros(8))
    kl = kl_divergence(Categorical(logits=distances[-1]), uniform).mean().item()
    for name, frame in read.layers.items():
        if read.found[name]["family"] == "codes":
            np.testing.assert_allclose(frame["usage"], shares(torch.stack(picked), 8), atol=1e-6)
        else:
            assert read.found[name]["family"] == "categorical"
            assert verdict(read, name, [kl * len(frame)]) in ("right", "absent")
    assert read.layers or nothing(read)


def test_hard_bits_of_autoencoders(tmp_path):
    """Semantic hashing: the sign of a tanh, straight through; nothing is drawn, and no distribution made."""
    model = autoencoder("SemanticHashingAutoencoder", "semhash")
    x = torch.randn(B, X)
    read = train(model, tmp_path / "run", lambda: model(x).loss)
    assert nothing(read)


def test_process_of_sgpvae(tmp_path):
    """A Gaussian process over the rows: what the encoder returns as a Normal is a likelihood that the process
    is conditioned on, the posterior has a full covariance, and all of it is asked for by a method.
    """
    models = pytest.importorskip("sgpvae.models")
    likelihoods = pytest.importorskip("sgpvae.likelihoods")
    kernels = pytest.importorskip("sgpvae.kernels")
    encoder, decoder = likelihoods.NNHeteroGaussian(X, 2, (8,)), likelihoods.NNHomoGaussian(2, X, (8,))
    model = models.GPVAE(decoder, encoder, 2, kernels.RBFKernel(), add_jitter=True)
    when, y, own = torch.linspace(0, 3, B), torch.randn(B, X), []

    def loss():
        with torch.no_grad():
            prior, likelihood = model.pf(when), model.lf(y)
            posterior = model.qf(pf=prior, lf=likelihood)
            rows = torch.stack(
                [kl_divergence(posterior, prior).sum(), kl_divergence(posterior, prior).sum() / B]
            )
            own.append((*rows.tolist(), standard(likelihood.mean, likelihood.stddev)))
        return -model.elbo(when, y)

    try:
        loss()
    except (RuntimeError, AttributeError) as error:
        pytest.skip(f"its linear algebra is not in this torch: {error}")
    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        assert not name.startswith("likelihood")
        assert verdict(read, name, own[-1][:2], own[-1][2:]) in ("right", "assumed", "absent")
    assert read.layers or nothing(read)


@pytest.mark.parametrize("kind", ["VAE", "LVAE"])
def test_hierarchy_of_biva(tmp_path, kind):
    """One module of each level returns the posterior when it is asked to infer, and the prior else; the
    uppermost prior is a buffer of twice as many zeros.
    """
    library = without_pictures("biva.model")
    sizes = (3, 2)
    model = getattr(library, kind)(
        tensor_shp=(-1, 1, 8, 8),
        stages=[[[8, 3, 1], [8, 3, 2]], [[8, 3, 1], [8, 3, 2]]],
        latents=[{"N": size, "block": library.stochastic.DenseNormal} for size in sizes],
    )
    drawn = {}  # of each level, by whether it was asked to infer
    for at, stage in enumerate(model.stages):
        stage.stochastic.register_forward_hook(
            lambda _, __, asked, out, at=at: drawn.update({(at, asked["inference"]): out[1]["dist"]}),
            with_kwargs=True,
        )
    x = torch.rand(B, 1, 8, 8)

    def loss():
        out = model(x)
        return (out["x_"] - x).square().mean() + sum(kl.mean() for kl in out["kl"])

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        level = int(name.split(".")[1])
        assert len(frame) == sizes[level]
        assert verdict(read, name, [between(drawn[level, True], drawn[level, False])]) in ("right", "absent")
    assert read.layers or nothing(read)


def test_sphere_of_spherinator(tmp_path):
    """`fc_location` is normalised, `fc_scale` one concentration for all: a power spherical distribution under
    a uniform one, both returned.
    """
    library = without_pictures("spherinator.models.variational_autoencoder")
    encoder = nn.Sequential(nn.Linear(X, 8), nn.ReLU())
    model = library.VariationalAutoencoder(encoder, nn.Linear(3, X), encoder_out_dim=8, z_dim=3)
    x, own = torch.randn(B, X), []

    def loss():
        _, (q_z, p_z), _, again = model(x)
        kl = kl_divergence(q_z, p_z)
        own.append(kl.mean().item())
        return (again - x).square().mean() + kl.mean()

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        assert read.found[name]["family"] not in ("gaussian", "gaussian_full")
        assert verdict(read, name, own[-1:]) in ("right", "absent")
    assert read.layers or nothing(read)
