"""Watching changes nothing in what is watched, loses nothing silently, and never takes the training down."""

import copy
import io
import pickle
import subprocess
import sys
import warnings

import networks
import numpy as np
import pytest
import torch
from failing_disk import FailingDisk
from networks import BATCH, INPUTS, NEURONS, assert_statistics, expected
from torch import nn

from probes.errors import RunError
from probes.log import background
from probes.moments import moments
from probes.recorder import RecorderError
from probes.run import Run
from probes.schema import REGIMES
from probes.watching import processes, statistics_buffer
from probes.watching.attaching import watch
from probes.watching.observing import observe


def train(model, steps, watcher=None, accumulate=1):
    """A few steps of a VAE; returns every number that training has touched."""
    torch.manual_seed(3)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    trace = []
    for step in range(steps):
        optimiser.zero_grad()
        for _ in range(accumulate):
            x = torch.randn(BATCH, INPUTS)
            reconstruction, mu, sigma = model(x)
            loss = (reconstruction - x).square().sum(1).mean() + 0.5 * (
                mu**2 + sigma**2 - 1 - 2 * sigma.log()
            ).sum(1).mean()
            loss.backward()
        optimiser.step()
        trace += [
            loss.detach().clone(),
            reconstruction.detach().clone(),
            *(p.grad.clone() for p in model.parameters() if p.grad is not None),
        ]
        if watcher is not None:
            watcher.step(step, loss=loss)
    return trace + [p.detach().clone() for p in model.parameters()] + [torch.get_rng_state()], model.training


def fresh(seed=0, **options):
    torch.manual_seed(seed)
    return networks.SiblingVAE(**options)


@pytest.mark.parametrize("every", [1, 3])
def test_gradients_outputs_random_state_and_mode_are_bit_for_bit_what_they_were(tmp_path, every):
    bare, mode = train(fresh(), 8)
    model = fresh()
    with watch(model, tmp_path / "run", every=every) as recording:
        watched, watched_mode = train(model, 8, recording)
    assert mode == watched_mode
    assert len(bare) == len(watched)
    assert all(torch.equal(a, b) for a, b in zip(bare, watched, strict=True))
    assert Run(tmp_path / "run").steps.size == (8 if every == 1 else 4)


def test_only_our_own_hooks_are_removed(tmp_path):
    model, seen = fresh(), []
    own = model.fc_mu.register_forward_hook(lambda module, args, output: seen.append(output))
    with watch(model, tmp_path / "run") as recording:
        later = model.fc_mu.register_forward_hook(lambda module, args, output: seen.append(output))
        train(model, 2, recording)
        # the VAE itself says more than its layers
        assert list(model.fc_mu._forward_hooks) == [own.id, later.id]
    assert len(seen) == 4
    assert list(model.fc_mu._forward_hooks) == [own.id, later.id]
    assert not model._forward_hooks


def test_micro_batches_pool_to_the_whole_batch(tmp_path):
    model = fresh().train()
    model.body[2].p = 0.0
    x = 10 + torch.randn(3 * BATCH, INPUTS)
    with watch(model, tmp_path / "run") as recording:
        for step in range(2):
            for piece in x.split([BATCH, 2 * BATCH]):
                model(piece)
            recording.step(step)
    truth = expected(*model.posterior(x))
    for step in range(2):
        assert_statistics(Run(tmp_path / "run").at(step), truth)


def test_forwards_in_eval_mode_are_not_recorded(tmp_path):
    model = fresh()
    model.body[2].p = 0.0
    x = torch.randn(BATCH, INPUTS)
    with watch(model, tmp_path / "run") as recording:
        for step in range(2):
            model.train()(x)
            model.eval()(100 + x)
            recording.step(step)
    assert_statistics(Run(tmp_path / "run").at(1), expected(*model.posterior(x)))


def test_every_keeps_the_first_and_the_last_step(tmp_path):
    inputs = torch.randn(12, BATCH, INPUTS)
    for every in (1, 5):
        model = fresh()
        model.body[2].p = 0.0
        with watch(model, tmp_path / f"run{every}", every=every) as recording:
            for step, x in enumerate(inputs):
                model(x)
                model(-x)
                recording.step(10 * step)
    all_steps, some = Run(tmp_path / "run1"), Run(tmp_path / "run5")
    assert some.steps.tolist() == [0, 50, 100, 110]
    codes = ["regime", "settled"]  # a slope that some steps have differs, and what the last records say
    for step in some.steps:
        np.testing.assert_allclose(  # steps are summed beside others: float32 rounds otherwise
            some.at(step).drop(columns=codes), all_steps.at(step).drop(columns=codes), rtol=1e-6, atol=1e-6
        )


