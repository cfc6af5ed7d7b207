"""Forward passes that raise before the layers are settled: what they have shown is of no step."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, Normal

import probes
from probes.errors import RunError
from probes.moments import Moments
from probes.run import Run
from probes.watching.attaching import watch

BATCH, INPUTS, NEURONS = 6, 5, 3


class Encoder(nn.Module):
    def __init__(self, inputs: int = INPUTS) -> None:
        super().__init__()
        self.fc_mu, self.fc_logvar = nn.Linear(inputs, NEURONS), nn.Linear(inputs, NEURONS)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.fc_mu(x), self.fc_logvar(x)
        return mu + torch.randn_like(mu) * (logvar / 2).exp(), mu, logvar


class Ladder(nn.Module):
    """Two layers of latent variables; `fails` raises between them."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high, self.decoder = Encoder(), Encoder(NEURONS), nn.Linear(NEURONS, INPUTS)
        self.fails: Callable[[], object] = lambda: None

    def forward(self, x: Tensor) -> Tensor:
        z = self.low(x)[0]
        self.fails()
        return self.decoder(self.high(z)[0])


def out_of_memory() -> None:
    raise RuntimeError("out of memory")


def rows() -> Tensor:
    return torch.randn(BATCH, INPUTS)


def broken(model: nn.Module, x: Tensor, error: type[BaseException] = RuntimeError) -> None:
    """A forward pass that raises."""

    def fails() -> None:
        raise error("out of memory")

    model.fails = fails
    with pytest.raises(error, match="out of memory"):
        model(x)
    model.fails = lambda: None


def names(run: Run) -> list[str]:
    return [layer["name"] for layer in run.layers]


def assert_low(run: Run, step: int, model: Ladder, x: Tensor) -> None:
    """Statistics of the first layer at a step are those of these rows."""
    mu, logvar = (head(x).detach() for head in (model.low.fc_mu, model.low.fc_logvar))
    truth = Moments().update(mu[..., None], (logvar / 2).exp()[..., None]).result()
    row = run.at(step)
    for name in ("mean", "variance", "kl"):
        np.testing.assert_allclose(row[name][:NEURONS], truth[name], rtol=2e-5, atol=1e-6, err_msg=name)


def test_later_layers_are_found_though_the_first_step_has_only_a_pass_that_raised(tmp_path: Path) -> None:
    model, x = Ladder(), rows()
    with watch(model, tmp_path / "run") as recording:
        broken(model, rows())
        with pytest.warns(RuntimeWarning, match="broken off by an error") as said:
            recording.step(0, loss=1.0)
        assert len(said) == 1
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            broken(model, rows())
            recording.step(1, loss=1.0)  # once is enough
            model(x)
            recording.step(2, loss=1.0)
        assert recording.lost == 2
    run = Run(tmp_path / "run")
    assert names(run) == ["low", "high"]
    assert len(run.scalars()) == 3
    assert_low(run, 2, model, x)


def test_a_run_is_resumed_though_its_first_step_has_only_a_pass_that_raised(tmp_path: Path) -> None:
    model, x = Ladder(), rows()
    with watch(model, tmp_path / "run") as recording:
        for step in range(2):
            model(rows())
            recording.step(step)
    with watch(model, tmp_path / "run", resume=1) as resumed:
        broken(model, rows())
        with pytest.warns(RuntimeWarning, match="broken off by an error"):
            resumed.step(2)
        model(x)
        resumed.step(3)
        assert resumed.lost == 1
    run = Run(tmp_path / "run")
    assert names(run) == ["low", "high"]
    assert_low(run, 3, model, x)


@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
def test_what_came_before_and_after_a_pass_that_raised_is_one_step(
    tmp_path: Path, error: type[BaseException]
) -> None:
    model, before, after = Ladder(), rows(), rows()
    with watch(model, tmp_path / "run") as recording:
        model(before)
        broken(model, 100 * rows(), error)
        model(after)
        recording.step(0)
        assert recording.lost == 0
    run = Run(tmp_path / "run")
    assert names(run) == ["low", "high"]
    assert_low(run, 0, model, torch.cat([before, after]))


def test_a_pass_that_is_interrupted_takes_the_rest_of_its_step_along(tmp_path: Path) -> None:
    """An interrupt ends no call of a module in a way that hooks hear: what follows in the step is dropped."""
    model, x = Ladder(), rows()
    with watch(model, tmp_path / "run") as recording:
        broken(model, rows(), KeyboardInterrupt)
        model(rows())
        with pytest.warns(RuntimeWarning, match="broken off by an error"):
            recording.step(0)
        model(x)
        recording.step(1)
    run = Run(tmp_path / "run")
    assert names(run) == ["low", "high"]
    assert_low(run, 1, model, x)


def test_a_part_that_raises_and_is_called_by_itself(tmp_path: Path) -> None:
    """Nobody calls the model: a call of one of its modules is a forward pass."""
    model, x = nn.ModuleDict({"ladder": Ladder(), "other": Encoder()}), rows()
    with watch(model, tmp_path / "run") as recording:
        model["other"](x)
        broken(model["ladder"], rows())
        model["ladder"](x)
        recording.step(0)
    assert set(names(Run(tmp_path / "run"))) == {"ladder.low", "ladder.high", "other"}


