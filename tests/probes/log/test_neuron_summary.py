"""The summary of a run's neurons: what it says, when it is written, and that it is a cache."""

import logging

import numpy as np
import pyarrow.parquet as pq
import pytest
from sound_run import LAYERS, record, write_sound

import probes
from probes import diagnostics
from probes.log import manifest, neuron_summary
from probes.log.check import check
from probes.log.maintenance import compact
from probes.recorder import Recorder
from probes.storage import open_folder


@pytest.fixture
def run(tmp_path):
    return write_sound(tmp_path / "run")


def stored(path):
    storage = open_folder(path)
    found = neuron_summary.read(storage, manifest.read(storage))
    return None if found is None else found.to_pandas()


def contracting(path, steps=400, **settings):
    """Two neurons whose variance falls at steps 100 and 250, and one that stays at its prior."""
    with Recorder(path, [{"name": "one", "neurons": 3}], **settings) as recorder:
        for step in range(steps):
            variance = np.array([0.1 if step >= 100 else 1, 0.1 if step >= 250 else 1, 1.0])
            silent = variance == 1
            recorder.record(
                step, 0, mean=np.zeros(3), variance=variance, spread=np.where(silent, 0, 0.9),
                kl=np.where(silent, 0, 1.15), information=np.where(silent, 0, 1.15), mismatch=np.zeros(3),
            )  # fmt: skip
    return path


def test_one_row_a_neuron_says_when_it_contracted_and_how_it_stood(tmp_path):
    table = stored(contracting(tmp_path / "run"))
    assert table[["run", "layer", "neuron"]].to_numpy().tolist() == [
        ["run", 0, 0],
        ["run", 0, 1],
        ["run", 0, 2],
    ]
    assert table["onset"].tolist()[:2] == pytest.approx([100, 250], abs=13)  # smoothed: early
    assert table["half_time"].tolist()[:2] == pytest.approx([100, 250], abs=2)
    assert table[["onset", "half_time"]].isna().to_numpy()[2].all()
    assert table["regime"].tolist() == [0, 0, 10]
    # a settled regime follows five records later
    assert table["steps_living"].tolist() == [400 - 104, 400 - 254, 0]
    assert table["steps_at_prior"].tolist() == [104, 254, 400]
    assert table["contraction_last"].to_numpy() == pytest.approx([0.9, 0.9, 0])
    assert table["contraction_mean"].to_numpy() == pytest.approx([0.9 * 300 / 400, 0.9 * 150 / 400, 0])
    assert table["persistence_last"].isna().all()  # never recorded


def test_onsets_are_those_of_the_neurons_own_rows(run):
    table, reader = stored(run), probes.Run(run)
    rows = reader.history(0, 17, ["contraction"])
    here = table[(table["layer"] == 0) & (table["neuron"] == 17)].iloc[0]
    onset = diagnostics.onset(rows["step"], rows["contraction"], 0.05)
    assert here["onset"] == onset
    assert here["contraction_mean"] == pytest.approx(rows["contraction"].mean())
    assert len(table) == 66 + 3


def test_steps_in_regimes_add_up_to_the_recorded_steps_also_from_the_pyramid(run, monkeypatch):
    monkeypatch.setattr(neuron_summary, "CURVE_STEPS", 64)
    monkeypatch.setattr("probes.log.levels.MAX_FINER_CELLS", 0)
    storage = open_folder(run)
    table = neuron_summary.compute(storage, manifest.read(storage)).to_pandas()
    assert (table.filter(like="steps_").sum(axis=1) == 600).all()
    exact = stored(run)
    means = [name for name in table if name.endswith("_mean")]
    assert table[means].to_numpy() == pytest.approx(exact[means].to_numpy(), rel=1e-5)


def test_numbers_are_as_precise_as_the_runs(tmp_path):
    def written(precision):
        rng = np.random.default_rng(0)
        with Recorder(
            tmp_path / precision, [{"name": "one", "neurons": 50}], precision=precision
        ) as recorder:
            for step in range(7):
                recorder.record(step, 0, kl=rng.random(50), information=rng.random(50))
        return stored(tmp_path / precision)["kl_mean"].to_numpy(np.float32)

    full, short = written("full"), written("10bit")
    assert (full.view(np.uint32) & 0x1FFF).any()
    assert not (short.view(np.uint32) & 0x1FFF).any()  # 10 of a float32's 23 bits
    assert short == pytest.approx(full, rel=2**-10)


def test_so_many_cells_are_looked_at_together(run, monkeypatch):
    """Of 600 steps, in 1,200 cells: two neurons at a time."""
    monkeypatch.setattr(neuron_summary, "CELLS", 1200)
    read, sizes = neuron_summary.Levels.read, []

    def noting(self, width, layer, neurons, *rest):
        sizes.append(neurons.size)
        return read(self, width, layer, neurons, *rest)

    monkeypatch.setattr(neuron_summary.Levels, "read", noting)
    storage = open_folder(run)
    assert neuron_summary.compute(storage, manifest.read(storage)).to_pandas().equals(stored(run))
    assert sizes == [2] * 33 + [2, 1]


