"""The resolved configuration of a run: every choice that makes it what it is, commented field by field.

A field is a command-line flag (`sigma_init` is `--sigma-init`) and a key of a TOML file; the resolved whole
is stored with the run. `None` stands for "the task's own", and `resolve` puts that in.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_type_hints


class ConfigError(ValueError):
    """A choice that cannot be; the message names it and says what can."""


def _choice(default: Any, doc: str, *options: Any) -> Any:
    return field(default=default, metadata={"doc": doc, "options": options})


def _number(default: Any, doc: str, low: float, high: float = float("inf")) -> Any:
    return field(default=default, metadata={"doc": doc, "low": low, "high": high})


def _text(default: str, doc: str) -> Any:
    return field(default=default, metadata={"doc": doc})


def _switch(default: bool, doc: str) -> Any:
    return field(default=default, metadata={"doc": doc})


def _groups(default: str | None, doc: str, low: float, high: float) -> Any:
    return field(
        default=default,
        metadata={"doc": doc + "; with commas: one a group of neurons", "groups": (low, high)},
    )


def group_values(text: str, flag: str = "") -> list[float]:
    """Numbers with commas between; ConfigError, which names the flag, when they are none."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        named = (
            f"{flag} takes numbers with commas between" if flag else "numbers with commas between are needed"
        )
        raise ConfigError(f"{named}, this is {text!r}") from error


def described(item: dataclasses.Field[Any]) -> str:
    """What a field of `Config` is, with the choices where there are some."""
    options = " | ".join(str(option) for option in item.metadata.get("options", ()) if option != "")
    return str(item.metadata["doc"]) + (f": {options}" if options else "")


