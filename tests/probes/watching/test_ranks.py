"""One run of several processes: what one process records of all rows, to rounding."""

import os
import time

import numpy as np
import pytest
import torch
from torch import nn

import probes
from probes.run import Run
from tests.probes.watching import rank_training as training

STEPS = 11
CLOSE = 5e-5


def compare(run, whole, close=CLOSE):
    assert run.status == whole.status == "finished"
    assert [layer["name"] for layer in run.layers] == [layer["name"] for layer in whole.layers]
    for layer in whole.layers:
        name = layer["name"]
        np.testing.assert_array_equal(run.steps, whole.steps)
        for step in whole.steps:
            one, other = run.at(int(step), name), whole.at(int(step), name)
            assert set(one) == set(other), name
            for statistic, values in other.items():
                sd = np.sqrt(other["variance"] + other["spread"]).max() if "spread" in other else 1.0
                error = np.abs(one[statistic] - values) / np.maximum(np.abs(values), sd)
                assert np.array_equal(np.isnan(one[statistic]), np.isnan(values)), (name, statistic, step)
                assert np.nan_to_num(error).max() <= close, (name, statistic, step, error)


def dies(rank, size, folder, at=10, how="exit", **options):
    """As `watched`, but the last rank ends, or is heard no more."""

    def each(step):
        if step == at and rank == size - 1:
            if how == "exit":
                os._exit(1)
            time.sleep(3 * options.get("patience", 2.0))

    began = time.monotonic()
    lost = training.train(folder / "run", rank=rank, size=size, each=each, **options)
    return lost, time.monotonic() - began


@pytest.mark.parametrize("size", [2, 4])
def test_uneven_shares_give_the_statistics_of_the_whole_batch(tmp_path, size):
    training.run(training.watched, tmp_path / "ranks", size, steps=STEPS, flush_steps=4)
    training.train(tmp_path / "whole", STEPS, size)
    run = Run(tmp_path / "ranks" / "run")
    compare(run, Run(tmp_path / "whole"))
    assert run.config["watch"]["ranks"] == size
    assert sorted(path.name for path in (tmp_path / "ranks").iterdir()) == ["meeting", "run"]


def test_a_rank_that_dies_ends_the_run_as_interrupted_with_what_was_added_up(tmp_path):
    """Ten steps are there, in flushes of four: eight. The training of the others goes on to its end."""
    found = training.run(dies, tmp_path, 3, expected=2, steps=STEPS + 20, flush_steps=4)
    run = Run(tmp_path / "run")
    assert (run.status, run.steps.tolist()) == ("interrupted", list(range(8)))
    (lost, _), said = found[0]
    assert lost >= STEPS + 20 - 8
    assert any("a process of the training was lost" in one for one in said)
    assert "interrupted" in " ".join(said)
    assert not found[1][1]  # the others say nothing


def test_a_rank_that_is_not_heard_is_waited_for_once(tmp_path):
    found = training.run(dies, tmp_path, 2, how="sleep", steps=STEPS + 20, flush_steps=4, patience=3.0)
    run = Run(tmp_path / "run")
    assert (run.status, run.steps.tolist()) == ("interrupted", list(range(8)))
    assert found[0][0][0] >= STEPS + 20 - 8


def only_first(rank, size, folder, **options):
    """The other ranks do not watch, and rank 0 does not know."""
    return training.train(folder / "run", rank=rank, size=size, **options) if rank == 0 else None


@pytest.mark.parametrize("stated", [False, True])
def test_rank_0_alone_records_its_own_share(tmp_path, stated):
    options = {"ranks": "first"} if stated else {"patience": 1.0}
    found = training.run(only_first, tmp_path, 2, steps=3, **options)
    run = Run(tmp_path / "run")
    assert (run.status, run.steps.tolist()) == ("finished", [0, 1, 2])
    assert any("other processes" in one for one in found[0][1]) == (not stated)
    assert run.at(0, "plain")["rows"][0] == training.batch(0, 2)[2][0]


