"""run.json: what a run is, how it stands, and the catalog's row about it. Rewritten whole by each flush."""

from __future__ import annotations

import hashlib
import json
import math
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from typing import Any, get_args

import numpy as np
import pyarrow as pa

from probes.diagnostics import living_share_of_counts
from probes.errors import RunError
from probes.families import family_of
from probes.log import config as configuration
from probes.log import manifest_fields
from probes.log.config import plain
from probes.log.limits import JSON_BYTES, SCORES
from probes.log.opening import parse_json, read_json
from probes.run_reader import FinalStatus, Status
from probes.schema import FORMAT_MAJOR, FORMAT_VERSION, LIVING_REGIMES, REGIME, SETTLED, UNKNOWN
from probes.storage import Folder, Listing, Storage, open_folder

FILE = "run.json"
SILENT_SECONDS = 30.0
"""A run that says `running` and has given no sign for so long has crashed."""
MISSED_ROUNDS = 3
"""In a store, where a mirror rewrites the manifest every `mirror_seconds`, so many rounds more."""
SPARKLINE_POINTS = 32
SPARKLINES = 12
LOOKED_INTO = 20  # folders, for runs, where a folder of runs was named instead of one of them
"""Series of a manifest that get a sparkline, in order of appearance: a catalog of 1,000 runs stays small."""
FINAL_STATUSES: tuple[FinalStatus, ...] = get_args(FinalStatus)
_PACKAGES = ("numpy", "pyarrow", "pandas", "torch")


def check_layers(layers: list[dict[str, Any]], config: Any = None) -> list[dict[str, Any]]:
    """The layers as the manifest holds them: `name`, `neurons`, `latent_dim` (1), `prior` ("standard"), any
    further keys.

    A watch that found nothing to record, which `config` then says, has no layers. Raises ValueError for no
    layers otherwise, a missing or doubled name, a width or latent dimension below 1, or a family that is not
    known.
    """
    if not layers and not refused(config):
        raise ValueError("a run needs at least one layer: layers=[{'name': 'layer1', 'neurons': 64}]")
    checked = []
    for index, layer in enumerate(layers):
        if not isinstance(layer, dict) or "name" not in layer or "neurons" not in layer:
            raise ValueError(f"layer {index} is {layer!r}; it must be a dict with 'name' and 'neurons'")
        full: dict[str, Any] = {"latent_dim": 1, "prior": "standard"} | layer
        for key in ("neurons", "latent_dim"):
            if not _is_count(full[key]):
                raise ValueError(
                    f"layer {layer['name']!r}: {key} is {full[key]!r}; it must be an integer of at least 1"
                )
            full[key] = int(full[key])
        if layer_fault := manifest_fields.layer_fault(full):
            raise ValueError(f"layer {layer['name']!r}: {layer_fault}")
        try:
            family_of(full)
        except KeyError as error:
            raise ValueError(error.args[0]) from error
        checked.append(full)
    names = [layer["name"] for layer in checked]
    if len(set(names)) < len(names):
        raise ValueError(f"layer names must differ, got {names}")
    return checked


def refused(config: Any) -> list[str]:
    """Why a watch recorded no layer, by the run's config; empty where it did, or where there was no watch."""
    watched = config.get("watch") if isinstance(config, Mapping) else None
    why = watched.get("refused") if isinstance(watched, Mapping) else None
    return [str(one) for one in why] if isinstance(why, list) else []


def _is_count(value: Any) -> bool:
    return isinstance(value, int | float) and 1 <= value < math.inf and value == int(value)


def session(resumed_from: int | None, next_rows: dict[str, int]) -> dict[str, Any]:
    """The entry of `segments` of a writing session that begins now.

    next_rows: the first row number of each plain table that is the session's own; 0 where absent.
    """
    started = datetime.now(UTC).isoformat(timespec="microseconds")  # tells runs that began together apart
    return {"started": started, "resumed_from": resumed_from, "format": FORMAT_VERSION, "rows": next_rows}


def format_starts(manifest: dict[str, Any], table: str | None = None) -> list[int]:
    """Where files of another format begin: the first step of each, or the first row of a plain table.

    Sessions before format 1.2 do not say what they wrote.
    """
    starts: list[tuple[int, str | None]] = []
    for entry in manifest["segments"]:
        resumed = entry.get("resumed_from")
        first = -1 if resumed is None else resumed + 1
        if table is not None and resumed is not None:
            first = entry["rows"].get(table, 0) if "rows" in entry else sys.maxsize
        starts = [(start, kind) for start, kind in starts if start < first]
        starts.append((first, entry.get("format")))
    return [start for (start, kind), (_, before) in zip(starts[1:], starts, strict=False) if kind != before]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def group_of(config: dict[str, Any]) -> str:
    """Runs that differ by their seed alone share this: a short hash of the stored config without `seed`."""
    rest = {key: value for key, value in config.items() if key != "seed"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:12]


