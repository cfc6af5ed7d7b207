"""Models of libraries whose latent variables are no Gaussians, or stand in odd places, each as its library
trains it, beside the library's own numbers.

What is expected was written before the models were watched.
"""

import sys
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Beta, Independent, OneHotCategorical, kl_divergence
from training import close, outputs, train, without_pictures

import probes
from probes.run import Run

B, X, Z = 16, 12, 4


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def shares(indices, size):
    return (torch.bincount(indices.flatten(), minlength=size) / indices.numel()).numpy()


def test_gumbel_quantiser_of_transformers(tmp_path):
    """Two groups of eight code vectors, picked by Gumbel-softmax from rows in which the groups alternate;
    its own perplexity is of each group, so a layer that pools them, and says nothing, is wrong.
    """
    wav2vec2 = pytest.importorskip("transformers.models.wav2vec2.modeling_wav2vec2")
    config = wav2vec2.Wav2Vec2Config(
        conv_dim=(X,), conv_stride=(2,), conv_kernel=(2,), codevector_dim=8, num_codevector_groups=2,
        num_codevectors_per_group=8,
    )  # fmt: skip
    model = nn.ModuleDict({"quantizer": wav2vec2.Wav2Vec2GumbelVectorQuantizer(config)})
    nn.init.normal_(model["quantizer"].codevectors)
    heads = outputs(model["quantizer"].weight_proj)
    x = torch.randn(B, 5, X)

    def loss():
        vectors, perplexity = model["quantizer"](x)
        return vectors.square().mean() - perplexity

    read = train(model, tmp_path / "run", loss)
    probability = heads[-1].detach().reshape(-1, 2, 8).softmax(-1)
    own = (probability * (8 * probability).log()).sum(-1).mean(0).numpy()
    if read.layers:
        assert len(read.only) == 2
        np.testing.assert_allclose(read.only["kl"], own, rtol=1e-4)
        assert read.origin("prior") == "assumed"
    else:
        assert "probes.observe" in read.said


def test_residual_quantiser_of_transformers(tmp_path):
    """Encodec's quantisers are asked by encode and decode, past all hooks: absent, or the usage of the codes
    that the model returns; handed over it is that.
    """
    encodec = pytest.importorskip("transformers.models.encodec.modeling_encodec")
    config = encodec.EncodecConfig(
        target_bandwidths=[12.0], hidden_size=8, num_filters=2, upsampling_ratios=[4, 2], codebook_size=16,
        num_lstm_layers=1, sampling_rate=8000,
    )  # fmt: skip
    model = encodec.EncodecModel(config)
    for layer in model.quantizer.layers:
        nn.init.normal_(layer.codebook.embed)
    x, codes = torch.randn(2, 1, 256), []

    def loss():
        output = model(x, bandwidth=12.0)
        codes.append(output.audio_codes)
        return output.audio_values.square().mean()

    read = train(model, tmp_path / "run", loss)
    for frame in read.layers.values():
        book = torch.cat(codes)
        assert any(np.allclose(frame["usage"], shares(book[:, :, q], 16)) for q in range(book.shape[2]))
    if not read.layers:
        assert "probes.observe" in read.said

    def said():
        value = loss()
        for q in range(codes[-1].shape[2]):
            probes.observe_codes(f"codes{q}", codes[-1][:, :, q], 16)
        return value

    codes.clear()
    read = train(model, tmp_path / "said", said, hooks=False)
    book = torch.cat(codes)
    for q in range(book.shape[2]):
        np.testing.assert_allclose(read.layers[f"codes{q}"]["usage"], shares(book[:, :, q], 16), atol=1e-6)


