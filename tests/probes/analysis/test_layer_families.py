"""Families of layers in words, and what each layer can be asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from probes.analysis import layer_families
from probes.run_reader import RunReader

GAUSSIAN: dict[str, Any] = {"name": "z", "neurons": 4}
CATEGORICAL: dict[str, Any] = {"name": "c", "neurons": 4, "family": "categorical", "classes": 10}
BOOK: dict[str, Any] = {"name": "book", "neurons": 512, "family": "codes", "window": 1024}


def test_a_family_in_words() -> None:
    assert layer_families.label(GAUSSIAN) == "Gaussian"
    assert layer_families.label(GAUSSIAN | {"map": "exp"}) == "Gaussian through exp"
    assert layer_families.label(CATEGORICAL) == "Categorical, 10 classes"
    assert layer_families.label(BOOK) == "Code book, 512 codes, usage of 1,024 steps"
    laplace = {"family": "laplace", "information_by": "moments"}
    assert layer_families.label(laplace) == "Laplace, information by moments"
    assert layer_families.label({"family": "of tomorrow"}) == "of tomorrow"


def test_plain_gaussians_need_no_line() -> None:
    assert layer_families.line([GAUSSIAN, GAUSSIAN]) is None
    assert layer_families.line([CATEGORICAL]) == "Categorical, 10 classes"
    assert layer_families.line([GAUSSIAN, CATEGORICAL]) == "z: Gaussian · c: Categorical, 10 classes"


def test_a_layer_has_what_it_records_and_no_gaussians_derivations() -> None:
    kinds = ("mean", "p05", "p25", "p50", "p75", "p95")
    rows = pd.DataFrame({"step": [0, 0, 0], "layer": [0, 1, 2]})
    for name, values in {
        "mean": [0, np.nan, 0.5], "variance": [1, np.nan, 0.1], "entropy": [np.nan, 1, np.nan],
        "prior_entropy": [np.nan, 2, np.nan], "kl": [0.1, 0.2, 0.3], "phi": [0, np.nan, np.nan],
    }.items():  # fmt: skip
        rows = rows.assign(**{f"{name}_{kind}": values for kind in kinds})
    layers = [GAUSSIAN, CATEGORICAL, {"name": "draws", "family": "samples"}]
    found = layer_families.recorded(rows, layers)
    assert "kl_above_floor" in found[0]
    assert found[1] == ["kl", "entropy", "prior_entropy", "contraction"]
    assert found[2] == ["mean", "variance", "kl"], "no prior, no contraction"
    assert layer_families.with_statistic(found, "contraction") == [0, 1]


def test_runs_without_a_variance_have_distributions_too() -> None:
    def run(layers: list[dict[str, Any]], statistics: list[str], steps: int = 3) -> RunReader:
        return cast(RunReader, SimpleNamespace(layers=layers, statistics=statistics, steps=np.arange(steps)))

    assert layer_families.has_distributions(run([BOOK], ["usage"]))
    assert layer_families.has_distributions(run([GAUSSIAN], ["mean", "variance"]))
    assert not layer_families.has_distributions(run([GAUSSIAN], ["mean"]))
    assert not layer_families.has_distributions(run([BOOK], ["usage"], steps=0))


def test_a_number_of_the_layer_is_the_last_one_taken() -> None:
    rows = pd.DataFrame({"step": [0, 1, 2], "layer": [0, 0, 0], "layer_perplexity": [3.0, np.nan, 5.0]})
    assert layer_families.number_at(rows, 0, "perplexity", 1) == 3
    assert layer_families.number_at(rows, 0, "perplexity", 2) == 5
    assert layer_families.number_at(rows, 0, "dead_codes", 2) != layer_families.number_at(
        rows, 0, "perplexity", 2
    )
    assert layer_families.number_at(rows, 1, "perplexity", 2) != pytest.approx(5)
