"""A run with a probe sequence in which it is known what the neurons follow, in the log's own format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from planted import write_run

from probes import Recorder
from probes.experiments import store

SENTENCES = ("The cat sat on a Mat,\n", "and saw Dogs: two of them.\n", "Was it afraid? No.\n")
TEXT = "".join(SENTENCES[place % 3] for place in range(9))
LENGTH = len(TEXT)
STEPS = (0, 40, 80)
NEURONS, LAYERS = 6, 2
LINE_END, UPPER = 3, 1  # neuron of the first layer that notices a line's end, of the second upper case


def write_sequence(
    folder: Path,
    *,
    contents: list[tuple[str, str]] | None = None,
    seed: int = 0,
    predicted: bool = True,
    kl: bool = True,
    data: str = "text",
) -> Path:
    """Neurons that contract over 80 steps, and at three of them a probe sequence: `contents` (kind, text), by
    default a text.

    The KL of neuron 1:3 is high at line's ends, that of 2:1 at upper case; beliefs of neuron i keep 0.5 + i /
    20. Predictions are those of symbols. Without `predicted` and `kl` these are not known.
    """
    positions = [("text", letter) for letter in TEXT] if contents is None else contents
    length = len(positions)
    write_run(folder, layers=LAYERS, neurons=NEURONS, steps=STEPS[-1], seed=seed, config={"data": data})
    random = np.random.default_rng(seed)
    with Recorder.resume(folder, STEPS[-1]) as recorder:
        for step in STEPS:
            recorder.inputs(step, positions) if step == 0 else None
            for layer in range(LAYERS):
                m = np.zeros((length, NEURONS))
                for t in range(1, length):
                    keep = 0.5 + np.arange(NEURONS) / 20
                    m[t] = keep * m[t - 1] + np.sqrt(1 - keep**2) * random.standard_normal(NEURONS)
                V = np.full((length, NEURONS), 0.2) + 0.8 * np.exp(-np.arange(length))[:, None]
                paid = random.gamma(2, 0.2, (length, NEURONS))
                paid[:, LINE_END if layer == 0 else UPPER] += [
                    2.0 * (content == "\n" if layer == 0 else content.isupper()) for _, content in positions
                ]
                recorder.sequence(
                    step,
                    layer,
                    m=m,
                    V=V,
                    mu=m,
                    sigma=np.sqrt(V),
                    kl=paid if kl else np.full_like(paid, np.nan),
                )
            if predicted:
                recorder.predictions(step, _predictions([content for _, content in positions], random))
        recorder.close("finished")
    return folder


def _predictions(contents: list[str], random: np.random.Generator) -> pd.DataFrame:
    length = len(contents)
    p = np.sort(random.dirichlet(np.ones(5), length))[:, ::-1] * 0.9
    came = [*contents[1:], "T"]
    columns = {
        "input": np.arange(length),
        "y": came,
        "nll": np.where(np.arange(length) == 50, 6.5, random.gamma(2, 0.5, length)),
        "entropy": random.gamma(2, 0.5, length) + 0.1,
    }
    columns["conditional_entropy"] = columns["entropy"] * 0.9
    for rank in range(5):
        symbols = [one if rank == 1 else "abcde"[rank] for one in came]
        columns |= {f"symbol_{rank + 1}": symbols, f"p_{rank + 1}": p[:, rank]}
    return pd.DataFrame(columns)


def write_signal(folder: Path) -> Path:
    """As `write_sequence`, of a signal that alternates; predictions are those of numbers."""
    values = np.sin(np.arange(64)) + np.arange(64) % 2
    return write_sequence(folder, contents=[("row", json.dumps([float(value)])) for value in values])


def add_continuations(folder: Path, contents: list[str], draws: int = 3, length: int = 12) -> None:
    """Stores continuations of a prompt of `contents`, each repeating it from another place."""
    rows = [
        pd.DataFrame(
            {
                "trajectory": draw,
                "t": np.arange(length) + len(contents),
                "text": [contents[(draw + t) % len(contents)] for t in range(length)],
                "log_prob": -np.full(length, 0.5 + draw),
                "entropy": np.linspace(0.1, 1, length),
            }
        )
        for draw in range(draws)
    ]
    prompt = pd.DataFrame({"t": np.arange(len(contents)), "text": contents})
    tables = {"prompt": prompt, "continuations": pd.concat(rows, ignore_index=True)}
    store.save(folder, "generation", tables, {"seed": 0, "trajectories": draws, "length": length})


STATE_CLASSES = 4


def write_families(folder: Path, length: int = 96) -> Path:
    """As `write_sequence`, of three layers: categorical variables, of which neuron 2 changes its class where
    the signal jumps, Betas, and Gaussians under a prior of their own.
    """
    random = np.random.default_rng(0)
    jumps = np.zeros(length)
    jumps[::12] = 1
    values = np.cumsum(jumps) % 3 + 0.01 * random.standard_normal(length)
    layers = [
        {"name": "state", "neurons": 3, "family": "categorical", "classes": STATE_CLASSES, "prior": "given"},
        {"name": "share", "neurons": 2, "family": "beta", "prior": "given"},
        {"name": "z", "neurons": 2, "prior": "given"},
    ]
    with Recorder(folder, layers, config={"data": "worlds"}) as recorder:
        recorder.inputs(0, [("position", json.dumps([float(value)])) for value in values])
        for step in (0, 8):
            recorder.scalar(step, "loss", 1.0 - step / 10)
            probability = random.dirichlet(np.full(STATE_CLASSES, 3.0), (length, 3))
            probability[:, 2] = 0.05
            probability[np.arange(length), 2, np.cumsum(jumps).astype(int) % STATE_CLASSES] = 0.85
            kl = random.gamma(2, 0.1, (length, 3))
            kl[:, 2] += 2 * jumps
            recorder.record(step, "state", kl=kl.mean(0), information=kl.mean(0), entropy=np.ones(3))
            recorder.record(
                step, "share", mean=[0.5] * 2, variance=[0.1] * 2, kl=[1.0] * 2, information=[1.0] * 2
            )
            recorder.record(step, "z", mean=[0.0] * 2, variance=[0.5] * 2, kl=[1.0] * 2)
            recorder.classes(step, "state", probability.mean(0))
            recorder.sequence_parameters(step, "state", kl, probability=probability)
            grown = 1 + 9 * random.random((length, 2))
            paid = random.gamma(2, 0.1, (length, 2))
            recorder.sequence_parameters(
                step, "share", paid, concentration1=grown, concentration0=10 - grown + 0.5
            )
            m = np.cumsum(random.standard_normal((length, 2)), 0)
            V = np.full((length, 2), 0.25)
            recorder.sequence(step, "z", m=m, V=V, mu=m, sigma=np.sqrt(V), kl=paid)
    return folder


CODES, CODE_OF_ENDS = 24, 5


def write_codes(folder: Path) -> Path:
    """A code book along the text of `write_sequence`: code 5 at line's ends, codes 0 to 3 in turns elsewhere,
    none at position 1.
    """
    layers = [{"name": "codes", "neurons": CODES, "family": "codes", "prior": "none"}]
    picks = np.where([letter == "\n" for letter in TEXT], CODE_OF_ENDS, np.arange(LENGTH) // 3 % 4)
    picks[1] = -1
    picked = (picks[:, None] == np.arange(CODES)).astype(float)
    with Recorder(folder, layers, config={"data": "made"}) as recorder:
        recorder.inputs(0, [("position", letter) for letter in TEXT])
        for step in (0, 8):
            recorder.scalar(step, "loss", 1.0 - step / 10)
            recorder.record(step, "codes", usage=picked.mean(0), information=np.zeros(CODES))
            nothing = np.zeros_like(picked)
            recorder.sequence(
                step, "codes", m=picked, V=nothing, mu=picked, sigma=nothing, kl=nothing * np.nan
            )
    return folder
