"""Scores of networks of sequences on a whole split, their neurons' statistics pooled over it, and what
predictions without a network are worth.

Sequences are gone through side by side, chunk after chunk, with the state of every draw carried on. A
position's NLL is -ln (1/S) sum_s p(y_t | z_t^s), averaged over all positions: S is stated with it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from probes.sequence_moments import SequenceMoments, TokenMoments
from vdn.answers import Answers, Counted, OriginScores, averages, calibration_scores, nested, number_scores
from vdn.heads import Gaussian
from vdn.kalman import kalman_predictions
from vdn.neuron import SIGMA_MAX, SIGMA_MIN
from vdn.scan import LOG_WIDTH_LOW
from vdn.sequence import SequenceOutput, SequencePosterior, SequentialNetwork, State, continued
from vdn.sequence_data import FACTORS, SequenceBatch, SequenceTask
from vdn.sequence_objective import sequence_nll
from vdn.splits import Split
from vdn.transformer import SequenceTransformer, TokenPosterior

POSITIONS_AT_ONCE = 32_768  # of one forward pass, draws included: 16 MB an array at 128 neurons
ANSWERS = 20_000  # of a split, evenly spread, that are kept one by one
CLAMPED = 1e-5  # relative: exp(ln limit) need not give the limit back

Network = SequentialNetwork | SequenceTransformer
Pool = SequenceMoments | TokenMoments


def passes(
    network: Network, task: SequenceTask, split: Split, draws: int, seed: int, limit: int | None = None
) -> Iterator[tuple[SequenceBatch, SequenceOutput]]:
    """Batches of a split with what the network computes of them, state carried along.

    Parameters
    ----------
    network
        In the mode that it is to be in.
    task, split
        What is gone through.
    draws
        S.
    seed
        Of the noise.
    limit
        About so many positions: the first chunks of every sequence; where one chunk of each is more, of
        sequences that are evenly spread. All by default.

    Yields
    ------
    tuple
        `SequenceBatch` and `SequenceOutput`.
    """
    device = next(network.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    sequences, chunks = task.sequences(split), task.chunks(split)
    taken = sequences
    if limit is not None:
        positions = task.positions(split) / (sequences * chunks)  # of a chunk, on average
        taken = min(sequences, max(1, int(limit / positions)))
        chunks = min(chunks, max(1, int(limit / (taken * positions))))
    together = max(1, POSITIONS_AT_ONCE // (draws * task.window))
    spread = torch.arange(taken, device=device) * sequences // taken
    for group in spread.split(together):
        state: State | None = None
        for chunk in range(chunks):
            batch = task.batch(split, group * task.chunks(split) + chunk)
            if not bool(batch.mask.any()):
                continue
            state = continued(network, state, batch.fresh, draws, generator)
            noise = network.draw_noise(len(batch.mask), batch.mask.shape[1], draws, generator)
            output = network(batch.x, state, draws, noise)
            state = output.state
            yield batch, output


@torch.no_grad()
def sequence_scores(
    network: Network,
    task: SequenceTask,
    split: Split,
    draws: int,
    seed: int,
    limit: int | None = None,
    report: Counted | None = None,
    answered: Callable[[Answers], None] | None = None,
    by_origin: Callable[[OriginScores], None] | None = None,
) -> dict[str, Any]:
    """Scores of a network on a split, averaged over all positions.

    Parameters
    ----------
    network
        The network, or its twin; its mode is restored.
    task, split, draws, seed, limit
        As for `passes`.
    report
        Is called as positions are done.
    answered
        Is given up to `ANSWERS` answers of symbols.
    by_origin
        Is given the NLL of each sequence of a whole split, as `scores_of_sequences` makes it.

    Returns
    -------
    dict
        nll_joint and nll_marginal, equal: nats a position; draws, S. Symbols: bits, accuracy, ece with
        ece_null and ece_null_95, draw_information: nats that a draw tells of the next symbol, H(mean) - mean
        H. Signals: mse, mae, crps, coverage, energy of several numbers a position.
    """
    was_training = network.training
    network.eval()
    draws = 1 if network.deterministic else draws
    noise = torch.Generator(next(network.parameters()).device).manual_seed(seed)  # of trajectories
    total = task.positions(split)
    sums: dict[str, float] = defaultdict(float)
    seen = 0
    kept: list[Answers] = []
    confidence: list[np.ndarray] = []
    right: list[np.ndarray] = []
    spacing = max(1, (min(total, limit) if limit is not None else total) // ANSWERS)
    nats, positions, targets = np.zeros((3, task.sequences(split)))
    first = after = 0
    for batch, output in passes(network, task, split, draws, seed, limit):
        mask, count = batch.mask, int(batch.mask.sum())
        nll = sequence_nll(network.log_prob(output, batch.y, mask).double())
        sums["nll_joint"] += nll[mask].sum().item()
        if bool(batch.fresh.all()):  # the next sequences that are gone through side by side
            first, after = after, after + len(batch.fresh)
        y = batch.y if batch.y.dim() == 2 else batch.y.mean(-1)
        for added, values in ((nats, nll), (positions, mask), (targets, y)):
            added[first:after] += torch.where(mask, values.double(), 0.0).sum(1).cpu().numpy()
        if task.kind == "symbols":
            p = output.parameters[:, mask].float().softmax(-1)  # (S, n, C)
            answers = _answers(p, batch.y[mask])
            kept.append(Answers(*(part[::spacing] for part in answers)))
            confidence.append(answers.probability.max(1))
            right.append(answers.probability.argmax(1) == answers.y)
            entropy = -(answers.probability * np.log(np.maximum(answers.probability, 1e-30))).sum(1)
            sums["draw_information"] += float((entropy - answers.conditional_entropy).sum())
        elif isinstance(network.head, Gaussian):
            mean, scale = network.head.mean_and_scale(output.parameters[:, mask])
            found = number_scores(mean, scale, batch.y[mask], generator=noise)
            for name in found.keys() - {"nll_joint", "nll_marginal"}:
                sums[name] += found[name].double().sum().item()
        seen += count
        if report is not None:
            report(seen, total)
    network.train(was_training)
    if by_origin is not None and limit is None:
        by_origin(scores_of_sequences(nats, positions, targets))
    result = {name: value / seen for name, value in sums.items()}
    result |= {"nll_marginal": result["nll_joint"], "draws": float(draws)}
    if confidence:
        hits = np.concatenate(right)
        result |= {"bits": result["nll_joint"] / math.log(2), "accuracy": float(hits.mean())}
        result |= calibration_scores(np.concatenate(confidence), hits)
        if answered is not None:
            answered(Answers(*(np.concatenate(parts) for parts in zip(*kept, strict=True))))
    return nested(result)


def scores_of_sequences(nats: np.ndarray, positions: np.ndarray, targets: np.ndarray) -> OriginScores:
    """What each sequence of a split adds to the mean NLL of a position.

    Parameters
    ----------
    nats, positions, targets
        (Q,) sums over the positions of each sequence: of the NLL, of 1, of the symbol or number.

    Returns
    -------
    OriginScores
        Sequences count as independent. nll_joint and nll_marginal, equal: r + (n_q - r p_q) Q / sum p, with r
        = sum n / sum p. Its mean is r, and the variance of its mean that of a ratio of means (linearised,
        Cochran 1977): sequences need not be of one length.
    """
    ratio = nats.sum() / positions.sum()
    scores = ratio + (nats - ratio * positions) * len(nats) / positions.sum()
    equal = {"nll_joint": scores, "nll_marginal": scores}
    return OriginScores(np.arange(len(nats)), targets / positions, 0, equal)


def _answers(p: Tensor, y: Tensor) -> Answers:
    """Of probabilities (S, n, C)."""
    mean = p.mean(0).double()
    of_draws = torch.special.entr(p).sum(-1).mean(0).double()
    return Answers(*(part.cpu().numpy() for part in (mean / mean.sum(-1, keepdim=True), y, of_draws)))


def new_sequence_pool(posterior: SequencePosterior | TokenPosterior) -> Pool:
    """An empty pool of one layer's statistics.

    Parameters
    ----------
    posterior
        That it is to hold the like of.

    Returns
    -------
    SequenceMoments or TokenMoments
        Empty.
    """
    if isinstance(posterior, SequencePosterior):
        return SequenceMoments()
    return TokenMoments(sigma_limits=(SIGMA_MIN, SIGMA_MAX))


@torch.no_grad()
def accumulate_sequences(pool: Pool, posterior: SequencePosterior | TokenPosterior, mask: Tensor) -> None:
    """Adds a layer's posteriors of one batch to its pool; masked positions are left out.

    Parameters
    ----------
    pool
        Of the layer; changed.
    posterior
        What the layer computed.
    mask
        (B, T) bool.
    """
    if isinstance(posterior, TokenPosterior):
        assert isinstance(pool, TokenMoments)
        _accumulate_tokens(pool, posterior, mask)
        return
    assert isinstance(pool, SequenceMoments)
    draws = posterior.n_samples
    rows = mask.repeat_interleave(draws, 0)
    low = posterior.path.log_width <= LOG_WIDTH_LOW + CLAMPED
    shape = posterior.start.z.shape[1:]

    def flat(values: Tensor) -> Tensor:
        """(S, B, T, N, K) as (B S, T, N, K)."""
        return values.transpose(0, 1).flatten(0, 1)

    mean, variance = posterior.belief
    pool.update(
        mean,
        variance,
        posterior.previous_belief[0],
        sigma=flat(posterior.sigma),
        phi=posterior.phi,
        past=posterior.past,
        z=flat(posterior.z),
        previous_z=flat(posterior.previous_z),
        gate=flat(posterior.gate),
        kl=posterior.closed_kl,
        clamped=low.unflatten(2, shape).transpose(0, 1),
        mask=rows,
        draws=draws,
    )


def _accumulate_tokens(pool: TokenMoments, posterior: TokenPosterior, mask: Tensor) -> None:
    """Posteriors of single tokens: pairs are neighbours in t. Under an autoregressive prior only tokens with
    a past count.
    """
    draws = posterior.z.shape[0]
    mu, sigma = (part.detach().transpose(0, 1).flatten(0, 1) for part in (posterior.mu, posterior.sigma))
    kl, rows = posterior.kl.detach(), mask.repeat_interleave(draws, 0)

    pool.effective.update(mu, rows, draws)

    def later(values: Tensor) -> Tensor:
        return values[:, 1:].flatten(0, 1)

    def earlier(values: Tensor) -> Tensor:
        return values[:, :-1].flatten(0, 1)

    if posterior.phi is not None:
        pool.update(
            later(mu), later(sigma), kl=later(kl), phi=posterior.phi, previous_mu=earlier(mu),
            previous_sigma=earlier(sigma), mask=later(rows),
        )  # fmt: skip
        return
    # pairs are rows p < P of mu with a predecessor: the later tokens come first
    first = [part[:, 0] for part in (mu, sigma, kl, rows)]
    mu_, sigma_, kl_, rows_ = (
        torch.cat([later(part), one]) for part, one in zip((mu, sigma, kl, rows), first, strict=True)
    )
    pool.update(mu_, sigma_, kl=kl_, previous_mu=earlier(mu), mask=rows_, pair_mask=later(rows))


@torch.no_grad()
def pool_sequences(
    network: Network, task: SequenceTask, split: Split, seed: int
) -> list[dict[str, np.ndarray]]:
    """Per-neuron statistics of each layer, pooled over a split with one draw.

    Parameters
    ----------
    network, task, split, seed
        As for `passes`.

    Returns
    -------
    list of dict
        One a layer, name -> (N,); none for a twin.
    """
    was_training = network.training
    network.eval()
    pools: list[Pool] = []
    for batch, output in passes(network, task, split, 1, seed):
        pools = pools or [new_sequence_pool(posterior) for posterior in output.posteriors]
        for pool, posterior in zip(pools, output.posteriors, strict=True):
            accumulate_sequences(pool, posterior, batch.mask)
    network.train(was_training)
    return [{name: value.float().cpu().numpy() for name, value in pool.result().items()} for pool in pools]


def sequence_baselines(task: SequenceTask, split: Split) -> dict[str, dict[str, Any]]:
    """What predictions without a network are worth, from the training split's positions.

    Parameters
    ----------
    task, split
        What they are scored on.

    Returns
    -------
    dict
        Symbols: "unigram", "bigram" (each count plus 1). Chords: "note_shares", notes independent of each
        other and of time. Signals: "last_value", and for the made ones "kalman", which nothing can beat.
    """
    train = task.batch("train", torch.arange(task.count("train")))
    held = task.batch(split, torch.arange(task.count(split)))
    x, y = held.x[held.mask], held.y[held.mask]
    if task.kind == "symbols":
        return _symbol_baselines(train, x, y, task.outputs)
    if task.kind == "chords":
        known = train.y[train.mask]
        share = (known.sum(0) + 1) / (len(known) + 2)
        nll = -(y * share.log() + (1 - y) * (1 - share).log()).sum(-1).double().mean().item()
        return {"note_shares": {"nll_joint": nll, "nll_marginal": nll}}
    scale = (train.y - train.x)[train.mask].square().mean().sqrt()
    found = {"last_value": averages(number_scores(x[None], scale.expand(1, *x.shape), y))}
    if task.table is None:
        signals = held.y.reshape(task.sequences(split), -1)[
            :, : task.positions(split) // task.sequences(split)
        ]
        mean, sd = kalman_predictions(FACTORS, FACTORS.sd * signals.double().numpy())
        parts = (torch.from_numpy(part / FACTORS.sd) for part in (mean, np.broadcast_to(sd, mean.shape)))
        best_mean, best_sd = (part.reshape(1, -1, 1) for part in parts)
        found["kalman"] = averages(number_scores(best_mean, best_sd, signals.double().reshape(-1, 1)))
    return found


def _symbol_baselines(train: SequenceBatch, x: Tensor, y: Tensor, symbols: int) -> dict[str, dict[str, Any]]:
    before, after = train.x[train.mask], train.y[train.mask]
    pairs = torch.bincount((before + 1) * symbols + after, minlength=(symbols + 1) * symbols).double()
    table = pairs.view(symbols + 1, symbols) + 1  # row 0: a sequence's start
    found = {}
    for name, share in (
        ("unigram", (table.sum(0) / table.sum()).expand_as(table)),
        ("bigram", table / table.sum(1, keepdim=True)),
    ):
        p = share[x + 1]
        nll = -p.gather(1, y[:, None]).log().mean().item()
        found[name] = {
            "nll_joint": nll,
            "nll_marginal": nll,
            "bits": nll / math.log(2),
            "accuracy": (p.argmax(1) == y).double().mean().item(),
        }
    return found
