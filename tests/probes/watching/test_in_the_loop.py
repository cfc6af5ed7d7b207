"""What a training loop asks of its own recording: the same alerts as the log's, statistics from memory."""

import numpy as np
import pytest
import torch
from torch import nn

import probes
from probes.run import Run

ROWS, NEURONS = 32, 12


class Planted(nn.Module):
    """Posteriors that tell something about the input until `collapsed`."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.collapsed = False

    def forward(self, x):
        share = 1e-3 if self.collapsed else 1.0
        mu = self.weight * share * x
        sigma = torch.full_like(x, 0.9999 if self.collapsed else 0.5)
        probes.observe("latent", mu, sigma)
        return mu


def train(recording, model, steps, start=0, each=lambda step: None):
    for step in range(start, start + steps):
        torch.manual_seed(step)
        model(torch.randn(ROWS, NEURONS))
        recording.step(step, loss=1.0)
        each(step)


def key(alert):
    return alert.step, alert.kind, alert.layer


def listed(run):
    return [(int(row.step), row.kind, int(row.layer)) for row in run.alerts().itertuples()]


@pytest.fixture
def model():
    return Planted()


def collapsing(model, at, then=None):
    def each(step):
        model.collapsed = at <= step < (then or 10**9)

    return each


def test_alerts_come_once_in_training_as_the_log_has_them(tmp_path, model):
    found = []
    with probes.watch(model, tmp_path / "run") as recording:

        def each(step):
            collapsing(model, 200)(step)
            if step % 50 == 49:
                recording.flush()
                found.extend((step, alert) for alert in recording.alerts())

        assert recording.alerts() == []
        train(recording, model, 400, each=each)
    told = [alert for _, alert in found]
    assert {alert.kind for alert in told} == {"left living", "jump in KL"}
    assert [key(alert) for alert in told] == listed(Run(tmp_path / "run"))
    assert all(at - alert.step <= 50 for at, alert in found), "told of at the first look after it"
    assert all(alert.where == "latent" for alert in told)
    assert recording.alerts() == []


def test_a_first_question_late_tells_everything(tmp_path, model):
    with probes.watch(model, tmp_path / "run") as recording:
        train(recording, model, 400, each=collapsing(model, 200))
        recording.flush()
        late = recording.alerts()
        assert [key(alert) for alert in late] == listed(Run(tmp_path / "run"))
        assert late
        train(recording, model, 200, start=400, each=collapsing(model, 0, 420))  # lives again
        train(recording, model, 200, start=600, each=collapsing(model, 610))
    more = recording.alerts()
    assert [key(alert) for alert in late + more] == listed(Run(tmp_path / "run"))
    assert more


def test_a_callback_gets_each_alert_in_training(tmp_path, model):
    got = []
    with probes.watch(model, tmp_path / "run", on_alert=got.append) as recording:
        train(recording, model, 400, each=collapsing(model, 200))
    assert [key(alert) for alert in got] == listed(Run(tmp_path / "run"))
    assert [key(alert) for alert in recording.alerts()] == [key(alert) for alert in got]


def test_a_callback_that_fails_is_warned_of_once_and_left_alone(tmp_path, model):
    calls = []

    def failing(alert):
        calls.append(alert)
        raise RuntimeError("no network\nat all")

    def each(step):
        model.collapsed = step % 200 > 100

    with (
        pytest.warns(RuntimeWarning, match="on_alert failed: no network; after 3") as told,
        probes.watch(model, tmp_path / "run", on_alert=failing) as recording,
    ):
        train(recording, model, 1200, each=each)
    assert len(told) == 1
    assert len(calls) == 3
    assert recording.lost == 0
    assert len(listed(Run(tmp_path / "run"))) > 3


def test_a_callback_that_fails_raises_when_strict(tmp_path, model):
    def failing(alert):
        raise RuntimeError("no network")

    with pytest.raises(RuntimeError, match="no network"):  # noqa: SIM117
        with probes.watch(model, tmp_path / "run", on_alert=failing, strict=True) as recording:
            train(recording, model, 400, each=collapsing(model, 200))


def test_a_resumed_run_tells_of_what_is_new_alone(tmp_path, model):
    with probes.watch(model, tmp_path / "run") as recording:
        train(recording, model, 400, each=collapsing(model, 200))
    before = listed(Run(tmp_path / "run"))
    got = []
    with probes.watch(model, tmp_path / "run", resume=399, on_alert=got.append) as recording:
        train(recording, model, 200, start=400, each=collapsing(model, 0, 420))
        train(recording, model, 200, start=600, each=collapsing(model, 610))
    assert before + [key(alert) for alert in got] == listed(Run(tmp_path / "run"))
    assert got


def test_the_last_statistics_come_from_memory(tmp_path, model, monkeypatch):
    with probes.watch(model, tmp_path / "run") as recording:
        assert recording.last("latent") is None
        train(recording, model, 100)
        recording.flush()
        monkeypatch.setattr("builtins.open", None)
        last = recording.last("latent")
        monkeypatch.undo()
        with pytest.raises(KeyError, match="no layer 'other'.*latent"):
            recording.last("other")
    row = Run(tmp_path / "run").at(99, "latent", ["mean", "kl", "contraction", "regime"])
    for name in ("mean", "kl", "contraction", "regime"):
        assert last[name].shape == (NEURONS,)
        np.testing.assert_allclose(last[name], row[name], rtol=1e-6)
    last["kl"][:] = 0
    assert (recording.last("latent")["kl"] > 0).all(), "what is changed is the caller's"


def test_the_first_question_is_answered_at_once(tmp_path, model):
    with probes.watch(model, tmp_path / "run") as recording:
        train(recording, model, 3)
        last = recording.last("latent")
    np.testing.assert_allclose(last["kl"], Run(tmp_path / "run").at(2, "latent", ["kl"])["kl"], rtol=1e-6)


def test_other_ranks_have_nothing_to_tell(tmp_path, model, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with probes.watch(model, tmp_path / "run") as recording:
        train(recording, model, 5)
        assert recording.alerts() == []
        assert recording.last("latent") is None
