"""Whatever a model does in a forward pass: its training goes on, and what is not recorded is counted."""

import pathlib
import subprocess
import sys
import warnings

import networks
import pytest
import torch
from networks import BATCH, INPUTS, NEURONS
from torch import nn

from probes.run import Run
from probes.watching import hooks
from probes.watching.attaching import watch
from probes.watching.statistics_buffer import MIRROR_FAILURES


@pytest.fixture
def default_dtype():
    before = torch.get_default_dtype()
    yield torch.set_default_dtype
    torch.set_default_dtype(before)


class Heads(nn.Module):
    def __init__(self, layer=nn.Linear, *shape):
        super().__init__()
        self.fc_mu, self.fc_logvar = layer(*shape), layer(*shape)

    def forward(self, x):
        return self.fc_mu(x), self.fc_logvar(x)


def rows():
    return torch.randn(BATCH, INPUTS)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_another_default_dtype(tmp_path, default_dtype, dtype):
    default_dtype(dtype)
    model = networks.SiblingVAE()
    with watch(model, tmp_path / "run") as recording:
        for step in range(3):
            model(rows())
            recording.step(step)
    run = Run(tmp_path / "run")
    assert recording.lost == 0
    assert run.steps.tolist() == [0, 1, 2]
    assert run.at(2)["kl"].notna().all()


def test_eval_mode_that_is_never_left_is_told_once_and_counted(tmp_path):
    model = networks.SiblingVAE()
    with watch(model, tmp_path / "run") as recording:
        for step in range(3):
            model(rows())
            recording.step(step)
        model.eval()
        with pytest.warns(RuntimeWarning, match=r"step 3: .* in eval mode: model\.train\(\)") as told:  # noqa: PT031
            for step in range(3, 8):
                model(rows())
                recording.step(step)
        model.train()
        model(rows())
        recording.step(8)
    assert len(told) == 1
    assert recording.lost == 5
    assert Run(tmp_path / "run").steps.tolist() == [0, 1, 2, 8]


def test_validation_between_steps_and_steps_without_a_forward_pass_are_no_loss(tmp_path):
    model = networks.SiblingVAE()
    with watch(model, tmp_path / "run") as recording:
        for step in range(6):
            if step != 3:
                model(rows())
            recording.step(step)
            model.eval()
            model(rows())
            model.train()
    assert recording.lost == 0
    assert Run(tmp_path / "run").steps.tolist() == [0, 1, 2, 4, 5]


@pytest.mark.parametrize("failures", [1, 1000])
def test_a_mirror_that_fails(tmp_path, failures):
    model, calls = networks.SiblingVAE(), []

    def mirror(name, value, step):
        calls.append(step)
        if len(calls) <= failures:
            raise ConnectionError("tracker is down")

    with pytest.warns(RuntimeWarning, match="the mirror failed: tracker is down") as told:  # noqa: PT031
        recording = watch(model, tmp_path / "run", mirror=mirror)
        for step in range(20):
            model(rows())
            recording.step(step, loss=1.0)
            recording.flush()
        recording.close()
    assert len(told) == 1
    assert (len(calls) == MIRROR_FAILURES) == (failures > 1)
    assert Run(tmp_path / "run").steps.size == 20
    assert recording.lost == 0


def test_transforms_of_torch_func(tmp_path):
    model = networks.SiblingVAE()
    parameters, x = dict(model.named_parameters()), rows()

    def loss(values, batch):
        torch.manual_seed(0)
        return torch.func.functional_call(model, values, (batch,))[1].square().mean()

    expected = torch.func.grad(loss)(parameters, x)
    with watch(model, tmp_path / "run") as recording:
        model(x)
        recording.step(0)
        got = torch.func.grad(loss)(parameters, x)
        with pytest.warns(RuntimeWarning, match=r"step 1: .* inside a transform of torch\.func"):
            recording.step(1)
        torch.func.vmap(model, randomness="different")(torch.randn(3, BATCH, INPUTS))
        recording.step(2)
        model(x)
        recording.step(3)
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    assert recording.lost == 2
    assert Run(tmp_path / "run").steps.tolist() == [0, 3]


