"""What a sweep's view is made of: cells, sentences, points, the frontier."""

import numpy as np
import pandas as pd
import pytest

from pages.shell.data import sweep
from pages.shell.session.runs import Entry


def made(collapsed, seeds=(0,), score=lambda beta, lr: beta + lr):
    """A sweep of two layers whose second collapses as `collapsed(beta, lr)` says."""
    points = [(beta, lr, seed) for beta in (0.1, 1.0) for lr in (0.01, 0.001) for seed in seeds]
    names = [f"{beta}-{lr}-{seed}" for beta, lr, seed in points]
    runs = pd.DataFrame(points, columns=["beta", "lr", "seed"]).assign(run=names)
    runs["validation/nll"] = [score(beta, lr) for beta, lr, _ in points]
    shares = [(name, layer, share) for name, (beta, lr, _) in zip(names, points, strict=True)
              for layer, share in ((1, 0.0), (2, float(collapsed(beta, lr))))]  # fmt: skip
    layers = pd.DataFrame(shares, columns=["run", "layer", "collapsed"])
    for name in sweep.QUANTITIES:
        runs[name] = 0.5
        layers[name] = layers.get(name, 0.5)
    return sweep.Sweep(runs, layers, ["beta", "lr"], len(seeds) > 1, ["validation/nll"], {}, [])


def test_sentences_say_where_a_layer_collapses_and_what_it_costs():
    found = made(lambda beta, lr: beta == 1 and lr == 0.01)
    layer, cost = sweep.findings(found, "beta", "lr", "validation/nll")
    assert layer == "**Layer 2** collapses from beta 1 (lr 0.01)"
    assert cost == (
        "Best validation NLL: where no layer collapses **0.101** (beta 0.1, lr 0.001); where one does"
        " **1.010**, +0.909"
        " (beta 1, lr 0.01)"
    )


def test_collapse_at_low_values_alone_is_not_said_to_begin_there():
    [layer] = sweep.findings(made(lambda beta, _: beta == 0.1), "beta", None, None)
    assert layer == "**Layer 2** collapses at beta 0.1"


def test_where_nothing_collapses_the_worst_is_named():
    [said] = sweep.findings(made(lambda beta, lr: 0.3 * (beta == 1 and lr == 0.001)), "beta", "lr", None)
    assert said == "No layer collapses: at most 30 % of layer 2 (beta 1, lr 0.001)"


def test_cells_are_means_over_seeds_and_clicks_lead_to_their_runs():
    found = made(lambda beta, _: beta == 1, seeds=(0, 1, 2))
    (first, second), score = sweep.cells(found, "beta", "lr", "validation/nll")
    assert (second.x, second.y) == (["0.1", "1"], ["0.001", "0.01"])
    assert second.values.tolist() == [[0, 1], [0, 1]]
    assert first.runs.tolist() == [[3, 3], [3, 3]]
    assert score.values == pytest.approx(np.array([[0.101, 1.001], [0.11, 1.01]]))
    assert sweep.runs_at(found, "beta", "1", "lr", "0.01") == ["1.0-0.01-0", "1.0-0.01-1", "1.0-0.01-2"]


def test_with_one_setting_the_rows_are_the_layers():
    [panel], score = sweep.cells(made(lambda beta, _: beta == 1), "beta", None, "validation/nll")
    assert panel.y == ["layer 1", "layer 2"]
    assert panel.values.tolist() == [[0, 0], [0, 1]]
    assert score.values.shape == (1, 2)


def test_the_layers_that_collapse_most_are_kept_in_their_order():
    panels = [sweep.Cells(str(n), [""], [""], np.array([[value]]), np.ones((1, 1)))
              for n, value in enumerate([0.1, np.nan, 0.9, 0.5])]  # fmt: skip
    assert [one.title for one in sweep.most_collapsed(panels, 2)] == ["2", "3"]


def test_many_values_are_put_together():
    labels, of_runs = sweep.labels(pd.Series(np.linspace(0.001, 1, 200)))
    assert len(labels) == sweep.MOST_LEVELS
    assert of_runs.value_counts().between(19, 21).all()


@pytest.mark.parametrize("values", [[True, False], ["a", "b"], [None, "x"]])
def test_texts_are_labels(values):
    labels, of_runs = sweep.labels(pd.Series(values, dtype=object))
    assert labels == sorted(str(value) for value in values if value is not None)
    assert len(of_runs) == 2


def test_the_frontier_is_what_no_other_run_beats_in_both():
    rate, loss = np.array([1.0, 2, 3, 4, np.nan]), np.array([5.0, 6, 2, np.nan, 0])
    assert sweep.frontier(rate, loss).tolist() == [0, 2]
    assert sweep.frontier(np.array([]), np.array([])).tolist() == []


def test_points_of_layers_are_a_dot_a_layer():
    found = made(lambda beta, _: beta == 1)
    assert len(sweep.points(found, "collapsed", sweep.LAYER)) == 8
    assert len(sweep.points(found, "validation/nll", "lr")) == 4


def test_runs_of_one_folder_are_a_sweep_the_largest_first(tmp_path):
    entries = {
        name: Entry(name, tmp_path / name, {"error": error})
        for name, error in (("a/x", None), ("b/y", None), ("b/z", None), ("b/broken", "damaged"))
    }
    assert sweep.folders(entries) == {"b": ["b/y", "b/z"], "a": ["a/x"]}
