"""Outputs of every kind: read, or counted and named once, and never an end of the training."""

import dataclasses
import warnings
from collections import namedtuple
from collections.abc import Callable

import pytest
import torch
from networks import BATCH, INPUTS, NEURONS, assert_statistics, expected
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from probes.run import Run
from probes.watching.attaching import watch
from probes.watching.observing import observe


@dataclasses.dataclass
class Plain:
    mu: Tensor
    logvar: Tensor


@dataclasses.dataclass(frozen=True, slots=True)
class Slots:
    mu: Tensor
    logvar: Tensor


Named = namedtuple("Named", "mu logvar")


class Hostile:
    def __getattr__(self, name):
        raise ZeroDivisionError(name)


class Returns(nn.Module):
    """What `wrap` makes of two layers without telling names."""

    def __init__(self, wrap: Callable) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(INPUTS, NEURONS), nn.Linear(INPUTS, NEURONS)
        self.wrap = wrap

    def forward(self, x: Tensor):
        return self.wrap(self.one(x), self.two(x))


READ = {
    "dataclass": Plain,
    "dataclass with slots": Slots,
    "named tuple": Named,
    "mapping": lambda mu, logvar: {"mu": mu, "logvar": logvar},
    "Normal": lambda mu, logvar: Normal(mu, (logvar / 2).exp()),
    "Independent in a mapping": lambda mu, logvar: {
        "q": Independent(Normal(mu, (logvar / 2).exp()), 1),
        "x": 3,
    },
    "float64": lambda mu, logvar: Plain(mu.double(), logvar.double()),
    "sparse": lambda mu, logvar: Plain(mu.to_sparse(), logvar.to_sparse()),
    "a scale on its own": lambda mu, logvar: Plain(mu, logvar[:1]),
}


@pytest.mark.parametrize("kind", READ)
def test_what_is_read(tmp_path, kind):
    model, x = Returns(READ[kind]), torch.randn(2, BATCH, INPUTS)
    with watch(model, tmp_path / "run") as recording:
        for step, batch in enumerate(x):
            model(batch)
            recording.step(step)
    assert (recording.lost, len(recording.found)) == (0, 1)
    mu, logvar = model.one(x[1]), model.two(x[1])
    logvar = logvar[:1].expand_as(mu) if kind == "a scale on its own" else logvar
    assert_statistics(Run(tmp_path / "run").at(1), expected(mu, (logvar / 2).exp()))


def quantized(value):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that torch.ao moves elsewhere
        return torch.quantize_per_tensor(value.detach(), 0.1, 0, torch.qint8)


NOT_READ = {
    "None": lambda mu, logvar: None,
    "text": lambda mu, logvar: {"mu": "a", "logvar": "b"},
    "integers": lambda mu, logvar: Plain(mu.long(), logvar.long()),
    "truth values": lambda mu, logvar: Plain(mu > 0, logvar > 0),
    "complex": lambda mu, logvar: Plain(mu.to(torch.complex64), logvar),
    "meta": lambda mu, logvar: Plain(mu.to("meta"), logvar.to("meta")),
    "one of them on meta": lambda mu, logvar: Plain(mu, logvar.to("meta")),
    "quantized": lambda mu, logvar: Plain(quantized(mu), quantized(logvar)),
    "single numbers": lambda mu, logvar: Plain(mu.sum(), logvar.sum()),
    "other widths": lambda mu, logvar: Plain(mu, logvar[:, :2]),
    "fewer neurons": lambda mu, logvar: Plain(mu[:, :2], logvar[:, :2]),
    "a generator": lambda mu, logvar: (value for value in (mu, logvar)),
    "an object that raises": lambda mu, logvar: Hostile(),
}


