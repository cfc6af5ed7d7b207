"""`observe(name, mu, sigma)`, `observe_codes`, `observe_samples`: hand a posterior to whoever watches, from
anywhere in a forward pass, compiled or not.

Inside `torch.compile` the call becomes one opaque operation of the graph, so `fullgraph=True` holds. The
operation counts
in a tensor of its own: an operation that returns nothing and changes nothing would be optimised away.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import index
from typing import Any, Literal, NoReturn

import torch
from torch import Tensor
from torch.distributions import Distribution

from probes.watching.callers import Receiver, concerned
from probes.watching.family_readings import CodeReader, SampleReader
from probes.watching.family_sources import is_other_family, read_any, stated_layout
from probes.watching.gaussians import gaussian, map_of, prior_tensors, unmasked
from probes.watching.hooks import TRANSFORMED, without_gradients
from probes.watching.layouts import (
    DIMENSIONS,
    LAYOUTS,
    Layout,
    Observed,
    as_rows,
    check_layout_name,
    mask_rows,
    positions_of,
)
from probes.watching.naming import describe
from probes.watching.pooling import Reading
from probes.watching.posterior_source import UNKNOWN
from probes.watching.tensors import plain

RECEIVERS: list[Receiver] = []
"""Who listens at present: recordings that are open. Empty, `observe` does nothing."""

_count = torch.zeros((), dtype=torch.int64)  # observations made by compiled code


def observe(
    name: str,
    mu: Tensor | Distribution,
    sigma: Tensor | None = None,
    prior: Distribution | tuple[Tensor | float, Tensor | float] | Literal["unknown"] | None = None,
    previous: Tensor | None = None,
    *,
    mask: Tensor | None = None,
    layout: str | None = None,
    tag: str | None = None,
) -> None:
    """Record the posterior of a batch, Normal(mu, sigma²) or any distribution, in every open `probes.watch`
    that it may be of.

    Parameters
    ----------
    name
        Of the layer. Called several times with one name within a step, the batches are pooled.
    mu
        (N,), the same for all inputs; (B, N); (B, N, K) for K latent dimensions a neuron; or (B, C, ``*S``):
        a channel is a neuron, its positions are dimensions (KL summed over them). Or the posterior itself,
        any distribution of torch's kind. A Gaussian is read as its mean would be. Of others the last batch or
        event axis are the neurons, those before it rows, of more than three axes the second are the neurons;
        a single batch axis is that of the inputs, with one variable each, a single event axis (`Independent`)
        holds variables that are the same for all inputs. Of a full covariance the marginals and the joint KL
        are recorded, of components that share one density draws; a mask of the distribution's own, such as
        Pyro's, leaves rows out.
    sigma
        Broadcastable to mu, positive; None where mu is a distribution.
    prior
        A distribution or, of a Gaussian, (mean, sd), broadcastable to mu, which may vary from row to row.
        None: Normal(0, 1) is assumed, of a categorical or Bernoulli posterior the uniform prior, unless the
        model speaks of a prior of its own; for other families none. "unknown": KL and what needs a prior are
        left out.
    previous
        mu of the predecessors in the data of the first P rows, (P, N) or (P, N, K): gives persistence.
    mask
        (B,), or of all axes that are rows; False or 0 leaves a row out.
    layout
        What the axes of mu are, where it is not as above: "bn" (B, N); "btn" (B, T, N) or (T, B, N),
        positions are rows; "sequences" (B, T, N), so are they, and depend on each other, or (B, N) of one
        call a position: the calls of a step that have as many rows are positions of the same B sequences, one
        after the other; "rows" (..., N), so are all axes but the last; "bnk" (B, N, K) and "bcx" (B, C,
        ``*X``), what follows the neurons are their dimensions; "bct" (B, C, ``*T``), a channel is a neuron, a
        position a row.
    tag
        Of a term of the loss that is kept apart: the layer is called "name/tag".

    Raises
    ------
    ValueError
        For a layout that is none of these. Where shapes do not belong together, or something is no tensor of
        real numbers or cannot be read, before the first `step`; later it is counted in `lost` and training
        goes on.

    Notes
    -----
    In the forward pass of another watched model, or of another one of the same class (a copy, a member of an
    ensemble), it is not of this one. Nothing is recorded while the watched model is in eval mode, nor, unless
    the watch has `no_grad=True`, under torch.no_grad. Gradients, values and random state are left alone. An
    exported program (torch.export) holds nothing of this call. Inside `torch.compile` give tensors: of
    distributions Gaussians alone are recorded there. A KL without a closed form is estimated by one draw a
    row, from a random state of its own.
    """
    check_layout_name(layout)
    name = name if tag is None else f"{name}/{tag}"
    how = f"{layout or ''}|{prior if isinstance(prior, str) else ''}"
    if isinstance(mu, Distribution):
        given = mu
        try:
            mu, mask = unmasked(given, mask)
        except ValueError as error:
            refuse = partial(_refuse_distribution, name, given, error)
            _deliver(name, without_gradients(), Reading(refuse, ()))
            return
    if isinstance(mu, Distribution) and is_other_family(mu, prior):
        if torch.compiler.is_compiling():
            _hand_over(_count, IN_COMPILED, name, "samples", torch.zeros(1), None, None, None)
        elif RECEIVERS:
            _deliver(name, without_gradients(), _family_reading(name, mu, sigma, prior, mask, layout), mu)
    elif torch.compiler.is_compiling():
        if not _is_exporting():
            values = _values(mu, sigma, prior, previous, mask)
            _observe(_count, without_gradients(), name, how, *values)
    elif RECEIVERS:
        try:
            kept = _values(mu, sigma, prior, previous, mask)
        except (AttributeError, TypeError, ValueError, RuntimeError) as error:
            _deliver(name, without_gradients(), Reading(partial(_refuse, name, error), ()))
        else:
            apart = kept[4] is None  # predecessors belong to the first rows
            behind = map_of(mu) if isinstance(mu, Distribution) else None
            _deliver(name, without_gradients(), _reading(name, how, tuple(kept), apart, behind), mu)


def observe_codes(
    name: str,
    indices: Tensor,
    size: int,
    *,
    window: int | None = None,
    mask: Tensor | None = None,
    tag: str | None = None,
) -> None:
    """Record which codes of a code book a batch picked, in every open `probes.watch`: a neuron is a code.

    Parameters
    ----------
    name
        Of the layer. Of several code books, such as the levels of a residual quantiser, call it for each.
    indices
        Whole numbers from 0 to size − 1, of any shape; negative ones are padding.
    size
        Codes of the code book, used or not.
    window
        Steps that the usage is over; 1,024 by default.
    mask
        Broadcastable to indices; False or 0 leaves a pick out.
    tag
        As of `observe`.

    Raises
    ------
    ValueError
        For a size or window below 1. For indices that are no whole numbers or beyond the code book, before
        the first `step`; later it is counted in `lost` and training goes on.

    Notes
    -----
    Steps that are not recorded (`every`) count too. Works inside `torch.compile`.
    """
    try:
        size, window = index(size), None if window is None else index(window)
    except TypeError as error:
        raise ValueError(
            f"observe_codes({name!r}): size is {size!r}, window {window!r}; they must be whole numbers"
        ) from error
    if size < 1 or (window is not None and window < 1):
        raise ValueError(f"observe_codes({name!r}): size is {size}, window {window}; they must be at least 1")
    how = f"codes|{size}|{window or 0}"
    _give(name if tag is None else f"{name}/{tag}", how, indices, None, None, mask)


def observe_samples(
    name: str,
    z: Tensor,
    log_q: Tensor | None = None,
    log_prior: Tensor | None = None,
    *,
    mask: Tensor | None = None,
    tag: str | None = None,
) -> None:
    """Record draws of a batch's posterior, in every open `probes.watch`: of a flow, dropout, an ensemble.

    Parameters
    ----------
    name
        Of the layer.
    z
        (S, B, N), S draws for each input; (S, ..., N): what is between are rows.
    log_q, log_prior
        Log density of each draw under posterior and prior, nats: (S, B, N), or (S, B) of all neurons
        together, whose KL is then that of the layer alone. Without both there is no KL.
    mask
        (B,), or of all axes that are rows.
    tag
        As of `observe`.

    Raises
    ------
    ValueError
        Where one log density is given alone. Where shapes do not belong together, before the first `step`;
        later it is counted in `lost` and training goes on.

    Notes
    -----
    Works inside `torch.compile`.
    """
    if (log_q is None) != (log_prior is None):
        raise ValueError(f"observe_samples({name!r}): give log_q and log_prior both, or none of them")
    _give(name if tag is None else f"{name}/{tag}", "samples", z, log_q, log_prior, mask)


def _give(
    name: str, how: str, first: Tensor, second: Tensor | None, third: Tensor | None, mask: Tensor | None
) -> None:
    if torch.compiler.is_compiling():
        if not _is_exporting():
            values = [None if one is None else one.detach() for one in (first, second, third, mask)]
            _hand_over(_count, without_gradients(), name, how, *values)
    elif RECEIVERS:
        try:
            kept = tuple(None if one is None else one.detach() for one in (first, second, third, mask))
        except AttributeError as error:
            _deliver(name, without_gradients(), Reading(partial(_refuse, name, error), ()))
        else:
            _deliver(name, without_gradients(), _given(name, how, kept))


IN_COMPILED = (
    "inside torch.compile, where a distribution that is no Gaussian cannot be handed over: call"
    " probes.observe outside of it, or give tensors to probes.observe_codes or probes.observe_samples"
)


def _family_reading(name: str, q: Distribution, sigma: Any, prior: Any, mask: Any, layout: Any) -> Reading:
    try:
        if sigma is not None:
            raise ValueError("sigma is given beside a distribution, which has its own")
        if isinstance(prior, str) and prior != UNKNOWN:
            raise ValueError(f"prior is {prior!r}; a text can only be {UNKNOWN!r}")
        read = read_any(q, prior, None if layout is None else stated_layout(layout), mask)
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        return Reading(partial(_refuse_distribution, name, q, error), ())
    unknown = prior == UNKNOWN if isinstance(prior, str) else False
    return Reading(read.reader, read.taken, unknown_prior=unknown, layout=layout)


UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)
"""Whole numbers that torch compares with none."""


def _given(name: str, how: str, values: tuple[Tensor | None, ...]) -> Reading:
    """What `observe_codes` or `observe_samples` was handed."""
    try:
        kept = [None if value is None else plain(value) for value in values]
        first, second, third, mask = kept
        assert first is not None  # its type says so
        if how.startswith("codes"):
            if first.is_floating_point() or first.dtype == torch.bool:
                raise ValueError(f"indices are {first.dtype}, not whole numbers")
            size, window = map(int, how.split("|")[1:])
            if first.dtype in UNSIGNED:
                first = first.long()
            counted = None if mask is None else (mask != 0).expand(first.shape)
            return Reading(CodeReader(size, window or None), (first, counted))
        if first.dim() < 3 or not first.is_floating_point():
            raise ValueError(f"z is {describe(first)}, not (S, B, N) real numbers")
        rows = first.shape[1:-1]
        z = first.reshape(len(first), -1, first.shape[-1])
        densities = [None if one is None else _density(one, first) for one in (second, third)]
        counted = None if mask is None else (mask != 0).expand(rows).reshape(-1)
        return Reading(SampleReader(), (z, *densities, counted))
    except (ValueError, RuntimeError) as error:
        call = "observe_codes" if how.startswith("codes") else "observe_samples"
        return Reading(partial(_refuse_given, f"{call}({name!r}): {error}"), ())


def _density(value: Tensor, z: Tensor) -> Tensor:
    """(S, B, N) or (S, B), of draws (S, ..., N). Raises ValueError for other shapes."""
    if value.shape == z.shape:
        return value.reshape(len(z), -1, z.shape[-1])
    if value.shape == z.shape[:-1]:
        return value.reshape(len(z), -1)
    raise ValueError(
        f"a log density is {tuple(value.shape)}: it is {tuple(z.shape)} or {tuple(z.shape[:-1])}"
    )


def _refuse_given(text: str, _: tuple[()]) -> NoReturn:
    raise ValueError(text)


def _refuse_distribution(name: str, q: Distribution, error: Exception, _: tuple[()]) -> NoReturn:
    raise ValueError(f"observe({name!r}) of a {type(q).__name__}: {error}") from error


if not hasattr(torch.library, "custom_op"):
    raise ImportError(f"probes.watch and probes.observe need torch 2.4 or later, this is {torch.__version__}")

# torch before 2.5 reads no schema from annotations that are text
SCHEMA = (
    "(Tensor(a!) count, str? why_not, str name, str how, Tensor mu, Tensor sigma, Tensor? prior_mu,"
    " Tensor? prior_sigma, Tensor? previous, Tensor? mask) -> ()"
)


@torch.library.custom_op("probes::observe", mutates_args=("count",), schema=SCHEMA)
def _observe(
    count: Tensor,
    why_not: str | None,
    name: str,
    how: str,
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
        kept = tuple(
            None if value is None else value.clone()
            for value in (mu, sigma, prior_mu, prior_sigma, previous, mask)
        )
        _deliver(name, why_not, _reading(name, how, kept, previous is None))


@_observe.register_fake
def _(
    count: Tensor,
    why_not: str | None,
    name: str,
    how: str,
    mu: Tensor,
    sigma: Tensor,
    prior_mu: Tensor | None,
    prior_sigma: Tensor | None,
    previous: Tensor | None,
    mask: Tensor | None,
) -> None:
    return None


GIVEN = (
    "(Tensor(a!) count, str? why_not, str name, str how, Tensor first, Tensor? second, Tensor? third,"
    " Tensor? mask) -> ()"
)


@torch.library.custom_op("probes::hand_over", mutates_args=("count",), schema=GIVEN)
def _hand_over(
    count: Tensor,
    why_not: str | None,
    name: str,
    how: str,
    first: Tensor,
    second: Tensor | None,
    third: Tensor | None,
    mask: Tensor | None,
) -> None:
    count.add_(1)
    if RECEIVERS:
        kept = tuple(None if value is None else value.clone() for value in (first, second, third, mask))
        _deliver(name, why_not, _given(name, how, kept))


@_hand_over.register_fake
def _(
    count: Tensor,
    why_not: str | None,
    name: str,
    how: str,
    first: Tensor,
    second: Tensor | None,
    third: Tensor | None,
    mask: Tensor | None,
) -> None:
    return None


def _over_a_batch(info: Any, in_dims: Any, count: Tensor, *_: Any) -> tuple[None, None]:
    """Inside vmap, in compiled code: as in eager code nothing is recorded, and that is counted."""
    none = torch.zeros(1, device=count.device)
    _observe(count, TRANSFORMED, "", "", none, none, None, None, None, None)
    return None, None


if hasattr(_observe, "register_vmap"):  # torch 2.5
    _observe.register_vmap(_over_a_batch)
    _hand_over.register_vmap(_over_a_batch)


# torch before 2.7 does not tell
_is_exporting: Callable[[], bool] = getattr(torch.compiler, "is_exporting", lambda: False)


def _deliver(name: str, why_not: str | None, reading: Reading, made: Any = None) -> None:
    """made: the mean, or the distribution, as it was handed over."""
    reading.made = made
    for receiver, another in concerned(tuple(RECEIVERS)):
        receiver.take(name, reading, another or why_not)
    reading.made = None  # its graph is let go of


def _reading(
    name: str, how: str, kept: tuple[Tensor | None, ...], apart: bool, behind: str | None = None
) -> Reading:
    read, stated = partial(_read, name, how), how.partition("|")[0] or None
    return Reading(read, kept, apart, how.endswith(UNKNOWN), behind, stated)


def _values(mu: Any, sigma: Any, prior: Any, previous: Any, mask: Any) -> list[Any]:
    """mu, sigma, the prior's mean and sd, previous and mask, as tensors or None, detached."""
    behind = None
    if isinstance(mu, Distribution):
        if sigma is not None:
            raise ValueError("sigma is given beside a distribution, which has its own")
        behind = map_of(mu)
        mu, sigma = gaussian(mu)
    if sigma is None and isinstance(mu, Tensor):
        raise TypeError("sigma is missing: give a distribution, or mu and sigma")
    prior_mu = prior_sigma = None
    if isinstance(prior, str):
        if prior != UNKNOWN:
            raise ValueError(f"prior is {prior!r}; a text can only be {UNKNOWN!r}")
    elif isinstance(prior, Distribution):
        prior_mu, prior_sigma = prior_tensors(prior, mu, behind)
    elif prior is not None:
        prior_mu, prior_sigma = prior
    values = (mu, sigma, _tensor(prior_mu, mu), _tensor(prior_sigma, mu), previous, mask)
    return [None if value is None else value.detach() for value in values]


