"""Statistics pooled over a split: whatever the batches, its own moments, its slopes with their interval."""

import numpy as np
import torch
from scipy import stats

from vdn.pools import pooled_statistics


def test_pooled_statistics_do_not_depend_on_the_batches(trained, monkeypatch):
    """The first layer's posteriors have no noise in them: any chunking must give the split's own moments."""
    task, network = trained
    whole = pooled_statistics(network, task, "test", 0)
    monkeypatch.setattr("vdn.data.ROWS_AT_ONCE", 100)
    parts = pooled_statistics(network, task, "test", 0)
    for name, values in whole[0].items():
        np.testing.assert_allclose(values, parts[0][name], rtol=1e-4, atol=1e-6, err_msg=name)
    x = task.batch("test", torch.arange(task.count("test")), pairs=True).x
    with torch.no_grad():
        posterior = network(x, pairs=True).posteriors[0]
    np.testing.assert_allclose(whole[0]["kl"], posterior.kl.mean(0), rtol=1e-4)
    np.testing.assert_allclose(whole[0]["spread"], posterior.mu[..., 0].var(0, correction=0), rtol=1e-3)


def test_the_slopes_of_a_split_have_the_interval_of_blocks_of_two_horizons(trained, monkeypatch):
    """Against scores by hand; the pairs' own interval is of a batch."""
    task, network = trained
    monkeypatch.setattr("vdn.data.ROWS_AT_ONCE", 100)
    found = pooled_statistics(network, task, "test", 0)[0]
    index = torch.arange(task.count("test"))
    batch = task.batch("test", index, pairs=True)
    with torch.no_grad():
        mu = network(batch.x, pairs=True).posteriors[0].mu[..., 0].double().numpy()
    y, x = np.split(mu, 2)
    series, origin = (value.numpy() for value in task.locate("test", index))
    for one in np.unique(series):
        for value in (y, x):
            value[series == one] -= value[series == one].mean(0)
    total = (x * x).sum(0)
    slope = (x * y).sum(0) / total
    block = (origin - origin.min()) // (2 * task.horizon)
    count = block.max() + 1
    assert count > 2
    sums = np.array([(x * (y - slope * x))[block == one].sum(0) for one in range(count)])
    half = stats.t.ppf(0.975, count - 1) * np.sqrt(count / (count - 1) * (sums**2).sum(0)) / total
    np.testing.assert_allclose(found["persistence"], slope, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["persistence_low"], slope - half, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found["persistence_high"], slope + half, rtol=1e-3, atol=1e-4)
    assert (found["persistence_blocks"] == count).all()
    assert (found["rows"] == task.count("test")).all(), "a predecessor is no input of its own"