def test_transforms_of_torch_func_before_the_first_step(tmp_path):
    model = networks.SiblingVAE()
    with watch(model, tmp_path / "run") as recording:
        torch.func.vmap(model, randomness="different")(torch.randn(3, BATCH, INPUTS))
        with pytest.warns(RuntimeWarning, match=r"step 0: nothing to record yet: .* of torch\.func"):
            recording.step(0)
        model(rows())
        recording.step(1)
    assert recording.lost == 1
    assert Run(tmp_path / "run").steps.tolist() == [1]


@pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
def test_sequences_of_different_lengths_are_rows(tmp_path, layout):
    model = Heads(nn.Linear, INPUTS, NEURONS)
    parts = [torch.randn(3, INPUTS), torch.randn(5, INPUTS)]
    with warnings.catch_warnings(), watch(model, tmp_path / "run") as recording:
        warnings.simplefilter("ignore")  # torch's, that nested tensors are a prototype
        model(torch.nested.nested_tensor(parts, layout=layout))
        recording.step(0)
    row = Run(tmp_path / "run").at(0)
    mu = model.fc_mu(torch.cat(parts))
    torch.testing.assert_close(torch.tensor(row["mean"].to_numpy()), mu.mean(0).detach().float())
    assert row["rows"].tolist() == [8.0] * NEURONS


def test_a_cast_or_clamp_behind_the_encoder_is_the_same_layer(tmp_path):
    class Mixed(networks.SiblingVAE):
        def forward(self, x):
            with torch.autocast("cpu", torch.bfloat16):
                reconstruction, mu, sigma = super().forward(x)
            return reconstruction, mu.float(), sigma.float().clamp(1e-3, 10)

    model = Mixed()
    with watch(model, tmp_path / "run") as recording:
        model(rows())
        recording.step(0)
    assert len(recording.found) == 1


def test_heads_that_begin_at_zero_are_two_layers(tmp_path):
    model = nn.ModuleDict(
        {"low": Heads(nn.Linear, INPUTS, NEURONS), "high": Heads(nn.Linear, INPUTS, NEURONS)}
    )
    for heads in model.values():
        for parameter in heads.parameters():
            nn.init.zeros_(parameter)
    with watch(model, tmp_path / "run") as recording:
        for heads in model.values():
            heads(rows())
        recording.step(0)
    assert len(recording.found) == 2


def test_images_of_another_size_are_counted(tmp_path):
    model = Heads(nn.Conv2d, 3, NEURONS, 3)
    recording = watch(model, tmp_path / "run")
    with pytest.warns(RuntimeWarning, match="it has 36 dimensions or positions a neuron, a batch is"):  # noqa: PT031
        for step in range(6):
            model(torch.randn(2, 3, 8 + 4 * (step % 2), 8))
            recording.step(step)
    recording.close()
    assert recording.lost == 3
    assert Run(tmp_path / "run").steps.tolist() == [0, 2, 4]


def test_a_resume_whose_first_images_are_of_another_size(tmp_path):
    """The run keeps the size that it has: what is of another is counted, and training goes on."""
    model = Heads(nn.Conv2d, 2, 3, 1)
    with watch(model, tmp_path / "run") as recording:
        model(torch.randn(4, 2, 5, 5))
        recording.step(0)
    with watch(model, tmp_path / "run", resume=0) as recording:
        model(torch.randn(4, 2, 3, 3))
        with pytest.warns(RuntimeWarning, match="9 latent dimensions, the run that is resumed has 25"):
            recording.step(1)
        for step, side in enumerate((5, 3, 5), 2):
            mu, logvar = model(torch.randn(4, 2, side, side))
            recording.step(step)
    assert recording.lost == 2
    run = Run(tmp_path / "run")
    assert run.steps.tolist() == [0, 2, 4]
    kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum((2, 3)).mean(0)
    assert run.at(4)["kl"].to_numpy() == pytest.approx(kl.detach().numpy(), rel=1e-4)


def test_layers_that_are_lazy_until_the_first_forward_pass(tmp_path):
    model = Heads(nn.LazyLinear, NEURONS)
    with watch(model, tmp_path / "run") as recording:
        model(rows())
        recording.step(0)
    assert [layer["neurons"] for layer in Run(tmp_path / "run").layers] == [NEURONS]


