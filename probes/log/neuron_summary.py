"""`neuron_summary.parquet`: what became of each neuron of a run, one row a neuron.

Written when a run is closed and by `compact` where it is missing, so that a question to many runs opens one
small file of each. It is a cache: whether it is of the rows that the run has now is said in its footer, and a
reader that finds none, or one of other rows, computes the same table from the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from probes import diagnostics
from probes.errors import RunError
from probes.families import standard_prior
from probes.log import opening
from probes.log.blocks import round_mantissa
from probes.log.footer_checksum import checksummed_writer
from probes.log.levels import ALL_STEPS, Levels
from probes.schema import REGIMES, SETTLED, Thresholds, derivable, evaluate, with_inputs
from probes.storage import Storage

FILE = "neuron_summary.parquet"
STATE_KEY = "neuron_summary_of"
"""Key of the footer's metadata that says which rows of the run the summary is of (`state_of`)."""
STATISTICS = ("information", "kl", "contraction", "persistence")
"""Of which the last and the mean value are kept."""
MORE = ("entropy", "perplexity", "usage")
"""The same, in the summaries of runs that have recorded them."""
MORE_KEY = "neuron_summary_more"
"""Key of the footer's metadata that names those of `MORE` that a summary has."""
CURVE_STEPS = 4096
"""A neuron's curve is read from the finest level of the pyramid that has at most so many steps."""
CELLS = 2**19
"""Neurons times steps that are looked at together: some 30 MB with what is computed of them."""
ROW_GROUP = 65_536
MOST_BYTES = 512 * 2**20
"""Most that a whole summary takes in memory."""


def steps_in(regime: int) -> str:
    """Column of the recorded steps that a neuron was in a settled regime."""
    name = next(item.name for item in REGIMES if item.code == regime)
    return "steps_" + name.replace(" ", "_").replace("-", "_")


def kept(statistic: str) -> tuple[str, str]:
    """Columns of a statistic that is kept."""
    return f"{statistic}_last", f"{statistic}_mean"


SCHEMA = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("layer", pa.int16(), nullable=False),
        pa.field("neuron", pa.int32(), nullable=False),
        pa.field("onset", pa.int64()),
        pa.field("half_time", pa.int64()),
        pa.field("regime", pa.int8(), nullable=False),
        *(pa.field(steps_in(regime.code), pa.int64(), nullable=False) for regime in REGIMES),
        *(pa.field(name, pa.float32()) for one in STATISTICS for name in kept(one)),
    ]
)
"""Columns that every summary has."""


def state_of(manifest: Mapping[str, Any]) -> str:
    """Which rows a manifest says that its run has: a text that changes when rows come or are set aside."""
    steps = manifest.get("steps") or {}
    sessions = len(manifest.get("segments") or [])
    return f"{sessions} {steps.get('count')} {steps.get('first')} {steps.get('last')}"


def write(storage: Storage, manifest: Mapping[str, Any]) -> None:
    """Write the summary of all rows of a run; of one without rows there is none, and an old one is removed.

    manifest: as it will stand. Raises OSError, RunError for rows that cannot be read.
    """
    table = compute(storage, manifest)
    if table is None:
        storage.delete(FILE)
        return
    if manifest["precision"] == "10bit":
        for index, field in enumerate(table.schema):
            if pa.types.is_floating(field.type):
                column = table.column(index).combine_chunks()
                values = round_mantissa(column.to_numpy(zero_copy_only=False))
                table = table.set_column(index, field, pa.array(values, from_pandas=True))
    floats = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    more = [name for name in MORE if kept(name)[0] in table.column_names]
    keys = ["run", "layer", "regime", *(steps_in(regime.code) for regime in REGIMES)]
    packed = {name: "DELTA_BINARY_PACKED" for name in ("neuron", "onset", "half_time")}

    def content(temporary: Path) -> None:
        with checksummed_writer(
            temporary,
            table.schema,
            compression="zstd",
            compression_level=3,
            use_dictionary=keys,
            column_encoding=dict.fromkeys(floats, "BYTE_STREAM_SPLIT") | packed,
            write_statistics=False,
            store_schema=False,
        ) as writer:
            writer.write_table(table, row_group_size=ROW_GROUP)
            writer.add_key_value_metadata({STATE_KEY: state_of(manifest)})
            if more:
                writer.add_key_value_metadata({MORE_KEY: " ".join(more)})

    storage.put(FILE, content)


def read(storage: Storage, manifest: Mapping[str, Any]) -> pa.Table | None:
    """The summary that lies with a run; None where there is none, or one of other rows.

    Raises RunError for a file that is damaged or no summary.
    """
    try:
        file = opening.open_parquet(FILE, storage)
    except FileNotFoundError:
        return None
    with file:
        schema = opening.schema_of(file)
        check_columns(schema, file.address)
        if not is_of(file.metadata.metadata or {}, file.metadata.num_rows, manifest):
            return None
        more = [name for one in MORE for name in kept(one) if name in schema.names]
        return opening.read(file, range(file.num_row_groups), [*SCHEMA.names, *more], MOST_BYTES)


def check_columns(schema: pa.Schema, address: str) -> None:
    """Raise RunError where a file has not the columns that every summary has."""
    for field in SCHEMA:
        if field.name not in schema.names or schema.field(field.name).type != field.type:
            raise RunError(
                f"{address}: column `{field.name}` is missing or of another type; remove the file,"
                " and `python -m probes compact` writes it anew"
            )