@dataclass(frozen=True)
class Config:
    """See the fields' docs; ConfigError for a value outside its range."""

    # data
    data: str = _text(
        "nyc", "data set: nyc, digits, diabetes, csv:PATH; sequences: text, text:PATH, chords:PATH, signal"
    )
    sequence: bool = _switch(False, "series (nyc, csv) as sequences, one step ahead")
    columns: str = _text("", "columns of the CSV, comma-separated; all numeric ones without it")
    sep: str = _text("", "separator of the CSV: a character, or tab, space ...; the file says it without it")
    decimal: str = _choice("", "decimal mark of the CSV; the file says it without it", "", ".", ",")
    header: str = _choice(
        "", "whether the first line holds names; the file says it without it", "", "first", "none"
    )
    time: str = _text("", "column of times (two with a comma: date,clock); none: the file has none")
    id: str = _text("", "column that tells series apart, in a CSV of one row for each series and time")
    window: int | None = _number(
        None, "rows that the network sees (nyc 168, csv 336); positions of a sequence between two updates", 2
    )
    horizon: int | None = _number(None, "rows that it forecasts (nyc 24, csv 96)", 1)
    stride: int = _number(24, "rows between an origin and its predecessor", 1)
    season: int = _number(24, "rows of the seasonal baseline's period", 1)
    split: str = _text("0.7,0.1,0.2", "shares of training, validation and test rows, in order of time")
    split_rows: str = _text("", "the same as counts of rows, for example 8640,2880,2880")
    # network
    layers: int = _number(3, "layers of neurons", 1, 64)
    neurons: int = _number(256, "neurons a layer", 1, 65536)
    latent_dim: int = _number(1, "latent dimensions a neuron (K)", 1)
    sigma: str = _choice("input", "what sigma depends on", "shared", "per_neuron", "input")
    sigma_init: float = _number(1.0, "sigma at the start, in prior sds: 1 is the prior", 1e-4, 10)
    mean_gain: float = _number(0.1, "factor on the initial weights of mu: small starts at the prior", 0)
    pool: str = _choice("mean", "how a neuron's K draws become one number", "mean", "sum", "sum_sqrt")
    prior: str = _choice("standard", "prior of the neurons", "standard", "autoregressive")
    phi: str = _groups(
        "0.6", "persistence that an autoregressive prior expects (its start, if learned)", -0.999, 0.999
    )
    learn_phi: bool = _switch(False, "learn phi, one a neuron")
    encoder: str | None = _choice(
        None, "map before the first layer (series linear, rows mlp)", "linear", "mlp", "trend_seasonal"
    )
    normalise: str | None = _choice(
        None,
        "an example in its own units: less its mean or its last value, by its sd (series last, rows none)",
        "window",
        "last",
        "none",
    )
    likelihood: str | None = _choice(
        None, "distribution of an observed number (series student, rows gaussian)", "gaussian", "student"
    )
    df: float = _number(0.0, "degrees of freedom of student, above 2; 0: learned", 0)
    read_first: bool = _switch(True, "the head also reads the first layer's sample linearly")
    local_decoder: str = _choice(
        "off",
        "each neuron decodes its layer's input from its own z, to be seen or to learn",
        "off",
        "watch",
        "train",
    )
    twin: bool = _switch(False, "train the deterministic twin instead: sigma 0, no KL")
    # network of sequences
    network: str = _choice(
        "recurrent",
        "what carries the past of a sequence: the neurons' samples, or a transformer's attention",
        "recurrent",
        "transformer",
    )
    head: str | None = _choice(
        None,
        "distribution of the next position (text categorical, chords mixture, signals gaussian)",
        "categorical",
        "bernoulli",
        "mixture",
        "gaussian",
    )
    dropout: float = _number(0.0, "share of a sequence network's features left out in training", 0, 0.9)
    # objective and optimiser
    beta: float | None = _number(
        None,
        "weight of the KL (nyc, csv 0.01, digits, diabetes, chords 0.001, signal 0.0005, text 0.0001)",
        0,
    )
    beta_ramp: float = _number(0.0, "share of the steps over which a sequence's beta rises from 0", 0, 1)
    steps: int | None = _number(None, "optimiser steps, at the most", 1)
    batch: int = _number(256, "rows a step: half origins, half their predecessors", 2)
    draws: int = _number(1, "draws a row in training (S)", 1)
    lr: float | None = _number(
        None, "highest learning rate of AdamW, one cycle: linear rise, cosine fall (0.001, twins 0.0003)", 0
    )
    warmup_share: float = _number(0.1, "share of the steps in which the learning rate rises", 0, 1)
    weight_decay: float = _number(0.01, "weight decay of AdamW", 0)
    clip_grad: float = _number(1.0, "limit of the gradient's norm", 0)
    lam_rec: float = _number(
        0.01, "weight of the local decoders' log likelihood where they train the neurons", 0
    )
    lam_band: float = _number(0.0, "weight of the penalty on E[mu^2] outside its band", 0)
    lam_ar: float = _number(0.0, "weight of the published penalty on the means' change", 0)
    ar_phi: float = _number(0.95, "persistence that this penalty asks for", -1, 1)
    ar_share: bool = _switch(False, "steer lam_ar so that the penalty makes up a fifth of the loss")
    ramp_warmup: int = _number(0, "steps before band and AR penalties and the control laws begin", 0)
    ramp_length: int = _number(0, "steps over which the penalties then rise to their weight", 0)
    # control of the neurons
    control: str = _choice("off", "what keeps E[mu^2] in its band", "off", "projection", "homeostasis")
    control_every: int = _number(10, "steps between two acts of the control laws", 1)
    band_target: float = _number(0.3, "centre of the band of E[mu^2]", 1e-6)
    band_low: float = _number(0.8, "lower edge, as a factor of the centre", 0)
    band_high: float = _number(1.6, "upper edge, as a factor of the centre", 0)
    band_mode: str = _choice(
        "heterogeneous", "one centre for all neurons, or spread over them", "homogeneous", "heterogeneous"
    )
    band_spread: float = _number(2.0, "largest and smallest centre are target times and through this", 0)
    thermostat: bool = _switch(
        False, "give every neuron its own beta, which keeps its KL between c_min and c_max"
    )
    beta_min: float = _number(1e-4, "lowest beta of the thermostat", 1e-12)
    beta_max: float = _number(1.0, "highest beta of the thermostat", 1e-12)
    c_min: str = _groups("0.05", "KL below which the thermostat lowers beta, nats a latent dimension", 0, 1e6)
    c_max: str = _groups("0.30", "KL above which it raises beta", 0, 1e6)
    thermostat_gain: float = _number(
        0.0, "its proportional action: beta is also multiplied by (KL / nearer limit) to this power", 0, 10
    )
    persistence: str | None = _groups(
        None, "slope of a neuron's mean over a stride that it is held at; none without it", -0.99, 0.99
    )
    sigma_guard: bool = _switch(
        False, "keep sigma in [0.15, 5]; sigma of neurons that tell nothing drifts to the prior's"
    )
    # running
    seed: int = _number(0, "seed of initial weights, batches and noise", 0, 2**31)
    device: str = _text("cpu", "device to train on: cpu, cuda, cuda:0 ...")
    compile: bool = _switch(False, "compile the network (torch.compile)")
    bf16: bool = _switch(False, "matrix products in bfloat16 (autocast)")
    threads: int = _number(0, "threads of the CPU; 0 leaves torch's choice (sequences 1)", 0)
    # log
    record_every: int = _number(1, "record the neurons every so many steps", 1)
    record_start: int = _number(0, "record a geometric row of about so many steps first", 0)
    precision: str = _choice("full", "numbers in the log", "full", "10bit")
    validate_every: int | None = _number(
        None, "steps between validations (100, sequences 250, twins of series 25)", 1
    )
    patience: int | None = _number(
        None,
        "validations without a better one after which training ends; 0: never (6, twins of series 24)",
        0,
    )
    checkpoint: str = _choice(
        "full", "what checkpoints hold: all that resuming needs, or the weights alone", "full", "model"
    )
    probe_inputs: int = _number(256, "inputs of the fixed probe batch, spread over the validation split", 0)
    probe_sequence: int = _number(256, "inputs of it that follow each other in t, of one series", 0)
    probe_times: int = _number(24, "probe batches kept over a run, at geometric steps", 0)
    test_draws: int = _number(64, "draws of the final test (S)", 1)

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for item in dataclasses.fields(self):
            value, meta, flag = getattr(self, item.name), item.metadata, "--" + item.name.replace("_", "-")
            kinds = get_args(hints[item.name]) or (hints[item.name],)
            if isinstance(value, int) and not isinstance(value, bool) and float in kinds:
                object.__setattr__(self, item.name, value := float(value))
            if type(value) not in kinds:
                raise ConfigError(
                    f"{flag} takes {' or '.join(kind.__name__ for kind in kinds if kind is not type(None))},"
                    f" not {value!r}"
                )
            if value is None:
                continue
            if "options" in meta and value not in meta["options"]:
                raise ConfigError(f"{flag} is one of {', '.join(map(str, meta['options']))}, not {value!r}")
            if "groups" in meta:
                low, high = meta["groups"]
                if not all(low <= number <= high for number in group_values(value, flag)):
                    raise ConfigError(f"{flag} takes numbers from {low:g} to {high:g}, these are {value}")
            if isinstance(value, float) and math.isinf(value):
                raise ConfigError(f"{flag} takes a finite number, this is {value:g}")
            if "low" in meta and not meta["low"] <= value <= meta["high"]:
                upper = "" if meta["high"] == float("inf") else f" and at most {meta['high']:g}"
                raise ConfigError(f"{flag} must be at least {meta['low']:g}{upper}, this is {value:g}")


