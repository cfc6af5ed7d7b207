"""Settled regimes: which regime the last records of a neuron agree on.

A row's own regime (`probes.regimes`) flickers where a number lies near a threshold: nearly half of all stays
are of one record. What is settled changes when none of the last five records agrees with it any more.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from probes.schema import AT_PRIOR, DEAD

RECORDS = 5
"""So many records in a row must contradict a settled regime before it changes."""
NON_FINITE = 1
UNKNOWN = -1
"""Code of a record that says nothing: of fewer than two inputs."""

Codes = NDArray[np.int8]


class Settling:
    """The settled regimes of a layer's neurons, record after record.

    Parameters
    ----------
    neurons
        N.
    trained
        Whether the first record is of a trained model: what is then at its prior is `DEAD`.

    Notes
    -----
    The first record settles as what it is; a neuron that is then at its prior (`DEAD`) as `AT_PRIOR`, until
    it leaves. A neuron leaves its settled regime when none of the last `RECORDS` records agrees with it, and
    takes the most frequent of them (of two as frequent, the later). Non-finite holds exactly while it lasts;
    what comes after it is the most frequent of the finite codes.
    """

    def __init__(self, neurons: int, trained: bool = False) -> None:
        self._first_dead = DEAD if trained else AT_PRIOR
        self._settled = np.full(neurons, UNKNOWN, np.int8)
        self._recent = np.full((neurons, RECORDS - 1), UNKNOWN, np.int8)  # raw codes, the newest last
        self._contradicted = np.zeros(neurons, np.int64)  # records since one agreed

    @classmethod
    def resumed(cls, settled: Codes, recent: Codes) -> Self:
        """Go on after rows that are stored.

        Parameters
        ----------
        settled
            (N,): the settled codes of the last row.
        recent
            (N, R): raw codes of the last rows, up to `RECORDS` − 1 of them, the newest last.

        Returns
        -------
        Settling
            As it stood after these rows.
        """
        self = cls(len(settled))
        self._settled = settled.astype(np.int8)
        recent = recent[:, -(RECORDS - 1) :]
        self._recent[:, RECORDS - 1 - recent.shape[1] :] = recent
        self._contradicted = _contradictions(self._settled, self._recent)
        return self

    def update(self, codes: Codes) -> Codes:
        """Settled codes of the next records.

        Parameters
        ----------
        codes
            (N, T) raw codes, in order of step; `UNKNOWN` leaves a neuron as it was.

        Returns
        -------
        ndarray of int8
            (N, T); `AT_PRIOR` where nothing was known yet.
        """
        result = np.repeat(self._settled[:, None], codes.shape[1], axis=1)
        moving = np.flatnonzero(~_agree(codes, self._settled[:, None]).all(axis=1))
        rest = np.delete(np.arange(len(codes)), moving)
        self._recent[rest] = np.concatenate([self._recent[rest], codes[rest]], axis=1)[:, -(RECORDS - 1) :]
        if codes.shape[1]:
            self._contradicted[rest] = 0
        settled, recent = self._settled[moving], self._recent[moving]
        contradicted = self._contradicted[moving]
        for place in range(codes.shape[1]):
            raw = codes[moving, place]
            known = raw != UNKNOWN
            window = np.concatenate([recent, raw[:, None]], axis=1)
            first = known & (settled == UNKNOWN)
            settled[first] = np.where(raw[first] == DEAD, self._first_dead, raw[first])
            contradicted = np.where(known, np.where(_agree(raw, settled), 0, contradicted + 1), contradicted)
            broken = raw == NON_FINITE
            leaving = known & ~broken & ((contradicted >= RECORDS) | (settled == NON_FINITE))
            settled[broken], contradicted[broken] = NON_FINITE, 0
            if leaving.any():
                settled[leaving] = _most_frequent(window[leaving])
                contradicted[leaving] = _contradictions(settled[leaving], window[leaving])
            recent = np.where(known[:, None], window[:, 1:], recent)
            result[moving, place] = settled
        self._settled[moving], self._recent[moving] = settled, recent
        self._contradicted[moving] = contradicted
        result[result == UNKNOWN] = AT_PRIOR
        return result


def settle(codes: Codes) -> Codes:
    """Settled regimes of a run's neurons from its first record on.

    Parameters
    ----------
    codes
        (N, T) raw codes of `schema.REGIMES`, in order of step.

    Returns
    -------
    ndarray of int8
        (N, T); see `Settling`.
    """
    return Settling(len(codes)).update(np.asarray(codes, np.int8))


def _agree(raw: Codes, settled: Codes) -> NDArray[np.bool_]:
    agree: NDArray[Any] = (raw == settled) | ((settled == AT_PRIOR) & (raw == DEAD))
    return agree


def _contradictions(settled: Codes, window: Codes) -> NDArray[np.int64]:
    """How many of the newest records of (M, R) disagree in a row; the oldest counts as agreeing where none
    does, if it is not known.
    """
    agree = _agree(window, settled[:, None]) | (window == UNKNOWN)
    newest = agree[:, ::-1]
    return np.where(newest.any(axis=1), newest.argmax(axis=1), window.shape[1]).astype(np.int64)


def _most_frequent(window: Codes) -> Codes:
    """The most frequent finite code of (M, R) records, of several the latest."""
    votes = (window[:, :, None] == window[:, None, :]).sum(axis=2)
    votes = np.where((window == UNKNOWN) | (window == NON_FINITE), 0, votes)
    places = np.arange(window.shape[1])
    best = (votes * window.shape[1] + places).argmax(axis=1)
    return window[np.arange(len(window)), best]
