"""What is planted in a run of other families is what the log says of it, by every way that it is asked."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import probes
from probes import Recorder, Run
from probes.__main__ import main
from probes.analysis.layer_quantiles import summary_with_derived
from probes.analysis.network_curves import network_curves
from probes.analysis.overview import layer_rows
from probes.export.tables import to_csv
from probes.families import family_of
from probes.live_alerts import LiveAlerts
from probes.log.check import check
from probes.log.maintenance import compact
from probes.schema import LAYER_STATISTICS
from probes.synthetic_families import CLASSES, CODES, DRAWS, LAYERS, PROBED, WINDOW, families_run

STEPS = 120


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    path = tmp_path_factory.mktemp("families") / "run"
    return path, families_run(path, STEPS, batch=128, flush_steps=60)


@pytest.fixture
def run(planted: tuple[Path, pd.DataFrame]) -> Run:
    return Run(planted[0])


@pytest.fixture
def truth(planted: tuple[Path, pd.DataFrame]) -> pd.DataFrame:
    return planted[1]


def test_every_neuron_ends_as_it_was_planted(run: Run, truth: pd.DataFrame) -> None:
    last = run.at(STEPS - 1).merge(truth, on=["layer", "neuron"], suffixes=("", "_planted"))
    settled = last["settled"].replace(10, 4)  # what never left its prior
    assert settled.tolist() == last["regime_planted"].tolist()
    assert set(settled) == {0, 4, 5, 6, 7, 11}


def test_information_is_that_of_the_law(run: Run, truth: pd.DataFrame) -> None:
    late = pd.concat([run.history(layer, None, ["information"], (STEPS - 20, STEPS)) for layer in (0, 1, 2)])
    mean = late.groupby(["layer", "neuron"])["information"].mean()
    known = truth[truth["layer"] < 3].set_index(["layer", "neuron"])["information"]
    tolerance = np.where(known.index.get_level_values("layer") == 2, 0.35, 0.05)  # 48 picks a code
    assert (np.abs(mean - known) <= tolerance * known + 1e-4).all()
    assert mean.loc[2].sum() == pytest.approx(known.loc[2].sum(), rel=0.01)


def test_draws_have_their_variances(run: Run, truth: pd.DataFrame) -> None:
    late = run.history("draws", None, ["variance", "spread"]).groupby("neuron").mean()
    known = truth[truth["layer"] == 3].set_index("neuron")
    np.testing.assert_allclose(late["variance"], known["variance"], rtol=0.02)
    np.testing.assert_allclose(late["spread"], known["spread"], rtol=0.06)


def test_codes_die_and_come_back_at_their_steps(run: Run, truth: pd.DataFrame) -> None:
    usage = run.history("book", None, ["usage"]).pivot(index="step", columns="neuron", values="usage")
    book = truth[truth["layer"] == 2].set_index("neuron")
    for neuron, died, revived in book[["died", "revived"]].itertuples():
        if np.isfinite(died):
            assert usage.loc[died, neuron] == 0 < usage.loc[died - WINDOW, neuron]
        if np.isfinite(revived):
            assert usage.loc[revived - 1, neuron] == 0 < usage.loc[revived + WINDOW, neuron]
    summary = run.layer_summary()
    whole = summary[summary["layer"] == 2].set_index("step")
    assert (whole["layer_dead_codes"] == (usage == 0).sum(axis=1)).all()
    share = usage.loc[STEPS - 1]
    entropy = -(share * np.log(share.where(share > 0, 1))).sum()
    assert whole.loc[STEPS - 1, "layer_perplexity"] == pytest.approx(np.exp(entropy), rel=1e-5)
    assert whole.loc[STEPS - 1, "layer_window"] == WINDOW * 128
    others = summary.loc[summary["layer"] != 2, [f"layer_{name}" for name in whole_names(summary)]]
    assert others.isna().all(axis=None)


def whole_names(summary: pd.DataFrame) -> list[str]:
    return [name for name in LAYER_STATISTICS if f"layer_{name}" in summary]


def test_dead_codes_are_one_alert_with_their_revival(run: Run, truth: pd.DataFrame) -> None:
    alerts = run.alerts()
    (found,) = alerts[alerts["kind"] == "dead codes"].to_dict("records")
    book = truth[truth["layer"] == 2]
    died = book["died"].dropna()
    assert found["layers"] == [2]
    first = run.history(2, None, ["usage"]).query("usage == 0").groupby("step").size()
    assert found["step"] == first[first >= 8 + 0.2 * CODES].index[0] <= died.iloc[0], "as the window says it"
    assert found["neurons"] == book.loc[book["died"].notna(), "neuron"].tolist()
    assert found["count"] == 28
    assert f"36 of {CODES} codes are dead, 8 were at step" in found["text"]
    assert "14 of them are picked again by step" in found["text"]
    assert "prior" not in found["text"] + found["advice"]
    assert not alerts["layer"].isin([3]).any(), "draws without a prior give no reason"


def test_alerts_in_memory_are_those_of_the_log(run: Run) -> None:
    live = LiveAlerts(run.layers, run.config)
    for index, layer in enumerate(run.layers):
        rows = run.history(index)
        columns = {
            name: rows.pivot(index="step", columns="neuron", values=name).to_numpy()
            for name in run.statistics
            if rows[name].notna().any()
        }
        summary = run.layer_summary().query("layer == @index")
        if summary["layer_window"].notna().any():
            columns["window"] = summary["layer_window"].to_numpy(np.float32)
        live.add(layer["name"], run.steps.tolist(), columns)
    logged = run.alerts()
    assert {(a.kind, a.step) for a in live.new()} == set(zip(logged["kind"], logged["step"], strict=True))


def test_posteriors_and_classes_are_stored_at_chosen_steps(run: Run) -> None:
    assert run.parameter_steps().tolist() == run.class_steps().tolist()
    assert run.parameter_steps()[[0, -1]].tolist() == [0, STEPS - 1]
    rows = run.parameters(layer="classes")
    assert len(rows) == LAYERS[0]["neurons"] * PROBED * CLASSES
    usage = run.classes(layer="classes").groupby("neuron")["usage"].sum()
    np.testing.assert_allclose(usage, 1, rtol=1e-5)
    assert len(run.parameters(layer="draws")) == LAYERS[3]["neurons"] * PROBED * DRAWS
    assert run.parameters(layer="book").empty


def test_contraction_is_by_entropy_for_classes_by_variance_for_shares_and_absent_otherwise(run: Run) -> None:
    last = run.at(
        STEPS - 1, statistics=["contraction", "entropy", "prior_entropy", "variance", "prior_variance"]
    )
    of = {layer: rows for layer, rows in last.groupby("layer")}
    by_entropy = 1 - np.expm1(of[0]["entropy"]) / np.expm1(of[0]["prior_entropy"])
    np.testing.assert_allclose(of[0]["contraction"], by_entropy, atol=1e-5)
    by_variance = 1 - of[1]["variance"] / of[1]["prior_variance"]
    np.testing.assert_allclose(of[1]["contraction"], by_variance, atol=1e-5)
    assert of[2]["contraction"].isna().all()
    assert of[3]["contraction"].isna().all(), "draws have a variance and no prior to hold it against"
    assert of[3]["variance"].notna().all()
    assert [run.taken(layer, "contraction").size for layer in range(4)] == [STEPS, STEPS, 0, STEPS]

    summary = summary_with_derived(run).groupby("layer").last()
    np.testing.assert_allclose(
        summary["contraction_mean"][:2], [of[layer]["contraction"].mean() for layer in (0, 1)], rtol=1e-4
    )
    np.testing.assert_allclose(
        summary["contraction_p50"][:2], [of[layer]["contraction"].median() for layer in (0, 1)], rtol=1e-4
    )
    assert summary["contraction_mean"][2:].isna().all()


def test_the_network_counts_only_what_is_known(run: Run) -> None:
    widths = [layer["neurons"] for layer in run.layers]
    curves = network_curves(summary_with_derived(run), widths).iloc[-1]
    assert curves["living_share"] == pytest.approx((4 + 4 + 42) / (16 + 16 + 64))
    assert np.isfinite(curves[["rate", "information", "contraction"]].to_numpy(float)).all()
    rows = layer_rows(run)
    assert [row["family"] for row in rows] == ["Categorical", "Beta", "Code book", "Samples"]
    assert [row["living_share"] for row in rows] == [0.25, 0.25, 42 / 64, None]
    assert [row["rate"] is None for row in rows] == [False, False, True, True]
    manifest = json.loads((Path(run.path) / "run.json").read_text())
    assert manifest["living_share"] == [0.25, 0.25, 0.6562, None]
    assert all(None not in point for point in manifest["sparklines"]["rate"])


def test_the_run_is_sound_and_compaction_changes_nothing(run: Run, tmp_path: Path) -> None:
    assert check(run.path) == []
    shutil.copytree(run.path, tmp_path / "run")
    compact(tmp_path / "run", json.loads((tmp_path / "run" / "run.json").read_text()))
    again = Run(tmp_path / "run")
    assert check(again.path) == []
    for ask in (Run.parameters, Run.classes, Run.layer_summary, Run.regimes):
        pd.testing.assert_frame_equal(ask(run), ask(again), check_exact=True)


def test_show_and_exports_know_them(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", run.path, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["layers"][3]["regimes"] == {"unknown": 8}
    assert shown["layers"][3]["living_share"] is None
    names = {path.name for path in to_csv(run, tmp_path / "csv")}
    assert {"parameters.csv", "classes.csv"} <= names
    usage = pd.read_csv(tmp_path / "csv" / "classes.csv")
    assert usage["step"].nunique() == len(run.class_steps())
    layers = pd.read_csv(tmp_path / "csv" / "layer_names.csv")
    assert layers["family"].tolist() == ["categorical", "beta", "codes", "samples"]


def test_a_dataset_and_the_files_of_the_tables(run: Run) -> None:
    table = probes.scan(run, "parameters")
    assert table.count_rows() == sum(pq.read_metadata(file).num_rows for file in run.files("parameters"))
    found = probes.scan(run, "classes").sql("select max(usage) as most from classes where layer = 0")
    assert 1 / CLASSES < found["most"][0] <= 1


def test_a_snapshot_keeps_to_its_state(tmp_path: Path) -> None:
    layer = {"name": "c", "neurons": 2, "family": "categorical", "classes": 2}
    with Recorder(tmp_path, [layer]) as recorder:
        recorder.classes(0, "c", np.full((2, 2), 0.5))
        recorder.flush()
        run = Run(tmp_path)
        fixed = run.snapshot()
        recorder.classes(1, "c", np.full((2, 2), 0.5))
        recorder.flush()
        assert run.extent("classes") == 4
        assert run.refresh()
        assert run.class_steps().tolist() == [0, 1]
        assert run.extent("classes") == 8
        assert fixed.class_steps().tolist() == [0]
        assert fixed.extent("classes") == 4


def test_resuming_sets_aside_what_lies_after_the_checkpoint(tmp_path: Path) -> None:
    layer = {"name": "book", "neurons": 2, "family": "codes"}
    rest = {"name": "c", "neurons": 2, "family": "categorical", "classes": 2}
    with Recorder(tmp_path, [layer, rest]) as recorder:
        for step in range(10):
            recorder.record(step, 0, usage=[0.5, 0.5], perplexity=2.0, dead_codes=0, window=step + 1)
            recorder.record(step, 1, kl=[0.1, 0.1], information=[0.1, 0.1], entropy=[0.5, 0.5])
            recorder.classes(step, "c", np.full((2, 2), 0.5))
            recorder.parameters(step, "c", probability=np.full((3, 2, 2), 0.5))
    with Recorder.resume(tmp_path, 5) as recorder:
        recorder.record(6, 0, usage=[1.0, 0.0], perplexity=1.0, dead_codes=1, window=70)
        recorder.record(6, 1, kl=[0.1, 0.1], information=[0.1, 0.1], entropy=[0.5, 0.5])
        recorder.classes(6, "c", np.array([[1.0, 0.0], [0.0, 1.0]]))
    run = Run(tmp_path)
    assert run.class_steps().tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert run.parameter_steps().tolist() == [0, 1, 2, 3, 4, 5]
    assert run.classes()["usage"].tolist() == [1, 0, 0, 1]
    summary = run.layer_summary()
    assert summary.loc[summary["layer"] == 0, "layer_window"].tolist() == [1, 2, 3, 4, 5, 6, 70]
    assert {path.name for path in (tmp_path / "superseded" / "0001").iterdir()} >= {"parameters", "classes"}
    assert check(tmp_path) == []


def test_a_whole_layers_numbers_are_refused_where_they_are_none(tmp_path: Path) -> None:
    with Recorder(tmp_path, [{"name": "book", "neurons": 3, "family": "codes"}]) as recorder:
        with pytest.raises(
            ValueError, match=r"joint_kl of layer 'book' has shape \(3,\).*must be one number"
        ):
            recorder.record(0, 0, usage=np.ones(3) / 3, joint_kl=np.ones(3))
        with pytest.raises(ValueError, match=r"window of layer 'book' has shape \(2, 3\).*must be \(2,\)"):
            recorder.record_block([0, 1], 0, {"usage": np.ones((2, 3)) / 3, "window": np.ones((2, 3))})
        with pytest.raises(ValueError, match="no statistic given"):
            recorder.record(0, 0, dead_codes=1)
        with pytest.raises(ValueError, match="the log stores .*usage.*dead_codes"):
            recorder.record(0, 0, died=1)
        recorder.record_block(
            [0, 1], 0, {"usage": np.ones((2, 3)) / 3, "perplexity": [3.0, np.nan], "window": [5, 6]}
        )
    summary = Run(tmp_path).layer_summary()
    assert summary["layer_perplexity"].tolist()[0] == 3
    assert summary["layer_perplexity"].isna().tolist() == [False, True]
    assert summary["layer_window"].tolist() == [5, 6]


def test_perplexity_of_neurons_and_of_the_layer_are_told_apart(tmp_path: Path) -> None:
    with Recorder(tmp_path, [{"name": "c", "neurons": 1, "family": "categorical", "classes": 4}]) as recorder:
        recorder.record(0, 0, perplexity=[3.5])
    run = Run(tmp_path)
    assert run.statistics == ["perplexity"]
    assert not [name for name in run.layer_summary() if name.startswith("layer_")]


def test_their_tables_count_against_a_size(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    layer = {"name": "c", "neurons": 64, "family": "categorical", "classes": 8}
    random = np.random.default_rng(0)
    caplog.set_level(logging.WARNING, "probes.recorder")
    with Recorder(tmp_path, [layer], max_gb=0.001, flush_steps=50) as recorder:
        for step in range(600):
            recorder.record(step, 0, kl=random.random(64), information=random.random(64), entropy=np.ones(64))
            if step % 50 == 0:
                recorder.parameters(step, 0, probability=random.dirichlet(np.ones(8), (64, 64)))
                recorder.flush()
    assert "is exceeded" in caplog.text
    assert len(Run(tmp_path).steps) < 600
    assert len(Run(tmp_path).parameter_steps()) == 12


def test_layers_say_what_their_families_need(tmp_path: Path) -> None:
    layers = [{"name": "c", "neurons": 1, "family": "categorical", "classes": 8, "map": "exp"}]
    Recorder(tmp_path / "run", layers).close()
    assert Run(tmp_path / "run").layers[0]["classes"] == 8
    for wrong, message in (
        ({"classes": 1}, "classes is 1; it must be an integer from 2"),
        ({"classes": 8.5}, "classes is 8.5"),
        ({"window": 0}, "window is 0; it must be a number of steps"),
        ({"map": 3}, "map is 3; it must be the name of a bijection"),
        ({"family": "mixture"}, "known are"),
    ):
        with pytest.raises(ValueError, match=message):
            Recorder(tmp_path / "other", [layers[0] | wrong])
    assert family_of({"family": "codes", "prior": "unknown"}).regimes == {0, 1, 4}
