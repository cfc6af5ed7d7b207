"""Finding neurons by a query, against pandas on the same rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from probes import diagnostics
from probes.analysis.neuron_query import History, Query, QueryError, parse
from probes.diagnostics import derived
from probes.neuron_names import neuron_names

LAYERS = ["layer 1", "layer 2", "Read out"]
KNOWN = ["kl", "variance", "contraction"]


@pytest.fixture
def frame() -> pd.DataFrame:
    random = np.random.default_rng(0)
    size = 60
    rows = {
        "layer": np.repeat([0, 1, 2], 20), "neuron": np.tile(np.arange(20), 3),
        "settled": random.integers(0, 11, size),
        "kl": random.gamma(1, 0.3, size), "variance": random.uniform(0.1, 1.2, size),
    }  # fmt: skip
    return derived(pd.DataFrame(rows))


def test_all_terms_hold_and_rows_are_sorted(frame: pd.DataFrame) -> None:
    found = parse("layer:1,2 kl>0.3 sort:-kl", LAYERS, KNOWN).select(frame)
    expected = frame[(frame["layer"] < 2) & (frame["kl"] > 0.3)].sort_values("kl", ascending=False)
    pd.testing.assert_frame_equal(found, expected)
    assert len(found)


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        ("", lambda f: f["kl"] > -1),
        ("layer:2-3", lambda f: f["layer"] >= 1),
        ('layer:"read out"', lambda f: f["layer"] == 2),
        ('layer:"layer 2",3', lambda f: f["layer"] >= 1),
        ("LAYER:1 layer:1-2", lambda f: f["layer"] == 0),
        ("neuron:3,10-12", lambda f: f["neuron"].isin([3, 10, 11, 12])),
        ("regime:dead,Frozen", lambda f: f["settled"].isin([4, 6])),
        ("regime:at-prior", lambda f: f["settled"] == 10),
        ('regime:"at prior"', lambda f: f["settled"] == 10),
        ("regime:over-energetic", lambda f: f["settled"] == 8),
        ("KL>=0.1 kl<2e-1", lambda f: (f["kl"] >= 0.1) & (f["kl"] < 0.2)),
        ("kl > 0.1", lambda f: f["kl"] > 0.1),
        ("contraction<=0.5", lambda f: 1 - f["variance"] <= 0.5),
    ],
)
def test_terms(frame: pd.DataFrame, text: str, mask) -> None:
    pd.testing.assert_frame_equal(parse(text, LAYERS, KNOWN).select(frame), frame[mask(frame)])


def test_ties_are_broken_by_the_next_order(frame: pd.DataFrame) -> None:
    found = parse("sort:regime,-neuron", LAYERS, KNOWN).select(frame)
    expected = frame.sort_values(["settled", "neuron"], ascending=[True, False], kind="stable")
    pd.testing.assert_frame_equal(found, expected)


def test_a_missing_number_matches_nothing_and_sorts_last(frame: pd.DataFrame) -> None:
    frame.loc[0, "kl"] = np.nan
    for sign in "<>=":
        assert 0 not in parse(f"kl{sign}0.1", LAYERS, KNOWN).select(frame).index
    assert parse("sort:-kl", LAYERS, KNOWN).select(frame).index[-1] == 0


def test_contraction_is_against_the_stationary_marginal() -> None:
    rows = pd.DataFrame({"variance": [0.5, 0.5], "prior_variance": [2.0, 0.5], "phi": [0.0, 0.7]})
    assert derived(rows)["contraction"].tolist() == [
        diagnostics.contraction(0.5, 2.0),
        diagnostics.contraction(0.5),
    ]
    assert "contraction" not in derived(rows[["phi"]])


EVENTS = pd.DataFrame(
    [
        (0, 3, "left", 500),
        (0, 4, "left", 501),
        (1, 5, "died", 100),
        (1, 5, "died", 1000),
        (2, 6, "onset", 300),
    ],
    columns=["layer", "neuron", "event", "step"],
)
SETTLED = pd.DataFrame([(0, 3, 0), (0, 3, 4), (1, 5, 0)], columns=["layer", "neuron", "settled"])


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("left>500", ["1:4"]),
        ("left>=500", ["1:3", "1:4"]),
        ("left:500", ["1:3"]),
        ("died:900-1100", ["2:5"]),
        ("died:101-999", []),
        ("died<101 died>999", ["2:5"]),
        ("onset<300", []),
        ("onset<=300", ["3:6"]),
        ("was:living", ["1:3", "2:5"]),
        ("was:living was:dead", ["1:3"]),
        ("was:dead,living", ["1:3", "2:5"]),
        ("1:9", ["1:9"]),
        ("3:6 1:9,1:2 neuron:2-6", ["1:2", "3:6"]),
        ("left>0 sort:-left", ["1:4", "1:3"]),
    ],
)
def test_events_and_names(frame: pd.DataFrame, text: str, names: list[str]) -> None:
    found = parse(text, LAYERS, KNOWN, [20] * 3).select(frame, History(EVENTS, SETTLED))
    assert neuron_names(found) == names


def test_an_event_that_is_asked_for_has_a_column(frame: pd.DataFrame) -> None:
    found = parse("died>0", LAYERS, KNOWN).select(frame, History(EVENTS, SETTLED))
    assert found["died"].tolist() == [1000]  # the last death
    with pytest.raises(ValueError, match="history"):
        parse("died>0", LAYERS, KNOWN).select(frame)


def test_similar_neurons_are_sorted_by_the_size_of_their_correlation(frame: pd.DataFrame) -> None:
    query = parse("similar:1:9", LAYERS, KNOWN)
    assert query.similar == (0, 9)
    values = pd.Series([0.5, -0.9, 0.7], index=[4, 30, 50]).reindex(frame.index)
    found = query.select(frame.assign(similarity=values))
    assert found.index.tolist() == [30, 50, 4]
    strong = parse("similar:1:9 similarity>0", LAYERS, KNOWN).select(frame.assign(similarity=values))
    assert strong.index.tolist() == [50, 4]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("layer:9", "layers 1 to 3"),
        ("layer:0", "layers 1 to 3"),
        ("layer:redout", "did you mean read out"),
        ("regime:ded", "did you mean dead"),
        ("klt>1", "did you mean kl"),
        ("kl>abc", "“abc” is no number"),
        ("kl>", "is no number"),
        ("kl!=1", "is no term"),
        ("neuron:5-2", "smaller number first"),
        ("neuron:x", "no range like 20-40"),
        ("neuron:1 neuron:2", "twice"),
        ("regim:dead", "did you mean regime"),
        ("dead", "is no term"),
        ("layer:", "names nothing"),
        ("layer:1,", "names nothing"),
        ("sort:-weight", "“weight” is unknown"),
        ("left>soon", "“soon” is no step"),
        ("died:early", "no range like 20-40"),
        ("died:9-2", "smaller number first"),
        ("died", "is no term"),
        ("was:alife", "“alife” is unknown"),
        ("9:1", "layers 1 to 3"),
        ("0:1", "layers from 1"),
        ("1:20", "layer 1 has neurons 0 to 19"),
        ("1:x", "names no neuron"),
        ("similar:1.9", "layers from 1, as in 1:9"),
        ("similar:1:9,1:8", "one neuron"),
        ("similarity>0.5", "name it, such as similar:1:9"),
    ],
)
def test_what_cannot_be_read_is_named_with_a_remedy(text: str, says: str) -> None:
    with pytest.raises(QueryError, match=says) as error:
        parse(f"kl>0 {text}", LAYERS, KNOWN, [20] * 3)
    assert text.split()[-1] in str(error.value) or text.startswith("similarity")


def test_a_quote_that_is_not_closed_is_named() -> None:
    with pytest.raises(QueryError, match='“"at prior” opens a quote'):
        parse('kl>0 regime:"at prior', LAYERS, KNOWN)


def test_an_empty_query_asks_for_everything() -> None:
    assert parse("  ", LAYERS, KNOWN) == Query()


FAMILIES = ["gaussian", "categorical", "codes"]


def test_a_family_names_its_layers(frame: pd.DataFrame) -> None:
    def found(text: str) -> list[int]:
        query = parse(text, LAYERS, KNOWN, families=FAMILIES)
        return sorted(query.select(frame)["layer"].unique().tolist())

    assert found("family:categorical") == [1]
    assert found("family:codes,gaussian") == [0, 2]
    assert found("family:codes layer:1") == []
    assert found("family:von-mises") == [], "known, and not in this run"
    assert parse("family:gaussian", LAYERS, KNOWN).layers == {0, 1, 2}
    with pytest.raises(QueryError, match="did you mean categorical.*this run has gaussian, categorical, cod"):
        parse("family:categorial", LAYERS, KNOWN, families=FAMILIES)


def test_statistics_of_other_families_find_the_neurons_that_have_them() -> None:
    rows = pd.DataFrame(
        {"layer": [0, 1, 1, 2], "neuron": [0, 0, 1, 0], "settled": 0,
         "usage": [np.nan, np.nan, np.nan, 0.001], "entropy": [np.nan, 0.2, 1.9, np.nan]}
    )  # fmt: skip
    known = ["usage", "entropy"]
    assert parse("usage<0.01", LAYERS, known).select(rows).index.tolist() == [3]
    assert parse("entropy>1", LAYERS, known).select(rows).index.tolist() == [2]
    assert parse("sort:-entropy", LAYERS, known).select(rows).index.tolist() == [2, 1, 0, 3]
