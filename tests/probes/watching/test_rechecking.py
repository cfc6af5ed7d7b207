"""What stands between a head and its sample is looked at again, and what changes is not recorded on."""

import authors
import pytest
import torch
import torch.nn.functional as F

from probes.errors import RunError
from probes.run import Run
from probes.watching.attaching import watch

STEPS = 9


class Floor(authors.Author):
    """sigma = softplus(raw) + floor(step)."""

    def __init__(self, floor):
        super().__init__()
        authors.heads(self, "fc_mu", "fc_sigma")
        self.floor, self.step = floor, 0

    def forward(self, x):
        h = self.h(x)
        mu, sigma = self.fc_mu(h), F.softplus(self.fc_sigma(h)) + self.floor(self.step)
        self.step += 1
        return self.decoder(mu + sigma * torch.randn_like(mu))


def hooks(model):
    return [sum(map(len, (one._forward_hooks, one._forward_pre_hooks))) for one in model.modules()]


def train(floor, folder):
    torch.manual_seed(0)
    model, counts = Floor(floor), []
    with watch(model, folder) as recording:
        for step in range(STEPS):
            model(torch.randn(authors.B, authors.X)).square().mean().backward()
            recording.step(step)
            counts.append(sum(hooks(model)))
    return recording, Run(folder), counts, model


def test_a_constant_that_stays_is_recorded_to_the_end(tmp_path):
    recording, run, counts, model = train(lambda step: 0.1, tmp_path / "run")
    assert list(run.steps) == list(range(STEPS))
    assert recording.lost == 0
    assert counts[-1] < counts[0]  # it is looked at in steps 1, 2, 4 and 8 alone
    assert counts[2] == counts[4] == counts[5] == counts[6]
    assert not any(hooks(model))


@pytest.mark.parametrize(
    ("floor", "seen"), [(lambda step: 0.5 / (step + 1), 1), (lambda step: 1.0 if step < 3 else 0.2, 4)]
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_constant_that_changes_is_recorded_no_further(tmp_path, floor, seen):
    recording, run, _, _ = train(floor, tmp_path / "run")
    assert max(run.steps) < seen
    assert recording.lost == STEPS - seen
    with pytest.raises(RunError, match="not recorded"):
        run.at(seen)


def test_what_changed_is_said(tmp_path):
    with pytest.warns(RuntimeWarning, match=r"other numbers than at the first step \(0.5 there, 0.25 now\)"):
        train(lambda step: 0.5 / (step + 1), tmp_path / "run")


def test_a_model_that_cannot_be_looked_at_again_trains_on(tmp_path, monkeypatch):
    torch.manual_seed(0)
    model = Floor(lambda step: 0.1)
    with watch(model, tmp_path / "run") as recording:
        for step in range(STEPS):
            model(torch.randn(authors.B, authors.X)).square().mean().backward()
            if step == 1:
                monkeypatch.setattr(model, "named_modules", lambda *_: iter([("gone", None)]))
            recording.step(step)
        monkeypatch.undo()
    assert list(Run(tmp_path / "run").steps) == list(range(STEPS))
