"""Layers as a whole on the page Layers: opened when it is asked for, right, and silent where nothing is
stored.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from family_runs import write_family_runs
from probed import write_probed
from streamlit.testing.v1 import AppTest

import probes
from probes.analysis import aggregate, posteriors

KEY = "layer_aggregate"
Open = Callable[..., AppTest]


def captions(app: AppTest) -> str:
    return "\n".join(element.value for element in app.caption)


def opened(app: AppTest) -> AppTest:
    app.session_state[KEY] = True
    app.run()
    assert not app.exception
    return app


def shown(app: AppTest) -> pd.DataFrame:
    [table] = [one.value for one in app.dataframe if "total_correlation" in one.value]
    return table


@pytest.fixture
def probed(tmp_path: Path) -> Path:
    write_probed(tmp_path / "run")
    return tmp_path


def test_nothing_is_computed_before_it_is_opened(
    open_page: Open, probed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("asked for unseen")

    monkeypatch.setattr(aggregate, "split_rate", refused)
    app = open_page("layers", probed, run="run")
    assert any("Layers as a whole" in expander.label for expander in app.expander)
    assert not any("total_correlation" in one.value for one in app.dataframe)


def test_the_table_says_what_the_posteriors_do(open_page: Open, probed: Path) -> None:
    table = shown(opened(open_page("layers", probed, run="run")))
    rows = probes.Run(probed / "run").probe(40)
    found = aggregate.split_rate(*posteriors.table(rows, 0))
    assert table["layer"].tolist() == ["first", "second"]
    assert table["rate"][0] == f"{found.rate:.3g}"
    sign = "≥ " if found.at_ceiling else ""
    assert table["index_code_information"][0].startswith(f"{sign}{found.index_code.value:.3g}")
    distance = aggregate.maximum_mean_discrepancy(*posteriors.table(rows, 0))
    assert table["mmd"][0] == f"{distance.value:.2g} ({distance.null_95:.2g})"


def test_active_units_stand_beside_living_neurons(open_page: Open, probed: Path) -> None:
    said = captions(open_page("layers", probed, run="run"))
    spread = probes.Run(probed / "run").at(40)["spread"]
    assert f"Var[μ] > 0.01 prior sd²): {(spread > 0.01).sum()} of 10" in said
    assert "Living neurons:" in said


def test_a_second_run_stands_beside_it(open_page: Open, probed: Path) -> None:
    write_probed(probed / "again", seed=1)
    table = shown(opened(open_page("layers", probed, run="run", vs="again")))
    assert table["layer"].tolist() == ["run: first", "run: second", "again: first", "again: second"]


def test_a_prior_that_is_not_standard_is_said(open_page: Open, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    layers = [
        {"name": "ar", "neurons": 3, "prior": "autoregressive"},
        {"name": "own", "neurons": 3, "prior": "given"},
        {"name": "pooled", "neurons": 3, "latent_dim": 4},
    ]
    with probes.Recorder(tmp_path / "run", layers, {"pool": "mean"}) as recorder:
        for layer in range(3):
            mu, sigma = draw.normal(0, 0.4, (32, 3)), np.full((32, 3), 0.5)
            values = {"mean": mu.mean(0), "variance": sigma[0] ** 2, "spread": mu.var(0), "kl": np.ones(3)}
            recorder.record(1, layer, **values)
            recorder.probe(1, layer, mu, sigma)
    app = opened(open_page("layers", tmp_path, run="run"))
    table = shown(app)
    assert (table["dimension_wise_kl"] == "–").tolist() == [False, True, False]
    assert (table["sliced_wasserstein"] == "–").tolist() == [False, True, False]
    assert (table["index_code_information"] != "–").all()
    found = aggregate.split_rate(
        *(2 * one for one in posteriors.table(probes.Run(tmp_path / "run").probe(1), 2))
    )
    assert table["rate"][2] == f"{found.rate:.3g}"  # the mean of four has half of the prior's sd
    said = captions(app)
    assert "KL from its stationary marginal" in said
    assert "what needs it is left out" in said
    assert "one pooled variable" in said


def test_other_families_are_told_or_named(open_page: Open, tmp_path: Path) -> None:
    write_family_runs(tmp_path)
    app = opened(open_page("layers", tmp_path, run="mixed"))
    assert shown(app)["layer"].tolist() == ["gaussian", "categorical"]
    said = captions(app)
    assert "beta is left out: of Gaussian neurons and of classes alone" in said
    app = opened(open_page("layers", tmp_path, run="others"))
    assert shown(app)["layer"].tolist() == ["bernoulli"]
    assert "covariances that the probe batch lacks" in captions(app)


def test_a_run_without_a_probe_batch_has_none(open_page: Open, run_folder: Path) -> None:
    app = open_page("layers", run_folder, run="planted")
    assert not any("Layers as a whole" in expander.label for expander in app.expander)
    assert "Active units" in captions(app)
