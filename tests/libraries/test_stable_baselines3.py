"""A policy with a variational bottleneck, trained by PPO: the log has the KL of the updates, not of the
rollouts.
"""

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from probes.integrations.stable_baselines3 import Watch
from probes.run import Run

KL = []


class Bottleneck(BaseFeaturesExtractor):
    def __init__(self, observation_space):
        super().__init__(observation_space, features_dim=3)
        self.fc_mu, self.fc_logvar = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x):
        mu, logvar = self.fc_mu(x), self.fc_logvar(x)
        if torch.is_grad_enabled():
            KL.append(0.5 * (mu**2 + logvar.exp() - 1 - logvar).detach())
        return mu + torch.randn_like(mu) * (0.5 * logvar).exp()


def learn(callback=None):
    KL.clear()
    policy = {"features_extractor_class": Bottleneck}
    model = PPO("MlpPolicy", gymnasium.make("CartPole-v1"), n_steps=64, batch_size=32, n_epochs=2, seed=0,
                policy_kwargs=policy, device="cpu")  # fmt: skip
    model.learn(192, callback=callback)
    return model.policy.state_dict()


def test_updates_are_steps_and_training_is_what_it_was(tmp_path):
    before = learn()
    after = learn(Watch(tmp_path / "run"))
    assert all(torch.equal(before[name], after[name]) for name in before)
    run = Run(tmp_path / "run")
    assert run.steps.tolist() == [64, 128, 192]
    passes = len(KL) // 3
    for index, step in enumerate([64, 128, 192]):
        expected = torch.cat(KL[index * passes : (index + 1) * passes]).mean(0)
        np.testing.assert_allclose(run.at(step)["kl"], expected, rtol=1e-4)
    assert {"train/loss", "train/value_loss"} <= set(run.scalars()["name"])
    assert run.manifest["status"] == "finished"


def test_a_training_that_breaks_off_leaves_its_steps(tmp_path):
    class Stop(Exception):
        pass

    class Failing(Watch):
        def _on_step(self):
            if self.num_timesteps == 150:
                raise Stop
            return True

    with pytest.raises(Stop):
        learn(Failing(tmp_path / "run"))
    assert len(KL) > 0
