"""Training as a run: what the log holds, resume bit for bit, a clean end, checkpoints that cannot run
code.
"""

import os
import pickle
import signal

import numpy as np
import pandas as pd
import pytest
import torch

import probes
from probes.log.check import check
from vdn.config import Config, ConfigError, from_dict, resolve
from vdn.data import load
from vdn.evaluate import evaluate, scores
from vdn.train import VALIDATION_DRAWS, VALIDATION_EXAMPLES, resume, train
from vdn.trainer import (
    BEST,
    CHECKPOINT,
    DivergedError,
    Order,
    Trainer,
    load_checkpoint,
    load_run,
    one_cycle,
)
from vdn.training_logger import geometric_steps

EVERYTHING = {
    "prior": "autoregressive",
    "phi": "0.3,0.8",
    "learn_phi": True,
    "latent_dim": 2,
    "local_decoder": "train",
    "thermostat": True,
    "thermostat_gain": 2.0,
    "persistence": "0.3,0.6",
    "control": "homeostasis",
    "sigma_guard": True,
    "lam_band": 0.1,
    "lam_ar": 0.1,
    "ar_share": True,
    "control_every": 3,
}


def run(folder, settings, report=None):
    return train(resolve(from_dict(settings)), folder, report)


def rows(folder, table):
    """All rows of a table of the log as they lie in its files, sorted by its keys."""
    frame = pd.concat(
        [pd.read_parquet(path) for path in sorted((folder / table).rglob("*.parquet"))], ignore_index=True
    )
    keys = [
        key
        for key in ("step", "split", "name", "kind", "layer", "neuron", "input", "horizon")
        if key in frame
    ]
    return frame.sort_values(keys, kind="stable", ignore_index=True).drop(
        columns=[c for c in ("time",) if c in frame]
    )


def interrupt_at(step):
    """A progress function that presses Ctrl-C once `step` is reached."""
    pressed = []

    def report(progress):
        if progress.step >= step and not pressed:
            pressed.append(progress.step)
            os.kill(os.getpid(), signal.SIGINT)

    return report


@pytest.fixture(autouse=True)
def every_step_reports(monkeypatch):
    monkeypatch.setattr("vdn.train.PROGRESS_SECONDS", 0.0)


def test_log_of_a_run(tmp_path, small):
    summary = run(tmp_path / "run", small)
    log = probes.Run(tmp_path / "run")
    assert summary["status"] == log.status == "finished"
    assert list(log.steps) == list(range(24))
    assert {
        "mean",
        "variance",
        "kl",
        "information",
        "spread",
        "mismatch",
        "persistence",
        "active_share",
        "mu2",
    } <= set(log.statistics)
    neurons = rows(tmp_path / "run", "neurons")
    assert len(neurons) == 24 * 2 * 8
    np.testing.assert_allclose(neurons["kl"], neurons["information"] + neurons["mismatch"], atol=2e-5)
    scalars = rows(tmp_path / "run", "scalars")
    assert set(scalars.loc[scalars["split"] == "validation", "step"]) == {9, 19, 23}
    held_against = scalars.query("split == 'train' and name == 'nll_joint'")
    assert held_against["step"].tolist() == [9, 19, 23], "what validation is held against"
    assert np.isfinite(held_against["value"]).all()
    assert {"test", "test last_value", "test seasonal_naive"} <= set(scalars["split"])
    assert len(rows(tmp_path / "run", "evaluation")) == 16
    assert summary["model"]["mse"] == pytest.approx(
        scalars.query("split == 'test' and name == 'mse'")["value"].item()
    )
    predictions = rows(tmp_path / "run", "predictions")
    assert set(predictions["step"]) == {0, 4, 23}
    assert len(predictions) == 3 * 4 * 6
    assert log.config["steps"] == 24


