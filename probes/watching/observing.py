"""`observe(name, mu, sigma)`: hand a posterior to whoever watches, from anywhere in a forward pass, compiled
or not.

Inside `torch.compile` the call becomes one opaque operation of the graph, so `fullgraph=True` holds. The
operation counts
in a tensor of its own: an operation that returns nothing and changes nothing would be optimised away.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Normal

from probes.watching.posterior_source import Observed, as_rows

Receiver = Callable[[str, Observed], None]
RECEIVERS: list[Receiver] = []
"""Who listens at present: recordings that are open. Empty, `observe` does nothing."""

_count = torch.zeros((), dtype=torch.int64)  # observations made by compiled code


def observe(
    name: str,
    mu: Tensor,
    sigma: Tensor,
    prior: Normal | tuple[Tensor | float, Tensor | float] | None = None,
    previous: Tensor | None = None,
    *,
    mask: Tensor | None = None,
) -> None:
    """Record the posterior Normal(mu, sigma²) of a batch, in every open `probes.watch`.

    Parameters
    ----------
    name
        Of the layer. Called several times with one name within a step, the batches are pooled.
    mu
        (N,), the same for all inputs; (B, N); (B, N, K) for K latent dimensions a neuron; or (B, C, *S): a
        channel is a neuron, its positions are dimensions (KL summed over them).
    sigma
        Broadcastable to mu, positive.
    prior
        None is Normal(0, 1), else a torch Normal or (mean, sd), broadcastable to mu.
    previous
        mu of the predecessors in the data of the first P rows, (P, N) or (P, N, K): gives persistence.
    mask
        (B,): False leaves a row out.

    Raises
    ------
    ValueError
        Where shapes do not belong together.

    Notes
    -----
    Nothing is recorded while the watched model is in eval mode. Gradients, values and random state are left
    alone.
    """
    prior_mu, prior_sigma = (prior.loc, prior.scale) if isinstance(prior, Normal) else prior or (None, None)
    values = (mu, sigma, _tensor(prior_mu, mu), _tensor(prior_sigma, mu), previous, mask)
    detached = [None if value is None else value.detach() for value in values]
    if torch.compiler.is_compiling():
        _observe(_count, name, *detached)
    elif RECEIVERS:
        _deliver(name, *detached)


if not hasattr(torch.library, "custom_op"):
    raise ImportError(f"probes.watch and probes.observe need torch 2.4 or later, this is {torch.__version__}")

# torch before 2.5 reads no schema from annotations that are text
SCHEMA = (
    "(Tensor(a!) count, str name, Tensor mu, Tensor sigma, Tensor? prior_mu, Tensor? prior_sigma,"
    " Tensor? previous, Tensor? mask) -> ()"
)


@torch.library.custom_op("probes::observe", mutates_args=("count",), schema=SCHEMA)
def _observe(
    count: Tensor,
    name: str,
    mu: Tensor,
    sigma: Tensor,
    prior_mu: Tensor | None,
    prior_sigma: Tensor | None,
    previous: Tensor | None,
    mask: Tensor | None,
) -> None:
    count.add_(1)
    if RECEIVERS:
        # Compiled code may reuse its buffers for what comes after: what is held back for later needs a copy.
        values = [
            None if value is None else value.clone()
            for value in (mu, sigma, prior_mu, prior_sigma, previous, mask)
        ]
        _deliver(name, *values)


@_observe.register_fake
def _(
    count: Tensor,
    name: str,
    mu: Tensor,
    sigma: Tensor,
    prior_mu: Tensor | None,
    prior_sigma: Tensor | None,
    previous: Tensor | None,
    mask: Tensor | None,
) -> None:
    return None


def _deliver(
    name: str,
    mu: Tensor | None,
    sigma: Tensor | None,
    prior_mu: Tensor | None,
    prior_sigma: Tensor | None,
    previous: Tensor | None,
    mask: Tensor | None,
) -> None:
    if mu is None or sigma is None or mu.dim() == 0:
        raise ValueError(
            f"observe({name!r}): mu is (N,), (B, N), (B, N, K) or (B, C, *S), got a single number"
        )
    try:
        others = [
            None if value is None else as_rows(value.expand(mu.shape), "neurons")
            for value in (sigma, prior_mu, prior_sigma)
        ]
    except RuntimeError as error:
        shapes = [tuple(value.shape) for value in (sigma, prior_mu, prior_sigma) if value is not None]
        raise ValueError(
            f"observe({name!r}): shapes {shapes} do not broadcast to mu's {tuple(mu.shape)}"
        ) from error
    earlier = None if previous is None else as_rows(previous, "neurons")
    assert others[0] is not None  # sigma is given
    observed = Observed(as_rows(mu, "neurons"), others[0], None, others[1], others[2], earlier, mask)
    for receiver in tuple(RECEIVERS):
        receiver(name, observed)


def _tensor(value: Tensor | float | None, like: Tensor) -> Tensor | None:
    return None if value is None else torch.as_tensor(value, dtype=like.dtype, device=like.device)
