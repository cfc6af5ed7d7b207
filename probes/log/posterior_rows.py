"""Rows of posteriors: of inputs `probe/` and, of families that are no Gaussian, `parameters/`; of positions
`sequence/` and `sequence_parameters/`; and how often each class is picked, `classes/`.

What a family does not have is refused at the call. A neuron that is broken (NaN) is recorded as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from probes.families import family_of
from probes.families.by_moments import moments_of, standard_deviation
from probes.families.gaussian import Gaussian
from probes.families.others import OF_CLASSES
from probes.log import arguments
from probes.log.rows import SCHEMAS
from probes.schema import SEQUENCE

SUM_TOLERANCE = 1e-3
"""How far shares of classes may be from 1 together: those of half precision are."""
DRAWN = "sample"
"""Parameter that is draws, not numbers of a density."""
SHARES = ("probability",)
"""Parameters that are shares of classes."""
NOT_NEGATIVE = ("probability", "concentration", "concentration1", "concentration0", "rate", "scale", "df")
"""Parameters of which no posterior has a negative one."""


def probe_table(step: int, index: int, layer: Mapping[str, Any], mu: ArrayLike, sigma: ArrayLike) -> pa.Table:
    """Rows of `probe/`, sorted (neuron, input).

    Parameters
    ----------
    step, index
        The step, and which layer it is.
    layer
        Its item of the manifest.
    mu, sigma
        (inputs, N): means and standard deviations.

    Raises
    ------
    ValueError
        For a layer that is no Gaussian, and other shapes.
    """
    of = f"probe of layer {layer['name']!r}"
    if not isinstance(family := family_of(layer), Gaussian):
        names = ", ".join(family.parameters)
        raise ValueError(
            f"{of}: it is {family.label}, without mu and sigma;"
            f" parameters(step, layer, ...) takes {names or 'what a family has, of a code book nothing'}"
        )
    mean, deviation = arguments.array(mu, f"{of}: mu"), arguments.array(sigma, f"{of}: sigma")
    neurons = layer["neurons"]
    if mean.ndim != 2 or mean.shape[1] != neurons or mean.shape != deviation.shape:
        shapes = f"mu {mean.shape} and sigma {deviation.shape}"
        raise ValueError(f"{of}: {shapes} must both be (inputs, {neurons})")
    return _by_neuron("probe", step, index, (mean, deviation))


def belief_table(step: int, index: int, layer: Mapping[str, Any], values: Sequence[ArrayLike]) -> pa.Table:
    """Rows of `sequence/`, sorted (neuron, position).

    Parameters
    ----------
    step, index, layer
        As of `probe_table`.
    values
        Each of `schema.SEQUENCE`: (T, N).

    Raises
    ------
    ValueError
        For other shapes.
    """
    name, neurons = layer["name"], layer["neurons"]
    given = dict(zip(SEQUENCE, values, strict=True))
    arrays = {key: arguments.array(value, f"{key} of layer {name!r}") for key, value in given.items()}
    positions = next((len(array) for array in arrays.values() if array.ndim == 2), 0)
    wrong = [f"{key} {array.shape}" for key, array in arrays.items() if array.shape != (positions, neurons)]
    if wrong:
        raise ValueError(f"sequence of layer {name!r}: {', '.join(wrong)} must be (positions, {neurons})")
    return _by_neuron("sequence", step, index, tuple(arrays.values()))


def _by_neuron(table: str, step: int, index: int, values: Sequence[np.ndarray]) -> pa.Table:
    """Rows of a table from arrays (T, N), neuron by neuron; what follows the keys counts T from 0."""
    count, neurons = values[0].shape
    columns = [
        *_keys(step, index, np.repeat(np.arange(neurons), count)),
        pa.array(np.tile(np.arange(count, dtype=np.int32), neurons)),
        *(pa.array(np.ascontiguousarray(array.T).ravel()) for array in values),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMAS[table])


def parameter_table(
    step: int, index: int, layer: Mapping[str, Any], parameters: Mapping[str, ArrayLike]
) -> pa.Table:
    """Rows of `parameters/`, sorted (neuron, input), each name in the order of the family.

    Parameters
    ----------
    step, index, layer
        As of `probe_table`.
    parameters
        Each of the family's names: (inputs, N), or (inputs, N, C).

    Raises
    ------
    ValueError
        For names that the family does not have or that are missing, other shapes, a negative probability,
        concentration, rate, scale or number of degrees of freedom, or probabilities that do not sum to 1.
    """
    family = family_of(layer)
    of = f"parameters of layer {layer['name']!r}"
    if isinstance(family, Gaussian):
        raise ValueError(f"{of}: it is {family.label}; probe(step, layer, mu, sigma) takes its posteriors")
    if not family.parameters:
        raise ValueError(f"{of}: a {family.label.lower()} has none; record its usage instead")
    if set(parameters) != set(family.parameters):
        given = ", ".join(sorted(parameters)) or "none"
        raise ValueError(f"{of}: {given} given, {family.label} has {', '.join(family.parameters)}")
    arrays = []
    for name in family.parameters:
        array = arguments.array(parameters[name], f"{name} of layer {layer['name']!r}")
        arrays.append(array if array.ndim == 3 else array[..., None])
        wide = arrays[-1]
        if wide.ndim != 3 or wide.shape[1] != layer["neurons"] or wide.shape[0] != arrays[0].shape[0]:
            wanted = f"(inputs, {layer['neurons']}) or (inputs, {layer['neurons']}, C)"
            raise ValueError(f"{of}: {name} has shape {array.shape}; all must be {wanted}")
        _check_values(name, wide, layer, of)
    inputs, neurons = arrays[0].shape[:2]
    widths = [array.shape[2] for array in arrays]
    values = np.concatenate(arrays, axis=2).transpose(1, 0, 2)
    each = values.shape[2]
    name_places = np.tile(np.repeat(np.arange(len(widths), dtype=np.int32), widths), neurons * inputs)
    names = pa.DictionaryArray.from_arrays(pa.array(name_places), pa.array(list(family.parameters)))
    columns = [
        *_keys(step, index, np.repeat(np.arange(neurons), inputs * each)),
        pa.array(np.tile(np.repeat(np.arange(inputs, dtype=np.int32), each), neurons)),
        names.cast(pa.string()),
        pa.array(np.tile(np.concatenate([np.arange(w, dtype=np.int32) for w in widths]), neurons * inputs)),
        pa.array(values.ravel()),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMAS["parameters"])


def sequence_tables(
    step: int, index: int, layer: Mapping[str, Any], kl: ArrayLike, parameters: Mapping[str, ArrayLike]
) -> tuple[pa.Table, pa.Table]:
    """Rows of `sequence/` and of `sequence_parameters/`: posteriors at T positions that are no Gaussian.

    Parameters
    ----------
    step, index, layer
        As of `probe_table`.
    kl
        (T, N) nats; NaN where no prior is known.
    parameters
        Each of the family's names: (T, N), or (T, N, C).

    Returns
    -------
    tuple of pa.Table
        Of `sequence/`, with m = mu and V the moments of the posterior, sigma its standard deviation, NaN of
        classes, which have none; and of `sequence_parameters/`.

    Raises
    ------
    ValueError
        As of `parameter_table`, and for a KL of another shape.
    """
    table = parameter_table(step, index, layer, parameters)
    paid = arguments.array(kl, f"kl of layer {layer['name']!r}")
    held = {name: np.asarray(parameters[name], np.float64) for name in family_of(layer).parameters}
    positions = len(next(iter(held.values())))
    if paid.shape != (positions, layer["neurons"]):
        raise ValueError(
            f"kl of layer {layer['name']!r} has shape {paid.shape}; it must be"
            f" ({positions}, {layer['neurons']})"
        )
    mean, variance, sd = _moments(family_of(layer).name, held, paid.shape)
    beliefs = [one.astype(np.float32) for one in (mean, variance, mean, sd, paid)]
    place = table.schema.get_field_index("input")
    at_positions = table.rename_columns(
        ["t" if at == place else name for at, name in enumerate(table.column_names)]
    )
    return (
        _by_neuron("sequence", step, index, beliefs),
        at_positions.cast(SCHEMAS["sequence_parameters"]),
    )


def _moments(
    family: str, parameters: Mapping[str, np.ndarray], shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, variance (of an angle, 1 less the length of its mean direction) and standard deviation, `shape`
    each; NaN where a family has none.
    """
    nothing = np.full(shape, np.nan)
    if family in OF_CLASSES:
        return nothing, nothing, nothing
    if DRAWN in parameters:
        draws = parameters[DRAWN]
        draws = draws if draws.ndim == 3 else draws[..., None]
        spread = draws.var(axis=-1, ddof=1) if draws.shape[-1] > 1 else nothing
        return draws.mean(axis=-1), spread, np.sqrt(spread)
    mean, variance = moments_of(family, parameters)
    return mean, variance, standard_deviation(family, variance)


