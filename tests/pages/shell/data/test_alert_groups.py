"""Alerts that repeat themselves are one line."""

from __future__ import annotations

import pandas as pd

from pages.shell.data.alert_groups import grouped


def test_one_kind_is_one_group_with_all_its_layers_and_steps() -> None:
    table = pd.DataFrame(
        {
            "step": [10, 20, 30],
            "kind": ["left living", "jump in KL", "left living"],
            "layers": [[0], [1], [2, 0]],
        }
    )
    first, second = grouped(table)
    assert (first.kind, len(first.alerts), first.layers, first.steps) == ("left living", 2, (0, 2), (10, 30))
    assert (second.kind, second.layers, second.steps) == ("jump in KL", (1,), (20, 20))
    assert grouped(table.iloc[:0]) == []
