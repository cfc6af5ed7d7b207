"""Batches become files: layout, order, bookkeeping, and a write that failed is done again."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from failing_disk import FailingDisk
from log_truth import Truth, fill, simple_run

import probes
from probes.log import manifest
from probes.log.blocks import round_mantissa
from probes.log.check import check
from probes.log.segments import Segment
from probes.log.writer import Batch, Chunk, Writer
from probes.recorder import Recorder
from probes.storage import local
from probes.storage.local import LocalStorage


def test_blocks_have_the_layout_of_the_format(tmp_path):
    truth = Truth([{"name": "wide", "neurons": 150}, {"name": "narrow", "neurons": 5}])
    with Recorder(tmp_path / "run", truth.layers, flush_steps=50) as recorder:
        fill(recorder, truth, list(range(300)), np.random.default_rng(0), sometimes_every=1)
    full, rest = sorted((tmp_path / "run" / "neurons").iterdir())
    assert [full.name, rest.name] == [
        "000000000000-000000000255.parquet",
        "000000000256-000000000299.parquet",
    ]
    metadata = pq.read_metadata(full)
    assert [metadata.row_group(i).num_rows // 256 for i in range(metadata.num_row_groups)] == [64, 64, 22, 5]
    for index in range(metadata.num_columns):
        column = metadata.row_group(0).column(index)
        key = column.path_in_schema in ("step", "layer", "neuron")
        assert column.is_stats_set == key
        assert column.has_dictionary_page == (key or column.path_in_schema in ("regime", "settled"))
        assert ("BYTE_STREAM_SPLIT" in column.encodings) == (column.physical_type == "FLOAT")
        assert column.compression == "LZ4"
    table = pq.read_table(full).to_pandas()
    assert table[["layer", "neuron", "step"]].equals(
        table[["layer", "neuron", "step"]].sort_values(["layer", "neuron", "step"])
    )


def test_ten_bit_run_is_within_the_bound_and_smaller(tmp_path):
    full, truth = simple_run(tmp_path / "full", steps=256, neurons=64)
    short, _ = simple_run(tmp_path / "short", steps=256, neurons=64, precision="10bit")
    exact, rounded = full.history(0, statistics=["kl"])["kl"], short.history(0, statistics=["kl"])["kl"]
    assert (np.abs(exact - rounded) <= exact.abs() * 2**-11).all()
    sizes = [
        sum(f.stat().st_size for f in (tmp_path / name / "neurons").iterdir()) for name in ("full", "short")
    ]
    assert sizes[1] < 0.6 * sizes[0]


def test_many_numbers_are_rounded_with_ten_bits_and_targets_are_not(tmp_path):
    numbers = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    with Recorder(tmp_path / "run", [{"name": "a", "neurons": 2}], precision="10bit") as recorder:
        recorder.probe(0, "a", numbers, np.abs(numbers))
        recorder.predictions(0, pd.DataFrame({"input": np.arange(5), "y": numbers[:, 0]}))
    run = probes.Run(tmp_path / "run")
    kept = run.probe(0)["mu"].to_numpy().reshape(2, 5).T
    np.testing.assert_array_equal(kept, round_mantissa(numbers))
    assert not np.array_equal(kept, numbers)
    np.testing.assert_array_equal(run.predictions()["y"], numbers[:, 0])


def test_regimes_are_written(tmp_path):
    with Recorder(tmp_path / "run", [{"name": "a", "neurons": 3}]) as recorder:
        recorder.record(
            0,
            0,
            mean=[0, 0.5, np.nan],
            variance=[1.0, 0.5, 0.5],
            kl=[0.0, 1, 1],
            information=[0.0, 1, 1],
            spread=[0.0, 0.3, 1],
        )
    run = probes.Run(tmp_path / "run")
    assert run.at(0)["regime"].tolist() == [4, 0, 1]
    assert run.layer_summary()[["regime_0", "regime_1", "regime_4"]].to_numpy().tolist() == [[1, 1, 1]]


@pytest.mark.parametrize("precision", ["full", "10bit"])
def test_numbers_rounded_to_ten_bits_leave_no_regime_open(tmp_path, precision):
    """One posterior for every input, whose mean, variance and KL say that it is frozen; rounded, they are no
    Gaussian's to the precision of float32, and one's to theirs.
    """
    rng = np.random.default_rng(0)
    mean, variance = rng.uniform(-1, 1, 200), rng.uniform(0.5, 0.9, 200)
    with Recorder(tmp_path / "run", [{"name": "a", "neurons": 200}], precision=precision) as recorder:
        kl = 0.5 * (mean**2 + variance - 1 - np.log(variance))
        recorder.record(0, 0, mean=mean, variance=variance, kl=kl)
    assert probes.Run(tmp_path / "run").at(0)["regime"].tolist() == [6] * 200


def test_the_floor_of_a_regime_counts_the_layers_dimensions(tmp_path):
    """Under phi 0.95 the floor is 0.3216 nats a dimension: a KL of 1.30 is a dead neuron's of four, not of
    one.
    """
    layers = [{"name": "four", "neurons": 1, "latent_dim": 4}, {"name": "one", "neurons": 1}]
    with Recorder(tmp_path / "run", layers) as recorder:
        for layer in (0, 1):
            recorder.record(
                0, layer, mean=[0], variance=[0.5], kl=[1.30], information=[0.001], spread=[0.0], phi=[0.95]
            )
    assert probes.Run(tmp_path / "run").at(0)["regime"].tolist() == [4, 6]


def writer_of(tmp_path, neurons=(2, 3), precision="full", next_rows=None):
    layers = manifest.check_layers([{"name": f"l{i}", "neurons": n} for i, n in enumerate(neurons)])
    return Writer(tmp_path, manifest.new("run", layers, {}, precision), next_rows)


def chunk(layer, steps, neurons, **columns):
    values = {"mean": np.zeros((len(steps), neurons), np.float32)} | {
        name: np.full((len(steps), neurons), value, np.float32) for name, value in columns.items()
    }
    return Chunk(layer, np.array(steps), values)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_chunk_knows_its_size_and_some_of_its_steps():
    whole = chunk(0, [1, 2, 3], 2, kl=5)
    assert whole.nbytes == 2 * 3 * 2 * 4
    some = whole.select(np.array([True, False, True]))
    assert some.steps.tolist() == [1, 3]
    assert some.columns["kl"].shape == (2, 2)
    assert whole.select(slice(-1, None)).steps.tolist() == [3]


def test_steps_and_statistics_are_noted(tmp_path):
    writer = writer_of(tmp_path)
    writer.submit(Batch([chunk(0, [3, 4], 2, kl=1), chunk(1, [4], 3)]))
    writer.run()
    assert writer.state["steps"] == {"count": 2, "first": 3, "last": 4}
    assert writer.state["statistics"] == ["mean", "kl"]
    writer.submit(Batch([chunk(1, [9], 3, variance=1)]))
    writer.run()
    assert writer.state["steps"] == {"count": 3, "first": 3, "last": 9}
    assert writer.state["statistics"] == ["mean", "variance", "kl"]
    assert manifest.read(LocalStorage(tmp_path))["steps"]["last"] == 9
    assert (
        files(tmp_path / "neurons") == files(tmp_path / "layers") == [Segment(3, 4).name, Segment(9, 9).name]
    )


def test_a_batch_is_cut_where_the_block_is_full(tmp_path):
    writer = writer_of(tmp_path, (1,))
    writer.submit(Batch([chunk(0, list(range(200)), 1)]))
    writer.run()
    writer.submit(Batch([chunk(0, list(range(200, 600)), 1)]))
    writer.run()
    writer.run()  # deletes what the one before has compacted
    assert files(tmp_path / "neurons") == [
        Segment(0, 255).name,
        Segment(256, 511).name,
        Segment(512, 599).name,
    ]
    assert files(tmp_path / "pyramid" / "16") == [Segment(0, 255).name, Segment(256, 511).name]
    writer.finish("finished")
    assert check(tmp_path) == []
    assert probes.Run(tmp_path).status == "finished"


def test_what_was_compacted_is_deleted_one_batch_later(tmp_path):
    """A reader that has just listed the folder still finds what it has listed."""
    writer = writer_of(tmp_path, (1,))
    for step in range(16):
        writer.submit(Batch([chunk(0, [step], 1)]))
        writer.run()
    assert len(files(tmp_path / "neurons")) == 17
    writer.run()
    assert files(tmp_path / "neurons") == [Segment(0, 15).name]


def test_what_was_compacted_is_deleted_though_the_next_write_fails(tmp_path, monkeypatch):
    disk = FailingDisk(monkeypatch)
    writer = writer_of(tmp_path, (1,))
    for step in range(16):
        writer.submit(Batch([chunk(0, [step], 1)]))
        writer.run()
    disk.full = True
    writer.submit(Batch([chunk(0, [16], 1)]))
    with pytest.raises(OSError, match="No space left"):
        writer.run()
    disk.full = False
    writer.run()
    assert files(tmp_path / "neurons") == [Segment(0, 15).name, Segment(16, 16).name]


def test_row_numbers_go_on(tmp_path):
    writer = writer_of(tmp_path, next_rows={"events": 7})
    for count in (2, 3):
        writer.submit(
            Batch(
                rows={
                    "events": [[(0, None, "x", None, None, "")] * count],
                    "scalars": [[(0, None, 0.0, "a", "b", 1.0)]],
                }
            )
        )
        writer.run()
    assert files(tmp_path / "events") == [Segment(7, 8).name, Segment(9, 11).name]
    assert files(tmp_path / "scalars") == [Segment(0, 0).name, Segment(1, 1).name]


def test_plain_rows_are_there_before_the_statistics_of_their_step(tmp_path, monkeypatch):
    writer = writer_of(tmp_path, (1,))
    order = []
    replace = local.os.replace
    monkeypatch.setattr(
        local.os,
        "replace",
        lambda source, target: (order.append(target.parent.name), replace(source, target)),
    )
    writer.submit(Batch([chunk(0, [0], 1)], {"events": [[(0, None, "x", None, None, "")]]}))
    writer.run()
    assert order == ["events", "neurons", "layers", tmp_path.name]


def test_a_write_that_failed_is_done_again_and_nothing_doubles(tmp_path, monkeypatch):
    disk = FailingDisk(monkeypatch)
    writer = writer_of(tmp_path, (1,))
    manifest.write(tmp_path, writer.state)
    for failing in range(4):
        writer.submit(Batch([chunk(0, [failing], 1)], {"events": [[(failing, None, "x", None, None, "")]]}))
        disk.full = True
        for _ in range(2):
            with pytest.raises(OSError, match="No space left"):
                writer.run()
        disk.full = False
        writer.run()
    writer.finish("finished")
    run = probes.Run(tmp_path)
    assert run.steps.tolist() == run.events()["step"].tolist() == [0, 1, 2, 3]
    assert check(tmp_path) == []


def test_finishing_compacts_tables_and_leaves_nothing_that_does_not_count(tmp_path):
    truth = Truth([{"name": "a", "neurons": 2}])
    with Recorder(tmp_path / "run", truth.layers) as recorder:
        for step in range(5):
            fill(recorder, truth, [step], np.random.default_rng(step))
            recorder.scalar(step, "nll", 1.0)
            recorder.flush()
    assert files(tmp_path / "run" / "scalars") == [Segment(0, 4).name]
    assert files(tmp_path / "run" / "neurons") == files(tmp_path / "run" / "layers") == [Segment(0, 4).name]
    assert files(tmp_path / "run" / "pyramid" / "256") == [Segment(0, 4).name]