def test_statistics_are_those_of_the_step_before_its_update(tmp_path, small):
    """Recomputed from the first batch, the initial weights and the first noise."""
    run(tmp_path / "run", small)
    trainer = Trainer(resolve(from_dict(small)), load(resolve(from_dict(small))))
    posterior = trainer.step().output.posteriors[0]
    first = rows(tmp_path / "run", "neurons").query("step == 0 and layer == 0")
    np.testing.assert_allclose(first["kl"], posterior.kl.mean(0).detach(), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(first["mean"], posterior.mu.mean((0, 2)).detach(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        first["spread"], posterior.mu[..., 0].var(0, correction=0).detach(), rtol=1e-4, atol=1e-7
    )


@pytest.mark.parametrize("extra", [{}, EVERYTHING, {"twin": True}])
def test_resume_continues_bit_for_bit(tmp_path, small, extra):
    settings = {**small, **extra}
    whole = run(tmp_path / "whole", settings)
    assert run(tmp_path / "parts", settings, interrupt_at(13)) == {"status": "interrupted"}
    assert probes.Run(tmp_path / "parts").status == "interrupted"
    assert load_checkpoint(tmp_path / "parts")["step"] < 24
    again = resume(tmp_path / "parts")
    assert again["model"] == whole["model"]
    first, second = (load_checkpoint(tmp_path / name) for name in ("whole", "parts"))
    assert all(torch.equal(first["model"][name], second["model"][name]) for name in first["model"])
    tables = ["scalars"] + ([] if extra.get("twin") else ["neurons", "evaluation", "probe"])
    for table in tables + (["events"] if "control" in extra else []):
        pd.testing.assert_frame_equal(
            rows(tmp_path / "whole", table), rows(tmp_path / "parts", table), check_exact=True
        )
    with pytest.raises(ConfigError, match="is finished"):
        resume(tmp_path / "parts")


def test_resume_sets_aside_what_lies_after_the_checkpoint(tmp_path, small, monkeypatch):
    """A crash after the checkpoint of step 10: the log goes on from there, and ends as if nothing had
    happened.
    """
    run(tmp_path / "whole", small)

    def crash(progress):
        if progress.step >= 15:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        run(tmp_path / "parts", small, crash)
    assert probes.Run(tmp_path / "parts").status == "crashed"
    assert load_checkpoint(tmp_path / "parts")["step"] == 10
    resume(tmp_path / "parts")
    pd.testing.assert_frame_equal(
        rows(tmp_path / "whole", "neurons"), rows(tmp_path / "parts", "neurons"), check_exact=True
    )


def test_a_training_that_diverges_says_so_and_keeps_its_last_good_checkpoint(tmp_path, small, monkeypatch):
    whole = run(tmp_path / "whole", small)
    step = Trainer.step

    def breaks(self):
        done = step(self)
        if self.done == 14:
            self.core[0].data.fill_(float("nan"))
        return done

    monkeypatch.setattr(Trainer, "step", breaks)
    told = "step 14 weights are NaN.* all 20 steps; its checkpoint is of 10 steps.*lower --lr"
    with pytest.raises(DivergedError, match=told):
        run(tmp_path / "run", small)
    log = probes.Run(tmp_path / "run")
    assert log.status == "crashed"
    assert list(log.steps) == list(range(20)), "the log holds what was done"
    found = log.alerts()
    assert found.loc[found["kind"] == "non-finite loss", "step"].tolist() == [14]
    assert check(tmp_path / "run") == []
    assert all(weights.isfinite().all() for weights in load_checkpoint(tmp_path / "run")["model"].values())
    monkeypatch.setattr(Trainer, "step", step)
    assert resume(tmp_path / "run")["model"] == whole["model"]
    assert probes.Run(tmp_path / "run").status == "finished"


def test_weights_that_are_lost_are_not_kept_when_training_is_interrupted(tmp_path, small, monkeypatch):
    step = Trainer.step

    def breaks(self):
        done = step(self)
        self.core[0].data.fill_(float("inf"))
        return done

    monkeypatch.setattr(Trainer, "step", breaks)
    with pytest.raises(DivergedError, match="it has no checkpoint yet"):
        run(tmp_path / "run", small, interrupt_at(3))
    assert not (tmp_path / "run" / CHECKPOINT).exists()


def test_control_laws_leave_their_marks(tmp_path, small):
    run(tmp_path / "run", {**small, **EVERYTHING})
    events = rows(tmp_path / "run", "events")
    assert {"homeostasis", "ar_share"} <= set(events["kind"])
    assert (events["step"] % 3 == 2).all()
    neurons = rows(tmp_path / "run", "neurons")
    assert {"beta", "band_low", "band_high", "local_elbo", "phi", "past"} <= set(neurons.columns)
    assert neurons["beta"].nunique() > 10
    assert sorted(neurons["persistence_target"].unique()) == pytest.approx([0.3, 0.6])
    assert neurons["persistence_weight"].nunique() > 10
    np.testing.assert_allclose(
        neurons["kl"], neurons["information"] + neurons["mismatch"] + neurons["past"], atol=1e-4
    )


def test_the_input_has_a_slope_of_its_own_beside_the_neurons(tmp_path, small):
    """Windows at t on windows at t - stride, each series' own mean removed feature by feature, in numpy."""
    settings = resolve(from_dict({**small, "steps": 1}))
    trainer = Trainer(settings, load(settings))
    batch = trainer.task.batch("train", trainer.order.examples(0), True)
    now, before = (half.double() for half in batch.x.chunk(2))
    xy = xx = 0.0
    for series in batch.series.unique():
        mine = batch.series == series
        x, y = (value[mine] - value[mine].mean(0) for value in (before, now))
        xy, xx = xy + (x * y).sum().item(), xx + (x * x).sum().item()
    run(tmp_path / "run", {**small, "steps": 1})
    recorded = rows(tmp_path / "run", "neurons")["input_persistence"]
    np.testing.assert_allclose(recorded, xy / xx, rtol=1e-4)


def test_chosen_steps_are_recorded(tmp_path, small):
    run(tmp_path / "run", {**small, "record_every": 10, "record_start": 5})
    assert list(probes.Run(tmp_path / "run").steps) == sorted(geometric_steps(5, 24) | {0, 10, 20, 23})


def test_the_test_reports_its_progress(tmp_path, small):
    seen = []
    run(tmp_path / "run", {**small, "test_draws": 256, "steps": 2}, seen.append)
    testing = [(progress.tested, progress.to_test) for progress in seen if progress.to_test]
    count = load(resolve(from_dict(small))).count("test")
    assert len(testing) > 3
    assert testing == sorted(testing)
    assert testing[-1] == (count, count)


def test_no_folder_is_left_by_bad_data(tmp_path, small):
    with pytest.raises(ValueError, match="no such file"):
        run(tmp_path / "run", {**small, "data": "csv:/absent.csv"})
    assert not (tmp_path / "run").exists()


def test_order_takes_every_example_once_an_epoch_whatever_came_before(small):
    task = load(resolve(from_dict(small)))
    order, other = Order(task, 32, seed=3), Order(task, 32, seed=3)
    epoch = torch.cat([order.examples(step) for step in range(order.per_epoch)])
    assert len(set(epoch.tolist())) == len(epoch) == order.per_epoch * 16
    assert torch.equal(order.examples(order.per_epoch + 2), other.examples(order.per_epoch + 2))
    assert not torch.equal(other.examples(0), Order(task, 32, seed=4).examples(0))


def test_one_cycle():
    factors = [one_cycle(step, 100, 0.1) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] == 1
    assert factors[-1] < 0.001
    assert all(a > b for a, b in zip(factors[10:], factors[11:], strict=False))


def test_checkpoints_never_run_code(tmp_path, small):
    run(tmp_path / "run", {**small, "steps": 2})

    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "trapped"),))

    with (tmp_path / "run" / CHECKPOINT).open("wb") as file:
        pickle.dump(Trap(), file, protocol=2)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_checkpoint(tmp_path / "run")
    torch.save(Trap(), tmp_path / "run" / CHECKPOINT)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_checkpoint(tmp_path / "run")
    assert not (tmp_path / "trapped").exists()