def test_statistics_of_a_block_are_those_of_its_steps_one_by_one(tmp_path):
    model = nn.ModuleDict(
        {
            "a": networks.ReturnsMuLogVar(),
            "b": networks.ReturnsMapping(),
            "c": networks.ConvolutionalEncoder(),
        }
    )
    x, images = torch.randn(70, BATCH, INPUTS), torch.randn(70, 2, 2, 5, 5)
    truth = []
    with watch(model, tmp_path / "run") as recording:
        for step in range(70):
            (mu, raw), other, (c_mu, c_raw) = (
                model["a"](x[step]),
                model["b"](x[step]),
                model["c"](images[step]),
            )
            prior = other["prior_mean"], other["prior_std"]
            posteriors = (
                (mu, (raw / 2).exp()),
                (other["z_mean"], other["z_log_std"].exp(), *prior),
                (c_mu, (c_raw / 2).exp()),
            )
            truth.append(
                [moments(*(value.reshape(*value.shape[:2], -1) for value in given)) for given in posteriors]
            )
            recording.step(step)
    run = Run(tmp_path / "run")
    for step in (0, 63, 64, 69):
        for layer, statistics in enumerate(truth[step]):
            frame = run.at(step, layer)
            stored = {name: values for name, values in statistics.items() if name in frame}
            assert stored.keys() >= {"kl", "information", "spread", "active_share"}
            for name, values in stored.items():
                np.testing.assert_allclose(
                    frame[name], values, rtol=1e-6, atol=1e-7, err_msg=f"{name} of layer {layer}"
                )


def test_what_is_held_for_later_is_little(tmp_path, monkeypatch):
    """A channel's sums are one a position: they become statistics before they fill the memory."""
    model, images = networks.ConvolutionalEncoder(), torch.randn(2, 2, 40, 40)
    blocks = []
    monkeypatch.setattr(statistics_buffer, "BUFFERED_BYTES", 1e6)
    monkeypatch.setattr(statistics_buffer, "BUFFERED_SECONDS", 1e9)
    record = statistics_buffer.Recorder.record_block
    monkeypatch.setattr(
        statistics_buffer.Recorder,
        "record_block",
        lambda *given: blocks.append(len(given[1])) or record(*given),
    )
    with watch(model, tmp_path / "run") as recording:
        for step in range(64):
            model(images)
            recording.step(step)
    bytes_a_step = 7 * 3 * 1600 * 4  # sums, channels, positions, float32; the rest is one number a channel
    assert max(blocks) * bytes_a_step < 2e6
    assert sum(blocks) == 64


def test_the_last_step_of_parameters_is_what_they_were_then(tmp_path):
    """They change in place: what is held in case the step is the last must be a copy."""
    model = networks.BayesianLinear()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    with watch(model, tmp_path / "run", every=10) as recording:
        for step in range(3):
            before = model.weight_mu.detach().clone()
            optimiser.zero_grad()
            model(torch.ones(2, INPUTS)).sum().backward()
            optimiser.step()
            recording.step(step)
    assert not torch.equal(before, model.weight_mu)
    # in units of its prior
    np.testing.assert_allclose(Run(tmp_path / "run").at(2)["mean"], before.mean(1) / 0.1, rtol=1e-5)


def test_steps_count_over_the_whole_training(tmp_path):
    model = fresh()
    with watch(model, tmp_path / "run") as recording:
        for step in (0, 1):
            model(torch.randn(BATCH, INPUTS))
            recording.step(step)
        with pytest.raises(
            ValueError,
            match="step 0 does not increase: the step before it is 1. Count over the whole training",
        ):
            recording.step(0)
    assert Run(tmp_path / "run").steps.tolist() == [0, 1]
    with pytest.raises(RecorderError, match="closed"):
        recording.step(2)


def test_copies_of_a_watched_model_are_not_watched(tmp_path):
    model = fresh()
    with watch(model, tmp_path / "run") as recording:
        average, pickled = copy.deepcopy(model), pickle.loads(pickle.dumps(model.fc_mu))
        file = io.BytesIO()
        torch.save(model.fc_mu, file)
        model.body[2].p = 0.0
        x = torch.randn(BATCH, INPUTS)
        model(x)
        average(100 + x)
        pickled(torch.zeros(1, 8))
        recording.step(0)
    assert_statistics(Run(tmp_path / "run").at(0), expected(*model.posterior(x)))


