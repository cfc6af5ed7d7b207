"""What a phone shows of runs that are compared."""

from __future__ import annotations

from pages.shell.widgets import compare_runs


def test_the_column_of_scores_is_as_wide_as_its_titles_need() -> None:
    assert compare_runs.score_width(["train loss", "train beta"]) < 110
    assert compare_runs.score_width(["train loss", "validation coverage of the 95 % interval (share)"]) == 270