_SELECTION: dict[str, Any] = {"validate_every": 100, "patience": 6}
TASK_DEFAULTS: dict[str, dict[str, Any]] = {
    "nyc": {
        **_SELECTION,
        "window": 168,
        "horizon": 24,
        "encoder": "linear",
        "normalise": "last",
        "likelihood": "student",
        "lr": 1e-3,
        "beta": 0.01,
        "steps": 2000,
    },
    "csv": {
        **_SELECTION,
        "window": 336,
        "horizon": 96,
        "encoder": "linear",
        "normalise": "last",
        "likelihood": "student",
        "lr": 1e-3,
        "beta": 0.01,
        "steps": 2000,
    },
    "digits": {
        **_SELECTION,
        "window": 64,
        "horizon": 10,
        "encoder": "mlp",
        "normalise": "none",
        "likelihood": "gaussian",
        "lr": 1e-3,
        "beta": 1e-3,
        "steps": 1500,
    },
    "diabetes": {
        **_SELECTION,
        "window": 10,
        "horizon": 1,
        "encoder": "mlp",
        "normalise": "none",
        "likelihood": "gaussian",
        "lr": 1e-3,
        "beta": 1e-3,
        "steps": 1000,
    },
}

TWIN_DEFAULTS: dict[str, Any] = {"lr": 3e-4, "validate_every": 25, "patience": 24}
"""What twins of series have by themselves, tuned for them: they overfit early (docs/benchmarks.md)."""
ROW_TASKS = ("digits", "diabetes")
FILES = ("csv:", "text:", "chords:")
"""How data that is a file begins."""
SEQUENCE_TASKS = ("text", "chords", "signal")
SPREAD_PHI = ",".join(f"{0.5 ** (1 / (0.5 * 140 ** (place / 15))):.4f}" for place in range(16))
"""Persistences of half-lives from 0.5 to 70 positions, sixteen groups of neurons."""