@pytest.mark.parametrize("kind", NOT_READ)
@pytest.mark.parametrize("every", [1, 10])
def test_what_is_not_read_is_counted_and_named_once(tmp_path, kind, every):
    model, x = Returns(Plain), torch.randn(6, BATCH, INPUTS)
    with (
        warnings.catch_warnings(record=True) as told,
        watch(model, tmp_path / "run", every=every) as recording,
    ):
        warnings.simplefilter("always")
        for step, batch in enumerate(x):
            model.wrap = NOT_READ[kind] if step in (2, 3, 5) else Plain
            model(batch)
            recording.step(step)
    assert [str(one.message).count("\n") for one in told] == [0]
    assert "layer 'Returns'" in str(told[0].message)
    run = Run(tmp_path / "run")
    assert run.steps.tolist() == ([0, 1, 4] if every == 1 else [0])
    assert recording.lost == (3 if every == 1 else 1)  # the last step is always due
    mu, logvar = model.one(x[0]), model.two(x[0])
    assert_statistics(run.at(0), expected(mu, (logvar / 2).exp()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_nan_in_half_precision_is_non_finite_and_no_loss(tmp_path, dtype):
    model, x = (
        Returns(lambda mu, logvar: Plain(mu.to(dtype) * float("nan"), logvar.to(dtype))),
        torch.randn(8, 6),
    )
    with watch(model, tmp_path / "run") as recording:
        model(x)
        recording.step(0)
    assert recording.lost == 0
    assert Run(tmp_path / "run").at(0)["regime"].tolist() == [1] * NEURONS


def test_priors_do_not_round_what_is_half_precision(tmp_path):
    """(mu − m)/s in 16 bits would lose the third digit."""
    model, x = Returns(lambda mu, logvar: Plain(mu.bfloat16(), logvar.bfloat16())), torch.randn(BATCH, INPUTS)
    with watch(model, tmp_path / "run", priors={"*": (100.0, 3.0)}) as recording:
        model(x)
        recording.step(0)
    mu, logvar = model.one(x).bfloat16().double(), model.two(x).bfloat16().double()
    assert_statistics(Run(tmp_path / "run").at(0), expected((mu - 100) / 3, (logvar / 2).exp() / 3))


def good():
    observe("z", torch.randn(BATCH, NEURONS), torch.ones(NEURONS))


ZEROS, ONES = torch.zeros(BATCH, NEURONS), torch.ones(NEURONS)
REFUSED = {
    "no tensor": (lambda: observe("z", ZEROS.numpy(), ONES.numpy()), "takes tensors of real numbers"),
    "a number": (lambda: observe("z", ZEROS, 0.1), "takes tensors of real numbers"),
    "None": (lambda: observe("z", None, None), "got a single number"),
    "one number": (lambda: observe("z", torch.tensor(1.0), torch.tensor(1.0)), "got a single number"),
    "complex": (lambda: observe("z", ZEROS + 1j, ONES), "is complex"),
    "meta": (lambda: observe("z", ZEROS.to("meta"), ONES.to("meta")), "is without values"),
    "another width": (lambda: observe("z", ZEROS, torch.ones(3)), "do not broadcast"),
    "a mask of another length": (lambda: observe("z", ZEROS, ONES, mask=torch.ones(3)), "mask is"),
    "other predecessors": (lambda: observe("z", ZEROS, ONES, previous=torch.zeros(3, 3)), "pairs need"),
    "a prior in words": (lambda: observe("z", ZEROS, ONES, prior="standard"), "takes tensors"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_observe_does_not_take_is_an_error_at_first_and_counted_later(tmp_path, kind):
    call, words = REFUSED[kind]
    with watch(nn.Linear(1, 1), tmp_path / "first", hooks=False), pytest.raises(ValueError, match=words):
        call()
    with watch(nn.Linear(1, 1), tmp_path / "later", hooks=False) as recording:
        good()
        recording.step(0)
        with pytest.warns(RuntimeWarning, match=words) as told:
            call()
        call()
        recording.step(1)
        good()
        recording.step(2)
    assert len(told) == 1
    assert recording.lost == 2
    assert Run(tmp_path / "later").steps.tolist() == [0, 2]
    call()  # nobody listens: nothing is done


def test_what_observe_takes(tmp_path):
    prior = Independent(Normal(torch.full((NEURONS,), 0.5), 2 * ONES), 1)
    mu, sigma = torch.randn(BATCH, NEURONS), torch.rand(BATCH, NEURONS) + 0.5
    keep = torch.arange(BATCH) % 2
    with warnings.catch_warnings(), watch(nn.Linear(1, 1), tmp_path / "run", hooks=False) as recording:
        warnings.simplefilter("ignore")  # torch's, that nested tensors are a prototype
        observe("z", mu.to_sparse(), sigma.to_sparse(), prior=prior)
        recording.step(0)
        observe("z", mu, sigma, prior=prior, mask=keep)  # 0 and 1
        recording.step(1)
        parts = [
            torch.nested.nested_tensor(list(one.split([5, BATCH - 5])), layout=torch.jagged)
            for one in (mu, sigma)
        ]
        observe("z", *parts)
        recording.step(2)
    assert recording.lost == 0
    run, ones = Run(tmp_path / "run"), torch.ones(BATCH, NEURONS).double()
    assert_statistics(run.at(0), expected(mu, sigma, Normal(0.5 * ones, 2 * ones)))
    some = keep.bool()
    assert_statistics(run.at(1), expected(mu[some], sigma[some], Normal(0.5 * ones[some], 2 * ones[some])))
    assert_statistics(run.at(2), expected(mu, sigma))


def test_observe_in_an_exported_program_leaves_nothing(tmp_path):
    if not hasattr(torch.compiler, "is_exporting"):
        pytest.skip("torch before 2.7 does not tell that it exports")

    class Observes(Returns):
        def forward(self, x):
            observe("z", self.one(x), ONES)
            return self.two(x)

    model, x = Observes(Plain), torch.randn(BATCH, INPUTS)
    with watch(model, tmp_path / "run", hooks=False) as recording:
        program = torch.export.export(model, (x,))
        model(x)
        recording.step(0)
    assert "probes" not in str(program.graph)
    assert recording.lost == 0


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.skipif(
    not hasattr(torch.library.CustomOpDef, "register_vmap"), reason="torch before 2.5 refuses it"
)
def test_observe_inside_vmap_of_compiled_code_is_counted(tmp_path, backend):
    torch.compiler.reset()

    def forward(x):
        observe("z", x, x.exp())
        return x.square().sum()

    x = torch.randn(3, BATCH, NEURONS)
    fast = torch.compile(lambda x: torch.func.vmap(forward)(x), backend=backend)
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False) as recording:
        good()
        recording.step(0)
        torch.testing.assert_close(fast(x), x.square().sum((1, 2)))
        with pytest.warns(RuntimeWarning, match=r"step 1: .* transform of torch\.func"):
            recording.step(1)
    assert recording.lost == 1
