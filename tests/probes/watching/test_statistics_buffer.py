"""Between the training and the log: what fails loses itself alone."""

import networks
import pytest
import torch
from failing_disk import FailingDisk
from networks import BATCH, INPUTS

from probes.run import Run
from probes.watching import statistics_buffer
from probes.watching.attaching import watch


@pytest.fixture
def model():
    torch.manual_seed(0)
    return networks.SiblingVAE()


def rows(count=BATCH):
    return torch.randn(count, INPUTS)


def test_sums_that_cannot_be_derived_lose_their_step_alone(tmp_path, model, monkeypatch):
    """A device that failed at step 3, say, among 64 that are derived together."""
    derive = statistics_buffer.derive_sums

    def failing(family, sums):
        if (sums["rows"] == BATCH + 1).any():
            raise RuntimeError("the device failed\nwith more to say")
        return derive(family, sums)

    monkeypatch.setattr(statistics_buffer, "derive_sums", failing)
    with pytest.warns(RuntimeWarning, match="step 3: the device failed. Training goes on") as told:  # noqa: PT031
        recording = watch(model, tmp_path / "run")
        for step in range(20):
            model(rows(BATCH + (step == 3)))
            recording.step(step, loss=1.0)
        recording.close()
    assert len(told) == 1
    assert recording.lost == 1
    run = Run(tmp_path / "run")
    assert run.steps.tolist() == [step for step in range(20) if step != 3]
    assert len(run.scalars()) == 20


def test_a_number_that_cannot_be_read_loses_itself_alone(tmp_path, model):
    recording = watch(model, tmp_path / "run")
    for step in range(5):
        model(rows())
        recording.step(step, loss=torch.zeros((), device="meta" if step == 2 else "cpu"), other=1.0)
    with pytest.warns(RuntimeWarning, match="scalar 'loss': .*meta") as told:
        recording.close()
    assert len(told) == 1
    assert recording.lost == 1
    run = Run(tmp_path / "run")
    assert run.steps.tolist() == list(range(5))
    assert run.scalars()["name"].value_counts().to_dict() == {"loss": 4, "other": 5}


@pytest.mark.filterwarnings("ignore:.*Training goes on")
def test_where_no_run_could_be_opened_nothing_piles_up_and_the_mirror_goes_on(tmp_path, model, monkeypatch):
    disk, mirrored = FailingDisk(monkeypatch), []
    monkeypatch.setattr(statistics_buffer, "BUFFERED_STEPS", 4)
    recording = watch(model, tmp_path / "run", mirror=lambda *entry: mirrored.append(entry))
    disk.full = True
    for step in range(20):
        model(rows())
        recording.step(step, loss=1.0)
    assert len(recording._buffer._scalars) <= 4
    recording.close()
    assert recording.lost == 40  # steps and losses
    assert len({step for name, _, step in mirrored if name == "train/loss"}) == 20
    assert len({step for name, _, step in mirrored if name.startswith("kl/")}) == 20


def test_a_mirror_that_answers_in_many_lines_is_one(tmp_path, model):
    def mirror(name, value, step):
        raise RuntimeError("tracker is down\nTraceback (most recent call last):")

    recording = watch(model, tmp_path / "run", mirror=mirror)
    model(rows())
    recording.step(0)
    with pytest.warns(RuntimeWarning, match="the mirror failed: tracker is down. Training") as told:
        recording.close()
    assert "\n" not in str(told[0].message)
    assert Run(tmp_path / "run").steps.tolist() == [0]