def test_model_checkpoints_open_and_cannot_be_resumed(tmp_path, small):
    run(tmp_path / "run", {**small, "checkpoint": "model"}, interrupt_at(5))
    config, task, network = load_run(tmp_path / "run")
    assert isinstance(config, Config)
    assert network(torch.zeros(1, task.inputs)).mean.shape == (1, 1, 6)
    with pytest.raises(ConfigError, match="--checkpoint full"):
        resume(tmp_path / "run")


SPOILT = {"lr": 0.2, "validate_every": 3, "steps": 200, "probe_times": 2, "record_every": 50}
"""So fast that it gets worse after a while: patience ends it."""


@pytest.mark.parametrize("extra", [{}, {"twin": True}, {"likelihood": "student"}])
def test_the_best_weights_are_tested_and_patience_ends_training(tmp_path, small, extra):
    folder = tmp_path / "run"
    summary = run(folder, {**small, **SPOILT, **extra, "patience": 3})
    log = probes.Run(folder)
    validated = (
        log.scalars().query("split == 'validation' and name == 'nll_joint'").set_index("step")["value"]
    )
    best = int(validated.idxmin()) + 1
    assert summary["status"] == log.status == "finished"
    assert summary["weights"] == {"which": "best", "step": best}
    assert log.manifest["scores"]["test/weights_step"]["value"] == best
    state = load_checkpoint(folder)
    last = state["step"]
    assert best < last < 200
    if best != last:  # three validations without a better one, then the step that the log ends with
        assert last == best + 3 * 3 + 1
    assert validated.index[-1] == last - 1
    if "twin" not in extra:
        assert log.steps[-1] == last - 1
        assert rows(folder, "probe")["step"].max() == last - 1
    assert rows(folder, "predictions")["step"].max() == last - 1
    assert [finding for finding in check(folder) if finding.level == "error"] == []
    config, task, network = load_run(folder)
    found = scores(network, task, "validation", VALIDATION_DRAWS, config.seed, VALIDATION_EXAMPLES)
    assert found["nll_joint"] == pytest.approx(validated.min(), abs=1e-6)
    assert evaluate(folder)["model"] == summary["model"]
    assert evaluate(folder)["weights"] == summary["weights"]
    ended = evaluate(folder, weights="last")
    assert ended["weights"] == {"which": "last", "step": last}
    assert ended["model"]["nll_joint"] != summary["model"]["nll_joint"]
    with pytest.raises(ConfigError, match=f"all {last} steps"):
        resume(folder)