_SEQUENCE: dict[str, Any] = {
    "window": 64,
    "horizon": 1,
    "encoder": "linear",
    "normalise": "none",
    "likelihood": "gaussian",
    "prior": "autoregressive",
    "phi": SPREAD_PHI,
    "layers": 2,
    "neurons": 96,
    "sigma_init": 0.37,  # exp(-1), of the prior's own width
    "lr": 3e-3,
    "warmup_share": 0.05,
    "beta_ramp": 0.3,
    "batch": 32,
    "test_draws": 8,
    "steps": 2000,
    "threads": 1,  # small products: two threads on one of them wait for each other
    "record_every": 10,
    **_SELECTION,
    "validate_every": 250,
    "probe_inputs": 0,
    "probe_times": 12,
}
SEQUENCE_DEFAULTS: dict[str, dict[str, Any]] = {
    "text": {
        **_SEQUENCE,
        "beta": 1e-4,
        "sigma_init": 0.05,  # exp(-3)
        "split": "0.9,0.05,0.05",
        "head": "categorical",
        "neurons": 128,
    },
    "chords": {**_SEQUENCE, "beta": 1e-3, "window": 160, "batch": 16, "head": "mixture", "steps": 1200},
    "signal": {**_SEQUENCE, "beta": 5e-4, "window": 128, "head": "gaussian", "test_draws": 64},
    "series": {**_SEQUENCE, "beta": 5e-4, "head": "gaussian"},
}
"""What sequences have by themselves: also where other data have a value, so that a choice given stays."""
_TRANSFORMER: dict[str, Any] = {"prior": "standard", "phi": "0.6", "sigma_init": 0.5, "lr": 1e-3}
NOT_OF_SEQUENCES = (
    "control", "thermostat", "lam_band", "lam_ar", "ar_share", "sigma_guard", "local_decoder", "compile",
    "persistence",
)  # fmt: skip


def kind_of(data: str) -> str:
    """The data set without its path."""
    return data.partition(":")[0]


def is_sequence(config: Config) -> bool:
    """Whether the data are sequences, predicted position by position."""
    return config.sequence or kind_of(config.data) in SEQUENCE_TASKS