def one_each(rank, size, folder, **options):
    """Every third batch has no rows at all on rank 1, and the first step has none on rank 0."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(6, 3)
    with probes.watch(layer, folder / "run", hooks=False, every=2, flush_steps=3) as recording:
        for step in range(10):
            x = training.batch(step, size)[0][rank::size]
            if not (rank == 0 and step == 0) and not (rank == 1 and step % 3 == 0):
                probes.observe("latent", layer(x), torch.ones(len(x), 3))
            recording.step(step)
    return recording.lost


def test_steps_that_a_rank_has_no_rows_of_have_those_of_the_others(tmp_path):
    found = training.run(one_each, tmp_path, 2)
    run = Run(tmp_path / "run")
    torch.manual_seed(0)
    layer = torch.nn.Linear(6, 3)
    assert run.steps.tolist() == [1, 3, 5, 7, 9]
    for step in run.steps.tolist():
        x = training.batch(step, 2)[0]
        rows = x[0::2] if step % 3 == 0 else x
        truth = layer(rows).detach()
        assert run.at(step)["rows"][0] == len(rows)
        np.testing.assert_allclose(run.at(step)["mean"], truth.mean(0), atol=1e-6)
        np.testing.assert_allclose(run.at(step)["spread"], truth.var(0, correction=0), rtol=CLOSE)
    assert (found[0][0], found[1][0]) == (1, 0)  # of the first step nobody has anything


def test_a_level_that_moves_by_a_hundred_sd_a_step_loses_nothing(tmp_path):
    training.run(training.watched, tmp_path / "ranks", 2, steps=STEPS, flush_steps=4, drift=100.0)
    run = Run(tmp_path / "ranks" / "run")
    torch.manual_seed(0)
    model = training.Model(100.0)
    for step in range(STEPS):
        x, _, sizes = training.batch(step, 2)
        parts = [model.encoder(part).detach()[:, :3] + 100.0 * step for part in x.split(sizes)]
        level = torch.cat(parts).double()
        found = run.at(step, "plain")
        np.testing.assert_allclose(found["spread"], level.var(0, correction=0), rtol=1e-6)
        half = np.spacing(np.abs(found["mean"])) / 2  # of a float32, which the log holds
        error = np.abs(found["mean"] - level.mean(0).numpy())
        assert (error <= half + 1e-6 * level.std(0).numpy()).all()


class WarmedUp(nn.Module):
    """A smallest sigma, which one process lowers at a step."""

    def __init__(self, lowered):
        super().__init__()
        self.fc_mu, self.fc_sigma, self.decoder = nn.Linear(6, 4), nn.Linear(6, 4), nn.Linear(4, 6)
        self.lowered, self.step = lowered, 0

    def forward(self, x):
        mu, raw = self.fc_mu(x), self.fc_sigma(x)
        sigma = torch.nn.functional.softplus(raw) + (0.2 if self.step >= self.lowered else 1.0)
        self.step += 1
        return self.decoder(mu + sigma * torch.randn_like(mu))


def warms_up(rank, size, folder, steps):
    torch.manual_seed(rank)
    model = WarmedUp(3 if rank else steps)
    with probes.watch(model, folder / "run", flush_steps=3) as recording:
        for step in range(steps):
            model(torch.randn(5, 6))
            recording.step(step, loss=float(step))
    return recording.lost


def test_what_one_process_reads_no_more_is_left_out_of_all(tmp_path):
    """The rows of the others would be taken for all. The change is seen as the step has doubled."""
    found = training.run(warms_up, tmp_path, 2, steps=STEPS)
    run = Run(tmp_path / "run")
    assert run.status == "finished"
    assert run.layer_summary()["step"].tolist() == list(range(4))
    assert all(run.at(step)["rows"].tolist() == [10.0] * 4 for step in range(4))
    assert len(run.scalars()) == STEPS
    assert found[1][0] == STEPS - 4
    assert found[0][0] == 2 * (STEPS - 4)
    assert any("another process reads it no more" in said for said in found[0][1])
