"""What neurons follow along a sequence: features of its positions, and which of them a neuron's course goes
with more than chance would have it.

Positions depend on their neighbours, so that the usual p of a correlation is far too small. Here a feature is
rotated by a random offset, cut into blocks longer than its own memory and put together in random order, again
and again: within a block its course is kept, its place against the neuron is not. Two series' products forget
as fast as the faster of both, so that blocks that suit the feature suit any neuron, however slow. A feature
too slow for that is shifted against the neuron instead, what hangs over left out: a seam would break what
both have in common, so that chance looks weaker than it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probes.analysis.posteriors import autocorrelation

Floats = NDArray[np.float64]
Kind = Literal["text", "chords", "signal"]

POSITION = "position"
"""Kind of the inputs that are a probe sequence's positions, in a run whose probe batch is something else."""
PERMUTATIONS = 1_999
BLOCK = 6.0  # blocks, in autocorrelation times of the feature
LEAST_BLOCKS = 8  # of fewer, the seams take from what chance can do
FARTHEST = 0.25  # of a sequence, that a slow feature is shifted by
LEAST_POSITIONS = 32
LEAST_COUNT = 3  # positions at which a yes-or-no feature is, and is not
BEAT = 4  # positions of a bar, of chords at quarter notes
SEED = 0
_WORD = re.compile(r"[^\W\d_]")
_PUNCTUATION = set(".,;:!?")


@dataclass(frozen=True)
class Positions:
    """What stands at each of T positions.

    Attributes
    ----------
    kind
        "text", "chords" or "signal".
    labels
        T texts as they are shown.
    notes
        T tuples of MIDI numbers; of chords alone.
    values
        (T, D); of signals alone.
    """

    kind: Kind
    labels: tuple[str, ...]
    notes: tuple[tuple[int, ...], ...] = ()
    values: Floats | None = None


def read_positions(contents: Sequence[str], chords: bool = False) -> Positions:
    """Positions from what a run stores of its inputs.

    Parameters
    ----------
    contents
        T texts: symbols, MIDI numbers with spaces between, or numbers as JSON lists.
    chords
        Whether numbers with spaces between are notes.

    Returns
    -------
    Positions
        A signal where every content is a JSON list of equally many numbers.
    """
    labels = tuple(contents)
    if chords and all(note.isdecimal() for label in labels for note in label.split()):
        return Positions("chords", labels, notes=tuple(tuple(map(int, label.split())) for label in labels))
    rows = [_numbers(label) for label in labels]
    widths = {len(row) if row else 0 for row in rows}
    if len(widths) == 1 and widths != {0}:
        values = np.array(rows, float)
        shown = tuple(", ".join(f"{value:.4g}" for value in row) for row in values.tolist())
        return Positions("signal", shown, values=values)
    return Positions("text", labels)


def _numbers(label: str) -> list[float] | None:
    if not (label.startswith("[") and label.endswith("]")):
        return None
    try:
        row = json.loads(label)
    except ValueError:
        return None
    number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in row)
    return row if row and number else None


def features(positions: Positions) -> dict[str, Floats]:
    """Features of positions, from what stands there and before.

    Parameters
    ----------
    positions
        T of them.

    Returns
    -------
    dict
        Name -> (T,); yes and no are 1 and 0. Those that hardly vary are left out.
    """
    found: Mapping[str, ArrayLike]
    if positions.kind == "chords":
        found = _of_chords(positions.notes)
    elif positions.values is not None:
        found = _of_signal(positions.values)
    else:
        found = _of_text(positions.labels)
    varying: dict[str, Floats] = {}
    for name, values in found.items():
        column = np.asarray(values, float)
        if _varies(column):
            varying[name] = column
    return varying


def _varies(column: Floats) -> bool:
    different, counts = np.unique(column, return_counts=True)
    return len(different) > 2 or (len(different) == 2 and bool(counts.min() >= LEAST_COUNT))


