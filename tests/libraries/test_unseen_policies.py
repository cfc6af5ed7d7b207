"""Gaussian policies and embeddings, which are no posteriors of a latent: nothing of them is silent and wrong.

What is expected was written before the models were watched.
"""

import pytest
import torch
from test_unseen_autoencoders import B, X, Z
from torch import nn
from training import close, standard, train

import probes

try:  # before monai, which registers what pykeen's dependency then refuses
    import pykeen.models as pykeen_models
except ImportError:
    pykeen_models = None


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_a_squashed_actor_of_torchrl(tmp_path):
    """loc and scale of a TanhNormal: left out by the family's name, or said to be assumed."""
    modules = pytest.importorskip("torchrl.modules")
    from tensordict import TensorDict
    from tensordict.nn import NormalParamExtractor, TensorDictModule

    head = nn.Sequential(nn.Linear(X, 8), nn.Tanh(), nn.Linear(8, 2 * Z), NormalParamExtractor())
    actor = modules.ProbabilisticActor(
        TensorDictModule(head, in_keys=["observation"], out_keys=["loc", "scale"]),
        in_keys=["loc", "scale"], distribution_class=modules.TanhNormal, return_log_prob=True,
    )  # fmt: skip
    x = torch.randn(B, X)

    def loss():
        out = actor(TensorDict({"observation": x}, [B]))
        return out["action_log_prob"].mean() + out["action"].square().mean()

    read = train(actor, tmp_path / "run", loss)
    for name in read.layers:
        assumed = {read.origin(part, name) for part in ("prior", "family", "scale")}
        assert read.kl(name) is None or "assumed" in assumed


def test_a_gaussian_policy_of_skrl(tmp_path):
    """A mean of a network and a log_std that is one parameter: no layer, or under a prior that is assumed."""
    models = pytest.importorskip("skrl.models.torch")
    gymnasium = pytest.importorskip("gymnasium")
    spaces = gymnasium.spaces.Box(-1, 1, (X,)), gymnasium.spaces.Box(-1, 1, (Z,))

    class Policy(models.GaussianMixin, models.Model):
        def __init__(self):
            models.Model.__init__(self, observation_space=spaces[0], action_space=spaces[1], device="cpu")
            models.GaussianMixin.__init__(self, clip_log_std=True, min_log_std=-1.0, max_log_std=2.0)
            self.net = nn.Sequential(nn.Linear(X, 8), nn.ELU(), nn.Linear(8, Z))
            self.log_std = nn.Parameter(torch.full((Z,), -3.0))

        def compute(self, inputs, role):
            return self.net(inputs["observations"]), {"log_std": self.log_std}

    policy, x = Policy(), torch.randn(B, X)

    def loss():
        actions, outputs = policy.act({"observations": x}, role="policy")
        return outputs["log_prob"].mean() + actions.square().mean()

    read = train(policy, tmp_path / "silent", loss)
    for name in read.layers:
        assert read.kl(name) is None or read.origin("prior", name) == "assumed"

    own = []

    def observed():
        policy.act({"observations": x}, role="policy")
        q = policy.distribution(role="policy")
        probes.observe("actions", q, prior=torch.distributions.Normal(0.0, 1.0))
        own.append(standard(q.loc, q.scale))
        return q.loc.square().mean()

    read = train(policy, tmp_path / "said", observed, hooks=False)
    assert close(read.kl(), own[-1])
    assert read.origin("prior") == "stated"


def test_embeddings_of_pykeen(tmp_path):
    """KG2E: means and variances of entities and relations are tables, compared with each other: no layer."""
    models = pykeen_models or pytest.skip("could not import 'pykeen'")
    triples = pytest.importorskip("pykeen.datasets").Nations().training
    model = models.KG2E(triples_factory=triples, embedding_dim=Z, random_seed=0)
    batch = triples.mapped_triples[:B]
    read = train(model, tmp_path / "run", lambda: -model.score_hrt(batch).mean())
    for name in read.layers:
        assert read.kl(name) is None or read.origin("prior", name) == "assumed"
    assert read.layers or "nothing is recorded" in read.said
