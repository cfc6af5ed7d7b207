"""What happened to neurons, against planted courses."""

from __future__ import annotations

import numpy as np
import pandas as pd

from probes import diagnostics
from probes.analysis.neuron_events import onsets, regime_events, settled_until
from probes.schema import AT_PRIOR, DEAD

LIVING = 0
COURSES = {  # of four neurons over steps 10, 20, ...
    0: [AT_PRIOR, LIVING, LIVING, DEAD, LIVING, DEAD],
    1: [AT_PRIOR] * 6,
    2: [LIVING, LIVING, DEAD, DEAD, DEAD, DEAD],
    3: [LIVING] * 6,
}
STEPS = [10, 20, 30, 40, 50, 60]


def rows() -> pd.DataFrame:
    parts = [
        pd.DataFrame({"step": STEPS, "layer": 1, "neuron": neuron, "settled": codes})
        for neuron, codes in COURSES.items()
    ]
    return pd.concat(parts, ignore_index=True)


def test_leaving_and_dying_have_their_steps() -> None:
    table = rows()
    now = table[table["step"] == 60]
    found = regime_events(diagnostics.transitions(table), now, first=10)
    listed = {(e, n, s) for e, n, s in found[["event", "neuron", "step"]].itertuples(index=False)}
    assert listed == {
        ("left", 0, 20), ("left", 2, 10), ("left", 3, 10), ("died", 0, 40), ("died", 0, 60), ("died", 2, 30),
    }  # fmt: skip
    assert set(found["layer"]) == {1}


def test_regimes_count_up_to_the_step_that_is_looked_at() -> None:
    table = rows()
    moves, now = diagnostics.transitions(table), table[table["step"] == 60]
    at_30 = settled_until(moves, now, 30)
    assert set(at_30.loc[at_30["neuron"] == 0, "settled"]) == {AT_PRIOR, LIVING}
    at_60 = settled_until(moves, now, 60)
    assert set(at_60.loc[at_60["neuron"] == 0, "settled"]) == {AT_PRIOR, LIVING, DEAD}
    assert not at_60.duplicated().any()


def test_onsets_are_those_of_the_sentence() -> None:
    steps = np.arange(100)
    contraction = np.stack([np.zeros(100), np.linspace(0, 0.9, 100)])
    found = onsets(2, steps, contraction)
    assert found[["layer", "neuron"]].values.tolist() == [[2, 1]]
    assert found["step"].tolist() == [int(diagnostics.onset(steps, contraction[1], 0.05))]
