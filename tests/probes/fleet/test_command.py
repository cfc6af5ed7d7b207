"""`probes fleet` on the command line."""

import io
import shutil

import pandas as pd
import pyarrow.parquet as pq
import pytest

from probes.__main__ import main
from probes.fleet.command import CELL, table_lines


def test_a_question_is_answered_by_a_table_and_by_csv(runs, capsys):
    query = "select beta, count(*) as n, avg(living_share) as living from runs group by all order by all"
    assert main(["fleet", str(runs), query]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:2]] == [["beta", "n", "living"], ["0.01", "3", "1"]]
    assert main(["fleet", str(runs), query, "--csv"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "beta,n,living"
    assert main(["fleet", str(runs), "select * from runs where beta > 5"]) == 0
    assert capsys.readouterr().out == "no rows\n"


def test_compact_writes_large_files_with_the_settings(runs, tmp_path, capsys):
    shutil.copytree(runs, tmp_path / "runs")
    assert main(["fleet", "compact", str(tmp_path / "runs")]) == 0
    folder = tmp_path / "runs" / "_fleet"
    assert {path.stem for path in folder.iterdir()} == {"runs", "neurons", "layers", "scalars"}
    neurons = pq.read_table(folder / "neurons.parquet")
    assert {"run", "beta", "seed", "kl_last"} <= set(neurons.column_names)
    assert neurons.num_rows == 7 * 8
    assert "56 rows" in capsys.readouterr().out
    assert main(["fleet", "compact", str(tmp_path / "runs"), "--history"]) == 0
    assert pq.read_table(folder / "history.parquet").num_rows == 7 * 8 * 40


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["{runs}", "select nothing"], "nothing"),
        (["{runs}/none", "select 1"], "is not a folder"),
        (["compact", "{empty}"], "holds no run"),
    ],
)
def test_what_cannot_be_answered_is_one_line(runs, tmp_path, capsys, words, says):
    assert main(["fleet", *(word.format(runs=runs, empty=tmp_path) for word in words)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert says in line


def test_what_is_left_out_is_said_beside_the_answer(runs, tmp_path, capsys):
    shutil.copytree(runs / "alone", tmp_path / "whole")
    shutil.copytree(runs / "alone", tmp_path / "broken")
    (tmp_path / "broken" / "run.json").write_text("{")
    assert main(["fleet", str(tmp_path), "select count(*) as n from runs"]) == 0
    output = capsys.readouterr()
    assert output.out.split() == ["n", "1"]
    assert output.err.startswith("left out: broken: ")


def test_a_folder_without_runs_is_said_beside_the_answer(tmp_path, capsys):
    assert main(["fleet", str(tmp_path), "select * from runs"]) == 0
    output = capsys.readouterr()
    assert (output.out, output.err) == ("no rows\n", f"{tmp_path} holds no run that can be read\n")


# ---- a table that is too wide

MANY = pd.DataFrame(
    {"run": ["first", "second"], "same": "s", "none": ["", "-"], "long": ["a" * 90, "b" * 90]}
    | {f"column{place:02}": [f"{place}", f"{place + 1}"] for place in range(30)}
)


@pytest.mark.parametrize("width", [80, 160])
def test_a_wide_table_is_shown_in_parts_with_the_first_column(width):
    lines = table_lines(MANY, width)
    assert max(map(len, lines)) <= width
    assert lines[:4] == ["in every row: same = s", "", "empty: none", ""]
    parts = [part.split("\n") for part in "\n".join(lines[4:]).split("\n\n")]
    assert len(parts) > 1
    found = {}
    for head, *rows in parts:
        names, values = head.split(), [row.split() for row in rows]
        assert [row[0] for row in values] == ["first", "second"]
        found |= {name: [row[place] for row in values] for place, name in enumerate(names)}
    told = MANY.drop(columns=["same", "none"]).assign(long=["a" * (CELL - 1) + "…", "b" * (CELL - 1) + "…"])
    assert found == told.to_dict("list")


def test_one_wide_row_is_a_line_a_column_and_a_narrow_table_is_as_it_was():
    lines = table_lines(MANY[:1], 80)
    assert [line.split() for line in lines[:3]] == [["run", "first"], ["same", "s"], ["none"]]
    assert lines[3] == "long      " + "a" * 69 + "…"
    narrow = MANY[["run", "same"]]
    assert table_lines(narrow, 80) == narrow.to_string(index=False).split("\n")


def test_csv_is_whole_however_wide(runs, capsys):
    assert main(["fleet", str(runs), "select *, repeat('x', 500) as x from runs", "--csv"]) == 0
    read = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert set(read["x"]) == {"x" * 500}
