"""RunReader: what figures, analysis, alerts and pages ask of a run, whoever reads it. `probes.Run` has it.

A protocol: nothing needs to inherit from it, and importing this module loads neither numpy nor pandas.

Shapes: T recorded steps, N neurons of a layer. A step is an optimiser step, counted over the whole training;
layers and neurons count from 0. `kl`, `information` and what they split into are in nats, other units stand
with each statistic in `probes.schema`. Frames have their keys as columns; arrays are read-only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NotRequired, Protocol, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["FinalStatus", "LayerInfo", "Reduction", "RunReader", "Status"]

Status = Literal["running", "finished", "interrupted", "crashed"]
FinalStatus = Literal["finished", "interrupted", "crashed"]
"""How a run may have ended."""
Reduction = Literal["mean", "min", "max"]
"""What several steps become in one column of `RunReader.matrix`."""


class LayerInfo(TypedDict):
    """A layer of neurons as the manifest describes it; further keys that a recorder was given are kept too.

    Attributes
    ----------
    name
        Unique within the run.
    neurons
        How many there are, N.
    latent_dim
        K, latent dimensions of a neuron.
    prior
        "standard" (Normal(0, 1)), "autoregressive", "given", or "unknown" where a watched network has one
        that is not known.
    source
        Of a watched model, as all below: the module.
    read
        How mean and scale are read there.
    of
        What the posteriors are of: "activations", "weights" or "shared variables".
    layout
        Which axes are rows, neurons and dimensions.
    why
        The reason for all this.
    trained
        True where the first record is of a trained model, which is at its prior by collapse alone.
    origins
        Part (mean, scale, prior, layout, family, of several processes processes) -> "stated", "named",
        "assumed" or, of a prior, "absent".
    processes
        Of several processes: whose rows and which neurons each of them had.
    assumed
        What was assumed, each in a few words.
    prior_said
        The prior in words; of one that is not known what speaks of it.
    family
        Of the posteriors (`families.FAMILIES`), "gaussian" by default.
    classes
        C, of families of classes or components: categorical, bernoulli (2), dirichlet.
    map
        Of a Gaussian through a fixed bijection: its name, such as "exp"; the statistics are the Gaussian's.
    information_by
        "moments" where the information is that of a Gaussian with the same mean and variance.
    window
        Of a code book: steps that the usage is over.
    prior_parameters
        Of a family that is no Gaussian: its prior by the family's parameters, where it is one for all rows,
        neurons and steps; pages draw it.
    """

    name: str
    neurons: int
    latent_dim: int
    prior: str
    source: NotRequired[str]
    read: NotRequired[str]
    of: NotRequired[str]
    layout: NotRequired[str]
    why: NotRequired[str]
    trained: NotRequired[bool]
    origins: NotRequired[Mapping[str, str]]
    processes: NotRequired[str]
    assumed: NotRequired[list[str]]
    prior_said: NotRequired[str]
    family: NotRequired[str]
    classes: NotRequired[int]
    map: NotRequired[str]
    information_by: NotRequired[str]
    window: NotRequired[int]
    prior_parameters: NotRequired[dict[str, float]]


class RunReader(Protocol):
    """A run that can be asked; the module's text says shapes and units, `probes.Run` what is raised."""

    @property
    def name(self) -> str:
        """What the run is called."""

    @property
    def path(self) -> str:
        """Where it is, to be named in messages."""

    @property
    def layers(self) -> Sequence[LayerInfo]:
        """Layers in order of depth."""

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved configuration that was stored with the run: JSON values; empty if there is none."""

    @property
    def status(self) -> Status:
        """How the run stands as of the last `refresh`."""

    @property
    def statistics(self) -> Sequence[str]:
        """Names of the stored statistics, in the registry's order, without `regime`."""

    @property
    def available(self) -> list[str]:
        """Names of the registry that can be asked for: stored statistics, then what derives from them."""

    @property
    def stride(self) -> int:
        """Positions of the data between the two ends of a measured slope; 1 where the run does not say."""

    @property
    def steps(self) -> NDArray[np.int64]:
        """(T,), increasing: every step at which some layer is recorded."""

    def refresh(self) -> bool:
        """Look for what has been written since; True if there is more."""

    def history(
        self,
        layer: int | str,
        neurons: int | Sequence[int] | NDArray[np.integer[Any]] | None = None,
        statistics: Sequence[str] | None = None,
        steps: tuple[int, int] | None = None,
        max_points: int | None = None,
    ) -> pd.DataFrame:
        """Chosen neurons (default: all) over steps: step, layer, neuron, then the statistics (default: all,
        and `regime`), sorted (step, neuron).

        steps: (first, last), inclusive. max_points: at least so many steps of buckets, where the run has
        them, instead of each; every statistic then comes with NAME_min and NAME_max.
        """

    def at(
        self, step: int, layer: int | str | None = None, statistics: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Every neuron of one layer (default: of all) at a recorded step; columns as in `history`."""

    def matrix(
        self,
        layer: int | str,
        statistic: str,
        max_columns: int = 1000,
        reduce: Reduction = "mean",
        steps: tuple[int, int] | None = None,
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """One statistic of a layer as an image: values (N, columns), float32, or int8 of `regime`; edges
        (columns + 1,) in steps, the last exclusive.
        """

    def taken(self, layer: int | str, statistic: str) -> NDArray[np.int64]:
        """(T,): the steps at which a layer's statistic was taken. NaN at another step means that it was
        not.
        """

    def regimes(self, step: int | None = None) -> pd.DataFrame:
        """Regime code of every neuron at a recorded step (default: the last): step, layer, neuron, regime."""

    def layer_summary(self) -> pd.DataFrame:
        """Rows (step, layer): NAME_mean, NAME_p05 .. NAME_p95 of every statistic over neurons, counts
        regime_0 .. regime_9, and layer_NAME of `schema.LAYER_STATISTICS` where there are any.
        """

    def scalars(self) -> pd.DataFrame:
        """Numbers of the whole run: step, epoch, time (seconds of training), split, name, value."""

    def events(self) -> pd.DataFrame:
        """What happened: step, layer (null: the run), kind, neuron (null: the whole layer), value, text."""

    def alerts(self) -> pd.DataFrame:
        """What to look at, one row an event: step, layer (where it began; null: the run), layers (list),
        kind, count, neurons (list of ids), neuron_layers (list: the layer of each), text, advice.
        """

    def probe(
        self,
        step: int | None = None,
        layer: int | str | None = None,
        neurons: int | Sequence[int] | NDArray[np.integer[Any]] | None = None,
    ) -> pd.DataFrame:
        """Posteriors of the probe batch at a step (default: the last), of all layers, of one or of some of
        its neurons: step, layer, neuron, input, mu, sigma.
        """

    def parameters(self, step: int | None = None, layer: int | str | None = None) -> pd.DataFrame:
        """Posteriors of the probe batch that are no Gaussian, at a step (default: the last): step, layer,
        neuron, input, name (of `families.Family.parameters`), index (class or component), value.
        """

    def parameter_steps(self) -> NDArray[np.int64]:
        """(T',), increasing: the steps at which these were recorded."""

    def classes(self, step: int | None = None, layer: int | str | None = None) -> pd.DataFrame:
        """How neurons share themselves out over their classes at a step (default: the last): step, layer,
        neuron, class, usage.
        """

    def class_steps(self) -> NDArray[np.int64]:
        """(T',), increasing: the steps at which these were recorded."""

    def inputs(self) -> pd.DataFrame:
        """What the inputs of the probe batch are: input, kind ("image", "text", "row"), content (a PNG as
        base64, a text, numbers as JSON).
        """

    def probe_steps(self) -> NDArray[np.int64]:
        """(T',), increasing: the steps at which the probe batch was recorded."""

    def forces(self, step: int | None = None) -> pd.DataFrame:
        """How the terms of the loss pull at each neuron, at one step of the probe batch or at all: step,
        layer, neuron, term, then `schema.FORCES`.
        """

    def sequence(self, step: int | None = None, layer: int | str | None = None) -> pd.DataFrame:
        """Beliefs along the probe sequence at a step (default: the last): step, layer, neuron, t, m, V, mu,
        sigma, kl.
        """

    def sequence_steps(self) -> NDArray[np.int64]:
        """(T',), increasing: the steps at which the probe sequence was recorded."""

    def evaluation(self) -> pd.DataFrame:
        """Statistics pooled over whole splits: step, split, layer, neuron, statistics."""

    def predictions(self, step: int | None = None) -> pd.DataFrame:
        """Predictions of the probe batch at a step (default: the last): step, input, horizon, y, mean, ..."""

    def reliability(self) -> pd.DataFrame:
        """A classifier's answers in bins of equal counts: step, split, bin, low, high, confidence (mean),
        count, right.
        """

    def answers(self, step: int | None = None) -> pd.DataFrame:
        """A classifier's answers one by one at a step (default: the last): step, split, input, y, predicted,
        confidence, likelihood (of y), entropy, p_0 ...
        """

    def origin_scores(self) -> pd.DataFrame:
        """Scores of single origins of whole splits: step, split, origin, span, target, scores."""

    def answer_steps(self) -> NDArray[np.int64]:
        """(T',), increasing: the steps at which a classifier's answers were recorded."""
