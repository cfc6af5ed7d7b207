"""A run as tables for other tools: CSV, and netCDF by way of xarray."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv as pacsv

from probes.errors import RunError
from probes.families import family_of
from probes.run import Run
from probes.schema import REGIME, REGIMES, SETTLED, STATISTICS
from probes.storage.local import write_atomic

ROWS_AT_ONCE = 500_000  # rows of a CSV held in memory: about 40 MB
NOT_RECORDED = -1  # regime of a neuron whose layer was not recorded at a step
NETCDF_NEEDS = ("xarray", "h5netcdf", "h5py")


def to_csv(run: Run, target: Path) -> list[Path]:
    """Write a run as CSV; returns the files. Numbers round-trip. What is not finite reads nan or inf; what
    was not taken is empty.

    A target that ends in .csv becomes one file, every neuron at every recorded step, sorted (step, layer,
    neuron). Any other is
    a folder: neurons.csv, layers.csv, scalars.csv, events.csv, alerts.csv and layer_names.csv; classes.csv
    and parameters.csv (posteriors that are no Gaussian) where the run has such.
    """
    if target.suffix.lower() == ".csv":
        return [_write_csv(target, _neuron_tables(run))]
    alerts = run.alerts()
    for name in ("layers", "neurons", "neuron_layers"):
        alerts[name] = [" ".join(map(str, values)) for values in alerts[name]]
    names = (
        pd.DataFrame(run.layers)
        .assign(family=[family_of(layer).name for layer in run.layers])
        .rename_axis("layer")
        .reset_index()[["layer", "name", "neurons", "latent_dim", "prior", "family"]]
    )
    small = {
        "layers": run.layer_summary(),
        "scalars": run.scalars(),
        "events": run.events(),
        "alerts": alerts,
        "layer_names": names,
    }
    files = [_write_csv(target / f"{name}.csv", iter([_small_table(frame)])) for name, frame in small.items()]
    for name, steps, at in (
        ("classes", run.class_steps(), run.classes),
        ("parameters", run.parameter_steps(), run.parameters),
    ):
        if steps.size:
            tables = (pa.Table.from_pandas(at(int(step)), preserve_index=False) for step in steps)
            files.append(_write_csv(target / f"{name}.csv", tables))
    return [*files, _write_csv(target / "neurons.csv", _neuron_tables(run))]


def _small_table(frame: pd.DataFrame) -> pa.Table:
    """A table of plain rows: NaN is what is absent, but for a value that was logged."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    if "value" not in frame or "split" not in frame:
        return table
    values = pa.array(frame["value"].to_numpy(), from_pandas=False)
    return table.set_column(table.column_names.index("value"), "value", values)


def _neuron_tables(run: Run) -> Iterator[pa.Table]:
    """As `_neurons`, with nulls where a statistic was not taken at a step, and NaN where it was and is not a
    number.
    """
    layers = range(len(run.layers))
    taken = {name: [run.taken(layer, name) for layer in layers] for name in run.statistics}
    for rows in _neurons(run):
        absent = {name: np.zeros(len(rows), bool) for name in taken}
        for layer in layers:
            mine = (rows["layer"] == layer).to_numpy(bool)
            steps = rows["step"].to_numpy()[mine]
            for name, where in taken.items():
                absent[name][mine] = ~np.isin(steps, where[layer])
        masks = {name: absent.get(name) for name in map(str, rows)}
        yield pa.table(
            {
                name: pa.array(rows[name].to_numpy(), mask=mask, from_pandas=False)
                for name, mask in masks.items()
            }
        )