def test_an_early_end_is_the_same_after_a_resume(tmp_path, small):
    settings = {**small, **SPOILT, "patience": 3}
    whole = run(tmp_path / "whole", settings)
    last = load_checkpoint(tmp_path / "whole")["step"]
    for stop in (4, last - 1):  # while it may get better, and when patience has run out already
        parts = tmp_path / f"parts{stop}"
        assert run(parts, settings, interrupt_at(stop)) == {"status": "interrupted"}
        assert resume(parts) == whole
        first, second = (load_checkpoint(folder) for folder in (tmp_path / "whole", parts))
        assert first["selection"] == second["selection"]
        for name in first["model"]:
            assert torch.equal(first["model"][name], second["model"][name])
            assert torch.equal(first["best"][name], second["best"][name])
        for table in ("scalars", "neurons", "probe", "evaluation"):
            pd.testing.assert_frame_equal(
                rows(tmp_path / "whole", table), rows(parts, table), check_exact=True
            )


def test_a_crash_between_the_two_checkpoints_changes_nothing(tmp_path, small):
    """best.pt of step 20 beside last.pt of step 10: the resumed training comes by step 20 again."""
    whole = run(tmp_path / "whole", small)
    parts = tmp_path / "parts"
    run(parts, small, interrupt_at(12))
    assert load_checkpoint(parts)["step"] < 20
    (parts / BEST).write_bytes((tmp_path / "whole" / BEST).read_bytes())
    assert resume(parts) == whole


def test_a_classifier_keeps_its_best_weights(tmp_path):
    settings = {
        "data": "digits", "neurons": 8, "layers": 1, "steps": 120, "lr": 0.5, "batch": 32,
        "validate_every": 4, "patience": 3, "probe_inputs": 0, "record_every": 50, "test_draws": 2,
    }  # fmt: skip
    summary = run(tmp_path / "run", settings)
    validated = probes.Run(tmp_path / "run").scalars().query("split == 'validation' and name == 'nll_joint'")
    assert summary["weights"]["step"] == validated.loc[validated["value"].idxmin(), "step"] + 1
    assert load_checkpoint(tmp_path / "run")["step"] < 120


def test_runs_from_before_read_as_before(tmp_path, small):
    """Without a second checkpoint, and without the settings that came with it."""
    run(tmp_path / "run", {**small, "likelihood": "gaussian"}, interrupt_at(13))
    path = tmp_path / "run" / CHECKPOINT
    (tmp_path / "run" / BEST).unlink()
    state = torch.load(path, weights_only=True)
    del state["selection"]
    for name in ("patience", "likelihood", "df"):
        del state["config"][name]
    torch.save(state, path)
    config, _, network = load_run(tmp_path / "run")
    assert (config.patience, config.likelihood, network.df) == (0, "gaussian", None)
    assert evaluate(tmp_path / "run")["weights"] == {"which": "last", "step": state["step"]}
    assert torch.equal(network.head.weight, state["model"]["head.weight"])
    assert resume(tmp_path / "run")["status"] == "finished"
    assert load_checkpoint(tmp_path / "run")["step"] == 24
