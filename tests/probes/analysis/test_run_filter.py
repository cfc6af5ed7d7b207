"""The filter of runs, against conditions written out in Python."""

import pytest

from probes.analysis import run_filter

RUNS = {
    "a": {
        "name": "a",
        "status": "finished",
        "config": {"beta": 0.005, "layers": 3, "twin": False, "data": "nyc"},
        "tags": ["keep"],
    },
    "b": {
        "name": "b",
        "status": "crashed",
        "config": {"beta": 0.05, "layers": 3, "twin": True, "data": "csv:my file"},
        "seed": 1,
    },
    "c": {
        "name": "c",
        "status": "finished",
        "config": {"beta": 0.2, "layers": 1, "optimizer": {"lr": 1e-3}},
        "notes": "Nice one",
    },
    "d": {
        "name": "d",
        "status": "finished",
        "layers": 2,
        "created": "2026-11-23T10:00:00+00:00",
        "living_share": [0.5, None, 1],
    },
}


def found(text):
    facts = {name: run_filter.facts(row, nll=0.5 if name == "a" else None) for name, row in RUNS.items()}
    terms = run_filter.parse(text)
    run_filter.check(terms, facts.values())
    return "".join(name for name, run in facts.items() if run_filter.matches(terms, run))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", "abcd"),
        ("layers=3", "ab"),
        ("layers=2", "d"),
        ("layers=3 beta<0.05", "a"),
        ("beta <= 0.05", "ab"),
        ("beta>=5e-2", "bc"),
        ("beta=5e-3", "a"),
        ("beta!=0.2", "abd"),
        ("twin=true", "b"),
        ("twin:no", "a"),
        ("status:finished nice", "c"),
        ("tag:KEEP", "a"),
        ("keep", "a"),
        ('data="csv:my file"', "b"),
        ("optimizer.lr=0.001", "c"),
        ("BETA<1", "abc"),
        ("nll<1", "a"),
        ("living>70", "d"),
        ("created>2026-11-22", "d"),
        ("created<2026-11-22", ""),
        ('"Nice one"', "c"),
        ('"a = b"', ""),
    ],
)
def test_a_filter_leaves_what_meets_it(text, names):
    assert found(text) == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bta<1", "no run has “bta”; did you mean beta"),
        ("beta<", "is no condition"),
        ("<3", "is no condition"),
        ("beta<low", "needs a number on its right"),
        ("data<3", "is text here"),
        ('data="nyc', "close the quote"),
    ],
)
def test_a_bad_filter_says_what_is_wrong(text, message):
    with pytest.raises(run_filter.FilterError, match=message):
        found(text)
