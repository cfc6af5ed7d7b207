"""A fleet by Daft on two workers of Ray answers as DuckDB does, the same questions word by word."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fleet_runs import write_run

import probes
from probes import RunError
from probes.__main__ import main
from probes.fleet.database import Fleet
from probes.log import neuron_summary

QUESTIONS = (
    "select beta, avg(living_share) as l from runs group by all order by all",
    "select beta, layer, avg((regime_name = 'at prior')::int) as collapsed, median(onset) as onset"
    " from neurons join runs using (run) group by all order by all",
    "select run, layer, avg(living::int), sum(kl_last), stddev(kl_mean) from neurons group by all"
    " order by all",
    "select run, step, layer, layer_name, living_share, kl_mean from layers order by all",
    "select run, count(*), avg(value) from scalars group by all order by all",
    "select r.beta, h.layer, avg((h.settled in (0, 9))::int) as living, max(h.kl) from history h"
    " join runs r on r.run = h.run where h.step = r.last_step group by all order by all",
    "with late as (select run, max(onset) as onset from neurons group by run)"
    " select r.run, l.onset from runs r join late l on l.run = r.run order by r.run",
    "select run, persistence_last from neurons order by persistence_last desc, run limit 5",
    "select run, max(kl), max(kl) - min(kl) as wide, count(*) from history group by all order by all",
    "select count(*) as n from history where kl < 0",
    "select count(*) as n from history where kl <> 0",
    "select count(*) as n from history where variance <= 0.2",
    "select run, step, layer, variance in (0.2, 0.5) as x from history where neuron = 0 order by all",
    "select max(layer * 30000) as x, sum(step * neuron) as y, max(step) as z from history",
    'select 7 as "A", 8 as "a" from runs limit 1',
    "select a.run, b.run from runs a join runs b on a.beta = b.beta order by all",
    "select name, count(*) as n from runs group by name order by name",
    "select layer, floor(kl_last * 10) / 10 as bin, count(*) as n from neurons group by all order by all",
    "select run, layer, neuron, round(kl_last * 10)::int as tenth from neurons order by all",
    "select run, kl from history where step < 2 order by step, layer, neuron, run",
    "select * from runs order by all",
    "select * from neurons order by all",
    "select * from history where step = 3 order by all",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven runs; of one the summary is missing, one has a statistic more than the others have."""
    folder = tmp_path_factory.mktemp("fleet")
    for place, beta in enumerate((0.01, 0.1, 1.0)):
        for seed in (0, 1):
            config = {"beta": beta, "seed": seed, "optimizer": {"lr": 0.1}}
            write_run(folder / "sweep" / f"beta={beta}-seed{seed}", config, dead=2 * place)
    (write_run(folder / "alone", {"beta": 0.01}) / neuron_summary.FILE).unlink()
    layers = [{"name": "one", "neurons": 4}]
    with probes.Recorder(folder / "other", layers, {"beta": 0.5}) as recorder:
        for step in range(5):
            recorder.record(step, 0, mean=[0.0] * 4, variance=[0.5] * 4, kl=[1.0] * 4, mu2=[1.0] * 4)
    with probes.Recorder(folder / "it's {not} finite", layers, {"beta": 0.5, "name": "x"}) as recorder:
        for step in range(5):
            recorder.record(step, 0, mean=[0.0] * 4, variance=[0.2] * 4, kl=[np.nan, np.inf, 1.0, -0.0])
    return folder


@pytest.fixture(scope="module")
def fleets(cluster: object, runs: Path) -> Iterator[tuple[Fleet, Fleet]]:
    with probes.fleet(runs) as duckdb, probes.fleet(runs, engine="daft") as daft:
        yield duckdb, daft


@pytest.mark.parametrize("question", QUESTIONS)
def test_answers_are_duckdbs(fleets: tuple[Fleet, Fleet], question: str) -> None:
    left, right = (fleet.sql(question) for fleet in fleets)
    assert len(left)
    pd.testing.assert_frame_equal(right, left, rtol=1e-12)


def test_the_workers_are_two_and_of_this_machine_alone(fleets: tuple[Fleet, Fleet]) -> None:
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"]]
    assert [node["NodeManagerAddress"] for node in nodes] == ["127.0.0.1"] * 2


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ("copy runs to 'x.csv'", "one SELECT statement"),
        ("select * from read_csv('/etc/passwd')", "Cannot access file"),
        ("select nothing from runs", "nothing"),
        ("select quantile_cont(kl_last, 0.5) from neurons", "Daft does not take this question"),
        ("select kl_last::int from neurons", "write round"),
        ("select sum(step) over (partition by run order by step) from history", "it sums windows"),
    ],
)
def test_what_is_no_question_is_refused(fleets: tuple[Fleet, Fleet], question: str, says: str) -> None:
    with pytest.raises(RunError, match=says):
        fleets[1].sql(question)


def test_names_with_the_marks_of_patterns_are_names(cluster: object, runs: Path, tmp_path: Path) -> None:
    """The first would be read as the second, twice."""
    names = ["a{b,b}d", "abd", "a\\b", "[a]*?"]
    for name in names:
        shutil.copytree(runs / "other", tmp_path / name)
    with probes.fleet(tmp_path, engine="daft") as fleet:
        for table, rows in (("neurons", 4), ("layers", 5), ("history", 20)):
            found = fleet.sql(f"select run, count(*) as n from {table} group by run order by run")
            assert found["run"].tolist() == sorted(names)
            assert found["n"].tolist() == [rows] * 4


def test_a_damaged_file_is_left_out_and_said(cluster: object, runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    [path] = (tmp_path / "runs" / "alone" / "scalars").glob("*.parquet")
    content = bytearray(path.read_bytes())
    content[4 : len(content) // 3] = bytes(len(content) // 3 - 4)
    path.write_bytes(content)
    with probes.fleet(tmp_path / "runs", engine="daft") as fleet:
        assert "alone" not in set(fleet.sql("select * from scalars")["run"])
        assert any(name.startswith("alone") for name in fleet.left_out)


def test_on_the_command_line(cluster: object, runs: Path, capsys: Any) -> None:
    assert main(["fleet", str(runs), "select count(*) as n from runs", "--engine", "daft"]) == 0
    assert capsys.readouterr().out.split() == ["n", "9"]
