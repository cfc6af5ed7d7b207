"""A fleet of stored runs, a training into a store, and how many requests `check` waits for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import probes
from benchmarks.store_server import Proxy
from probes import Recorder, RunError
from probes.__main__ import main as ask
from probes.fleet import copies
from probes.log.check import check
from vdn.__main__ import main

LAYERS = [{"name": "one", "neurons": 4}]


@pytest.fixture(scope="module")
def both(served: object, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Twenty runs, here and in the store."""
    from probes.mirror import follow, target_of

    here, url = tmp_path_factory.mktemp("fleet"), "s3://runs/fleet"
    for number in range(20):
        name = f"run{number}"
        with Recorder(here / name, LAYERS, {"beta": number % 4, "seed": number}) as recorder:
            for step in range(20):
                values = [0.1 * number + step] * 4
                recorder.record(step, 0, mean=values, variance=[0.5] * 4, kl=values)
            recorder.scalar(19, "nll", float(number), split="validation")
        follow(here / name, target_of(f"{url}/{name}"), 0.1)
    return here, url


@pytest.mark.parametrize("table", ["runs", "neurons", "layers", "scalars", "history"])
def test_answers_are_those_of_the_folder(both: tuple[Path, str], proxy: Proxy, table: str) -> None:
    here, url = both
    with probes.fleet(here) as local, probes.fleet(url) as stored:
        left = local.sql(f"select * from {table} order by all").drop(columns="path", errors="ignore")
        right = stored.sql(f"select * from {table} order by all").drop(columns="path", errors="ignore")
        assert len(left)
        assert left.equals(right)
        assert not stored.left_out


def test_few_requests_are_made_and_many_at_once(
    both: tuple[Path, str], proxy: Proxy, forget: Callable[[], None]
) -> None:
    proxy.delay = 0.03
    with probes.fleet(both[1]) as fleet:
        proxy.clear()
        fleet.sql("select run, avg(kl_last) from neurons group by run")
        # mirrors of earlier tests may still say that they live
        asked = [one for one in proxy.requests if "fleet" in one.path]
        assert len(asked) <= 2 * 20, "a LIST and a GET a run"


def test_copies_end_with_the_fleet_and_have_a_limit(
    both: tuple[Path, str], proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with probes.fleet(both[1]) as fleet:
        fleet.sql("select count(*) from scalars")
        folder = Path(fleet._copies.folder)
        assert any(folder.rglob("*.parquet"))
        monkeypatch.setattr(copies, "MOST_BYTES", 1000.0)
        with pytest.raises(RunError, match="fewer runs"):
            fleet.sql("select count(*) from history")
    assert not folder.exists()


def test_the_command_line_asks_a_store(
    both: tuple[Path, str], proxy: Proxy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(["fleet", both[1], "select count(*) as n from runs"]) == 0
    assert capsys.readouterr().out.split() == ["n", "20"]


def test_check_of_a_store_asks_for_many_files_at_once(
    mirrored: str, long_run: Path, proxy: Proxy, forget: Callable[[], None]
) -> None:
    forget()
    proxy.delay = 0.05
    proxy.clear()
    assert check(mirrored) == check(long_run)
    assert proxy.most_at_once >= 8
    files = sum(1 for _ in long_run.rglob("*.parquet"))
    assert len(proxy.requests) <= 4 * files, "no file is asked for again and again"


def test_training_into_a_store(url: str, proxy: Proxy, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--layers=1", "--neurons=4", "--batch=16", "--steps=12", "--test-draws=1", "--threads=1"]
    assert main(["train", *words, f"--out={url}"]) == 0, capsys.readouterr().err
    assert f"finished: {url}" in capsys.readouterr().out
    run = probes.Run(url)
    assert run.status == "finished"
    assert not [found for found in check(url) if found.level == "error"]
    assert main(["resume", url]) == 2
    assert "is finished" in capsys.readouterr().err
    assert main(["train", *words, f"--out={url}"]) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert main(["resume", f"{url}-none"]) == 2
    assert "checkpoints stay on the machine" in capsys.readouterr().err


def test_a_sweep_into_a_store(url: str, proxy: Proxy, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--layers=1", "--neurons=4", "--batch=16", "--steps=6", "--test-draws=1", "--threads=1"]
    assert main(["sweep", "--seeds=0", f"--runs={url}", *words]) == 0, capsys.readouterr().err
    assert "default" in capsys.readouterr().out
    state = json.loads(probes.Run(f"{url}/default-seed0").storage.read("run.json", 2**20))
    assert state["status"] == "finished"
