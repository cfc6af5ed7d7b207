"""Every fault that is planted in a run is found, named, and of the right kind; a sound run has none."""

import json
import os
import re
import shutil
import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from remote_memory import RemoteMemory
from sound_run import LAYERS, record, write_sound

from probes.__main__ import main
from probes.log import columns, neuron_summary
from probes.log.check import Finding, _windows, check
from probes.log.segments import Segment
from probes.recorder import Recorder
from probes.synthetic_families import families_run


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return write_sound(tmp_path_factory.mktemp("sound") / "run")


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
            if start < table.num_rows:
                writer.write_table(table.slice(start, size))


def with_column(table, name, values):
    index = table.column_names.index(name)
    return table.set_column(index, table.schema.field(name), pa.array(values, table.schema.field(name).type))


def later(table, step):
    """The table with what begins at `step` beginning a step later."""
    steps = table["step"].to_numpy()
    return with_column(table, "step", np.where(steps == step, step + 1, steps))


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


def rewrite_summary(run, change):
    """The summary of the neurons changed, with what its footer says of the run."""
    path = run / neuron_summary.FILE
    kept = {key: value for key, value in pq.read_metadata(path).metadata.items() if b"neuron" in key}
    table = change(pq.ParquetFile(path).read())
    with pq.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(kept)


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
        lambda run: rewrite(
            block(run),
            lambda t: t.set_column(t.column_names.index("mean"), "mean", t["mean"].cast(pa.float64())),
        ),
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
    "pyramid whose first bucket begins late": (
        lambda run: rewrite(block(run, "pyramid/16", 0), lambda t: later(t, 0)),
        "layer 0: the buckets of neurons/000000000000",
    ),
    "pyramid with a bucket of too many steps": (
        lambda run: rewrite(block(run, "pyramid/16", 0), lambda t: later(t, 32)),
        "layer 0: the buckets of neurons/000000000000",
    ),
    "a file without rows": (lambda run: rewrite(block(run), lambda t: t.slice(0, 0)), "no rows"),
    "a layer beyond those of the run": (
        lambda run: rewrite(block(run), lambda t: with_column(t, "layer", t["layer"].to_numpy() + 1)),
        "holds layer 2, the manifest has 2 layers",
    ),
    "a layer below 0": (
        lambda run: rewrite(block(run), lambda t: with_column(t, "layer", t["layer"].to_numpy() - 1)),
        "holds layer -1, the manifest has 2 layers",
    ),
    "rows thrice": (
        lambda run: rewrite(block(run), lambda t: pa.concat_tables([t, t, t])),
        "holds 52,992 rows, a full file of this run has 17,664",
    ),
    "a doubled row of a summary": (
        lambda run: rewrite(block(run, "layers", 0), lambda t: pa.concat_tables([t, t.slice(5, 1)])),
        "a row (step, layer) is doubled",
    ),
    "a summary without a column": (
        lambda run: rewrite(block(run, "layers", 0), lambda t: t.drop_columns("kl_p50")),
        "lacks the column kl_p50",
    ),
    "a step that no run has": (
        lambda run: rewrite(
            block(run, "scalars", 0),
            lambda t: with_column(t, "step", np.where(t["step"].to_numpy() == 3, 2**53 + 1, t["step"])),
        ),
        "names step 9007199254740993",
    ),
    "summaries of fewer neurons": (
        lambda run: rewrite_summary(run, lambda t: t.slice(0, 60)),
        "holds 60 neurons, the run has 69",
    ),
    "pyramid without a layer": (
        lambda run: rewrite(block(run, "pyramid/16", 0), lambda t: t.filter(pc.equal(t["layer"], 0))),
        "layer 1: the buckets of neurons/000000000000",
    ),
    "scalar rows missing": (
        lambda run: rewrite(block(run, "scalars", 0), lambda t: t.slice(1)),
        "its name promises 600",
    ),
    "manifest of other steps": (
        lambda run: manifest_with(run, steps={"count": 599, "first": 0, "last": 599}),
        "says steps",
    ),
    "summary of the neurons that differs": (
        lambda run: rewrite_summary(run, lambda t: shifted(t, "kl_last", 0.01)),
        "kl_last differs from the rows",
    ),
    "newer format": (lambda run: manifest_with(run, format="2.0"), "format 2.0"),
    "no manifest": (lambda run: (run / "run.json").unlink(), "no run.json"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(run, fault, capsys):
    plant, words = FAULTS[fault]
    plant(run)
    errors = [finding for finding in check(run) if finding.level == "error"]
    assert any(words in f"{finding.where} {finding.what}" for finding in errors)
    assert main(["check", str(run)]) == 1
    assert words in capsys.readouterr().out.replace("\n", "")


def test_of_a_truncated_summary_its_file_is_named(run):
    path = run / neuron_summary.FILE
    path.write_bytes(path.read_bytes()[:-40])
    [finding] = check(run)
    assert (finding.level, finding.where) == ("error", neuron_summary.FILE)
    assert "no footer" in finding.what


def test_a_ten_bit_run_is_sound(tmp_path):
    with Recorder(tmp_path / "run", LAYERS, precision="10bit") as recorder:
        record(recorder, range(300), np.random.default_rng(0))
    assert check(tmp_path / "run") == []


@pytest.mark.parametrize(("share", "found"), [(5e-4, False), (0.01, True)])
def test_numbers_of_a_ten_bit_run_are_held_to_ten_bits(tmp_path, share, found):
    """2^-10 is 0.00098: a bucket and a summary that are off by half of it may be rounding."""
    with Recorder(tmp_path / "run", LAYERS, precision="10bit") as recorder:
        record(recorder, range(300), np.random.default_rng(0))
    for folder, name in (("layers", "variance_p50"), ("pyramid/16", "variance_max")):
        rewrite(
            block(tmp_path / "run", folder, 0),
            lambda t, name=name: shifted(t, name, share * abs(float(t[name][17].as_py()))),
        )
    said = [finding.what for finding in check(tmp_path / "run") if finding.level == "error"]
    assert [text.split(" ")[0] for text in said] == (["variance_p50", "variance_max"] if found else [])


def notes(run):
    """Findings of a run that has no errors."""
    found = check(run)
    assert {finding.level for finding in found} <= {"note"}
    return [f"{finding.where}: {finding.what}" for finding in found]


def stray(run):
    (run / "scalars" / "notes.txt").write_text("")


def half(run):
    (run / "neurons" / ".tmp-x.parquet").write_text("")


def compacted(run):
    whole = block(run, number=2)
    shutil.copy(whole, whole.with_name(Segment(520, 560).name))


def without_a_summary(run):
    block(run, "layers", 0).unlink()


def without_the_pyramid(run):
    shutil.rmtree(run / "pyramid" / "16")


HARMLESS = {
    stray: "scalars/notes.txt: is not a file of the log and is never read",
    half: "neurons/.tmp-x.parquet: left half written by a killed writer; `compact` removes it",
    compacted: "neurons: 1 files were compacted and not deleted; `compact` removes them",
    without_a_summary: (
        "layers: 1200 rows are not there yet and are computed on reading; `compact` writes them"
    ),
    without_the_pyramid: "pyramid/16: 3 files of neurons/ are not in it yet; `compact` adds them",
}


def test_the_file_of_all_columns_is_one_of_the_log(tmp_path):
    with Recorder(tmp_path / "run", LAYERS) as recorder:
        record(recorder, range(256), np.random.default_rng(0))
    with Recorder.resume(tmp_path / "run", 255) as recorder:
        recorder.record(256, 0, mean=np.zeros(LAYERS[0]["neurons"]))
    assert (tmp_path / "run" / "neurons" / columns.FILE).exists()
    assert check(tmp_path / "run") == []


@pytest.mark.parametrize("plant", HARMLESS, ids=lambda plant: plant.__name__)
def test_what_is_harmless_is_a_note(run, plant):
    plant(run)
    assert notes(run) == [HARMLESS[plant]]
    assert main(["check", str(run)]) == 0


@pytest.mark.parametrize(
    "plant", [half, compacted, without_a_summary, without_the_pyramid], ids=lambda plant: plant.__name__
)
def test_of_a_live_run_nothing_is_said_about_what_its_writer_will_do(run, plant):
    plant(run)
    manifest_with(
        run,
        status="running",
        heartbeat=time.time(),
        steps={"count": 5, "first": 0, "last": 4},
        statistics=["kl"],
    )
    assert check(run) == []


def test_a_killed_run_may_be_ahead_of_its_manifest_and_a_finished_one_not(run):
    steps = {"count": 580, "first": 0, "last": 579}
    manifest_with(run, status="running", heartbeat=0, steps=steps)
    assert any("`compact` brings it up to date" in note for note in notes(run))
    manifest_with(run, status="running", heartbeat=0, steps=steps | {"count": 601})
    assert [finding.level for finding in check(run)] == ["error"]  # more than there is: a file is missing
    manifest_with(run, status="finished", steps=steps)
    assert [finding.level for finding in check(run)] == ["error"]


def test_statistics_that_the_manifest_does_not_name(run):
    manifest_with(run, statistics=["kl"])
    assert [(finding.level, finding.where) for finding in check(run)] == [("error", "run.json")]
    manifest_with(run, status="running", heartbeat=0)
    assert len(notes(run)) == 1


@pytest.mark.parametrize("without", [0, 1])
def test_statistics_that_the_manifest_names_and_no_file_has(run, without):
    """More of them, or as many others."""
    stated = json.loads((run / "run.json").read_text())["statistics"]
    said = [*stated[without:], "beta"]
    manifest_with(run, statistics=said)
    [finding] = check(run)
    assert finding == Finding("error", "run.json", f"says statistics {said}, the files hold {sorted(stated)}")


@pytest.mark.parametrize(("amount", "passes"), [(1e-4, True), (2e-3, False)])
def test_the_identity_of_the_kl_holds_to_float32(run, amount, passes):
    """Terms of about 1 to 5 nats: errors of 1e-4 of them are rounding, a hundred times more is not."""
    rewrite(block(run), lambda t: shifted(t, "past", amount))
    assert (not [finding for finding in check(run) if "kl = information" in finding.what]) == passes


def test_the_worst_row_is_named(run):
    rewrite(block(run), lambda t: shifted(shifted(t, "past", 0.5), "kl", 0.3))
    [finding] = [finding for finding in check(run) if "kl = information" in finding.what]
    assert "broken in 1 rows, worst by 0.2 nats at {'step': 273, 'layer': 0, 'neuron': 0}" in finding.what


def test_rows_of_a_table_go_on_where_the_file_before_ended(run):
    [scalars] = (run / "scalars").iterdir()
    scalars.rename(scalars.with_name(Segment(1, 600).name))
    where, what = (
        f"scalars/{Segment(1, 600).name}",
        "begins at row 1, the file before ends at -1: a file is missing",
    )
    assert Finding("error", where, what) in check(run)


def test_errors_come_first(run):
    stray(run)
    block(run).unlink()
    found = check(run)
    assert found[0].level == "error"
    assert [finding.level for finding in found] == sorted(finding.level for finding in found)


def test_a_folder_that_is_a_link_is_told(run, tmp_path):
    os.rename(run / "layers", tmp_path / "elsewhere")
    (run / "layers").symlink_to(tmp_path / "elsewhere")
    assert any("is a link" in finding.what for finding in check(run))


@pytest.fixture(scope="module")
def of_families(tmp_path_factory):
    path = tmp_path_factory.mktemp("families") / "run"
    families_run(path, 100, batch=16)
    return path


def first_value(name, value):
    def change(table):
        values = table[name].to_numpy().copy()
        values[0] = value
        return with_column(table, name, values)

    return change


def renamed(table):
    names = table["name"].to_pylist()
    return with_column(table, "name", ["loc", *names[1:]])


OF_FAMILIES = {
    "a living code that is said to be dead": (
        "neurons", lambda t: with_column(t, "regime", np.where(t["layer"].to_numpy() == 2, 4, t["regime"])),
        r"regime of layer 'book' \(Code book\) is not what its numbers say",
    ),
    "information of a Beta": (
        "neurons",
        lambda t: with_column(t, "information", np.where(t["layer"].to_numpy() == 1, 0.5, t["information"])),
        "kl = information \\+ mismatch \\+ past is broken",
    ),
    "usage that sums to more": ("classes", first_value("usage", 0.9), "usage of .* sums to"),
    "negative usage": ("classes", first_value("usage", -0.5), "negative usage of layer 'classes'"),
    "a class beyond": ("classes", first_value("class", 8), "names class 8 of layer 'classes', which has 8"),
    "a class far beyond": ("classes", first_value("class", 2**30), "names class 1073741824"),
    "usage of draws": ("classes", first_value("layer", 3), "layer 'draws' is Samples, which has no classes"),
    "a probability": ("parameters", first_value("value", 0.99), "probability of .* sums to"),
    "a negative index": ("parameters", first_value("index", -1), "names index -1"),
    "another parameter": ("parameters", renamed, "holds loc of layer 'classes', which is Categorical"),
    "a neuron beyond": ("parameters", first_value("neuron", 99), "a neuron that its layer does not have"),
}  # fmt: skip


@pytest.mark.parametrize("fault", OF_FAMILIES)
def test_faults_of_other_families_are_found(of_families, tmp_path, fault):
    shutil.copytree(of_families, tmp_path / "run")
    assert check(tmp_path / "run") == []
    folder, change, message = OF_FAMILIES[fault]
    rewrite(block(tmp_path / "run", folder, 0), change)
    findings = [finding for finding in check(tmp_path / "run") if finding.level == "error"]
    assert [finding for finding in findings if re.search(message, finding.what)], findings


def test_the_identity_is_not_asked_of_families_that_have_none(tmp_path):
    layers = [{"name": "l", "neurons": 2, "family": "laplace"}, {"name": "b", "neurons": 2, "family": "beta"}]
    with Recorder(tmp_path, layers) as recorder:
        for index in range(2):
            recorder.record(
                0, index, mean=[0, 0], variance=[2, 2], prior_variance=[2, 2], kl=[0.5, 0.5],
                information=[0.1, 0.2], mismatch=[0.1, 0.1] if index == 0 else [np.nan, np.nan],
            )  # fmt: skip
    assert check(tmp_path) == []


def test_a_ten_bit_run_of_other_families_is_sound(tmp_path):
    families_run(tmp_path, 100, batch=16, precision="10bit")
    assert check(tmp_path) == []


def test_files_of_a_store_are_fetched_some_at_a_time(monkeypatch):
    """Three at most, and of 10 bytes at most together; a larger one alone."""
    monkeypatch.setattr("probes.log.check.AHEAD_FILES", 3)
    monkeypatch.setattr("probes.log.check.AHEAD_BYTES", 10)
    sizes = dict(zip("abcdefghi", [1, 1, 1, 1, 5, 4, 1, 11, 2], strict=True))
    assert list(_windows(list(sizes), sizes)) == [["a", "b", "c"], ["d", "e", "f"], ["g"], ["h"], ["i"]]
    assert list(_windows([], {})) == []


def test_a_run_in_a_store_is_checked_as_one_of_this_machine(run):
    (run / "neurons" / "none.parquet").write_bytes(b"")
    shutil.rmtree(run / "pyramid" / "16")
    stored = RemoteMemory.copy_of(run)
    assert check(stored) == check(run)
    assert {finding.level for finding in check(stored)} == {"note"}
