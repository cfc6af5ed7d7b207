"""Settings and scores as columns: nested, of mixed kinds, with names that are taken."""

import pytest

from probes.fleet import run_columns


def row(config, scores=None):
    return {
        "path": "/runs/a", "status": "finished", "created": None, "group": None, "tags": ["x", "y"],
        "steps": 3, "last_step": 2, "layers": 1, "neurons": 4, "living_share": [0.5], "layer_neurons": [4],
        "config": config, "scores": scores or {}, "seed": config.get("seed"),
    }  # fmt: skip


def values(*configs):
    table, settings, _ = run_columns.runs_table({str(n): row(config) for n, config in enumerate(configs)})
    return {key: table[column].to_pylist() for key, column in settings.items()}


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ((1, 2), [1, 2]),
        ((1, 2.5), [1.0, 2.5]),
        ((True, False), [True, False]),
        ((True, 1), ["true", "1"]),
        ((1, "auto"), ["1", "auto"]),
        (([1, 2], None), ["[1, 2]", None]),
        ((2**70, 1), [float(2**70), 1.0]),
        ((10**400, 1), [str(10**400), "1"]),
        ((float("inf"), 1), [float("inf"), 1.0]),
        ((1e308, -float("inf")), [1e308, -float("inf")]),
        ((None, None), [None, None]),
    ],
)
def test_kinds(given, stored):
    assert values(*({"key": value} for value in given))["key"] == stored


def test_nested_settings_have_dotted_names():
    assert values({"a": {"b": {"c": 1}}, "d": 2}) == {"a.b.c": [1], "d": [2]}


def test_a_setting_that_some_runs_lack_is_null_there():
    assert values({"a": 1}, {"b": 2}) == {"a": [1, None], "b": [None, 2]}


def test_names_that_are_taken_get_a_prefix():
    table, settings, scores = run_columns.runs_table(
        {
            "one": row(
                {"run": 1, "lr": 2, "LR": 3, "": 4}, {"validation/nll": {"value": 5.0}, "lr": {"value": 6}}
            )
        }
    )
    assert settings == {"run": "config_run", "lr": "lr", "LR": "config_LR", "": "config_"}
    assert scores == {"validation/nll": "validation_nll", "lr": "score_lr"}
    lower = [name.lower() for name in table.column_names]
    assert len(set(lower)) == len(lower)


def test_a_score_that_is_not_finite_leaves_those_of_the_other_runs_numbers():
    rows = {str(n): row({}, {"nll": {"value": value}}) for n, value in enumerate((float("nan"), 1.5))}
    column = run_columns.runs_table(rows)[0]["nll"].to_pylist()
    assert column == pytest.approx([float("nan"), 1.5], nan_ok=True)


def test_of_too_many_settings_those_of_most_runs_are_kept():
    many = {f"own{number}": number for number in range(2000)}
    table, settings, _ = run_columns.runs_table({"a": row({"common": 1} | many), "b": row({"common": 2})})
    assert table.num_columns <= run_columns.MOST_COLUMNS
    assert "common" in settings


def test_the_living_share_is_of_all_neurons():
    wide = row({}) | {"living_share": [1.0, 0.0, None], "layer_neurons": [30, 10, 5]}
    table, _, _ = run_columns.runs_table({"a": wide})
    assert table["living_share"].to_pylist() == [0.75]
