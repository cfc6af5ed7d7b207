"""Chosen indices: both ends, at most as many as asked for, increasing, at the distances of the name."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from probes.spacing import evenly_spaced, evenly_spaced_between, log_spaced, log_spaced_steps

ROOT = Path(__file__).parents[2]
COUNTS = (0, 1, 2, 3, 7, 49, 50, 51, 1000, 12_345)


def of_steps(count: int, most: int) -> np.ndarray:
    return log_spaced_steps(np.arange(count) * 3 + 5, most)


@pytest.mark.parametrize("chosen", [evenly_spaced, log_spaced, of_steps])
@pytest.mark.parametrize("most", [1, 2, 3, 50])
def test_both_ends_at_most_so_many_and_increasing(chosen, most) -> None:
    for count in COUNTS:
        found = chosen(count, most)
        assert len(found) <= min(count, most)
        assert (np.diff(found) > 0).all()
        assert found.dtype == np.int64
        if count:
            assert found[0] == 0
            assert found[-1] == (count - 1 if most > 1 else 0)


@pytest.mark.parametrize("most", [2, 5, 64])
def test_even_distances_differ_by_at_most_one_and_none_is_missing(most) -> None:
    for count in COUNTS:
        found = evenly_spaced(count, most)
        assert len(found) == min(count, most)
        assert np.ptp(np.diff(found)) <= 1 if len(found) > 1 else True


def test_a_range_begins_where_it_is_told() -> None:
    assert evenly_spaced_between(3, 9, 3).tolist() == [3, 6, 9]
    assert evenly_spaced_between(3, 3, 5).tolist() == [3]
    assert evenly_spaced_between(3, 2, 5).tolist() == []


def test_log_distances_grow_in_proportion() -> None:
    found = log_spaced(10_000, 100) + 1
    late = found[found > 100]
    np.testing.assert_allclose(np.diff(np.log(late)), np.log(10_000) / 99, rtol=0.1)


def test_log_spaced_steps_go_by_the_step_and_not_by_its_index() -> None:
    steps = np.r_[np.arange(100), np.arange(100, 100_000, 1000)]
    chosen = steps[log_spaced_steps(steps, 40)]
    assert chosen[0] == 0
    assert chosen[-1] == steps[-1]
    assert 12 <= (chosen < 100).sum() <= 20  # two of five decades, with few whole steps in the first


def test_indices_are_chosen_here_and_nowhere_else() -> None:
    """The expression was once written in twelve places, with and without its corner cases."""
    written = re.compile(r"unique\(\s*np\.(linspace|geomspace)")
    paths = [path for folder in ("probes", "pages") for path in (ROOT / folder).rglob("*.py")]
    assert [str(path) for path in paths if written.search(path.read_text(encoding="utf-8"))] == []