def resolve(config: Config) -> Config:
    """`config` with its data set's own values where it has None. ConfigError for an unknown data set."""
    kind = kind_of(config.data)
    as_file = ":" in config.data
    if as_file and config.data == f"{kind}:":
        raise ConfigError(f"--data {config.data} names no file: give {config.data}PATH")
    if (
        kind not in (*TASK_DEFAULTS, *SEQUENCE_TASKS)
        or as_file != (kind in ("csv", "chords"))
        and kind != "text"
    ):
        raise ConfigError(
            f"unknown data set {config.data!r}: take nyc, digits, diabetes, csv:PATH, text, text:PATH,"
            " chords:PATH or signal"
        )
    if is_sequence(config):
        _check_sequence(config, kind)
    if kind in ROW_TASKS and (config.prior == "autoregressive" or config.lam_ar > 0):
        raise ConfigError(f"an autoregressive prior or penalty needs series; the rows of {kind} have no past")
    if kind in ROW_TASKS and config.persistence is not None:
        raise ConfigError(f"--persistence needs series; the rows of {kind} have no past: leave it out")
    defaults = SEQUENCE_DEFAULTS.get(kind, SEQUENCE_DEFAULTS["series"])
    defaults = defaults if is_sequence(config) else TASK_DEFAULTS[kind]
    if config.twin and not is_sequence(config) and kind not in ROW_TASKS:
        defaults = defaults | TWIN_DEFAULTS
    if 0 < config.df <= 2:
        raise ConfigError(f"--df must be above 2, where the variance is finite, or 0: this is {config.df:g}")
    if config.likelihood == "student" and (is_sequence(config) or kind == "digits"):
        raise ConfigError(f"--likelihood student is for numbers of series and rows, not for {kind}")
    own = {name: value for name, value in defaults.items() if getattr(config, name) is None}
    return dataclasses.replace(config, **own)


def _check_sequence(config: Config, kind: str) -> None:
    """Refuse what sequences do not have."""
    if kind in ROW_TASKS:
        raise ConfigError(f"--sequence needs series; the rows of {kind} have no order")
    if kind in SEQUENCE_TASKS and config.sequence:
        raise ConfigError(f"--sequence is for series; {kind} is a sequence anyway")
    for item in dataclasses.fields(Config):
        if item.name in NOT_OF_SEQUENCES and getattr(config, item.name) != item.default:
            raise ConfigError(f"--{item.name.replace('_', '-')} is not there for sequences")
    heads = {"text": ("categorical",), "chords": ("mixture", "bernoulli")}.get(kind, ("gaussian",))
    if config.head is not None and config.head not in heads:
        raise ConfigError(f"--head of {kind} is {' or '.join(heads)}, not {config.head!r}")
    if config.network == "recurrent":
        if config.prior != "autoregressive":
            raise ConfigError("a recurrent network of sequences has the prior autoregressive, not standard")
        if not all(0.01 <= value <= 0.999 for value in group_values(config.phi)):
            raise ConfigError(f"--phi of a sequence lies between 0.01 and 0.999, this is {config.phi}")


def from_dict(values: dict[str, Any], base: Config | None = None) -> Config:
    """A configuration from names and values, over `base`, or over what their data set has by itself.

    ConfigError for a name that is no field.
    """
    known = {item.name for item in dataclasses.fields(Config)}
    for name in values:
        if name not in known:
            raise ConfigError(f"unknown setting {name!r}; the settings are {', '.join(sorted(known))}")
    if base is None:
        kind = kind_of(str(values.get("data", "")))
        own = SEQUENCE_DEFAULTS["series"] if values.get("sequence") else SEQUENCE_DEFAULTS.get(kind, {})
        base = Config(**own | (_TRANSFORMER if values.get("network") == "transformer" else {}))
    return dataclasses.replace(base, **values)


def flag_words(name: str, value: Any) -> list[str]:
    """A setting as words of a command line."""
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}={value}"]


def command_words(config: Config) -> list[str]:
    """The words of a command line that give `config` again, what its data set has by itself left out."""
    own = resolve(
        from_dict({name: getattr(config, name) for name in ("data", "sequence", "network", "twin")})
    )
    given = {item.name: getattr(config, item.name) for item in dataclasses.fields(Config)}
    asked = {"data"} | {
        name for name in ("sequence", "network", "twin") if getattr(config, name) != getattr(Config(), name)
    }
    changed = {name: value for name, value in given.items() if name in asked or value != getattr(own, name)}
    return [word for name, value in changed.items() for word in flag_words(name, value)]


def from_toml(path: Path) -> dict[str, Any]:
    """The settings of a TOML file, keys as the fields are called. ConfigError when it cannot be read."""
    if path.exists() and not path.is_file():  # a pipe or a device may never end
        raise ConfigError(f"the configuration {path} is not a file")
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"the configuration {path} cannot be read: {why}") from error
    return {name.replace("-", "_"): value for name, value in values.items()}