def test_an_error_that_the_model_catches_breaks_nothing_off(tmp_path: Path) -> None:
    class Careful(Ladder):
        def forward(self, x: Tensor) -> Tensor:
            try:
                return super().forward(x)
            except RuntimeError:
                return self.decoder(self.high(torch.zeros(BATCH, NEURONS))[0])

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Careful()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)

    model, x = Whole(), rows()
    model.inner.fails = out_of_memory
    with watch(model, tmp_path / "run") as recording:
        model(x)
        recording.step(0)
        assert recording.lost == 0
    assert names(Run(tmp_path / "run")) == ["inner.low", "inner.high"]


def test_a_pass_that_returns_nothing_is_whole_though_an_error_is_being_handled(tmp_path: Path) -> None:
    class Returns(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = Encoder()

        def forward(self, x: Tensor) -> None:
            self.encoder(x)

    model = Returns()
    with watch(model, tmp_path / "run") as recording:
        try:
            out_of_memory()
        except RuntimeError:
            model(rows())  # again, smaller
        recording.step(0)
        assert recording.lost == 0
    assert names(Run(tmp_path / "run")) == ["encoder"]


class Prior(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.prior, self.encoder, self.decoder = Encoder(), Encoder(), nn.Linear(NEURONS, INPUTS)
        self.fails: Callable[[], object] = lambda: None

    def forward(self, x: Tensor) -> Tensor:
        self.prior(x)
        self.fails()
        return self.decoder(self.encoder(x)[0])


def test_a_prior_is_linked_though_one_of_its_calls_had_no_posterior(tmp_path: Path) -> None:
    found = []
    for name, fails in (("whole", False), ("broken", True)):
        torch.manual_seed(0)
        model = Prior()
        with watch(model, tmp_path / name) as recording:
            model(rows())
            if fails:
                broken(model, rows())
            model(rows())
            recording.step(0)
            found.append([(layer["name"], layer["source"], layer["prior"]) for layer in recording.found])
        assert recording.lost == 0
    assert found[0] == found[1]
    assert "network's own" in found[0][0][2]


@pytest.mark.parametrize("family", ["categorical", "gaussian"])
def test_posteriors_that_are_returned_as_distributions(tmp_path: Path, family: str) -> None:
    class Returned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Linear(INPUTS, NEURONS * 4)
            self.fails: Callable[[], object] = lambda: None

        def forward(self, x: Tensor) -> object:
            values = self.encoder(x).reshape(-1, NEURONS, 4)
            q = Categorical(logits=values) if family == "categorical" else Normal(values[..., 0], 1.0)
            probes.observe("z", q)
            self.fails()
            return Independent(q, 1)

    found = []
    for name, fails in (("whole", False), ("broken", True)):
        torch.manual_seed(0)
        model = Returned()
        before, lost, after = rows(), 50 * rows(), rows()
        with watch(model, tmp_path / name) as recording:
            model(before)
            if fails:
                broken(model, lost)
            model(after)
            recording.step(0)
        found.append(Run(tmp_path / name).at(0))
    pd.testing.assert_frame_equal(*found)


def test_parts_that_are_named_by_hand(tmp_path: Path) -> None:
    model, x = Ladder(), rows()
    parts = {f"{side}.fc_mu & {side}.fc_logvar": "mu, log_var" for side in ("low", "high")}
    with watch(model, tmp_path / "run", parts=parts) as recording:
        broken(model, rows())
        with pytest.warns(RuntimeWarning, match="broken off by an error"):
            recording.step(0)
        model(x)
        recording.step(1)
    run = Run(tmp_path / "run")
    assert len(run.layers) == 2
    assert_low(run, 1, model, x)


def test_hooks_that_hear_ends_are_gone_after_the_first_step(tmp_path: Path) -> None:
    model = Ladder()
    with watch(model, tmp_path / "run") as recording:
        model(rows())
        recording.step(0)
        heard = {
            path
            for path, module in model.named_modules()
            if module._forward_hooks_always_called or (module._forward_pre_hooks and path == "decoder")
        }
    assert heard == set()


class ObservedLadder(Ladder):
    """Hands its posteriors over itself."""

    def forward(self, x: Tensor) -> Tensor:
        z, mu, logvar = self.low(x)
        probes.observe("low", mu, (logvar / 2).exp())
        self.fails()
        z, mu, logvar = self.high(z)
        probes.observe("high", mu, (logvar / 2).exp())
        return self.decoder(z)


def test_a_model_that_is_left_alone_goes_on_though_its_first_pass_raised(tmp_path: Path) -> None:
    model, x = ObservedLadder(), rows()
    with watch(model, tmp_path / "run", hooks=False) as recording:
        model(rows())
        recording.step(0)
    with watch(model, tmp_path / "run", hooks=False, resume=0) as resumed:
        for step in (1, 2):
            broken(model, 100 * rows())
            with (
                pytest.warns(RuntimeWarning, match="layers of the run have not come: high")
                if step == 1
                else nullcontext()
            ):
                resumed.step(step)
        model(x)
        resumed.step(3)
        assert resumed.lost == 2
    run = Run(tmp_path / "run")
    assert names(run) == ["low", "high"]
    assert run.steps.tolist() == [0, 3]
    assert_low(run, 3, model, x)


def test_a_run_of_other_layers_is_not_gone_on_with(tmp_path: Path) -> None:
    model = ObservedLadder()
    with watch(model, tmp_path / "run", hooks=False) as recording:
        model(rows())
        recording.step(0)
    other = watch(model.low, tmp_path / "run", hooks=False, resume=0)
    probes.observe("another", torch.zeros(BATCH, NEURONS), torch.ones(NEURONS))
    with pytest.raises(RunError, match="cannot be resumed"):
        other.step(1)
