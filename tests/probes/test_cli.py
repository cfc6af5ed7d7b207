"""The command line on good runs, on planted faults and on what is no run."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from log_truth import Truth, assert_same, draw, simple_run

import probes
from probes import regimes
from probes.__main__ import main
from probes.diagnostics import half_life
from probes.log.check import check
from probes.recorder import Recorder

LAYERS = [{"name": "first", "neurons": 66}, {"name": "second", "neurons": 3}]


def record(recorder, steps, rng):
    """Statistics for which kl = information + mismatch + past holds."""
    for step in steps:
        for layer, item in enumerate(LAYERS):
            parts = np.abs(rng.normal(size=(3, item["neurons"]))).astype(np.float32)
            recorder.record(
                step, layer, mean=parts[0], variance=parts[1] / 3, spread=parts[2], persistence=parts[0] / 9,
                kl=parts.sum(axis=0), information=parts[0], mismatch=parts[1], past=parts[2],
            )  # fmt: skip
        recorder.scalar(step, "nll", 1.0, split="validation")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "run"
    with Recorder(path, LAYERS, {"seed": 3, "stride": 24}, flush_steps=100) as recorder:
        record(recorder, range(600), np.random.default_rng(0))
    return path


@pytest.fixture
def run(sound, tmp_path):
    shutil.copytree(sound, tmp_path / "run")
    return tmp_path / "run"


def block(run, folder="neurons", number=1):
    return sorted((run / folder).iterdir())[number]


def rewrite(path, change):
    """The file with its table changed, in the row groups that it had (what is over or missing goes to the
    last).
    """
    sizes = [
        pq.read_metadata(path).row_group(i).num_rows for i in range(pq.read_metadata(path).num_row_groups)
    ]
    table = change(pq.ParquetFile(path).read())
    with pq.ParquetWriter(path, table.schema) as writer:
        for start, size in zip(np.cumsum([0, *sizes[:-1]]), [*sizes[:-1], table.num_rows], strict=True):
            writer.write_table(table.slice(start, size))


def with_column(table, name, values):
    index = table.column_names.index(name)
    return table.set_column(index, table.schema.field(name), pa.array(values, table.schema.field(name).type))


def shifted(table, name, amount):
    values = table[name].to_numpy().copy()
    values[17] += amount
    return with_column(table, name, values)


def truncated(run):
    path = block(run)
    path.write_bytes(path.read_bytes()[:-100])


def flipped(run):
    path = block(run)
    data = bytearray(path.read_bytes())
    data[200:260] = b"\xff" * 60
    path.write_bytes(data)


def manifest_with(run, **changes):
    path = run / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


FAULTS = {
    "truncated file": (truncated, "no footer"),
    "flipped bytes": (flipped, "neurons/000000000256"),
    "missing file": (lambda run: block(run).unlink(), "a file is missing"),
    "doubled rows": (
        lambda run: rewrite(block(run), lambda t: pa.concat_tables([t, t.slice(5, 1)])),
        "is doubled",
    ),
    "overlapping files": (
        lambda run: shutil.copy(block(run), run / "neurons" / "000000000300-000000000520.parquet"),
        "overlaps",
    ),
    "gap inside a file": (
        lambda run: rewrite(block(run), lambda t: pa.concat_tables([t.slice(0, 700), t.slice(701)])),
        "gap",
    ),
    "wrong width": (
        lambda run: manifest_with(run, layers=[LAYERS[0], LAYERS[1] | {"neurons": 4}]),
        "manifest says 4",
    ),
    "unsorted rows": (lambda run: rewrite(block(run), lambda t: t.sort_by("step")), "not sorted"),
    "name that lies": (
        lambda run: block(run).rename(run / "neurons" / "000000000256-000000000510.parquet"),
        "its name promises",
    ),
    "broken identity": (
        lambda run: rewrite(block(run), lambda t: shifted(t, "information", 0.01)),
        "kl = information",
    ),
    "wrong type": (
        lambda run: rewrite(block(run), lambda t: t.set_column(4, "mean", t["mean"].cast(pa.float64()))),
        "column 'mean' is double",
    ),
    "regime out of range": (
        lambda run: rewrite(block(run), lambda t: shifted(t, "regime", 70)),
        "does not exist",
    ),
    "summary that differs": (
        lambda run: rewrite(block(run, "layers", 0), lambda t: shifted(t, "kl_p50", 0.01)),
        "kl_p50 differs",
    ),
    "pyramid that differs": (
        lambda run: rewrite(block(run, "pyramid/16", 0), lambda t: shifted(t, "variance_max", 0.01)),
        "variance_max of layer 0 differs",
    ),
    "scalar rows missing": (
        lambda run: rewrite(block(run, "scalars", 0), lambda t: t.slice(1)),
        "its name promises 600",
    ),
    "manifest of other steps": (
        lambda run: manifest_with(run, steps={"count": 599, "first": 0, "last": 599}),
        "says steps",
    ),
    "newer format": (lambda run: manifest_with(run, format="2.0"), "format 2.0"),
    "no manifest": (lambda run: (run / "run.json").unlink(), "no run.json"),
}


def test_a_sound_run_has_no_findings(sound, capsys):
    assert check(sound) == []
    assert main(["check", str(sound)]) == 0
    assert "all is as it should be" in capsys.readouterr().out


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(run, fault, capsys):
    plant, words = FAULTS[fault]
    plant(run)
    assert main(["check", str(run)]) == 1
    assert words in capsys.readouterr().out.replace("\n", "")


def test_a_ten_bit_run_is_sound(tmp_path):
    with Recorder(tmp_path / "run", LAYERS, precision="10bit") as recorder:
        record(recorder, range(300), np.random.default_rng(0))
    assert check(tmp_path / "run") == []


def test_show(sound, capsys):
    assert main(["show", str(sound), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    last = probes.Run(sound).at(599, 0)
    layer = shown["layers"][0]
    assert (shown["status"], shown["steps"], shown["last_step"]) == ("finished", 600, 599)
    assert layer["rate"] == pytest.approx(last["kl"].sum(), rel=1e-5)
    assert layer["information"] == pytest.approx(last["information"].sum(), rel=1e-5)
    assert layer["contraction"] == pytest.approx(1 - last["variance"].median(), rel=1e-5)
    assert layer["half_life"] == pytest.approx(half_life(last["persistence"].median(), 24), rel=1e-5)
    assert sum(layer["regimes"].values()) == layer["neurons"] == 66
    assert layer["living_share"] == pytest.approx(regimes.classify(last).isin([0, 9]).mean())
    assert main(["show", str(sound)]) == 0
    assert "living share" in capsys.readouterr().out


def test_show_a_run_without_distributions(tmp_path, capsys):
    with Recorder(tmp_path / "twin", LAYERS) as recorder:
        recorder.scalar(0, "nll", 2.0)
    assert main(["show", str(tmp_path / "twin"), "--json"]) == 0
    layer = json.loads(capsys.readouterr().out)["layers"][0]
    assert layer["rate"] is None
    assert layer["regimes"] == {}
    assert main(["show", str(tmp_path / "twin")]) == 0


def test_ls(tmp_path, capsys):
    simple_run(tmp_path / "good", steps=11)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text("{")
    assert main(["ls", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "good" in out
    assert "validation/nll 0.09091" in out
    assert "unreadable" in out


@pytest.mark.parametrize("command", ["ls", "show", "check", "compact"])
def test_what_is_not_there_is_one_line(tmp_path, capsys, command):
    assert main([command, str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_compact_writes_what_a_killed_run_left_out(tmp_path, capsys):
    truth = Truth(LAYERS)
    rng = np.random.default_rng(6)
    recorder = Recorder(tmp_path / "live", LAYERS)
    for step in range(300):
        for layer in range(2):
            recorder.record(step, layer, **draw(truth, rng, step, layer, True))
        if step % 20 == 0:
            recorder.flush()
    recorder.flush()
    shutil.copytree(tmp_path / "live", tmp_path / "killed")
    recorder.close()
    state = json.loads((tmp_path / "killed" / "run.json").read_text())
    state["steps"]["count"] -= 1
    manifest_with(tmp_path / "killed", heartbeat=0, steps=state["steps"])
    sorted((tmp_path / "killed" / "layers").iterdir())[-1].unlink()
    (tmp_path / "killed" / "neurons" / ".tmp-000000000300-000000000310.parquet").write_bytes(b"half")
    before = check(tmp_path / "killed")
    assert {finding.level for finding in before} == {"note"}
    assert main(["compact", str(tmp_path / "killed")]) == 0
    assert "files before" in capsys.readouterr().out
    assert check(tmp_path / "killed") == []
    run = probes.Run(tmp_path / "killed")
    assert run.status == "crashed"
    assert_same(run, truth)
    assert len(list((tmp_path / "killed" / "neurons").iterdir())) == 2


def test_compact_refuses_a_run_that_is_being_written(tmp_path, capsys):
    with Recorder(tmp_path / "run", LAYERS):
        assert main(["compact", str(tmp_path / "run")]) == 2
    assert "another recorder" in capsys.readouterr().err
