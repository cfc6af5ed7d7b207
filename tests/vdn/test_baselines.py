"""Forecasts without a network: scores by hand, and what each kind of task has."""

import pytest
import torch

from vdn.baselines import baselines
from vdn.config import Config, resolve
from vdn.data import load, row_task


def test_naive_forecasts_of_series_by_hand():
    task = load(resolve(Config()))
    naive = baselines(task, "test")
    assert set(naive) == {"last_value", "seasonal_naive"}
    batch = task.batch("test", torch.arange(task.count("test")))
    assert naive["last_value"]["mse"] == pytest.approx(
        (batch.y - batch.x[:, -1:]).square().mean().item(), rel=1e-4
    )
    assert naive["seasonal_naive"]["mse"] == pytest.approx(
        (batch.y - batch.x[:, -24:]).square().mean().item(), rel=1e-4
    )


def test_rows_are_held_against_their_training_rows():
    digits, diabetes = row_task("digits", "0.7,0.1,0.2"), row_task("diabetes", "0.7,0.1,0.2")
    assert set(baselines(digits, "test")) == {"class_shares"}
    share = torch.bincount(digits.batch("train", torch.arange(digits.count("train"))).y).double()
    share /= share.sum()
    y = digits.batch("test", torch.arange(digits.count("test"))).y
    found = baselines(digits, "test")["class_shares"]
    assert found["nll_joint"] == pytest.approx(-share[y].log().mean().item(), rel=1e-5)
    assert found["accuracy"] == pytest.approx((y == share.argmax()).double().mean().item())
    assert baselines(diabetes, "test")["training_mean"]["mse"] == pytest.approx(1, abs=0.4)
