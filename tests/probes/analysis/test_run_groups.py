"""Twins, seeds and differences of runs, on rows written by hand."""

import numpy as np

from probes.analysis import run_groups

NLL = ("validation/nll", "test/nll")


def row(name, config, nll=None, split="validation", group=None, created="", points=()):
    scores = {} if nll is None else {f"{split}/nll": {"step": 1, "value": nll}}
    return {
        "name": name, "config": config, "scores": scores, "group": group, "created": created,
        "sparklines": {"validation/nll": [list(point) for point in points]},
    }  # fmt: skip


def test_the_twin_is_the_newest_with_the_same_settings():
    own = row("own", {"beta": 1, "layers": 3, "twin": False}, 0.5)
    rows = [
        own,
        row("old", {"beta": 1, "layers": 3, "twin": True}, 0.9, created="2026-01"),
        # reads no beta
        row("new", {"beta": 9, "layers": 3, "lr": 0.1, "twin": True}, 0.7, created="2026-02"),
        row("other", {"beta": 1, "layers": 2, "twin": True}, 0.1, created="2026-03"),
    ]
    assert run_groups.twin_of(own, rows)["name"] == "new"
    assert np.isclose(run_groups.twin_deltas([own], rows, NLL)[0], -0.2)
    assert run_groups.twin_of(rows[1], rows) is None
    assert run_groups.twin_of(row("bare", {}), rows) is None


def test_a_delta_compares_the_same_score():
    own, twin = row("own", {"twin": False}, 0.5), row("twin", {"twin": True}, 0.7, split="test")
    assert run_groups.twin_deltas([own], [own, twin], NLL)[0] is None
    own["scores"]["test/nll"] = {"step": 1, "value": 0.6}
    assert np.isclose(run_groups.twin_deltas([own], [own, twin], NLL)[0], -0.1)
    twin["scores"]["test/nll"]["value"] = None  # a score that was not finite
    assert run_groups.twin_deltas([own], [own, twin], NLL)[0] is None


def test_differences_are_those_settings_alone():
    table = run_groups.differences(
        {"a": {"x": 1, "y": 2, "z": None}, "b": {"x": 1, "y": 2.5, "w": True}, "c": {"x": 1, "y": 2}}
    )
    assert table.index.tolist() == ["y", "z", "w"]
    assert table.loc["y"].tolist() == ["2", "2.5", "2"]
    assert table.loc["z"].tolist() == ["None", "–", "–"]
    assert run_groups.differences({"a": {"x": True}, "b": {"x": 1}}).loc["x"].tolist() == ["True", "1"]


def test_groups_are_of_seeds_and_called_by_what_differs():
    rows = [
        row(f"{beta}-{seed}", {"data": "nyc", "beta": beta, "seed": seed}, group=str(beta))
        for beta in (1, 2)
        for seed in (0, 1)
    ]
    rows += [row("third", {"data": "nyc", "beta": 2, "seed": 3}, group="2"), row("bare", {}, group="0")]
    groups = run_groups.seed_groups(rows)
    assert {key: len(group) for key, group in groups.items()} == {"2": 3, "1": 2}
    assert run_groups.group_labels(groups) == {"2": "beta=2", "1": "beta=1"}
    assert run_groups.group_labels({"1": groups["1"]}) == {"1": "data=nyc"}


def test_labels_of_different_groups_differ():
    configs = [{letter: value for letter in "abcd"} | {"d": 5} for value in (1, 2)] + [
        {"a": 1, "b": 1, "c": 1, "d": 6}
    ]
    labels = run_groups.group_labels({str(i): [row("", config)] for i, config in enumerate(configs)})
    assert len(set(labels.values())) == 3


def test_a_common_curve_interpolates_and_does_not_reach_beyond_a_run():
    curves = [np.array([[0.0, 0.0], [10.0, 10.0]]), np.array([[5.0, 1.0]]), np.zeros((0, 2))]
    steps, values = run_groups.common_curve(curves)
    assert steps.tolist() == [0, 5, 10]
    np.testing.assert_array_equal(values, [[0, 5, 10], [np.nan, 1, np.nan]])
    assert run_groups.common_curve([])[0].size == 0