def test_vector_quantised_images_of_diffusers(tmp_path):
    """The quantiser returns its indices in a tuple in a tuple."""
    diffusers = pytest.importorskip("diffusers.models.autoencoders.vq_model")
    model = diffusers.VQModel(
        in_channels=1, out_channels=1, block_out_channels=(4,), norm_num_groups=2, latent_channels=3,
        num_vq_embeddings=8, sample_size=8,
    )  # fmt: skip
    picked = outputs(model.quantize)
    x = torch.rand(B, 1, 8, 8)
    read = train(model, tmp_path / "run", lambda: sum(one.mean() for one in model(x, return_dict=False)))
    indices = torch.stack([output[2][2] for output in picked])
    np.testing.assert_allclose(read.only["usage"], shares(indices, 8), atol=1e-6)
    assert "kl" not in read.only or read.only["kl"].isna().all()


def pixyz_pair(kind):
    pixyz = pytest.importorskip("pixyz.distributions")

    if kind == "Beta":

        class Inference(pixyz.Beta):
            def __init__(self):
                super().__init__(var=["z"], cond_var=["x"], name="q")
                self.body, self.one, self.two = nn.Linear(X, 8), nn.Linear(8, Z), nn.Linear(8, Z)

            def forward(self, x):
                h = self.body(x).relu()
                return {
                    "concentration1": nn.functional.softplus(self.one(h)) + 0.5,
                    "concentration0": nn.functional.softplus(self.two(h)) + 0.5,
                }

        prior = pixyz.Beta(
            var=["z"], features_shape=[Z], name="p", concentration1=torch.full((Z,), 2.0),
            concentration0=torch.full((Z,), 1.5),
        )  # fmt: skip
    else:

        class Inference(pixyz.RelaxedBernoulli):
            def __init__(self):
                super().__init__(var=["z"], cond_var=["x"], name="q", temperature=torch.tensor(0.5))
                self.body = nn.Linear(X, Z)

            def forward(self, x):
                return {"probs": self.body(x).sigmoid()}

        prior = pixyz.Bernoulli(var=["z"], probs=torch.full((Z,), 0.3), features_shape=[Z], name="p")
    return pixyz, Inference(), prior


@pytest.mark.parametrize("kind", ["Beta", "RelaxedBernoulli"])
def test_variational_autoencoders_of_pixyz(tmp_path, kind):
    """A distribution is a module that returns parameters by name; the prior stands in buffers of another."""
    pixyz, q, p = pixyz_pair(kind)
    losses = pytest.importorskip("pixyz.losses")

    class Generator(pixyz.Normal):
        def __init__(self):
            super().__init__(var=["x"], cond_var=["z"], name="p")
            self.body = nn.Linear(Z, X)

        def forward(self, z):
            return {"loc": self.body(z), "scale": torch.ones(X)}

    model, own = nn.ModuleDict({"q": q, "p": Generator(), "prior": p}), []
    divergence = losses.KullbackLeibler(q, p)

    def loss():
        x = torch.rand(B, X)  # it keeps what it has computed of a tensor
        z = q.sample({"x": x}, reparam=True)
        if kind == "Beta":
            kl = divergence.eval({"x": x}).mean()
        else:  # its own fails where the prior is not of as many rows
            q.set_dist({"x": x})
            kl = kl_divergence(q.dist, Bernoulli(torch.full((B, Z), 0.3))).sum(1).mean()
        own.append(kl.item())
        return kl - model["p"].get_log_prob(z).mean()

    read = train(model, tmp_path / "run", loss)
    mine = [name for name in read.layers if not name.startswith("prior")]
    assert mine == list(read.layers)
    assert not any(name.startswith("p.") or name == "p" for name in mine)
    for name in mine:
        assert read.kl(name) is None or close(read.kl(name), own[-1])
    if not mine:
        assert "probes.observe" in read.said


def test_parameters_of_pixyz_handed_over(tmp_path):
    """As above, by the distribution that its own `set_dist` makes."""
    _, q, p = pixyz_pair("Beta")
    own = []

    def loss():
        q.set_dist({"x": torch.rand(B, X)})
        p.set_dist({})
        probes.observe("z", q.dist, prior=p.dist)
        kl = kl_divergence(q.dist, Beta(torch.full((Z,), 2.0), torch.full((Z,), 1.5))).sum(1).mean()
        own.append(kl.item())
        return kl

    read = train(q, tmp_path / "run", loss, hooks=False)
    assert close(read.kl("z"), own[-1])
    assert read.found["z"]["family"] == "beta"


