"""Lines are taken apart as both searches read them."""

from __future__ import annotations

import pytest

from probes.analysis.terms import Term, TermError, split, unquoted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("  ", []),
        ("nyc", [(None, "", "nyc")]),
        ("kl>0.3 sort:-kl", [("kl", ">", "0.3"), ("sort", ":", "-kl")]),
        ("beta <= 0.05  x!=1", [("beta", "<=", "0.05"), ("x", "!=", "1")]),
        ("optimizer.lr=1e-3", [("optimizer.lr", "=", "1e-3")]),
        ('layer:"my layer",2 b', [("layer", ":", '"my layer",2'), (None, "", "b")]),
        ('"a = b" c', [(None, "", '"a = b"'), (None, "", "c")]),
        ('data="csv:a <b>"', [("data", "=", '"csv:a <b>"')]),
        ("data=csv:a", [("data", "=", "csv:a")]),
        ("layer: 2", [("layer", ":", ""), (None, "", "2")]),
        ("beta<", [("beta", "<", "")]),
        ("<3", [(None, "", "<3")]),
        ("it's", [(None, "", "it's")]),
    ],
)
def test_terms(text: str, expected: list[tuple[str | None, str, str]]) -> None:
    assert [(term.key, term.sign, term.value) for term in split(text)] == expected


def test_a_term_keeps_how_it_is_written() -> None:
    assert split(' kl  >= "0.3" x') == [
        Term("kl", ">=", '"0.3"', 'kl  >= "0.3"'),
        Term(None, "", "x", "x"),
    ]
    assert unquoted('"my" "x"') == "my x"


def test_a_quote_that_is_not_closed_is_refused() -> None:
    with pytest.raises(TermError, match="close the quote"):
        split('layer:"my')