def new(
    name: str, layers: list[dict[str, Any]], config: Mapping[str, Any] | None, precision: str
) -> dict[str, Any]:
    """The manifest of a run that starts now, with the whole configuration in it.

    Raises ValueError for what readers would refuse.
    """
    config = configuration.stated(config)
    versions = {"python": sys.version.split()[0]}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    state = {
        "format": FORMAT_VERSION,
        "name": name,
        "created": now(),
        "status": "running",
        "heartbeat": time.time(),
        "segments": [],
        "layers": layers,
        "statistics": [],
        "precision": precision,
        "config": config,
        "seed": _seed(config.get("seed")),
        "group": group_of(config),
        "packages": versions,
        "dropped": {"steps": 0, "rows": 0},
        "steps": {"count": 0, "first": None, "last": None},
        "elapsed": 0.0,
        "scores": {},
        "living_share": [None] * len(layers),
        "sparklines": {},
    }
    if fault := manifest_fields.fault(state):
        raise ValueError(f"{fault}; a run that starts so could not be read")
    if (
        size := len(_content(state | {"config": {}}))
    ) > JSON_BYTES // 2:  # it grows: scores, writing sessions
        raise ValueError(
            f"the layers take {size / 2**20:,.1f} MB in {FILE}, of which at most {JSON_BYTES / 2**21:.0f} MB"
            " are left to them: describe them in fewer words"
        )
    return state


def _seed(seed: Any) -> int | float | str | None:
    """A seed as tables of runs show it: what is no number of 64 bits as text."""
    if isinstance(seed, list | dict) or (isinstance(seed, int) and abs(seed) >= 2**63):
        return json.dumps(seed)
    found: int | float | str | None = seed
    return found


def write(folder: Folder, manifest: dict[str, Any]) -> None:
    """Write run.json, all or nothing, with a fresh heartbeat."""
    open_folder(folder).put(FILE, _content(manifest))


def create(folder: Folder, manifest: dict[str, Any]) -> bool:
    """`write` where there is no run.json yet, and beside it a configuration that is too large for it;
    whether it was written. Needs the run's lock to be held.
    """
    storage = open_folder(folder)
    if storage.stamp(FILE) is not None:
        return False
    whole = manifest["config"]
    if (short := configuration.inline(whole)) != whole:
        storage.put(configuration.FILE, configuration.content(whole))
        manifest |= {"config": short, "config_file": configuration.FILE}
    return storage.put_if_absent(FILE, _content(manifest))


def _content(manifest: dict[str, Any]) -> bytes:
    manifest["heartbeat"] = time.time()
    return text(manifest)


def text(manifest: Mapping[str, Any]) -> bytes:
    """A manifest as run.json has it, a line a field."""
    lines = [
        f"{json.dumps(k)}: {json.dumps(v, allow_nan=False, ensure_ascii=False)}"
        for k, v in plain(dict(manifest)).items()
    ]
    return ("{" + ",\n ".join(lines) + "}\n").encode()


def parse(text: str | bytes, where: str) -> dict[str, Any]:
    """Manifest from its text. Raises RunError for what is not a manifest or of a newer major format."""
    return checked(parse_json(text, f"{where}/{FILE}"), where)


def checked(manifest: Any, where: str) -> dict[str, Any]:
    """What a JSON text of a manifest holds, as `parse` gives it."""
    version = manifest.get("format") if isinstance(manifest, dict) else None
    major = version.split(".")[0] if isinstance(version, str) else ""
    if not major.isdecimal():
        raise RunError(f"{where}/{FILE} names no format version: this is not the manifest of a run")
    if int(major) > FORMAT_MAJOR:
        raise RunError(
            f"{where} has format {version}, this reader knows {FORMAT_VERSION}: update the package to open it"
        )
    try:
        manifest["layers"] = check_layers(manifest.get("layers") or [], manifest.get("config"))
    except (ValueError, TypeError, OverflowError) as error:
        raise RunError(f"{where}/{FILE}: {error}") from error
    fault = manifest_fields.fault(manifest)
    if fault:
        raise RunError(f"{where}/{FILE}: {fault}; restore it from a copy, or correct it by hand")
    return manifest


def read(storage: Storage, folder: str = "") -> dict[str, Any]:
    """The manifest of a folder, which lies in the storage or is the storage itself.

    Raises RunError when there is none or it cannot be read.
    """
    where = storage.address(folder)
    try:
        return checked(read_json(f"{folder}/{FILE}" if folder else FILE, storage), where)
    except FileNotFoundError as error:
        raise RunError(
            f"{where} holds no run: there is no {FILE} in it{_held_instead(storage, folder)}"
        ) from error


def in_listing(storage: Storage, listing: Listing) -> Listing:
    """The listing of a run whose manifest was read, for its files to be looked for.

    Raises RunError where a store's has no manifest: a page that says so much as "sign in" reads as a listing
    of nothing, which would be a run without rows.
    """
    if storage.remote and listing.stamp(FILE) is None:
        raise RunError(
            f"{storage.root} is listed without the {FILE} that was read there: the run was deleted meanwhile,"
            " or a proxy or a sign-in page answered for the store; look again"
        )
    return listing


