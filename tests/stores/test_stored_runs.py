"""A run in a store: bit for bit the local answers, in few requests, with every check on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stored import BLOCKS, LAYERS, record
from test_runs_in_memory import answers, assert_same

import probes
from benchmarks.store_server import Proxy
from probes.__main__ import main
from probes.errors import RunError
from probes.log import footers
from probes.mirror import follow, target_of
from probes.storage import open_folder
from probes.storage.object_store import ObjectStorage

Forget = Callable[[], None]
STEP = 5_000


def copied(folder: Path, url: str, leave: tuple[str, ...] = ()) -> ObjectStorage:
    """A folder as another tool copies it: file by file."""
    storage = open_folder(url)
    assert isinstance(storage, ObjectStorage)
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder).as_posix()
        if path.is_file() and not path.name.startswith(".") and inner not in leave:
            storage.put(inner, path.read_bytes())
    return storage


# ---- requests


QUESTIONS: dict[str, tuple[Callable[[probes.Run], object], int]] = {
    "refresh": (lambda run: run.refresh(), 2),
    "layer summary": (lambda run: run.layer_summary(), 2),
    "one neuron": (lambda run: run.history(0, 70), BLOCKS + 1),
    "matrix": (lambda run: run.matrix(0, "kl", 1000), 16),
    "all neurons at one step": (lambda run: run.at(STEP), 2),
}


def test_opening(mirrored: str, proxy: Proxy, forget: Forget) -> None:
    run = probes.Run(mirrored)
    assert (run.status, proxy.counts()) == ("finished", {"LIST": 1, "GET": 1})


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_to_a_finished_run(mirrored: str, proxy: Proxy, forget: Forget, question: str) -> None:
    ask, most = QUESTIONS[question]
    run = probes.Run(mirrored)
    proxy.clear()
    ask(run)
    assert 0 < len(proxy.requests) <= most, proxy.counts()
    assert {one.method for one in proxy.requests} == {"GET"}  # no HEAD
    if question != "refresh":
        proxy.clear()
        ask(run)
        assert proxy.counts() == {}


def test_one_neuron_of_a_run_without_packed_footers(mirrored: str, proxy: Proxy, forget: Forget) -> None:
    """As a live run is."""
    run = probes.Run(mirrored)
    run._levels.footers._stamp = run._listing.stamp(footers.FILE)
    proxy.clear()
    frame = run.history(0, 70)
    assert len(frame) == BLOCKS * 256
    assert len(proxy.requests) <= 2 * BLOCKS + 1


def test_a_long_answer_is_fetched_piece_by_piece(
    mirrored: str, long_run: Path, forget: Forget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("probes.log.grid.FETCHED_BYTES", 3 * 2**20)
    steps = (1000, 9000)
    found, expected = (probes.Run(path).history(0, steps=steps) for path in (mirrored, long_run))
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


# ---- answers


def test_answers_are_those_of_the_folder(mirrored: str, long_run: Path, forget: Forget) -> None:
    stored, local = answers(probes.Run(mirrored)), answers(probes.Run(long_run))
    del stored["manifest"]
    assert_same(stored, local)


def test_the_command_line(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copied(small(tmp_path / "run"), f"{url}/run")
    runs, url = url, f"{url}/run"
    target = tmp_path / "report.html"
    for words, said in (
        (["show", url], "finished, 300 recorded steps"),
        (["check", url], "all is as it should be"),
        (["ls", runs], "finished"),
        (["export", url, "--html", str(target)], ""),
    ):
        assert main(words) == 0, capsys.readouterr().err
        assert said in capsys.readouterr().out
    assert target.stat().st_size > 10_000
    assert main(["compact", url]) == 2
    assert "cannot be written: name a local folder" in capsys.readouterr().err


def test_a_scan(mirrored: str, long_run: Path) -> None:
    found, expected = (probes.scan(path, "scalars").to_table() for path in (mirrored, long_run))
    assert found.equals(expected)


# ---- what changes meanwhile


def small(path: Path, first: int = 0, last: int = 300, seed: int = 0) -> Path:
    with probes.Recorder(path, LAYERS, flush_steps=100) as recorder:
        record(recorder, first, last, 100, seed)
    return path


def test_a_block_that_is_folded_away_between_open_and_read(url: str, tmp_path: Path) -> None:
    """It is looked up again."""
    run = small(tmp_path / "run")
    whole = run / "neurons" / "000000000000-000000000255.parquet"
    storage = copied(run, url, leave=("neurons/" + whole.name, "layers/" + whole.name))
    parts = small(tmp_path / "parts", 0, 100), small(tmp_path / "more", 100, 256)
    for part in parts:
        for path in (part / "neurons").iterdir():
            storage.put(f"neurons/{path.name}", path.read_bytes())
    reader = probes.Run(url)
    assert len(reader._levels.raw.segments) == 3
    storage.put(f"neurons/{whole.name}", whole.read_bytes())
    for part in parts:
        for path in (part / "neurons").iterdir():
            storage.delete(f"neurons/{path.name}")
    expected = probes.Run(run).history(0)
    pd.testing.assert_frame_equal(reader.history(0), expected, check_exact=True)


def test_a_file_that_is_replaced_between_open_and_read(url: str, tmp_path: Path, forget: Forget) -> None:
    run, other = small(tmp_path / "run"), small(tmp_path / "other", seed=7)
    storage = copied(run, url)
    kept = probes.Run(url)
    kept.history(1)
    forget()  # what `kept` has in memory is of the files as they were
    reader = probes.Run(url)
    for path in sorted((other / "neurons").iterdir()):
        storage.put(f"neurons/{path.name}", path.read_bytes())
    found = reader.history(0, 70)
    pd.testing.assert_frame_equal(found, probes.Run(other).history(0, 70), check_exact=True)
    kept.refresh()
    pd.testing.assert_frame_equal(kept.history(0), probes.Run(other).history(0), check_exact=True)


def test_footers_of_other_files_are_not_used(url: str, tmp_path: Path, forget: Forget) -> None:
    run, other = small(tmp_path / "run"), small(tmp_path / "other", seed=7)
    follow(run, target_of(url), 1)
    storage = copied(other, url)  # the packed footers stay those of `run`
    forget()
    stored = answers(probes.Run(url))
    del stored["manifest"]
    assert_same(stored, answers(probes.Run(other)))
    assert storage.stamp(footers.FILE) is not None


NO_FOOTERS = b"", b"no frame", footers.packed({"a": (1, "b", b"c")})[:-4], b"\x28\xb5\x2f\xfd" * 9


@pytest.mark.parametrize("content", NO_FOOTERS)
def test_packed_footers_that_are_none_are_passed_over(
    url: str, tmp_path: Path, content: bytes, forget: Forget
) -> None:
    run = small(tmp_path / "run")
    storage = copied(run, url)
    storage.put(footers.FILE, content)
    pd.testing.assert_frame_equal(probes.Run(url).history(0, 1), probes.Run(run).history(0, 1))


@pytest.mark.parametrize("place", ["page", "footer", "end"])
def test_damage_is_said_as_it_is_of_a_folder(url: str, tmp_path: Path, place: str, forget: Forget) -> None:
    run = small(tmp_path / "run")
    path = run / "neurons" / "000000000000-000000000255.parquet"
    content = bytearray(path.read_bytes())
    at = {"page": len(content) // 3, "footer": len(content) - 300, "end": len(content) - 2}[place]
    content[at] ^= 4
    path.write_bytes(bytes(content))
    copied(run, url)
    said = []
    for where in (run, url):
        with pytest.raises(RunError) as raised:
            probes.Run(where).history(0)
        said.append(str(raised.value).replace(str(where), "RUN"))
    assert said[0].split(";")[0] == said[1].split(";")[0]


def test_a_manifest_that_is_too_large_is_not_read(url: str) -> None:
    storage = open_folder(url)
    storage.put("run.json", b" " * (9 * 2**20))
    with pytest.raises(RunError, match="run.json has 9 MB, a file of its kind has at most 8 MB"):
        probes.Run(url)


# ---- a folder of runs


@pytest.fixture(scope="module")
def many(served: object, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """100 runs in a store with its index, and the same in a folder."""
    folder = tmp_path_factory.mktemp("many")
    small(folder / "run000", last=8)
    text = (folder / "run000" / "run.json").read_text()
    runs = open_folder("s3://runs/many")
    for number in range(100):
        name = f"run{number:03d}"
        state = json.loads(text) | {"name": name, "seed": number}
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "run.json").write_text(json.dumps(state))
        runs.put(f"{name}/run.json", (folder / name / "run.json").read_bytes())
        runs.put(f"_catalog/{name}.json", json.dumps({"run": state, "notes": None}).encode())
    return "s3://runs/many", folder


def test_a_catalog_of_100_runs(many: tuple[str, Path], proxy: Proxy, forget: Forget) -> None:
    url, folder = many
    proxy.clear()
    found = probes.catalog(url)
    assert proxy.counts() == {"LIST": 1, "GET": 100}
    proxy.clear()
    again = probes.catalog(url)
    assert proxy.counts() == {"LIST": 1}
    pd.testing.assert_frame_equal(found, again)
    expected = probes.catalog(folder)
    assert set(found["path"]) == {f"{url}/{Path(path).name}" for path in expected["path"]}
    left, right = (frame.drop(columns="path").sort_values("name") for frame in (found, expected))
    pd.testing.assert_frame_equal(left.reset_index(drop=True), right.reset_index(drop=True))


def test_what_the_index_says_anew_is_read_anew(many: tuple[str, Path], proxy: Proxy, forget: Forget) -> None:
    url, _ = many
    runs = open_folder(url)
    before = probes.catalog(url)
    content = json.loads(runs.read("_catalog/run007.json", 2**20))
    runs.put("_catalog/run007.json", json.dumps(content | {"notes": {"tags": ["kept"]}}).encode())
    runs.put("_catalog/ghost.json", json.dumps(content).encode())  # of a run that is not there
    proxy.clear()
    after = probes.catalog(url)
    assert proxy.counts() == {"LIST": 1, "HEAD": 1, "GET": 1}
    assert after.set_index("name")["tags"].map(bool).sum() == 1
    assert len(after) == len(before) == 100
    runs.delete("_catalog/ghost.json")


def test_runs_that_no_index_has(url: str, tmp_path: Path, proxy: Proxy, forget: Forget) -> None:
    small(tmp_path / "one", last=5)
    small(tmp_path / "two", last=5)
    probes.notes.write(tmp_path / "two", ["kept"], "a text")
    (tmp_path / "two" / "broken").mkdir()
    for name in ("one", "two"):
        copied(tmp_path / name, f"{url}/{name}")
    open_folder(url).put("three/run.json", b"no manifest")
    small(tmp_path / "sweep" / "four", last=5)
    copied(tmp_path / "sweep" / "four", f"{url}/sweep/four")
    proxy.clear()
    found = probes.catalog(url).set_index("path")
    assert sorted(found.index) == [f"{url}/one", f"{url}/three", f"{url}/two"]
    assert found.loc[f"{url}/two", "tags"] == ["kept"]
    assert "not readable as JSON" in str(found.loc[f"{url}/three", "error"])
    assert proxy.counts() == {"LIST": 2, "GET": 4}
    proxy.clear()
    probes.catalog(url)
    assert proxy.counts() == {"LIST": 2}
    nested = [row["path"] for row in probes.catalog_rows(url, nested=True)]
    assert sorted(nested) == [f"{url}/one", f"{url}/sweep/four", f"{url}/three", f"{url}/two"]


def test_a_summary_of_neurons_is_read_from_the_store(mirrored: str, long_run: Path) -> None:
    from probes.fleet.database import Fleet

    rows = {row["name"]: row for row in probes.catalog_rows(mirrored.rpartition("/")[0])}
    with Fleet(rows) as stored, probes.fleet(long_run.parent) as local:
        question = "select layer, avg(kl_mean), count(*) from neurons group by layer order by layer"
        left, right = stored.sql(question), local.sql(question)
        rows_read = "select count(*) from scalars"
        assert stored.sql(rows_read).iat[0, 0] == local.sql(rows_read).iat[0, 0] > 0
        assert stored.left_out == {}
    np.testing.assert_array_equal(left.to_numpy(), right.to_numpy())