def class_table(step: int, index: int, layer: Mapping[str, Any], usage: ArrayLike) -> pa.Table:
    """Rows of `classes/`, sorted (neuron, class).

    Parameters
    ----------
    step, index, layer
        As of `probe_table`.
    usage
        (N, C): share of each class, summing to 1 over classes.

    Raises
    ------
    ValueError
        For a layer without classes, another shape, a negative share, or shares that do not sum to 1.
    """
    family, name = family_of(layer), layer["name"]
    of = f"classes of layer {name!r}"
    if family.name not in OF_CLASSES:
        kinds = ", ".join(OF_CLASSES)
        raise ValueError(f"{of}: it is {family.label}; classes are of {kinds}: its manifest would say so")
    shares = arguments.array(usage, f"usage of layer {name!r}")
    if shares.ndim != 2 or shares.shape[0] != layer["neurons"]:
        raise ValueError(f"{of}: usage has shape {shares.shape}; it must be ({layer['neurons']}, C)")
    _check_count(shares.shape[1], layer, of)
    _check_shares("usage", shares, of)
    neurons, count = shares.shape
    columns = [
        *_keys(step, index, np.repeat(np.arange(neurons), count)),
        pa.array(np.tile(np.arange(count, dtype=np.int32), neurons)),
        pa.array(shares.ravel()),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMAS["classes"])


