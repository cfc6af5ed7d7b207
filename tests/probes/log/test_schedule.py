"""Which steps are kept: multiples, powers, and both."""

import math
from fractions import Fraction

import numpy as np
import pytest

from probes.log.schedule import Schedule


def test_every_step_by_default():
    schedule = Schedule()
    assert all(schedule.due(step) for step in range(50))
    assert schedule.mask(np.arange(50)).tolist() == [True] * 50


def test_multiples_alone():
    schedule = Schedule(7)
    assert [step for step in range(30) if schedule.due(step)] == [0, 7, 14, 21, 28]
    assert schedule.mask(np.array([6, 7, 8, 14])).tolist() == [False, True, False, True]


@pytest.mark.parametrize(
    ("ratio", "every"), [("1.05", 100), ("1.2", 50), ("2", 1000), ("10", 10**6), ("3", 10**5), ("7", 10**6)]
)
def test_powers_while_they_are_closer_together_than_multiples(ratio, every):
    """By exact fractions: a power, rounded up, is that step, and s (r - 1), the way to the next, is below
    `every`.
    """
    exact = Fraction(ratio)
    end = math.ceil(every / (exact - 1)) + 2 * every
    powers, power = {0, 1}, Fraction(1)
    while power <= end:
        powers.add(math.ceil(power))
        power *= exact
    schedule = Schedule(every, geometric=float(ratio))
    near = {step + offset for step in powers for offset in (-1, 0, 1) if 0 <= step + offset <= end}
    for step in sorted(near | set(range(0, end, max(1, end // 3000)))):
        expected = step % every == 0 or (step in powers and step * (exact - 1) < every)
        assert schedule.due(step) == expected, step


def test_the_promise_of_the_documentation():
    """`Schedule(100, geometric=1.05)`: each of the first 20, ever fewer, from about step 2,000 on every
    100th.
    """
    kept = np.flatnonzero(Schedule(100, 1.05).mask(np.arange(5001)))
    assert kept[:21].tolist() == list(range(21))
    assert (np.diff(kept[(kept > 200) & (kept < 1900)]) <= 100).all()
    assert kept[kept >= 2000].tolist() == list(range(2000, 5001, 100))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0,), "every is 0; it must be at least 1"),
        ((1, 1.0), "geometric is 1.0; it must be greater than 1"),
        ((5, 0.5), "0.5"),
    ],
)
def test_what_thins_nothing_out_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        Schedule(*arguments)