def test_world_model_of_sheeprl(tmp_path):
    """DreamerV3: posteriors one time step after the other, priors of the whole sequence at once, both with
    one per cent of the uniform distribution; the library's own KL is of each step's pair.
    """
    agent = pytest.importorskip("sheeprl.algos.dreamer_v3.agent")
    loss_of = pytest.importorskip("sheeprl.algos.dreamer_v3.loss")
    mlp = pytest.importorskip("sheeprl.models.models").MLP
    variables, classes, hidden, actions, embedded, length = 3, 4, 8, 2, 6, 5
    stochastic = variables * classes
    model = agent.RSSM(
        agent.RecurrentModel(stochastic + actions, hidden, 8),
        agent.RepresentationModel(
            hidden, input_dims=hidden + embedded, output_dim=stochastic, hidden_sizes=[8]
        ),
        mlp(input_dims=hidden, output_dim=stochastic, hidden_sizes=[8]),
        {},
        discrete=classes,
    )
    action, seen = torch.randn(length, B, actions), torch.randn(length, B, embedded)
    first = torch.zeros(length, B, 1)
    first[0] = 1
    own, handed_over = [], ["state"]

    def loss():
        state, z = torch.zeros(1, B, hidden), torch.zeros(1, B, variables, classes)
        states, posteriors = [], []
        for t in range(length):
            state, z, logits = model.dynamic(z, state, action[t][None], seen[t][None], first[t][None])
            states.append(state)
            posteriors.append(logits)
        q, p = torch.cat(posteriors), model.prior_logits(torch.cat(states))
        q, p = (one.view(length, B, variables, classes) for one in (q, p))
        for name in handed_over:
            posterior, prior = (Independent(OneHotCategorical(logits=one), 1) for one in (q, p))
            probes.observe(name, posterior, prior=prior)
        kl = loss_of.categorical_kl(q, p).mean()
        own.append(kl.item())
        return kl + z.square().mean()

    read = train(model, tmp_path / "said", loss, hooks=False)
    assert close(read.kl("state"), own[-1])
    assert len(read.only) == variables
    handed_over.clear()
    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        assert read.kl(name) is None or close(read.kl(name), own[-1])
        assert len(frame) == variables
    if not read.layers:
        assert "probes.observe" in read.said


def test_variational_process_of_botorch(tmp_path):
    """Inducing values under their own prior, with a correlated posterior."""
    botorch = pytest.importorskip("botorch.models.approximate_gp")
    gpytorch = pytest.importorskip("gpytorch")
    x = torch.rand(20, 2, dtype=torch.float64)
    y = x.sum(1, keepdim=True).sin()
    model = botorch.SingleTaskVariationalGP(x, y, inducing_points=x[:6].clone()).double()
    objective = gpytorch.mlls.VariationalELBO(model.likelihood, model.model, num_data=20)
    strategy, own = model.model.variational_strategy, []
    base = getattr(strategy, "base_variational_strategy", strategy)

    def loss():
        value = -objective(model(x), y.squeeze(-1)).sum()
        own.append(base.kl_divergence().sum().item())
        return value

    read = train(model, tmp_path / "run", loss)
    assert len(read.only) == 6
    joint = Run(tmp_path / "run").layer_summary()["layer_joint_kl"].iloc[-1]
    assert joint == pytest.approx(own[-1], rel=1e-3, abs=1e-5)