def _refuse(name: str, error: Exception, _: tuple[()]) -> NoReturn:
    raise ValueError(f"observe({name!r}) takes tensors of real numbers: {error}") from error


def _read(name: str, how: str, values: tuple[Tensor | None, ...]) -> Observed:
    """What was handed over, as (B, N, K). Raises ValueError that says what is wrong with it."""
    stated = how.partition("|")[0]
    layout: Layout = LAYOUTS[stated] if stated else "neurons"
    if values[0] is None or values[0].dim() == 0:
        raise ValueError(
            f"observe({name!r}): mu is (N,), (B, N), (B, N, K) or (B, C, *S), got a single number"
        )
    try:
        mu, sigma, prior_mu, prior_sigma, previous, mask = (
            None if value is None else plain(value) for value in values
        )
    except (ValueError, RuntimeError) as error:
        _refuse(name, error, ())
    assert mu is not None  # looked at above
    if stated and not DIMENSIONS[stated][0] <= mu.dim() <= DIMENSIONS[stated][1]:
        raise ValueError(f"observe({name!r}): mu is {describe(mu)}, which is no layout {stated!r}")
    try:
        others = [
            None if value is None else as_rows(value.expand(mu.shape), layout)
            for value in (sigma, prior_mu, prior_sigma)
        ]
    except RuntimeError as error:
        shapes = [tuple(value.shape) for value in (sigma, prior_mu, prior_sigma) if value is not None]
        raise ValueError(
            f"observe({name!r}): shapes {shapes} do not broadcast to mu's {tuple(mu.shape)}"
        ) from error
    rows = as_rows(mu, layout)
    try:
        counted = None if mask is None else mask_rows(mask, mu.shape if mu.dim() > 1 else rows.shape, layout)
    except RuntimeError as error:
        raise ValueError(
            f"observe({name!r}): mask is {tuple(mask.shape) if mask is not None else ()}, one a row is"
            f" ({len(rows)},)"
        ) from error
    earlier = None if previous is None else as_rows(previous, layout)
    assert others[0] is not None  # sigma is given
    positions = positions_of(mu.shape, layout)
    return Observed(rows, others[0], None, others[1], others[2], earlier, counted, positions=positions)


def _tensor(value: Tensor | float | None, like: Tensor) -> Tensor | None:
    return None if value is None else torch.as_tensor(value, dtype=like.dtype, device=like.device)