def is_of(metadata: Mapping[bytes, bytes], rows: int, manifest: Mapping[str, Any]) -> bool:
    """Whether a summary with such a footer is of the rows that a run has by its manifest."""
    most = sum(layer["neurons"] for layer in manifest["layers"])
    return metadata.get(STATE_KEY.encode()) == state_of(manifest).encode() and 0 < rows <= most


def is_current(storage: Storage, manifest: Mapping[str, Any]) -> bool:
    """Whether a sound summary of the run's rows lies with it."""
    try:
        return read(storage, manifest) is not None
    except RunError:
        return False


def read_or_compute(storage: Storage, manifest: Mapping[str, Any]) -> pa.Table | None:
    """The summary of a run's rows, from its file where that is of them, else from the log; None of a run
    without rows.

    Raises RunError for a log that is damaged; of a damaged summary the log is asked.
    """
    try:
        found = read(storage, manifest)
    except RunError:
        found = None
    return compute(storage, manifest) if found is None else found


def compute(storage: Storage, manifest: Mapping[str, Any]) -> pa.Table | None:
    """The summary from `neurons/` and the pyramid; None where no rows are recorded.

    Raises RunError for a log that is damaged.
    """
    layers = manifest["layers"]
    levels = Levels(storage, [layer["neurons"] for layer in layers])
    levels.refresh()
    if not levels.raw.segments:
        return None
    stored = set(levels.raw.file(levels.raw.segments[-1]).columns) | set(manifest.get("statistics") or [])
    names = [*STATISTICS, *(name for name in MORE if name in stored)]
    parts = [
        part
        for index, layer in enumerate(layers)
        for part in _layer(levels, index, layer, sorted(stored), names)
    ]
    more = [pa.field(name, pa.float32()) for one in names[len(STATISTICS) :] for name in kept(one)]
    schema = pa.schema([*SCHEMA, *more])
    run = {"run": np.full(sum(len(part["neuron"]) for part in parts), str(manifest.get("name", "")))}
    columns = run | {
        name: np.concatenate([part[name] for part in parts]) for name in schema.names if name != "run"
    }
    return pa.Table.from_arrays([_array(columns[field.name], field) for field in schema], schema=schema)


def _array(values: np.ndarray, field: pa.Field) -> pa.Array:
    """A column; what is NaN is null."""
    if not field.nullable:
        return pa.array(values, field.type)
    return pa.array(np.nan_to_num(values), field.type, mask=np.isnan(values))


def _layer(
    levels: Levels, index: int, layer: Mapping[str, Any], stored: list[str], names: list[str]
) -> Iterator[dict[str, np.ndarray]]:
    """Columns of the rows of a layer's neurons, some neurons at a time."""
    recorded = levels.raw.steps(index, *ALL_STEPS)
    if not recorded.size:
        return
    width = levels.width_for(index, recorded, *ALL_STEPS, CURVE_STEPS, layer["neurons"])
    readable = {*stored, *derivable(stored)}
    columns = [SETTLED, *with_inputs([name for name in names if name in readable], stored)]
    at_once = max(CELLS // min(recorded.size, 2 * CURVE_STEPS), 1)
    for start in range(0, layer["neurons"], at_once):
        neurons = np.arange(start, min(start + at_once, layer["neurons"]))
        block = levels.read(width, index, neurons, columns, *ALL_STEPS)
        starts = np.searchsorted(recorded, block.steps)
        sizes = np.diff(np.append(starts, recorded.size))  # recorded steps of each point of the curves
        yield {
            "layer": np.full(neurons.size, index, np.int16),
            "neuron": neurons,
            **_regimes(block.columns[SETTLED], sizes),
            **_statistics(names, block.steps, block.columns, sizes, layer, neurons.size),
        }


def _regimes(settled: np.ndarray, sizes: np.ndarray) -> dict[str, np.ndarray]:
    """The last settled regime of (N, T) codes, and the recorded steps in each. sizes: (T,)."""
    neurons, codes = len(settled), max(regime.code for regime in REGIMES) + 1
    places = np.arange(neurons)[:, None] * codes + settled
    weights = np.broadcast_to(sizes, settled.shape)
    counts = np.bincount(places.ravel(), weights.ravel(), neurons * codes).reshape(neurons, codes)
    steps = {steps_in(regime.code): counts[:, regime.code].astype(np.int64) for regime in REGIMES}
    return {"regime": settled[:, -1], **steps}


def _statistics(
    names: list[str],
    steps: np.ndarray,
    columns: Mapping[str, np.ndarray],
    sizes: np.ndarray,
    layer: Mapping[str, Any],
    neurons: int,
) -> dict[str, np.ndarray]:
    """Last and mean of each statistic, onset and half-time of the contraction; NaN of what is not there."""
    found: dict[str, np.ndarray] = {}
    known, weights = {*columns, *derivable(columns)}, sizes.astype(np.float64)
    for name in names:
        if name not in known:
            found |= {column: np.full(neurons, np.nan) for column in kept(name)}
            continue
        values = evaluate(name, columns, latent_dim=layer["latent_dim"], standard=standard_prior(layer))
        finite = np.isfinite(values)
        last = values.shape[1] - 1 - np.argmax(finite[:, ::-1], axis=1)
        there = finite.any(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (np.where(finite, values, 0.0) @ weights) / (finite.astype(float) @ weights)
        found[f"{name}_last"] = np.where(there, values[np.arange(len(values)), last], np.nan)
        found[f"{name}_mean"] = np.where(there, mean, np.nan)
        if name == "contraction":
            found["onset"] = diagnostics.onset(steps, values, Thresholds().contraction)
            found["half_time"] = diagnostics.half_time(steps, values)
    for name in ("onset", "half_time"):
        found.setdefault(name, np.full(neurons, np.nan))
    return found
