"""Statistics of neurons, pooled over a training batch or over a whole split."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from probes.moments import Moments
from probes.regimes import classify
from probes.schema import LIVING_REGIMES
from vdn import ranks
from vdn.data import Batch, ForecastTask, Split, Task, index_batches
from vdn.network import VariationalNetwork
from vdn.neuron import SIGMA_MAX, SIGMA_MIN, Posterior
from vdn.sequence_data import SequenceTask
from vdn.sequence_scores import pool_sequences
from vdn.trainer import Network


def new_pool(task: Task, split: Split | None = None) -> Moments:
    """An empty pool of one layer's statistics.

    Parameters
    ----------
    task
        That its batches are of.
    split
        Whole: its pairs belong to `ForecastTask.blocks`. None: a training batch.

    Returns
    -------
    Moments
        Empty.
    """
    n_blocks = None
    if split is not None and isinstance(task, ForecastTask):
        n_blocks = int(task.blocks(split, torch.tensor(task.count(split) - 1))) + 1
    return Moments(series_count(task), (SIGMA_MIN, SIGMA_MAX), n_blocks)


def series_count(task: Task) -> int:
    """How many series the examples come from; rows count as one.

    Parameters
    ----------
    task
        The task.

    Returns
    -------
    int
        At least 1.
    """
    return task.values.shape[0] if isinstance(task, ForecastTask) else 1


def accumulate(pool: Moments, posterior: Posterior, batch: Batch, block: Tensor | None = None) -> None:
    """Adds a layer's posteriors of one batch to a pool, and the pairs with predecessors where it holds them.

    Parameters
    ----------
    pool
        Of the layer; changed.
    posterior
        What the layer computed.
    batch
        That it computed it for.
    block
        (B/2,) `ForecastTask.blocks` of the origins, where the pool is of a whole split.

    Notes
    -----
    Under an autoregressive prior only rows with a past count: predecessors stand under another prior.
    """
    mu, sigma, log_sigma = posterior.mu.detach(), posterior.sigma.detach(), posterior.log_sigma.detach()
    if batch.series is None:
        pool.update(mu, sigma, kl=posterior.kl.detach(), log_sigma=log_sigma)
        return
    half = len(mu) // 2
    draws = half // len(batch.series)
    series = batch.series.repeat_interleave(draws)  # rows of draws: b S + s
    block = None if block is None else block.repeat_interleave(draws)
    if posterior.phi is not None:
        sigma = sigma.expand_as(mu)
        pool.update(
            mu[:half],
            sigma[:half],
            kl=posterior.kl[:half].detach(),
            phi=posterior.phi.detach(),
            previous_mu=mu[half:],
            previous_sigma=sigma[half:],
            series=series,
            block=block,
        )
    else:
        pool.update(
            mu,
            sigma,
            kl=posterior.kl.detach(),
            log_sigma=log_sigma,
            previous_mu=mu[half:],
            series=series,
            block=block,
        )


@torch.no_grad()
def pooled_statistics(network: Network, task: Task, split: Split, seed: int) -> list[dict[str, np.ndarray]]:
    """Per-neuron statistics of each layer, pooled over every example of a split with its predecessor.

    Parameters
    ----------
    network
        The network.
    task, split
        What they are taken on.
    seed
        Of the draws.

    Returns
    -------
    list of dict
        One a layer, name -> (N,); none for a twin.
    """
    if isinstance(task, SequenceTask):
        assert not isinstance(network, VariationalNetwork)
        return pool_sequences(network, task, split, seed)
    assert isinstance(network, VariationalNetwork)
    device = network.neuron_layers[0].mean.weight.device
    generator = torch.Generator(device).manual_seed(seed)
    pools: list[Moments] = []
    for index in index_batches(task, split, 2):
        batch = task.batch(split, index.to(device), task.pairs)
        noise = network.draw_noise(len(batch.x), 1, generator)
        output = ranks.run(network, batch.x, 1, task.pairs, noise)
        pools = pools or [new_pool(task, split) for _ in output.posteriors]
        block = task.blocks(split, index) if isinstance(task, ForecastTask) else None
        for pool, posterior in zip(pools, output.posteriors, strict=True):
            accumulate(pool, posterior, batch, block)
    return [{name: value.float().cpu().numpy() for name, value in pool.result().items()} for pool in pools]


def living_share(statistics: dict[str, np.ndarray], latent_dim: int) -> float:
    """Share of a layer's neurons whose regime is living or mixed.

    Parameters
    ----------
    statistics
        Name -> (N,).
    latent_dim
        K, latent dimensions of a neuron.

    Returns
    -------
    float
        In [0, 1].
    """
    return float(classify(pd.DataFrame(statistics), latent_dim=latent_dim).isin(LIVING_REGIMES).mean())