def continues(now: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Whether a manifest is of the same run as another one, as that stood or resumed since."""
    known = before["segments"]
    return now.get("created") == before.get("created") and now["segments"][: len(known)] == known


def _held_instead(storage: Storage, folder: str) -> str:
    """What a folder without a manifest holds, where looking costs no requests: nothing, or runs."""
    if storage.remote:
        return ""
    try:
        entries = storage.entries(folder)
        folders = [f"{folder}/{entry.name}" if folder else entry.name for entry in entries if entry.is_folder]
        runs = [inner for inner in folders[:LOOKED_INTO] if FILE in storage.names(inner)]
    except RunError:  # a link, or nobody may read it: the manifest is missing all the same
        return ""
    if not entries:
        return ", it is empty or not there"
    return f"; it is a folder of runs: name one of them, such as {storage.address(runs[0])}" if runs else ""


def status(manifest: dict[str, Any]) -> Status:
    """`running`, `finished`, `interrupted` or `crashed` (says running, but its heartbeat is old)."""
    said: Status = manifest.get("status", "crashed")  # one of these: `read` looks at it
    if said != "running":
        return said
    # a clock set back must not make it immortal
    age = abs(time.time() - float(manifest.get("heartbeat") or 0.0))
    rounds = MISSED_ROUNDS * float(manifest.get("mirror_seconds") or 0.0)
    return "running" if age < SILENT_SECONDS + rounds else "crashed"


def final_status(error: type[BaseException] | None) -> FinalStatus:
    """The status of a run whose writing ended by an exception of this type, or as meant."""
    if error is None:
        return "finished"
    return "interrupted" if issubclass(error, (KeyboardInterrupt, SystemExit)) else "crashed"


def add_point(series: list[list[float]], step: float, value: float) -> None:
    """Append to a sparkline: the first and newest point stay, between them at most 32 about evenly spaced in
    step.
    """
    if len(series) > 1 and series[-1][0] - series[-2][0] < (step - series[0][0]) / SPARKLINE_POINTS:
        series[-1] = [step, value]
        return
    series.append([step, value])
    if len(series) > SPARKLINE_POINTS:
        series[:-1] = series[:-1:2]


def note_layers(manifest: dict[str, Any], table: pa.Table) -> None:
    """Update the catalog's row from new rows of `layers/`: living share of each layer, rate and living share
    over steps.
    """
    widths = np.array([layer["neurons"] for layer in manifest["layers"]])
    layers, steps = table["layer"].to_numpy(), table["step"].to_numpy()
    column = SETTLED if f"{SETTLED}_0" in table.column_names else REGIME  # before format 1.2
    living = sum(table[f"{column}_{code}"].to_numpy() for code in LIVING_REGIMES)
    unknown = np.zeros(len(layers))
    if (counted := f"{column}_{UNKNOWN}") in table.column_names:
        unknown = np.nan_to_num(table[counted].to_numpy().astype(np.float64))
    living = living_share_of_counts(living, unknown, widths[layers])
    for layer, share in zip(layers, living, strict=True):  # in order of step: the last one stays
        manifest["living_share"][layer] = None if np.isnan(share) else round(float(share), 4)
    starts = np.flatnonzero(np.diff(steps, prepend=-1))
    series = {}
    with np.errstate(invalid="ignore"):
        known = np.add.reduceat((~np.isnan(living)).astype(np.float64), starts)
        series["living_share"] = np.add.reduceat(np.nan_to_num(living), starts) / known
    if "kl_mean" in table.column_names:
        rate = table["kl_mean"].to_numpy().astype(np.float64) * widths[layers]
        told = np.add.reduceat((~np.isnan(rate)).astype(np.int64), starts)
        series["rate"] = np.where(
            told > 0, np.add.reduceat(np.nan_to_num(rate, posinf=np.inf), starts), np.nan
        )
    for name, values in series.items():
        for step, value in zip(steps[starts], values, strict=True):
            if np.isnan(value):
                continue
            add_point(manifest["sparklines"].setdefault(name, []), int(step), float(value))


def note_scalars(manifest: dict[str, Any], table: pa.Table) -> None:
    """Update the last scores and the sparklines from new rows of `scalars/`."""
    manifest["elapsed"] = float(table["time"][-1].as_py())
    for row in table.select(["step", "split", "name", "value"]).to_pylist():
        key = f"{row['split']}/{row['name']}"
        if key not in manifest["scores"] and len(manifest["scores"]) >= SCORES:
            continue
        manifest["scores"][key] = {"step": row["step"], "value": row["value"]}
        if key in manifest["sparklines"] or len(manifest["sparklines"]) < SPARKLINES:
            add_point(manifest["sparklines"].setdefault(key, []), row["step"], row["value"])