def test_discrete_autoencoder_of_dalle_pytorch(tmp_path, monkeypatch):
    """A relaxed categorical at each position of an image, whose classes are the channels of a convolution:
    a neuron must be a categorical variable of six classes, whatever axis its positions are on.
    """
    for name in (
        "taming.models.vqgan",
        "pkg_resources",
    ):  # of lightning's first version; gone with setuptools 82
        monkeypatch.setitem(sys.modules, name, Mock())
    dalle = without_pictures("dalle_pytorch.dalle_pytorch")
    model = dalle.DiscreteVAE(
        image_size=8, num_tokens=6, codebook_dim=4, num_layers=1, hidden_dim=4, channels=1,
    )  # fmt: skip
    heads, x = outputs(model.encoder), torch.rand(B, 1, 8, 8)
    read = train(model, tmp_path / "run", lambda: model(x, return_loss=True))
    probability = heads[-1].detach().softmax(1)  # (B, classes, height, width)
    own = (probability * (6 * probability).log()).sum(1).mean().item()
    for name, frame in read.layers.items():
        assert read.found[name]["family"] == "categorical"
        assert frame["kl"].mean() == pytest.approx(own, rel=1e-3)
        assert "6" in str(Run(tmp_path / "run").layers[0]["classes"])
    if not read.layers:
        assert "probes.observe" in read.said


def test_dropout_of_baal(tmp_path):
    """Its layers are no subclass of torch's, and drop in eval mode too: draws that differ, or an error, never
    draws without variance.
    """
    bayesian = pytest.importorskip("baal.bayesian.dropout")
    model = nn.Sequential(nn.Linear(X, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, Z))
    patched, x = bayesian.patch_module(model, inplace=False).eval(), torch.randn(B, X)
    with torch.no_grad():
        own = torch.stack([patched(x) for _ in range(400)]).var(0).mean(0)
    z = probes.dropout_samples(patched, x, passes=400)
    read = train(
        patched,
        tmp_path / "run",
        lambda: (probes.observe_samples("prediction", z), patched(x).mean())[1],
        hooks=False,
    )
    np.testing.assert_allclose(read.layers["prediction"]["variance"], own, rtol=0.1)
    assert "kl" not in read.layers["prediction"] or read.kl("prediction") is None