class Odd(nn.Module):
    """Returns a pair, and then something else."""

    def __init__(self):
        super().__init__()
        self.fc_mu, self.fc_logvar = nn.Linear(INPUTS, NEURONS), nn.Linear(INPUTS, NEURONS)
        self.returns = None

    def forward(self, x):
        pair = self.fc_mu(x), self.fc_logvar(x)
        return pair if self.returns is None else self.returns(*pair)


@pytest.mark.parametrize(
    "returns",
    [
        lambda mu, logvar: None,
        lambda mu, logvar: (mu.to(torch.complex64), logvar),
        lambda mu, logvar: (mu.round().long(), logvar),
        lambda mu, logvar: (mu.to_sparse(), logvar),
        lambda mu, logvar: (mu.to("meta"), logvar.to("meta")),
        lambda mu, logvar: (mu[:0], logvar[:0]),
        lambda mu, logvar: (mu.sum(), logvar.sum()),
        lambda mu, logvar: {"mu": mu, "logvar": logvar[:, :1]},
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_whatever_is_returned_training_goes_on(tmp_path, returns):
    encoder = Odd()
    model = nn.Sequential(encoder)
    with watch(model, tmp_path / "run", parts={"0": "mu=0, log_var=1"}) as recording:
        model(rows())
        recording.step(0)
        encoder.returns = returns
        for step in (1, 2):
            model(rows())
            recording.step(step)
        encoder.returns = None
        model(rows())
        recording.step(3)
    steps = Run(tmp_path / "run").steps.tolist()
    assert {0, 3} <= set(steps)
    assert recording.lost >= 4 - len(steps)


def test_a_torch_whose_disable_knows_no_reason(tmp_path, monkeypatch):
    disable = torch.compiler.disable
    monkeypatch.setattr(
        hooks.torch.compiler, "disable", lambda fn=None, recursive=True: disable(fn, recursive)
    )
    model = networks.SiblingVAE()
    with watch(model, tmp_path / "run") as recording:
        model(rows())
        recording.step(0)
    assert Run(tmp_path / "run").steps.tolist() == [0]


LATER = """
import sys, torch
disable = torch.compiler.disable
torch.compiler.disable = lambda fn=None, recursive=True: disable(fn, recursive)  # 2.8 gave it a reason
later = [
    (torch.library.CustomOpDef, "register_vmap"),  # 2.5
    (torch.compiler, "is_exporting"),  # 2.7
    (torch._C._functorch, "peek_interpreter_stack"),  # private, and may go as it came
]
later = [one for one in later if hasattr(*one)]  # an older torch has them not
kept = [getattr(*one) for one in later]
for one in later:
    delattr(*one)
sys.path.insert(0, sys.argv[1])
import networks, probes
for one, value in zip(later, kept):  # torch needs its own
    setattr(*one, value)

for step_of in (lambda model: model, lambda model: torch.compile(model, backend="aot_eager", fullgraph=True)):
    model, folder = networks.Observing(), sys.argv.pop()
    forward = step_of(model)
    with probes.watch(model, folder, hooks=False) as recording:
        for step in range(3):
            forward(torch.randn(8, networks.INPUTS)).sum().backward()
            recording.step(step)
    assert recording.lost == 0 and probes.Run(folder).steps.tolist() == [0, 1, 2]
model, folder = networks.SiblingVAE(), sys.argv.pop()
with probes.watch(model, folder) as recording:
    for step in range(3):
        model(torch.randn(8, networks.INPUTS))
        recording.step(step)
assert recording.lost == 0 and probes.Run(folder).steps.tolist() == [0, 1, 2]
"""


def test_a_torch_without_what_came_after_2_4(tmp_path):
    """Its names are taken away; `make test-torch` asks such a torch itself."""
    folders = [str(tmp_path / name) for name in ("hooks", "compiled", "eager")]
    here = str(pathlib.Path(networks.__file__).parent)
    ended = subprocess.run([sys.executable, "-c", LATER, here, *folders], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_a_torch_that_is_too_old_is_told_so():
    code = (
        "import torch; del torch.library.custom_op; torch.__version__ = '2.3.1'; import probes; probes.watch"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "probes.watch and probes.observe need torch 2.4 or later, this is 2.3.1" in ended.stderr
