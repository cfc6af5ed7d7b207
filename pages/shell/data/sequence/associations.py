"""Which features of the positions the neurons go with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pages.shell.data.sequence.beliefs import paths
from pages.shell.data.sequence.contents import features, marks
from pages.shell.session import cache
from pages.shell.session.runs import RunContext
from probes.analysis import sequence_features

TESTED = 4_096  # neurons whose features are tested together: a second
SIGNIFICANT = 0.05  # p, adjusted


@dataclass(frozen=True)
class Followed:
    """How neurons go with features: `layer`, `neuron` (N,) say which they are."""

    layer: np.ndarray
    neuron: np.ndarray
    found: sequence_features.Associations

    def place(self, layer: int, neuron: int) -> int:
        """The row of a neuron."""
        return int(np.flatnonzero((self.layer == layer) & (self.neuron == neuron))[0])


@cache.of_run(keep=cache.WHOLES_KEPT, show_spinner="Looking for what the neurons follow …")
def followed(context: RunContext, step: int, quantity: str) -> Followed | None:
    """How all neurons go with the features of the positions, at a stored step; None where there are too few
    positions, too many neurons, or nothing to go with.
    """
    found_paths = paths(context, step)
    parts = {layer: path.quantity(quantity) for layer, path in found_paths.items() if path.has(quantity)}
    if not parts:
        return None
    values = np.concatenate(list(parts.values()), axis=1)
    length, found = len(values), features(context)
    short = length < sequence_features.LEAST_POSITIONS or any(len(one) < length for one in found.values())
    if short or not found or values.shape[1] > TESTED:
        return None
    neurons = [np.arange(one.shape[1]) for one in parts.values()]
    layers = [np.full(one.shape[1], layer) for layer, one in parts.items()]
    tested = sequence_features.associations(values, {name: one[:length] for name, one in found.items()})
    return Followed(np.concatenate(layers), np.concatenate(neurons), tested)


def feature_rows(tested: Followed, layer: int, neuron: int) -> pd.DataFrame:
    """One neuron's features, strongest first: feature, correlation, p (adjusted over its features)."""
    place, found = tested.place(layer, neuron), tested.found
    rows = pd.DataFrame(
        {"feature": found.names, "correlation": found.correlation[place], "p": found.p_features[place]}
    )
    return _strongest_first(rows)


def most_followed(tested: Followed) -> list[str]:
    """The features, those that most neurons go with first."""
    count = (tested.found.p_neurons <= SIGNIFICANT).sum(0)
    return [tested.found.names[place] for place in np.argsort(-count, kind="stable")]


def telling_feature(tested: Followed, found: Mapping[str, np.ndarray], t: int) -> str:
    """The feature that is asked for first: the rarest that is there at position t, of those of yes and no;
    where none is, that which most neurons go with.
    """
    there = {name: marks(found, name) for name in tested.found.names}
    rarest = sorted(
        (name for name in there if there[name][t : t + 1].any()), key=lambda name: there[name].sum()
    )
    return (rarest or most_followed(tested))[0]


def followers(tested: Followed, feature: str) -> pd.DataFrame:
    """Neurons by how they go with one feature: layer, neuron, correlation, p (adjusted over the neurons)."""
    place, found = tested.found.names.index(feature), tested.found
    return _strongest_first(
        pd.DataFrame(
            {
                "layer": tested.layer,
                "neuron": tested.neuron,
                "correlation": found.correlation[:, place],
                "p": found.p_neurons[:, place],
            }
        )
    )


def _strongest_first(rows: pd.DataFrame) -> pd.DataFrame:
    order = rows["correlation"].abs().sort_values(ascending=False, kind="stable").index
    return rows.loc[order].reset_index(drop=True)