def _keys(step: int, index: int, neurons: np.ndarray) -> list[pa.Array]:
    return [
        pa.array(np.full(neurons.size, step)),
        pa.array(np.full(neurons.size, index, np.int16)),
        pa.array(neurons.astype(np.int32)),
    ]


def _check_values(name: str, values: np.ndarray, layer: Mapping[str, Any], of: str) -> None:
    """Raises ValueError for (inputs, N, C) that no posterior of the layer's family has."""
    if family_of(layer).name == "bernoulli":
        if values.shape[2] != 1:
            text = f"{name} has {values.shape[2]} classes; give that of class 1 alone, (inputs, N)"
            raise ValueError(f"{of}: {text}")
        if (values > 1).any():
            raise ValueError(f"{of}: {name} holds {values.max():.6g}; it must be at most 1")
    elif family_of(layer).name in OF_CLASSES:
        _check_count(values.shape[2], layer, of)
        if name in SHARES:
            _check_shares(name, values, of)
    if name in NOT_NEGATIVE and (values < 0).any():
        raise ValueError(f"{of}: {name} holds {values[values < 0].min():.6g}; it must not be negative")


def _check_count(count: int, layer: Mapping[str, Any], of: str) -> None:
    stated = layer.get("classes", count)
    if count != stated:
        raise ValueError(f"{of}: {count} classes given, the layer has {stated}")


def _check_shares(name: str, shares: np.ndarray, of: str) -> None:
    """Raises ValueError where shares (..., C) that are numbers are negative or do not sum to 1."""
    if (shares < 0).any():
        raise ValueError(f"{of}: {name} holds {shares[shares < 0].min():.6g}; it must not be negative")
    with np.errstate(invalid="ignore"):
        sums = shares.sum(axis=-1, dtype=np.float64)
        wrong = np.abs(sums - 1) > SUM_TOLERANCE
    if wrong.any():
        raise ValueError(f"{of}: {name} sums to {sums[wrong][0]:.6g} over classes; it must sum to 1")
