"""Numbers of other trackers in a run of ours; with the trackers' packages where they are installed."""

import json
import struct
import sys
import zlib

import pytest

from probes import Recorder, Run, RunError
from probes.__main__ import main
from probes.log.check import check
from probes.tracker_scalars import framed_records, import_scalars


@pytest.fixture
def run(tmp_path):
    with Recorder(tmp_path / "run", [{"name": "a", "neurons": 2}]) as recorder:
        for step in range(3):
            recorder.record(step, "a", kl=[0.1, 0.2])
            recorder.scalar(step, "loss", 1.0)
        recorder.event(2, "note", text="kept")
    return tmp_path / "run"


def write_tensorboard(folder):
    writer = pytest.importorskip("torch.utils.tensorboard").SummaryWriter(str(folder))
    for step in range(3):
        writer.add_scalar("train/loss", 7.0, step)
        writer.add_scalar("val/accuracy", 0.25 * step, step)
        writer.add_scalar("lr", 0.1, step + 10)
    writer.close()


def framed(records):
    """As `.wandb` files are: 7 bytes of a header, then LevelDB's blocks."""
    data = b":W&B\x01\x02\x00"
    for record in records:
        rest, first = record, True
        while True:
            left = 32768 - len(data) % 32768
            if left < 7:
                data += b"\0" * left
                left = 32768
            piece, rest = rest[: left - 7], rest[left - 7 :]
            kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[first, not rest]
            data += struct.pack("<IHB", zlib.crc32(piece), len(piece), kind) + piece
            first = False
            if not rest:
                break
    return data


def test_framed_records_over_blocks_and_a_writer_that_was_killed():
    records = [b"a", b"b" * 40_000, b"c" * 32_754, b"d" * 100_000, b"e"]
    data = framed(records)
    assert list(framed_records(data)) == records
    assert list(framed_records(data[:-3])) == records[:-1]
    assert list(framed_records(data + b"\0" * 50)) == records


def test_tensorboards_scalars_stand_beside_ours(tmp_path, run, capsys):
    write_tensorboard(tmp_path / "tb" / "deep")
    assert main(["import", str(tmp_path / "tb"), str(run)]) == 0
    assert "6 numbers" in capsys.readouterr().out
    scalars = Run(run).scalars().set_index(["split", "name", "step"])["value"].sort_index()
    assert scalars["train", "loss"].tolist() == [1.0] * 3, "what the run has stays"
    assert scalars["validation", "accuracy"].to_dict() == {0: 0.0, 1: 0.25, 2: 0.5}
    assert scalars["tensorboard", "lr"].to_dict() == pytest.approx({10: 0.1, 11: 0.1, 12: 0.1})
    assert import_scalars(tmp_path / "tb", run) == 0, "a second time adds nothing"
    after = Run(run)
    assert (after.status, after.steps.tolist(), len(after.events())) == ("finished", [0, 1, 2], 1)
    assert [finding for finding in check(run) if finding.level == "error"] == []


def test_an_offline_run_of_wandb(tmp_path, run):
    pb = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    rows = [
        {"val/loss": 0.5, "probes/step": 3, "_step": 0},
        {"acc": 0.75, "_step": 1, "_runtime": 3.5, "note": "text"},
    ]
    records = []
    for row in rows:
        record = pb.Record()
        for name, value in row.items():
            record.history.item.add(key=name, value_json=json.dumps(value))
        records.append(record.SerializeToString())
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "run-x.wandb").write_bytes(framed(records))
    assert import_scalars(tmp_path / "wandb", run) == 2
    scalars = Run(run).scalars().set_index(["split", "name", "step"])["value"].sort_index()
    assert scalars["validation", "loss", 3] == 0.5
    assert scalars["wandb", "acc", 1] == 0.75


@pytest.mark.parametrize(
    ("name", "package", "remedy"),
    [
        ("events.out.tfevents.1", "tensorboard.backend.event_processing", "pip install tensorboard"),
        ("run-x.wandb", "wandb.proto", "pip install wandb"),
    ],
)
def test_a_package_that_is_missing_is_named(tmp_path, run, monkeypatch, name, package, remedy):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / name).write_bytes(b"")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(RunError, match=remedy):
        import_scalars(tmp_path / "there", run)


def test_nothing_to_import_and_no_run_are_said(tmp_path, run, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["import", str(tmp_path / "empty"), str(run)]) == 2
    assert "no event files" in capsys.readouterr().err