def _neurons(run: Run) -> Iterator[pd.DataFrame]:
    """Every row of `neurons/`, in blocks of whole steps; one empty frame for a run without any."""
    steps = np.asarray(run.steps)
    if not steps.size:
        yield pd.DataFrame(columns=["step", "layer", "neuron", REGIME, SETTLED, *run.statistics])
        return
    block = max(ROWS_AT_ONCE // sum(layer["neurons"] for layer in run.layers), 1)
    for start in range(0, steps.size, block):
        span = int(steps[start]), int(steps[min(start + block, steps.size) - 1])
        frames = [run.history(layer, steps=span) for layer in range(len(run.layers))]
        rows = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
        yield rows.sort_values(["step", "layer", "neuron"], kind="stable", ignore_index=True)


def _write_csv(path: Path, tables: Iterator[pa.Table]) -> Path:
    def write(temporary: Path) -> None:
        first = next(tables)
        with pacsv.CSVWriter(temporary, first.schema) as writer:
            writer.write_table(first)
            for table in tables:
                writer.write_table(table)

    write_atomic(path, write)
    return path


def to_netcdf(run: Run, target: Path) -> Path:
    """Write every statistic as a variable (step, neuron) of one netCDF 4 file, neurons of all layers beside
    each other.

    Coordinates `layer`, `layer_name` and `number` say which neuron of which layer; units and long names are
    the registry's. NaN, and a regime of -1, where a layer was not recorded. One statistic is in memory at a
    time. Raises RunError without NETCDF_NEEDS, or for a run without neurons.
    """
    missing = [name for name in NETCDF_NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise RunError(f"netCDF needs {', '.join(missing)}: pip install {' '.join(missing)}")
    xarray = importlib.import_module("xarray")
    if not run.steps.size:
        raise RunError(f"{run.path} has recorded no neurons: there is nothing to put into a netCDF file")

    def write(temporary: Path) -> None:
        names = [REGIME, SETTLED, *run.statistics]
        frame = _frame(run, xarray)
        frame.to_netcdf(temporary, mode="w", engine="h5netcdf")
        for name in names:
            variable = xarray.Dataset({name: (("step", "neuron"), _matrix(run, name), _attributes(name))})
            variable.to_netcdf(
                temporary, mode="a", engine="h5netcdf", encoding={name: {"zlib": True, "complevel": 1}}
            )

    write_atomic(target, write)
    return target


def _frame(run: Run, xarray: Any) -> Any:
    """Coordinates and attributes, without any statistic."""
    widths = [layer["neurons"] for layer in run.layers]
    names = [str(layer["name"]) for layer in run.layers]
    coordinates = {
        "step": ("step", np.asarray(run.steps), {"long_name": "optimiser step"}),
        "neuron": ("neuron", np.arange(sum(widths)), {"long_name": "neuron, counted over all layers"}),
        "layer": (
            "neuron",
            np.repeat(np.arange(len(widths), dtype=np.int16), widths),
            {"long_name": "layer, from 0"},
        ),
        "layer_name": (
            "neuron",
            np.repeat(np.array(names, dtype=object), widths),
            {"long_name": "name of the layer"},
        ),
        "number": (
            "neuron",
            np.concatenate([np.arange(w, dtype=np.int32) for w in widths]),
            {"long_name": "neuron in its layer"},
        ),
    }
    about = {
        "title": run.name,
        "status": run.status,
        "format": str(run.manifest["format"]),
        "config": json.dumps(run.config),
    }
    return xarray.Dataset(
        coords=coordinates, attrs={**about, "created": str(run.manifest.get("created") or "")}
    )


def _matrix(run: Run, name: str) -> np.ndarray:
    """(T, N) of a statistic over all layers."""
    steps, widths = np.asarray(run.steps), [layer["neurons"] for layer in run.layers]
    regime = name in (REGIME, SETTLED)
    out = np.full(
        (steps.size, sum(widths)), NOT_RECORDED if regime else np.nan, np.int8 if regime else np.float32
    )
    for layer, width in enumerate(widths):
        rows = run.history(layer, statistics=[name])
        places = np.searchsorted(steps, rows["step"].to_numpy()[::width])
        first = sum(widths[:layer])
        out[places, first : first + width] = rows[name].to_numpy(out.dtype).reshape(-1, width)
    return out


def _attributes(name: str) -> dict[str, Any]:
    if name in (REGIME, SETTLED):
        meanings = " ".join(regime.name.replace(" ", "_") for regime in REGIMES)
        codes = np.array([regime.code for regime in REGIMES], np.int8)
        return {
            "long_name": "regime of the neuron" if name == REGIME else "settled regime of the neuron",
            "flag_values": codes,
            "flag_meanings": meanings,
            "missing": NOT_RECORDED,
        }
    entry = STATISTICS.get(name)
    if entry is None:
        return {"long_name": name}
    return {
        "long_name": entry.label,
        "units": entry.unit or "1",
        "formula": entry.formula,
        "comment": entry.meaning,
    }