def test_ensemble_of_torchensemble(tmp_path):
    """Members are made by `fit`; its prediction is their mean."""
    torchensemble = pytest.importorskip("torchensemble")

    class Member(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(X, 8), nn.ReLU(), nn.Linear(8, 2))

        def forward(self, x):
            return self.body(x)

    x, y = torch.randn(32, X), torch.randn(32, 2)
    model = torchensemble.VotingRegressor(estimator=Member, n_estimators=5, cuda=False)
    model.set_optimizer("Adam", lr=1e-2)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=16)
    model.fit(loader, epochs=2, save_model=False)
    z = probes.ensemble_samples(model.estimators_, x)
    with torch.no_grad():
        members, own = torch.stack([member.eval()(x) for member in model.estimators_]), model.predict(x)
    read = train(
        model.estimators_,
        tmp_path / "run",
        lambda: (probes.observe_samples("prediction", z), model.estimators_[0](x).mean())[1],
        hooks=False,
    )
    torch.testing.assert_close(z, members)
    assert torch.allclose(members.mean(0), own)
    frame = read.layers["prediction"]
    np.testing.assert_allclose(frame["mean"], members.mean((0, 1)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(frame["variance"], members.var(0).mean(0), rtol=1e-3)


@pytest.mark.parametrize("learned", [True, False])
def test_topics_of_contextualized_topic_models(tmp_path, learned):
    """ProdLDA: what is called log_sigma is a log variance, and what is called sigma a variance; its prior's
    variance is 1 - 1/K, which a parameter or a plain tensor holds.
    """
    networks = pytest.importorskip("contextualized_topic_models.networks.decoding_network")
    model = networks.DecoderNetwork(
        X, 10, "zeroshot", n_components=Z, hidden_sizes=(8, 8), learn_priors=learned
    )
    words, sentence, own = torch.randint(0, 3, (B, X)).float(), torch.randn(B, 10), []

    def loss():
        prior_mean, prior_variance, mean, variance, log_variance, word_dist, _ = model(words, sentence)
        kl = 0.5 * (  # as in CTM._loss
            (variance / prior_variance).sum(1)
            + ((prior_mean - mean).square() / prior_variance).sum(1)
            - Z
            + prior_variance.log().sum()
            - log_variance.sum(1)
        )
        own.append(kl.mean().item())
        return (kl - (words * (word_dist + 1e-10).log()).sum(1)).mean()

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        kl = read.kl(name)
        assert kl is None or close(kl, own[-1]) or read.origin("prior", name) == "assumed"
    if not read.layers:
        assert "probes.observe" in read.said


@pytest.mark.parametrize("output", ["StudentTOutput", "NegativeBinomialOutput", "NormalOutput"])
def test_forecasts_of_gluonts_are_no_latent_variables(tmp_path, output):
    """DeepAR's distributions are of the series that it predicts."""
    deepar = pytest.importorskip("gluonts.torch.model.deepar.module")
    distributions = pytest.importorskip("gluonts.torch.distributions")
    model = deepar.DeepARModel(
        freq="D", context_length=6, prediction_length=3, hidden_size=8, lags_seq=[1, 2],
        distr_output=getattr(distributions, output)(),
    )  # fmt: skip
    past, future = 8, 3
    series = torch.randint(0, 9, (B, past + future)).float()

    def loss():
        inputs = {
            "feat_static_cat": torch.zeros(B, 1, dtype=torch.long),
            "feat_static_real": torch.zeros(B, 1),
            "past_time_feat": torch.randn(B, past, 1),
            "past_target": series[:, :past],
            "past_observed_values": torch.ones(B, past),
            "future_time_feat": torch.randn(B, future, 1),
            "future_target": series[:, past:],
        }
        parameters, scale, *_ = model.unroll_lagged_rnn(*inputs.values())
        distribution = model.output_distribution(parameters, scale)
        return -distribution.log_prob(torch.ones(distribution.batch_shape)).mean()

    read = train(model, tmp_path / "run", loss)
    if output == "NormalOutput":  # two tensors of one shape, nothing else found: all of it is ASSUMED
        assert {
            part
            for one in read.found.values()
            for part in ("mean", "scale")
            if one["origins"][part] != "assumed"
        } == set()
        assert "ASSUMED" in read.said
    else:
        assert read.layers == {}


@pytest.mark.parametrize("kind", ["build_maf", "build_zuko_nsf"])
def test_posterior_estimators_of_sbi(tmp_path, kind):
    """A conditional flow, trained by its log density; nothing of it is a Gaussian, nor has it a KL in
    training. Handed over with a prior's density, it has.
    """
    flows = pytest.importorskip("sbi.neural_nets.net_builders.flow")
    theta, x = torch.randn(100, 3), torch.randn(100, 5)
    model = getattr(flows, kind)(theta, x, hidden_features=16, num_transforms=2)
    read = train(model, tmp_path / "run", lambda: model.loss(theta, x).mean())
    for name in read.layers:
        assert read.kl(name) is None
        assert read.found[name]["family"] == "samples"

    prior = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(3), 1.0), 1)
    with torch.no_grad():
        z, log_q = model.sample_and_log_prob((8,), x)  # (S, B, N), (S, B)
    probes_of = {"z": z, "log_q": log_q, "log_prior": prior.log_prob(z)}

    def loss():
        probes.observe_samples("theta", **probes_of)
        return model.loss(theta, x).mean()

    read = train(model, tmp_path / "said", loss, hooks=False)
    joint = Run(tmp_path / "said").layer_summary()["layer_joint_kl"].iloc[-1]
    assert joint == pytest.approx((log_q - prior.log_prob(z)).mean().item(), rel=1e-4)
    np.testing.assert_allclose(read.layers["theta"]["mean"], z.mean((0, 1)), rtol=1e-3, atol=1e-5)