def test_a_curve_leaves_out_what_is_no_number():
    found = run_groups.curve(row("", {}, points=[(0, 1.0), (1, None), (2, 3.0)]), NLL)
    np.testing.assert_array_equal(found, [[0, 1], [2, 3]])
    assert run_groups.curve(row("", {}), ("nothing",)).shape == (0, 2)


def test_runs_are_ranked_within_one_data_set_and_score():
    rows = [
        row("a", {"data": "nyc"}, 0.5), row("b", {"data": "nyc"}, 0.3), row("c", {"data": "ett"}, 9.0),
        row("d", {"data": "nyc"}, 0.3), row("e", {"data": "nyc"}, 0.1, split="test"),
        row("f", {"data": "nyc"}),
        row("g", {}, 0.2), row("h", {"data": "nyc", "horizon": 48}, 0.4),
    ]  # fmt: skip
    assert run_groups.ranks(rows, NLL) == [3, 1, 1, 1, 1, None, None, 1]


def test_names_are_shortened_by_what_all_have():
    assert run_groups.short_names(["nyc-b0.1-seed0", "nyc-b0.2-seed0"]) == ["b0.1", "b0.2"]
    assert run_groups.short_names(["nyc-a", "nyc-b-a"]) == [
        "nyc-a",
        "nyc-b-a",
    ]  # nothing would be left of one
    assert run_groups.short_names(["x-a-b", "x_a-b", "x-c"]) == ["x-a-b", "x_a-b", "x-c"]  # two would be one
    assert run_groups.short_names(["digits-0", "digits-1"]) == ["digits-0", "digits-1"]  # 0 is no name
    assert run_groups.short_names(["only-one"]) == ["only-one"]
    assert run_groups.short_names([]) == []


def test_settings_that_vary_are_those_with_two_values():
    configs = [{"a": 1, "b": 2, "parts": [{"x": 1}]}, {"a": 1, "b": 3, "parts": [{"x": 2}]}, {"c": 5}]
    assert run_groups.varying_settings(configs) == ["b"]
    flat = run_groups.flat_config({"watch": {"every": 5, "of": {"x": 1}}, "seed": 0})
    assert flat == {"watch.every": 5, "watch.of.x": 1, "seed": 0}


def test_seeds_are_paired_where_two_settings_have_them_in_common() -> None:
    def row(group: str, seed: int, created: str = "1", status: str = "finished") -> dict[str, object]:
        return {"group": group, "seed": seed, "created": created, "status": status, "path": (group, seed)}

    rows = [row("a", 0), row("a", 1), row("a", 2), row("b", 1), row("b", 2, "0"), row("b", 2), row("c", 0)]
    rows.append(row("b", 0, status="crashed"))
    pairs = run_groups.seed_pairs(rows[0], rows[3], rows)
    assert [(one["seed"], other["seed"]) for one, other in pairs] == [(1, 1), (2, 2)]
    assert pairs[1][1]["created"] == "1", "the newest"
    assert run_groups.seed_pairs(rows[0], rows[6], rows) == [(rows[0], rows[6])], "one seed in common"
    assert run_groups.seed_pairs(rows[0], rows[1], rows) == [(rows[0], rows[1])], "they differ by their seed"


def test_groups_alike_in_the_first_settings_are_told_apart_by_those_that_differ():
    """Three settings of many values, and a learning rate of two: it is named, not counted."""
    configs = [
        {"a": i // 2, "b": i // 2, "c": i // 2, "data": "nyc", "lr": (0.1, 0.01)[i % 2]} for i in range(8)
    ]
    labels = run_groups.group_labels({str(i): [row("", config)] for i, config in enumerate(configs)})
    assert labels["0"] == "a=0 b=0 c=0 lr=0.1"
    assert labels["7"] == "a=3 b=3 c=3 lr=0.01"


def test_runs_of_which_watch_alone_wrote_the_config_are_nobodys_seeds():
    watched = [row(name, {"watch": {"every": 5}}, group="1") for name in ("light", "heavy")]
    assert run_groups.seed_groups(watched) == {}
    known = row("known", {"watch": {"every": 5}, "beta": 1.0}, group="2")
    assert list(run_groups.seed_groups([*watched, known])) == ["2"]