def test_a_pickled_hook_needs_the_standard_library_alone(tmp_path):
    layer = nn.Linear(2, 2)
    recording = watch(layer, tmp_path / "run")
    hook = next(iter(layer._forward_hooks.values()))
    assert b"probes" not in pickle.dumps(hook)
    assert pickle.loads(pickle.dumps(hook))(layer, (), torch.zeros(2)) is None
    recording.close()


def test_a_forward_that_breaks_off_does_not_shift_the_pairs(tmp_path):
    class Fragile(networks.SiblingVAE):
        broken = False

        def forward(self, x):
            h = self.body(x)
            mu = self.fc_mu(h)
            if self.broken:
                raise ArithmeticError
            return self.decoder["mean"](mu + (self.fc_var(h) / 2).exp())

    model, x = Fragile(), torch.randn(BATCH, INPUTS)
    model.body[2].p = 0.0
    with watch(model, tmp_path / "run") as recording:
        model(x)
        recording.step(0)
        model.broken = True
        with pytest.raises(ArithmeticError):
            model(50 + x)
        model.broken = False
        recording.step(1)
        model(x)
        recording.step(2)
    run = Run(tmp_path / "run")
    assert run.steps.tolist() == [0, 2]  # of step 1 nothing was seen
    assert_statistics(run.at(2), expected(*model.posterior(x)))


def test_a_part_that_rests_in_some_steps(tmp_path):
    model = nn.ModuleDict({"a": networks.ReturnsMuSigma(), "b": networks.ReturnsMuLogVar()})
    x = torch.randn(BATCH, INPUTS)
    with watch(model, tmp_path / "run") as recording:
        for step in range(6):
            model["a"](x)
            if step % 2 == 0:
                model["b"](x)
            recording.step(step)
    frame = Run(tmp_path / "run").history(1, [0])
    assert frame["step"].tolist() == [0, 2, 4]


def test_scalars_and_the_mirror(tmp_path):
    mirrored = []
    model, x = fresh(), torch.randn(BATCH, INPUTS)
    with watch(model, tmp_path / "run", mirror=lambda *entry: mirrored.append(entry)) as recording:
        for step in range(2):
            loss = torch.tensor(1.5 + step, requires_grad=True)
            model(x)
            recording.step(step, epoch=0.5 * step, loss=loss, rate=3)
            with torch.no_grad():
                loss.fill_(99.0)  # what was handed over stays
        recording.scalar(1, "nll", 0.25, split="validation")
    scalars = Run(tmp_path / "run").scalars()
    rows = scalars[["step", "split", "name", "value"]].itertuples(index=False, name=None)
    assert list(rows) == [
        (0, "train", "loss", 1.5),
        (0, "train", "rate", 3.0),
        (1, "train", "loss", 2.5),
        (1, "train", "rate", 3.0),
        (1, "validation", "nll", 0.25),
    ]
    assert ("train/loss", 2.5, 1) in mirrored
    kl = {step: value for name, value, step in mirrored if name == "kl/SiblingVAE"}
    assert kl[1] == pytest.approx(Run(tmp_path / "run").at(1)["kl"].sum(), rel=1e-6)


def test_the_manifest_says_what_is_watched_and_why(tmp_path):
    model = fresh()
    with watch(model, tmp_path / "run", config={"lr": 0.1, "seed": 7}, name="mine") as recording:
        assert repr(recording).endswith("what is found is known after the first step")
        train(model, 1, recording)
    first, line = repr(recording).splitlines()
    assert first == f"Recording of {tmp_path / 'run'}"
    assert line == "  SiblingVAE: read from (the model itself) as mu=1, sigma=2; prior Normal(0, 1), ASSUMED"
    run = Run(tmp_path / "run")
    assert run.config["lr"] == 0.1
    assert run.config["watch"] == {"model": "SiblingVAE", "every": 1, "parts": recording.found}
    assert set(recording.found[0]) == {
        "name", "source", "read", "of", "prior", "layout", "why", "family", "origins", "assumed",
    }  # fmt: skip
    assert recording.found[0]["origins"] == {
        "mean": "named", "scale": "assumed", "layout": "stated", "family": "named", "prior": "assumed",
    }  # fmt: skip
    assert recording.found[0]["assumed"] == ["the scale (mu=1, sigma=2)", "the prior Normal(0, 1)"]
    assert (run.manifest["name"], run.manifest["seed"]) == ("mine", 7)


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt, "interrupted"), (ZeroDivisionError, "crashed")]
)
def test_how_a_block_ends_is_how_the_run_ended(tmp_path, error, status):
    model = fresh()

    def fail():
        with watch(model, tmp_path / "run") as recording:
            train(model, 3, recording)
            raise error

    with pytest.raises(error):
        fail()
    run = Run(tmp_path / "run")
    assert (run.status, run.steps.size) == (status, 3)
    assert not any(module._forward_hooks for module in model.modules())