def _of_text(labels: Sequence[str]) -> dict[str, Any]:
    before = ["", *labels[:-1]]
    place, places = 0, []
    for label in labels:
        places.append(place)
        place = 0 if "\n" in label else place + 1
    letter = [bool(_WORD.match(label)) for label in labels]
    follows = [bool(_WORD.search(label[-1:])) for label in before]
    return {
        "position in line": places,
        "line's end": ["\n" in label for label in labels],
        "line's start": ["\n" in label for label in before],
        "space": [label.isspace() and "\n" not in label for label in labels],
        "inside a word": [one and other for one, other in zip(letter, follows, strict=True)],
        "upper case": [label[:1].isupper() for label in labels],
        "vowel": [label.lower() in tuple("aeiou") for label in labels],
        "punctuation": [label.strip() in _PUNCTUATION for label in labels],
        "after punctuation": [label.strip() in _PUNCTUATION for label in before],
        "length": [len(label) if max(map(len, labels)) > 1 else 0 for label in labels],
    }


def _of_chords(notes: Sequence[Sequence[int]]) -> dict[str, Any]:
    place = np.arange(len(notes)) % BEAT
    before = [(), *notes[:-1]]
    return {
        "first beat of the bar": place == 0,
        "third beat of the bar": place == 2,
        "number of voices": [len(chord) for chord in notes],
        "top pitch": _filled([max(chord, default=np.nan) for chord in notes]),
        "bass pitch": _filled([min(chord, default=np.nan) for chord in notes]),
        "same chord as before": [
            tuple(chord) == tuple(last) for chord, last in zip(notes, before, strict=True)
        ],
    }


def _filled(values: Sequence[float]) -> Floats:
    """Rests take the mean, so that they tell nothing."""
    column = np.asarray(values, float)
    known = np.isfinite(column)
    return np.where(known, column, column[known].mean() if known.any() else 0.0)


def _of_signal(values: Floats) -> dict[str, Floats]:
    found: dict[str, Floats] = {}
    several = values.shape[1] > 1
    for place, column in enumerate(values.T):
        of = f" {place + 1}" if several else ""
        change = np.diff(column, prepend=column[:1])
        found |= {f"value{of}": column, f"change{of}": change, f"size of the change{of}": np.abs(change)}
    return found


@dataclass(frozen=True)
class Associations:
    """How N neurons' courses go with F features.

    Attributes
    ----------
    names
        F.
    correlation
        (N, F), Pearson's; NaN of a course or feature that is constant.
    p_features
        (N, F) permutation p, adjusted over the features of one neuron (Holm): for reading one neuron's row.
    p_neurons
        (N, F) permutation p, adjusted over the neurons (largest |r| of all of them in each permutation,
        Westfall and Young's single step): for asking which neurons follow one feature.
    blocks
        (F,) positions of a block; T of a feature so slow that it was shifted; 0 of a constant one, which was
        not tested.
    """

    names: tuple[str, ...]
    correlation: Floats
    p_features: Floats
    p_neurons: Floats
    blocks: NDArray[np.int64]


def associations(
    courses: ArrayLike,
    features: Mapping[str, ArrayLike],
    permutations: int = PERMUTATIONS,
    seed: int = SEED,
) -> Associations:
    """Correlation of neurons' courses along a sequence with features, against block permutations.

    Parameters
    ----------
    courses
        (T, N).
    features
        Name -> (T,).
    permutations
        How many; the least p is 1 / (permutations + 1), before it is adjusted. Of a slow feature there are
        T / 2 shifts.
    seed
        Of the permutations.

    Returns
    -------
    Associations
        Two-sided p.

    Raises
    ------
    ValueError
        For fewer than LEAST_POSITIONS positions, or features of another length.

    Notes
    -----
    A block is BLOCK autocorrelation times of the feature long, 1 + 2 sum |rho_k| up to the first lag in the
    noise, |rho_k| < 2 / sqrt(T). p = (1 + how many permutations are as large) / (1 + permutations)
    (Phipson and Smyth 2010). A feature of which fewer than LEAST_BLOCKS blocks fit is shifted by 1 to
    FARTHEST T positions either way, the correlations those of what overlaps: of fewer positions, so that the
    null is rather wide. The null is that of a stationary sequence: a trend that both have is found too.
    """
    table = np.asarray(courses, float)
    if table.ndim != 2 or len(table) < LEAST_POSITIONS:
        raise ValueError(f"courses are (T, N), T at least {LEAST_POSITIONS}, got {table.shape}")
    wrong = [name for name, values in features.items() if np.shape(values) != (len(table),)]
    if wrong:
        raise ValueError(f"features are ({len(table)},): {', '.join(wrong)}")
    generator = np.random.default_rng(seed)
    neurons = _standardised(table)
    shape = (table.shape[1], len(features))
    correlation, raw, largest = (np.full(shape, np.nan) for _ in range(3))
    blocks = np.zeros(len(features), np.int64)
    for place, values in enumerate(features.values()):
        column = _standardised(np.asarray(values, float)[:, None])[:, 0]
        correlation[:, place] = column @ neurons
        blocks[place] = block_length(column)
        if not blocks[place]:
            continue
        if blocks[place] == len(column):
            null = _shifted(column, neurons)
        else:
            order = block_permutations(len(column), int(blocks[place]), permutations, generator)
            null = np.abs(column[order] @ neurons)  # (P, N)
        seen = np.abs(correlation[:, place]) - 1e-12
        known = np.isfinite(seen)
        if not known.any():
            continue
        raw[:, place] = np.where(known, (1 + (null >= seen).sum(0)) / (1 + len(null)), np.nan)
        most = np.nanmax(null[:, known], axis=1)
        exceeding = (most[:, None] >= seen).sum(0)
        largest[:, place] = np.where(known, (1 + exceeding) / (1 + len(null)), np.nan)
    return Associations(tuple(features), correlation, holm(raw), largest, blocks)