def test_many_neurons_cost_at_most_45_bytes_each(tmp_path):
    rng, neurons = np.random.default_rng(0), 4096
    with Recorder(tmp_path / "run", [{"name": "one", "neurons": neurons}]) as recorder:
        for step in range(40):
            parts = np.abs(rng.normal(size=(3, neurons)))
            recorder.record(
                step, 0, mean=parts[0], variance=np.exp(-step * rng.random(neurons)), spread=parts[1],
                kl=parts[:2].sum(axis=0), information=parts[0], mismatch=parts[1],
                persistence=rng.random(neurons),
            )  # fmt: skip
    assert (tmp_path / "run" / neuron_summary.FILE).stat().st_size <= 45 * neurons


def test_a_small_run_costs_at_most_20_kb(run):
    assert (run / neuron_summary.FILE).stat().st_size <= 20_000


@pytest.mark.parametrize("ending", [RuntimeError, KeyboardInterrupt])
def test_a_run_that_is_broken_off_has_one_too(tmp_path, ending):
    def train():
        with Recorder(tmp_path / "run", LAYERS) as recorder:
            record(recorder, range(5), np.random.default_rng(0))
            raise ending

    with pytest.raises(ending):
        train()
    assert stored(tmp_path / "run")["steps_living"].max() <= 5


def test_a_run_without_distributions_has_none(tmp_path):
    with Recorder(tmp_path / "run", [{"name": "one", "neurons": 3}]) as recorder:
        recorder.scalar(0, "loss", 1.0)
    assert not (tmp_path / "run" / neuron_summary.FILE).exists()
    assert check(tmp_path / "run") == []


def test_a_run_that_goes_on_has_none_until_it_ends_again(run):
    recorder = Recorder.resume(run, 299)
    try:
        assert stored(run) is None
        record(recorder, range(300, 350), np.random.default_rng(1))
    finally:
        recorder.close()
    assert (stored(run).filter(like="steps_").sum(axis=1) == 350).all()
    assert check(run) == []


@pytest.mark.parametrize("changed", [{"count": 601}, {"first": 1}, {"last": 600}])
def test_one_from_before_the_last_rows_came_is_not_taken(run, changed):
    """A recorder that goes on in the same session: a kill leaves the manifest without a new summary."""
    storage = open_folder(run)
    state = manifest.read(storage)
    assert neuron_summary.is_current(storage, state)
    state["steps"] = state["steps"] | changed
    assert not neuron_summary.is_current(storage, state)


def test_one_of_other_rows_is_not_taken_and_compact_writes_it_anew(run):
    old = (run / neuron_summary.FILE).read_bytes()
    with Recorder.resume(run, 99) as recorder:
        record(recorder, range(100, 120), np.random.default_rng(1))
    (run / neuron_summary.FILE).write_bytes(
        old
    )  # as a version of this package would that knows of no summary
    assert stored(run) is None
    storage = open_folder(run)
    computed = neuron_summary.read_or_compute(storage, manifest.read(storage)).to_pandas()
    assert (computed.filter(like="steps_").sum(axis=1) == 120).all()
    assert ["of other rows" in finding.what for finding in check(run)] == [True]
    compact(run, manifest.read(storage))
    assert check(run) == []


def test_compact_writes_a_missing_one(run):
    whole = (run / neuron_summary.FILE).read_bytes()
    (run / neuron_summary.FILE).unlink()
    assert check(run) == []
    compact(run, manifest.read(open_folder(run)))
    assert (run / neuron_summary.FILE).read_bytes() == whole


def test_a_damaged_one_is_found_and_the_log_is_asked(run):
    path = run / neuron_summary.FILE
    path.write_bytes(path.read_bytes()[:-40])
    [finding] = check(run)
    assert (finding.level, finding.where) == ("error", neuron_summary.FILE)
    storage = open_folder(run)
    assert neuron_summary.read_or_compute(storage, manifest.read(storage)).num_rows == 69


def test_numbers_that_differ_from_the_rows_are_found(run, monkeypatch):
    storage = open_folder(run)
    state = manifest.read(storage)
    computed = neuron_summary.compute(storage, state)
    place = computed.schema.get_field_index("kl_last")
    wrong = computed.set_column(place, computed.schema.field(place), computed["kl_mean"])
    monkeypatch.setattr(neuron_summary, "compute", lambda *_: wrong)
    neuron_summary.write(storage, state)
    monkeypatch.undo()
    assert ["kl_last" in finding.what for finding in check(run)] == [True]


def test_a_disk_that_takes_no_summary_costs_the_run_nothing(tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(neuron_summary, "write", full)
    with caplog.at_level(logging.WARNING, "probes.recorder"):
        write_sound(tmp_path / "run")
    assert "the disk is full" in caplog.text
    assert probes.Run(tmp_path / "run").status == "finished"


def test_only_what_may_be_missing_may_be_null(run):
    """A neuron that never contracted has no step of it; numbers that were not recorded are null."""
    schema = pq.read_schema(run / neuron_summary.FILE)
    always = {"run", "layer", "neuron", "regime", *(name for name in schema.names if name[:6] == "steps_")}
    assert {field.name for field in schema if not field.nullable} == always
