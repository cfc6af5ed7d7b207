"""Scores of runs beside each other: each row says what it is, and nothing but scores is subtracted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pages.shell.data import run_comparison


def run(**values: float) -> Any:
    scores = {name.replace("__", "/"): {"step": 9, "value": value} for name, value in values.items()}
    return SimpleNamespace(entry=SimpleNamespace(row={"scores": scores}))


def test_two_scores_of_one_title_are_told_apart_and_settings_are_no_scores() -> None:
    names = ("train__nll", "train__nll_joint", "test__living_share_2", "test__draws", "test__weights_step")
    one, two = run(**dict.fromkeys(names, 1.0)), run(**dict.fromkeys(names, 3.0))
    frame = run_comparison.scores_frame({"one": one, "two": two}, "one")
    assert frame["score"].tolist() == [
        "test living share, layer 2", "train NLL (nats), nll_joint", "train NLL (nats), nll",
    ]  # fmt: skip
    assert frame["two − one"].tolist() == [2.0, 2.0, 2.0]
    assert run_comparison.score_title("test/rate") == "test rate (nats)"
    alone = run_comparison.scores_frame({"one": run(train__nll=1.0), "two": run(train__nll=2.0)}, "two")
    assert alone["score"].tolist() == ["train NLL (nats)"]