def _standardised(values: Floats) -> Floats:
    """(T, N) with mean 0 and sum of squares 1; NaN of what is constant."""
    centred = values - values.mean(0)
    size = np.sqrt(np.square(centred).sum(0))
    return centred / np.where(size > 1e-9 * np.abs(values).max(0, initial=1e-30), size, np.nan)


def _shifted(column: Floats, neurons: Floats) -> Floats:
    """(P, N) |correlation| of a feature (T,) with neurons (T, N) at P shifts, over what overlaps."""
    found = []
    for shift in range(1, int(FARTHEST * len(column)) + 1):
        for feature, courses in ((column[shift:], neurons[:-shift]), (column[:-shift], neurons[shift:])):
            found.append(_standardised(feature[:, None])[:, 0] @ _standardised(courses))
    return np.nan_to_num(np.abs(found))  # of an overlap that is constant: none


def block_length(column: ArrayLike) -> int:
    """Positions of a block that keep a feature's own memory.

    Parameters
    ----------
    column
        (T,).

    Returns
    -------
    int
        T where fewer than LEAST_BLOCKS of them would fit: then it is shifted, whose least p is about 2 / T.
        0 of a constant feature.
    """
    values = np.asarray(column, float)
    rho = np.abs(autocorrelation(values[:, None])[0])
    if not np.isfinite(rho).all():
        return 0
    noise = np.flatnonzero(rho < 2 / np.sqrt(len(values)))
    until = int(noise[0]) if len(noise) else len(rho)
    length = int(np.ceil(BLOCK * (1 + 2 * rho[1:until].sum())))
    return length if length * LEAST_BLOCKS <= len(values) else len(values)


def block_permutations(
    length: int, block: int, count: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Orders of positions: rotated by a random offset, cut into blocks, the blocks in random order.

    Parameters
    ----------
    length, block
        T, and positions of a block; the last may be shorter.
    count
        P.
    generator
        Of the offsets and orders.

    Returns
    -------
    ndarray
        (P, T), each row a permutation.
    """
    pieces = np.split(np.arange(length), range(block, length, block))
    offsets = generator.integers(length, size=count)
    orders = [
        np.concatenate([pieces[place] for place in generator.permutation(len(pieces))]) for _ in range(count)
    ]
    return (np.stack(orders) + offsets[:, None]) % length


def holm(p: ArrayLike) -> Floats:
    """Holm's adjustment of p-values along the last axis.

    Parameters
    ----------
    p
        (..., F); NaN is not counted as a test.

    Returns
    -------
    ndarray
        (..., F), at most 1.
    """
    values = np.asarray(p, float)
    order = np.argsort(values, axis=-1)  # NaN last
    ranked = np.take_along_axis(values, order, -1)
    tests = np.isfinite(values).sum(-1, keepdims=True)
    factor = np.maximum(tests - np.arange(values.shape[-1]), 1)
    adjusted = np.minimum(np.fmax.accumulate(ranked * factor, axis=-1), 1)
    adjusted = np.where(np.isfinite(ranked), adjusted, np.nan)
    found = np.empty_like(values)
    np.put_along_axis(found, order, adjusted, -1)
    return found
