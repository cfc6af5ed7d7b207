"""`probes.fleet`: tables over many runs, what cannot be read is left out, and nothing else can be reached."""

import shutil
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from fleet_runs import write_run

import probes
from probes import RunError
from probes.fleet.database import TABLES, Fleet
from probes.log import neuron_summary
from probes.synthetic_families import families_run


@pytest.fixture
def copied(runs, tmp_path):
    shutil.copytree(runs, tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture(scope="module")
def fleet(runs):
    with probes.fleet(runs) as made:
        yield made


def test_runs_have_their_settings_as_columns_and_folders_in_the_folder_count(fleet):
    table = fleet.sql('select run, beta, seed, "optimizer.lr", validation_nll, living_share from runs')
    assert len(table) == 7
    assert set(table["run"]) >= {"alone", "beta=0.1-seed1"}
    one = table.set_index("run").loc["beta=1.0-seed0"]
    assert one[["beta", "seed", "optimizer.lr"]].tolist() == [1.0, 0, 0.1]
    assert one["validation_nll"] == pytest.approx(1 + 1 / 40)
    assert one["living_share"] == 0.5


def test_a_folder_called_like_a_setting_is_no_setting(fleet):
    """DuckDB takes beta=1.0 in a path for a column."""
    assert "beta" not in fleet.columns("neurons")
    assert "beta" not in fleet.columns("history")


def test_neurons_say_where_layers_collapse(fleet):
    table = fleet.sql(
        "select beta, layer, avg((regime_name = 'at prior')::int) as collapsed, median(onset) as onset"
        " from neurons join runs using (run) group by all order by all"
    )
    assert table["collapsed"].tolist() == [0, 0, 0, 0.5, 0, 1]
    assert table["onset"].dropna().tolist() == pytest.approx([5] * 5, abs=1)  # smoothed: early


def test_layers_scalars_and_history_are_those_of_the_logs(fleet, runs):
    run = probes.Run(runs / "sweep" / "beta=0.1-seed0")
    layers = fleet.sql("select * from layers where run = 'beta=0.1-seed0' order by step, layer")
    assert layers["kl_mean"].to_numpy() == pytest.approx(run.layer_summary()["kl_mean"].to_numpy())
    assert layers["living_share"].tolist()[-2:] == [1, 0.5]
    assert layers["layer_name"].tolist()[-2:] == ["one", "two"]
    assert len(fleet.sql("select * from scalars where run = 'beta=0.1-seed0'")) == len(run.scalars())
    history = fleet.sql(
        "select * from history where run = 'beta=0.1-seed0' and layer = 1 order by neuron, step"
    )
    expected = run.history(1).sort_values(["neuron", "step"])
    assert np.array_equal(history["variance"], expected["variance"])


def test_answers_from_summaries_are_those_from_every_row(fleet):
    short, long = (
        fleet.sql(f"select run, layer, avg({living}) as living from {table} group by all order by all")
        for living, table in (
            ("living::int", "neurons"),
            (
                "(settled in (0, 9))::int",
                "(select h.* from history h join runs using (run) where step = last_step)",
            ),
        )
    )
    assert short.equals(long)


def test_a_missing_or_stale_summary_is_computed(copied):
    (copied / "alone" / neuron_summary.FILE).unlink()
    old = (copied / "sweep" / "beta=1.0-seed0" / neuron_summary.FILE).read_bytes()
    write_run_again = copied / "sweep" / "beta=1.0-seed0"
    shutil.rmtree(write_run_again)
    write_run(write_run_again, {"beta": 1.0, "seed": 0}, dead=0, steps=30)
    (write_run_again / neuron_summary.FILE).write_bytes(old)
    with probes.fleet(copied) as fleet:
        living = fleet.sql("select run, avg(living::int) as living from neurons group by run").set_index(
            "run"
        )
    assert living.loc["beta=1.0-seed0", "living"] == 1
    assert living.loc["alone", "living"] == 1


def test_not_more_summaries_are_computed_than_asked_for(copied):
    for path in copied.rglob(neuron_summary.FILE):
        path.unlink()
    rows = {row["path"]: row for row in probes.catalog_rows(copied, nested=True)}
    with Fleet(rows, most_computed=3) as fleet:
        assert fleet.sql("select count(distinct run) as n from neurons")["n"][0] == 3
        assert len(fleet.without_summary) == 4


@pytest.mark.parametrize("table", ["layers", "scalars", "neurons"])
def test_a_damaged_file_is_left_out_and_said(copied, table):
    run = copied / "sweep" / "beta=0.1-seed0"
    for path in (run / table).glob("*.parquet"):
        path.write_bytes(path.read_bytes()[:-30])
    with probes.fleet(copied) as fleet:
        name = "history" if table == "neurons" else table
        found = fleet.sql(f"select distinct run from {name}")
        assert "beta=0.1-seed0" not in set(found["run"])
        assert len(found) == 6
        assert [one for one in fleet.left_out if one.startswith("beta=0.1-seed0")]


def test_a_damaged_page_is_left_out_too(copied):
    [path] = (copied / "alone" / "scalars").glob("*.parquet")
    content = bytearray(path.read_bytes())
    content[4 : len(content) // 3] = bytes(len(content) // 3 - 4)
    path.write_bytes(content)
    with probes.fleet(copied) as fleet:
        assert "alone" not in set(fleet.sql("select * from scalars")["run"])


def test_a_damaged_summary_is_computed_from_the_log(copied):
    path = copied / "alone" / neuron_summary.FILE
    path.write_bytes(path.read_bytes()[:-30])
    with probes.fleet(copied) as fleet:
        assert len(fleet.sql("select * from neurons where run = 'alone'")) == 8


def test_a_run_that_cannot_be_read_is_left_out_and_said(copied):
    (copied / "alone" / "run.json").write_text("{")
    with probes.fleet(copied) as fleet:
        assert len(fleet.sql("select * from runs")) == 6
        assert "not readable" in fleet.left_out["alone"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("copy runs to 'x.csv'", "one SELECT statement, this is COPY"),
        ("select 1; select 2", "this is SELECT, SELECT"),
        ("set enable_external_access = true", "this is SET"),
        ("install httpfs", "one SELECT"),
        ("selec", "syntax error"),
        ("select nothing from runs", "nothing"),
        ("select * from read_csv('/etc/passwd')", "Cannot access file"),
        ("select * from read_text('/etc/hostname')", "Cannot access file"),
        ("", "this is none"),
    ],
)
def test_what_is_no_question_to_the_runs_is_refused_in_one_line(fleet, query, says):
    with pytest.raises(RunError, match=says) as caught:
        fleet.sql(query)
    assert "\n" not in str(caught.value)


def test_an_empty_folder_has_all_tables(tmp_path):
    with probes.fleet(tmp_path) as fleet:
        for table in TABLES:
            assert fleet.sql(f"select * from {table}").empty
            assert "run" in fleet.columns(table)
        assert fleet.varying() == []


def test_names_with_the_marks_of_patterns_and_quotes_are_names(runs, tmp_path):
    shutil.copytree(runs / "alone", tmp_path / "it's [1] *?")
    with probes.fleet(tmp_path) as fleet:
        for table in TABLES[1:]:
            assert set(fleet.sql(f"select run from {table}")["run"]) == {"it's [1] *?"}


def test_several_folders_whose_runs_are_called_the_same(runs, copied):
    with probes.fleet([runs, copied]) as fleet:
        names = set(fleet.sql("select run from runs")["run"])
    assert len(names) == 14
    assert {"alone", "runs/alone"} <= names


def test_a_run_that_lies_in_two_of_the_folders_counts_once(runs, tmp_path):
    (tmp_path / "link").symlink_to(runs)
    with probes.fleet([runs, runs / "sweep", runs / "sweep" / "..", tmp_path / "link"]) as fleet:
        assert len(fleet.sql("select * from runs")) == 7
        assert fleet.sql("select count(*) as n from neurons")["n"].tolist() == [7 * 8]


@pytest.mark.parametrize("place", ["sweep/beta=0.01-seed0", "sweep/beta=1.0-seed1"])
@pytest.mark.parametrize("kind", ["missing", "other"])
def test_a_summary_with_other_columns_is_computed_from_the_log(copied, place, kind):
    """Whether it is the first or the last that is read."""
    path = copied / place / neuron_summary.FILE
    with probes.fleet(copied) as fleet:
        expected = fleet.sql("select * from neurons order by all")
    table = pq.read_table(path)
    texts = table.set_column(
        table.schema.get_field_index("kl_last"), "kl_last", [["none"] * table.num_rows]
    ).replace_schema_metadata(table.schema.metadata)
    pq.write_table(table.drop_columns(["kl_last"]) if kind == "missing" else texts, path)
    with probes.fleet(copied) as fleet:
        assert fleet.sql("select * from neurons order by all").equals(expected)
        [said] = [why for name, why in fleet.left_out.items() if place.rpartition("/")[2] in name]
        assert "column `kl_last` is missing or of another type" in said


def test_a_written_table_has_each_setting_under_a_name_of_its_own(tmp_path):
    for number in (1, 2):
        write_run(tmp_path / f"run{number}", {"layer": number, "config_layer": 10 * number}, steps=6)
    target = tmp_path / "_fleet" / "neurons.parquet"
    with probes.fleet(tmp_path) as fleet:
        fleet.write("neurons", target)
    written = pq.read_table(target).to_pandas()
    assert set(written["config_config_layer"]) == {10, 20}
    assert set(written["config_layer"]) == {1, 2}
    assert set(written["layer"]) == {0, 1}


def test_settings_that_differ_and_a_table_as_a_file(copied):
    with probes.fleet(copied / "sweep") as fleet:
        assert fleet.varying() == ["beta", "seed"]
        target = copied / "sweep" / "_fleet" / "neurons.parquet"
        assert fleet.write("neurons", target) == 6 * 8
        written = fleet.sql(f"select beta, count(*) as n from '{target}' group by all order by all")
    assert written.to_numpy().tolist() == [[0.01, 16], [0.1, 16], [1.0, 16]]
    with probes.fleet(copied) as again:
        assert len(again.sql("select * from runs")) == 7


def test_a_relation_goes_on_in_duckdb(fleet):
    assert fleet.relation("select * from neurons").filter("layer = 1").aggregate("count(*)").fetchall() == [
        (28,)
    ]


def test_what_is_neither_a_folder_nor_an_object_store_is_refused(tmp_path):
    with pytest.raises(RunError, match="object stores such as s3://"):
        probes.fleet("hdfs://user:secret@bucket/runs")
    with pytest.raises(RunError, match="is not a folder"):
        probes.fleet(tmp_path / "none")


def test_duckdb_is_loaded_when_a_fleet_is_made_and_its_absence_is_said(runs):
    code = (
        "import sys, probes, probes.__main__, probes.fleet, probes.fleet.database;"
        "print('duckdb' in sys.modules); sys.modules['duckdb'] = None;"
        f"probes.fleet({str(runs)!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "False"
    assert "probes.fleet needs duckdb, which is not installed: pip install 'vdn-probes[ui]'" in done.stderr


def test_the_family_of_a_layer_and_statistics_of_other_families(copied):
    families_run(copied / "families", 100, batch=16)
    with probes.fleet(copied) as fleet:
        kinds = fleet.sql("select distinct family from neurons where run = 'families' order by family")
        assert kinds["family"].tolist() == ["beta", "categorical", "codes", "samples"]
        assert fleet.sql("select distinct family from neurons where run = 'alone'")["family"].tolist() == [
            "gaussian"
        ]
        dead = fleet.sql(
            "select count(*) as codes from neurons where family = 'codes' and usage_last = 0"
            " and regime_name = 'dead'"
        )
        assert dead["codes"].tolist() == [22]
        entropy = fleet.sql(
            "select run, count(entropy_last) as told, max(perplexity_mean) as most from neurons"
            " group by run order by run"
        ).set_index("run")
        assert entropy.loc["families", "told"] == 32
        assert 4 < entropy.loc["families", "most"] <= 8
        assert entropy.loc["alone", "told"] == 0
        layers = fleet.sql(
            "select layer_name, family, layer_perplexity, living_share from layers where run = 'families'"
            " and step = 99 order by layer"
        )
        assert layers["layer_perplexity"].notna().tolist() == [False, False, True, False]
        assert layers["living_share"].isna().tolist() == [False, False, False, True]
        assert not fleet.without_summary


def test_a_fleet_of_gaussians_has_the_same_columns(fleet):
    assert {"family", "usage_last", "entropy_mean", "perplexity_last"} <= set(fleet.columns("neurons"))
    assert fleet.sql("select distinct family from neurons")["family"].tolist() == ["gaussian"]
    assert fleet.sql("select count(usage_last) as n from neurons")["n"].tolist() == [0]


def test_summaries_of_gaussians_have_the_columns_that_they_had(tmp_path):
    write_run(tmp_path / "run", {"seed": 0})
    table = pq.read_table(tmp_path / "run" / neuron_summary.FILE)
    assert table.schema.names == neuron_summary.SCHEMA.names
    assert neuron_summary.MORE_KEY.encode() not in (table.schema.metadata or {})
