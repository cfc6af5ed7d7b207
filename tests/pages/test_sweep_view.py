"""The view Sweep of the page Runs, on the sample sweep and on runs that differ in nothing."""

import json
import shutil

import pytest

from pages.shell.session import options

SWEEP = options.ROOT / "sample_runs" / "sweep"


def texts(app):
    return " ".join(one.value for one in app.markdown)


def figures(app):
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    shutil.copytree(SWEEP, folder / "sweep")
    return folder


def test_it_says_at_which_settings_layers_collapse_and_what_it_costs(open_page, sample):
    app = open_page("runs", sample, view="sweep")
    said = texts(app)
    assert (
        "**Layer 3** collapses from beta 1 (lr 0.001), from beta 1 (lr 0.003), from beta 0.3 (lr 0.01)"
        in said
    )
    assert "Best validation NLL" in said
    titles = [one["layout"]["annotations"][0]["text"] for one in figures(app)[:4]]
    assert titles == ["Layer 1", "Layer 2", "Layer 3", "NLL (nats), validation"]
    assert app.selectbox(key="choose_sweep_x").value == "beta"


def test_choices_are_in_the_address(open_page, sample):
    app = open_page("runs", sample, view="sweep", sweep_x="lr", sweep_value="onset", sweep_color="layer")
    assert app.selectbox(key="choose_sweep_x").value == "lr"
    assert app.selectbox(key="choose_sweep_y").value == "beta"
    app.selectbox(key="choose_sweep_y").select("nothing").run()
    assert app.query_params["sweep_y"] == "nothing"
    assert not app.exception
    against = figures(app)[2]
    assert {trace["name"] for trace in against["data"] if trace.get("name")} >= {"layer 1", "layer 3"}


def test_a_link_that_names_no_setting_says_so(open_page, sample):
    app = open_page("runs", sample, view="sweep", sweep_x="gamma")
    assert "gamma" in app.warning[0].value
    assert app.selectbox(key="choose_sweep_x").value == "beta"


def test_a_cell_that_was_clicked_opens_its_runs(open_page, sample):
    app = open_page("runs", sample, view="sweep")
    app.session_state["_sweep_cell"] = ["1", "0.01"]
    app.run()
    assert "beta1\\.0\\-lr0\\.01\\-seed0" in texts(app)
    assert "beta1\\.0\\-lr0\\.01\\-seed1" in texts(app)


def test_runs_that_differ_in_their_seed_alone_say_so(open_page, tmp_path):
    for seed in (0, 1):
        shutil.copytree(SWEEP / f"beta0.1-lr0.01-seed{seed}", tmp_path / f"seed{seed}")
    app = open_page("runs", tmp_path, view="sweep")
    assert "differ in nothing but their seed" in app.info[0].value


def test_one_run_is_no_sweep(open_page, tmp_path):
    shutil.copytree(SWEEP / "beta0.1-lr0.01-seed0", tmp_path / "one")
    assert "at least two runs" in open_page("runs", tmp_path, view="sweep").info[0].value


def test_a_damaged_run_is_left_out_and_the_rest_is_drawn(open_page, sample, tmp_path):
    shutil.copytree(sample / "sweep", tmp_path / "sweep")
    for path in (tmp_path / "sweep" / "beta0.1-lr0.01-seed0").rglob("*.parquet"):
        path.write_bytes(path.read_bytes()[:-20])
    app = open_page("runs", tmp_path, view="sweep")
    assert any("left out" in one.label for one in app.expander)
    assert len(figures(app)) >= 6


def test_without_summaries_scores_are_drawn(open_page, sample, tmp_path, monkeypatch):
    monkeypatch.setattr("pages.shell.data.sweep.MOST_COMPUTED", 2)
    shutil.copytree(sample / "sweep", tmp_path / "sweep")
    for path in (tmp_path / "sweep").glob("*/neuron_summary.parquet"):
        path.unlink()
    app = open_page("runs", tmp_path, view="sweep")
    assert any("only scores are shown" in one.value for one in app.caption)