def test_a_script_that_forgets_to_close_keeps_its_rows(tmp_path):
    code = f"""
import sys; sys.path.insert(0, {str(networks.__file__.rsplit("/", 1)[0])!r})
import torch, networks
from probes.watching.attaching import watch
model = networks.SiblingVAE()
recording = watch(model, {str(tmp_path / "run")!r})
for step in range(3):
    model(torch.randn(4, networks.INPUTS)); recording.step(step)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    run = Run(tmp_path / "run")
    assert (run.status, run.steps.tolist()) == ("interrupted", [0, 1, 2])


def test_a_folder_that_holds_a_run_is_refused_or_resumed(tmp_path):
    model = fresh()
    with watch(model, tmp_path / "run") as recording:
        train(model, 5, recording)
    with pytest.raises(
        RunError, match="holds a run already: name another folder, or continue it with resume="
    ):
        watch(model, tmp_path / "run")
    with watch(model, tmp_path / "run", resume=2) as recording:
        with pytest.raises(ValueError, match="step 2 does not increase"):
            recording.step(2)
        model(torch.randn(BATCH, INPUTS))
        recording.step(7)
    assert Run(tmp_path / "run").steps.tolist() == [0, 1, 2, 7]

    other = nn.Sequential(networks.ReturnsMuSigma())
    recording = watch(other, tmp_path / "run", resume=2)
    other(torch.randn(BATCH, INPUTS))
    with pytest.raises(
        RunError, match=r"cannot be resumed: its layers are .*SiblingVAE.*, this model's are .*'0'"
    ):
        recording.step(8)
    assert not any(module._forward_hooks for module in other.modules())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("model", {}), TypeError, "takes a torch.nn.Module, not str"),
        ((None, {"every": 0}), ValueError, "every is 0"),
        ((None, {"flush_steps": 0}), ValueError, "flush_steps is 0"),
        ((None, {"ranks": "some"}), ValueError, "ranks is 'some'; it is one of 'all', 'first'"),
    ],
)
def test_bad_arguments(tmp_path, arguments, error, message):
    model, options = arguments
    with pytest.raises(error, match=message):
        watch(fresh() if model is None else model, tmp_path / "run", **options)


def test_other_ranks_do_nothing_where_the_first_alone_records(tmp_path, monkeypatch):
    monkeypatch.setattr(processes.torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(processes.torch.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(processes.torch.distributed, "get_world_size", lambda: 2)
    model = fresh()
    with watch(model, tmp_path / "run", ranks="first") as recording:
        train(model, 2, recording)
        recording.scalar(1, "nll", 1.0)
    assert not (tmp_path / "run").exists()


def test_other_ranks_are_told_by_their_launcher_before_they_talk(tmp_path, monkeypatch):
    monkeypatch.setenv(processes.RANK, "1")
    model = fresh()
    with watch(model, tmp_path / "run") as recording:
        train(model, 2, recording)
    assert not (tmp_path / "run").exists()
    monkeypatch.setenv(processes.RANK, "0")
    with watch(model, tmp_path / "run") as recording:
        train(model, 2, recording)
    assert Run(tmp_path / "run").steps.tolist() == [0, 1]


def steps_on(model, recording, first, last):
    """Steps that are handed to the recorder one by one."""
    for step in range(first, last):
        model(torch.randn(2, INPUTS))
        recording.step(step)
        recording.flush()


def test_training_goes_on_when_the_disk_fills_and_the_loss_is_counted(tmp_path, monkeypatch):
    disk, model = FailingDisk(monkeypatch), fresh()
    recording = watch(model, tmp_path / "run")
    steps_on(model, recording, 0, 10)
    recording.recorder.flush()
    disk.full = True
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        steps_on(model, recording, 10, 800)
    assert ["No space left" in str(warning.message) for warning in caught] == [True]
    disk.full = False
    recording.close()
    run = Run(tmp_path / "run")
    assert recording.lost > 0
    assert run.steps.size + recording.lost == 800
    assert run.status == "finished"


def test_strict_raises_when_the_disk_fills(tmp_path, monkeypatch):
    disk, model = FailingDisk(monkeypatch), fresh()
    recording = watch(model, tmp_path / "run", strict=True)
    steps_on(model, recording, 0, 1)
    recording.recorder.flush()
    disk.full = True
    with pytest.raises(RecorderError, match="No space left"):
        steps_on(model, recording, 1, 2000)
    disk.full = False
    recording.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_training_goes_on_when_the_writer_dies(tmp_path, monkeypatch):
    def die(writer):
        raise SystemExit

    model = fresh()
    recording = watch(model, tmp_path / "run")
    steps_on(model, recording, 0, 5)
    recording.recorder.flush()
    with monkeypatch.context() as patch:
        patch.setattr(background, "HEARTBEAT_SECONDS", 0.05)
        patch.setattr(background.Writer, "run", die)
        with pytest.raises(RecorderError, match="has died"):
            recording.recorder.flush()
    with pytest.warns(RuntimeWarning, match="has died.*Training goes on") as caught:
        steps_on(model, recording, 5, 9)
    assert len(caught) == 1
    recording.close()
    assert recording.lost == 4
    assert Run(tmp_path / "run").steps.tolist() == [0, 1, 2, 3, 4]


def test_a_disk_that_is_full_from_the_start(tmp_path, monkeypatch):
    disk, model = FailingDisk(monkeypatch), fresh()
    recording = watch(model, tmp_path / "run")
    disk.full = True
    with pytest.warns(RuntimeWarning, match="No space left.*Training goes on") as caught:
        train(model, 4, recording)
    recording.close()
    assert (len(caught), recording.lost) == (1, 8)  # steps and losses


class Fickle(networks.Encoder):
    """Changes what it returns."""

    kind = "pair"

    def forward(self, x):
        mu, logvar = self.raw(x)
        if self.kind == "pair":
            return mu, logvar
        return mu if self.kind == "single" else (mu[:, :2], logvar[:, :2])


@pytest.mark.parametrize(
    ("kind", "message"),
    [("single", "no longer returns what it did"), ("narrow", "has 4 neurons, a batch is")],
)
def test_a_module_that_changes_its_output_is_reported_once_and_counted(tmp_path, kind, message):
    model, x = nn.Sequential(Fickle()), torch.randn(BATCH, INPUTS)
    with watch(model, tmp_path / "run") as recording:
        model(x)
        recording.step(0)
        model[0].kind = kind
        with pytest.warns(RuntimeWarning, match=message) as caught:  # noqa: PT031 - once for both
            for step in (1, 2):
                model(x)
                recording.step(step)
        assert len(caught) == 1
        model[0].kind = "pair"
        model(x)
        recording.step(3)
    assert recording.lost == 2
    assert Run(tmp_path / "run").steps.tolist() == [0, 3]


def test_a_change_of_output_raises_when_strict(tmp_path):
    model, x = nn.Sequential(Fickle()), torch.randn(BATCH, INPUTS)
    with watch(model, tmp_path / "run", strict=True) as recording:
        model(x)
        recording.step(0)
        model[0].kind = "single"
        with pytest.raises(ValueError, match="no longer returns what it did"):
            model(x)


def test_skipped_modules_are_left_alone(tmp_path):
    model = nn.ModuleDict({"a": networks.ReturnsMuSigma(), "b": networks.ReturnsMuLogVar()})
    x = torch.randn(BATCH, INPUTS)
    with watch(model, tmp_path / "run", skip=["a", "a.*"]) as recording:
        model["a"](x), model["b"](x)
        recording.step(0)
    assert [part["name"] for part in recording.found] == ["b"]
    assert Run(tmp_path / "run").layers[0]["neurons"] == NEURONS


METRICS = {
    "None": None,
    "text": "0.5",
    "list": [0.5],
    "array of two": np.ones(2),
    "tensor of two": torch.ones(2),
    "empty tensor": torch.ones(0),
    "complex": torch.tensor(1j),
}


def record_metrics(folder, metrics):
    """Steps with loss=1 and with further metrics, one dictionary a step; returns the closed recording."""
    model = fresh()
    with watch(model, folder) as recording:
        for step, more in enumerate(metrics):
            model(torch.randn(BATCH, INPUTS))
            recording.step(step, loss=1.0, **more)
    return recording


@pytest.mark.parametrize("kind", METRICS)
def test_a_metric_that_is_no_number_loses_itself_alone_and_is_named_once(tmp_path, kind):
    metrics = [{"acc": METRICS[kind]} if step in (3, 5) else {} for step in range(20)]
    with pytest.warns(RuntimeWarning, match="scalar 'acc' is .*Training goes on") as caught:
        recording = record_metrics(tmp_path / "run", metrics)
    assert (len(caught), recording.lost) == (1, 2)
    run = Run(tmp_path / "run")
    assert run.steps.tolist() == list(range(20))
    assert run.scalars()["value"].tolist() == [1.0] * 20
    assert run.status == "finished"


def test_each_metric_that_is_no_number_is_named(tmp_path):
    with pytest.warns(RuntimeWarning) as caught:
        recording = record_metrics(tmp_path / "run", [{"first": None, "second": "x", "": 1.0}] * 3)
    assert [str(one.message).split("run: ")[1][:15] for one in caught] == [
        "scalar 'first' ",
        "scalar 'second'",
        "a scalar's name",
    ]
    assert recording.lost == 9


def test_a_strict_watch_raises_at_the_call_that_is_wrong(tmp_path):
    model = fresh()
    with watch(model, tmp_path / "run", strict=True) as recording:
        model(torch.randn(BATCH, INPUTS))
        recording.step(0, loss=1.0)
        with pytest.raises(ValueError, match="scalar 'acc' is None; it must be one number"):
            recording.scalar(0, "acc", None)
    assert Run(tmp_path / "run").scalars()["name"].tolist() == ["loss"]


@pytest.mark.parametrize("step", [1.0, "1", None, True, -1, 2**60, np.float32(1)])
def test_a_step_that_is_none_is_refused_at_its_call(tmp_path, step):
    model = fresh()
    with watch(model, tmp_path / "run") as recording:
        for good in (np.int64(0), torch.tensor(1)):
            model(torch.randn(BATCH, INPUTS))
            recording.step(good, loss=1.0)
            with pytest.raises(ValueError, match="step is"):
                recording.step(step, loss=2.0)
    assert Run(tmp_path / "run").steps.tolist() == [0, 1]
    assert Run(tmp_path / "run").scalars()["value"].tolist() == [1, 1]


class Named(nn.Module):
    """Hands over what it calls its sigma, with negative values in it where it is `wrong`."""

    def __init__(self):
        super().__init__()
        self.body, self.wrong = nn.Linear(INPUTS, 8), False

    def forward(self, x):
        mu, log_var = self.body(x).chunk(2, -1)
        observe("z", mu, log_var if self.wrong else (0.5 * log_var).exp())
        return mu


def record_named(folder, wrong=4, steps=4):
    """Steps of a `Named`, from `wrong` on with negative values; the recording is closed."""
    torch.manual_seed(0)
    model = Named()
    with watch(model, folder, hooks=False) as recording:
        for step in range(steps):
            model.wrong = step >= wrong
            model(torch.randn(BATCH, INPUTS))
            recording.step(step)


@pytest.mark.parametrize("first", [0, 2])
def test_a_sigma_with_negative_values_is_named_once(tmp_path, first):
    words = f"layer 'z': sigma.* negative values from step {first} on"
    with pytest.warns(RuntimeWarning, match=words) as caught:
        record_named(tmp_path / "run", first)
    assert len(caught) == 1
    run = Run(tmp_path / "run")
    assert (run.at(3)["regime"] == 1).all()
    assert "deterministic" not in {REGIMES[code].name for code in run.at(3)["settled"]}


@pytest.mark.parametrize("log_var", [0.0, -500.0, -50.0, 500.0, float("nan")])
def test_other_sigmas_are_not_called_negative(tmp_path, log_var):
    model = Named()
    model.body.weight.data[4:], model.body.bias.data[4:] = 0, log_var
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with watch(model, tmp_path / "run", hooks=False) as recording:
            model(torch.randn(BATCH, INPUTS))
            recording.step(0)
    assert Run(tmp_path / "run").steps.tolist() == [0]


def test_a_watch_keeps_to_a_size(tmp_path):
    model = fresh()
    with watch(model, tmp_path / "run", config={"steps": 600}, max_gb=0.0001) as recording:
        for step in range(600):
            model(torch.randn(BATCH, INPUTS))
            recording.step(step)
    run = Run(tmp_path / "run")
    assert run.steps[[0, -1]].tolist() == [0, 599]
    assert run.steps.size < 400
    assert run.events()["kind"].unique().tolist() == ["budget"]
    with pytest.raises(ValueError, match="max_gb is -1"):
        watch(model, tmp_path / "other", max_gb=-1)
