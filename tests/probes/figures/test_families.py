"""Figures of families: a code book's map, joint KL, densities on own axes, entropies, own units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from probes import palette
from probes.figures.code_book import CodeBook, code_book, code_counts
from probes.figures.entropy_panels import entropy_panels, statistic_panels
from probes.figures.family_shapes import FamilyShape, family_axes, family_panels
from probes.figures.fans import family_fans, fans
from probes.figures.joint_kl import joint_kl
from probes.figures.kl_parts import kl_parts, parts
from probes.figures.layer_bands import layer_bands
from probes.figures.neuron_series import NeuronSeries

RED, BLUE = palette.VERMILLION, palette.BLUE


@pytest.fixture
def book() -> CodeBook:
    """Four codes over five steps: one always used, one that dies and comes back, one dead, one not recorded
    at first.
    """
    usage = np.array(
        [
            [0.5, 0.5, 0.7, 0.5, 0.6],
            [0.5, 0.5, 0.0, 0.3, 0.4],
            [0.0, 0.0, 0.0, 0.0, 0.0],
            [np.nan, 0.0, 0.3, 0.2, 0.0],
        ]
    )
    return CodeBook(np.arange(5), usage)


def test_a_code_book_counts_what_is_used_dead_and_picked_again(book: CodeBook) -> None:
    assert book.used.tolist() == [2, 2, 2, 3, 2]
    assert book.dead.tolist() == [1, 2, 2, 1, 2]
    assert np.argwhere(book.revived).tolist() == [[1, 3]], "a first pick is none"
    assert book.perplexity[1] == pytest.approx(2)
    assert book.order("usage").tolist() == [0, 1, 2, 3]
    assert book.order("index").tolist() == [0, 1, 2, 3]


def test_a_map_marks_dead_codes_and_those_that_came_back(book: CodeBook) -> None:
    figure = code_book(book, by="index", step=2)
    dead, usage, again = figure.data
    assert np.isfinite(np.asarray(dead.z, float)).sum() == 8
    assert np.isnan(np.asarray(usage.z, float)[2]).all(), "a dead code has no colour of the scale"
    assert (again.x.tolist(), again.y.tolist()) == ([3], [1])
    assert "2 of them are used at the end" in figure.layout.meta["alt"]


def test_counts_take_the_recorded_perplexity(book: CodeBook) -> None:
    lines = {trace.name: trace for trace in code_counts(book, perplexity=[5, 4, 3, 2, 1]).data}
    assert lines["perplexity"].y.tolist() == [5, 4, 3, 2, 1]
    assert lines["picked again"].y.tolist() == [0, 0, 0, 1, 0]


def test_a_book_of_nothing_is_drawn() -> None:
    nothing = CodeBook(np.arange(2), np.full((3, 2), np.nan))
    assert "none of them" in code_book(nothing).layout.meta["alt"]


def test_joint_kl_is_beside_the_sum_of_its_neurons() -> None:
    rows = pd.DataFrame(
        {"step": [0, 1], "layer_joint_kl": [1.0, 3.0], "layer_coupling": [0, 1.0], "kl_mean": [0.5, 1.0]}
    )
    lines = {trace.name: trace.y.tolist() for trace in joint_kl(rows, 2).data}
    assert lines == {"joint KL": [1, 3], "coupling": [0, 1], "sum of marginal KL": [1, 2]}


def shapes() -> tuple[FamilyShape, FamilyShape, FamilyShape]:
    z = np.linspace(0.01, 0.99, 50)
    beta = FamilyShape(3, "z in [0, 1]", (0, 1), z, np.ones(50), outline=np.ones(50), prior=np.ones(50))
    bars = FamilyShape(
        3, "class", (0, 2), classes=["0", "1"], shares=np.array([0.2, 0.8]), prior=np.array([0.5, 0.5])
    )
    nothing = FamilyShape(3, "z", (-1, 1))
    return beta, bars, nothing


def test_panels_draw_each_neuron_as_its_family() -> None:
    group = shapes()
    figure = family_panels(["1:0", "2:0", "3:0"], group, group, [BLUE, RED, BLUE])
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert [trace.y.tolist() for trace in bars] == [pytest.approx([0.2, 0.8])] * 2
    assert "not stored" in figure.layout.xaxis3.title.text
    assert figure.layout.xaxis.title.text == "z in [0, 1]"
    assert {trace.name for trace in figure.data} >= {"prior", "at the cursor, aggregate"}


def test_neurons_of_one_axis_share_a_panel() -> None:
    beta, bars, _ = shapes()
    figure = family_axes(["1:0", "1:1", "2:0"], [beta, beta, bars], [BLUE, RED, BLUE], [False, True, False])
    areas = [trace for trace in figure.data if trace.type == "scatter" and trace.fill == "tozeroy"]
    assert [trace.xaxis for trace in areas] == ["x", "x"]
    assert areas[1].line.dash == "dash"
    assert not any("aggregate" in (trace.name or "") for trace in figure.data)


def series(family: str, **columns: list[float]) -> NeuronSeries:
    rows = pd.DataFrame({"step": np.arange(3), **columns})
    return NeuronSeries("1:0", rows, pd.DataFrame({"step": [], "layer": []}), family=family)


def test_entropy_stands_beside_that_of_the_aggregate() -> None:
    one = series("categorical", entropy=[1.0, 0.8, 0.5], perplexity=[3, 3, 3], prior_entropy=[1.1, 1.1, 1.1])
    lines = {trace.name: trace.y for trace in entropy_panels([one], step=1).data if trace.name}
    assert lines["entropy"].tolist() == pytest.approx([1.0, 0.8, 0.5])
    assert lines["of the aggregate: ln perplexity"].tolist() == pytest.approx([np.log(3)] * 3)
    assert lines["prior"].tolist() == pytest.approx([1.1] * 3)


def test_a_statistic_of_codes_has_a_panel_each() -> None:
    figure = statistic_panels([series("codes", usage=[0.1, 0.2, 0.0])], "usage")
    assert figure.data[0].y.tolist() == pytest.approx([0.1, 0.2, 0.0])


def test_other_families_are_in_their_own_unit_without_the_priors_sd() -> None:
    one = series("beta", mean=[0.5, 0.4, 0.3], variance=[0.1, 0.1, 0.1], spread=[0.0, 0.0, 0.0])
    names = {trace.name for trace in family_fans([one]).data}
    assert "prior sd" not in names
    assert "prior sd" in {trace.name for trace in fans([one]).data}


def test_no_mismatch_is_made_up() -> None:
    gaussian = series("gaussian", kl=[1, 1, 1], information=[0.4, 0.4, 0.4])
    assert parts(gaussian)["mismatch"].tolist() == pytest.approx([0.6] * 3)
    by_moments = series("laplace", kl=[1, 1, 1], information=[0.4, 0.4, 0.4], kl_error=[0.1, 0.1, 0.1])
    assert set(parts(by_moments)) == {"information"}
    assert "± standard error" in {trace.name for trace in kl_parts([by_moments]).data}
    unknown = series("generic", kl=[1, 1, 1], information=[np.nan] * 3)
    assert parts(unknown) == {}


def test_bands_have_the_priors_own_line() -> None:
    kinds = ("mean", "p05", "p25", "p50", "p75", "p95")
    rows = pd.DataFrame({"step": [0, 1], "layer": [0, 0]})
    rows = rows.assign(**{f"entropy_{kind}": [1.0, 0.5] for kind in kinds})
    rows = rows.assign(**{f"prior_entropy_{kind}": [1.1, 1.1] for kind in kinds})
    figure = layer_bands(rows, "entropy", ["c"], prior="prior_entropy", gaussian=False)
    prior = next(trace for trace in figure.data if trace.name == "prior")
    assert prior.y.tolist() == pytest.approx([1.1, 1.1])
    assert figure.layout.yaxis.title.text == "Entropy (nats)"


def test_what_is_in_prior_sds_of_gaussians_is_in_other_neurons_own_unit() -> None:
    rows = pd.DataFrame({"step": [0, 1], "layer": [0, 0]})
    rows = rows.assign(
        **{f"spread_{kind}": [1.0, 0.5] for kind in ("mean", "p05", "p25", "p50", "p75", "p95")}
    )
    titles = [
        layer_bands(rows, "spread", ["c"], gaussian=one).layout.yaxis.title.text for one in (True, False)
    ]
    assert titles == ["Spread (prior sd²)", "Spread"]
