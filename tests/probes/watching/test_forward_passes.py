"""Which forward passes count: those that are trained on, each once, whatever else runs beside them."""

import threading

import networks
import pytest
import torch
from networks import BATCH, INPUTS, NEURONS, assert_statistics, expected
from torch import nn
from torch.utils.checkpoint import checkpoint

from probes.run import Run
from probes.watching import step_sums
from probes.watching.attaching import watch
from probes.watching.observing import observe


def rows(count=BATCH):
    return torch.randn(count, INPUTS)


class Pair(nn.Module):
    """Two heads that are found as a pair of layers, since the sum alone is returned."""

    def __init__(self):
        super().__init__()
        self.fc_mu, self.fc_logvar = nn.Linear(INPUTS, NEURONS), nn.Linear(INPUTS, NEURONS)
        self.broken = False

    def forward(self, x):
        mu = self.fc_mu(x)
        if self.broken:
            raise ArithmeticError
        return mu + self.fc_logvar(x)


class Observes(Pair):
    def forward(self, x):
        mu, logvar = self.fc_mu(x), self.fc_logvar(x)
        observe("z", mu, (logvar / 2).exp())
        return mu


def truth(model, x):
    return expected(model.fc_mu(x), (model.fc_logvar(x) / 2).exp())


KINDS = [Pair, Observes]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_forward_passes_without_gradients_are_not_trained_on(tmp_path, kind, mode):
    model, x = kind(), rows()
    with watch(model, tmp_path / "run") as recording:
        for step in range(2):
            with mode():
                model(5 + rows())
            model(x)
            recording.step(step)
        with mode():
            model(x)
        with pytest.warns(RuntimeWarning, match=r"step 2: .* under torch\.no_grad .* no_grad=True\) records"):
            recording.step(2)
        with mode():
            model(x)
        recording.step(3)
    assert recording.lost == 2
    run = Run(tmp_path / "run")
    assert run.steps.tolist() == [0, 1]
    for step in run.steps:
        assert_statistics(run.at(step), truth(model, x))


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_without_gradients_says_so(tmp_path, kind):
    model = kind()
    x = torch.randn(6, BATCH, INPUTS)
    with watch(model, tmp_path / "run", every=4, no_grad=True) as recording:
        for step, batch in enumerate(x):
            with torch.inference_mode():
                model(batch)
            recording.step(step)
    run = Run(tmp_path / "run")
    assert run.steps.tolist() == [0, 4, 5]
    for step in run.steps:
        assert_statistics(run.at(step), truth(model, x[step]))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_gradients_are_asked_for_where_compiled_code_was_called(tmp_path, backend):
    """Inside a compiled graph autograd is always off."""
    torch.compiler.reset()
    model, x = Observes(), rows()
    fast = torch.compile(model, backend=backend, fullgraph=True)
    with watch(model, tmp_path / "run", hooks=False) as recording:
        for step in range(2):
            fast(x).sum().backward()
            with torch.no_grad():
                fast(5 + x)
            recording.step(step)
    assert recording.lost == 0
    assert_statistics(Run(tmp_path / "run").at(1), truth(model, x))


@pytest.mark.parametrize("kind", KINDS)
def test_paused(tmp_path, kind):
    model, x = kind(), rows()
    with watch(model, tmp_path / "run") as recording:
        for step in range(2):
            with recording.paused():
                model(5 + x)
                with recording.paused():
                    model(5 + x)
                model(5 + x)
            model(x)
            recording.step(step)
    assert recording.lost == 0
    assert_statistics(Run(tmp_path / "run").at(1), truth(model, x))


def test_half_a_pair_of_another_forward_pass_is_not_paired(tmp_path):
    model, x = Pair(), rows()
    with watch(model, tmp_path / "run") as recording:
        model(x)
        recording.step(0)
        model.eval()
        model.fc_mu(rows())  # a validation that wants means alone
        model.train()
        model.broken = True
        with pytest.raises(ArithmeticError):
            model(rows())
        model.broken = False
        model(x)  # the batch again, smaller in practice
        recording.step(1)
    assert_statistics(Run(tmp_path / "run").at(1), truth(model, x))


def test_means_that_are_computed_alone_are_not_kept(tmp_path):
    model = Pair()
    with watch(model, tmp_path / "run") as recording:
        model(rows())
        recording.step(0)
        for _ in range(500):
            model.fc_mu(rows())
        pair = next(iter(recording._finder._hooks.pairs.values()))
        assert sum(map(len, pair._waiting.queues)) <= 64


def test_pairs_that_are_called_side_after_side(tmp_path):
    model, x = Pair(), torch.randn(5, BATCH, INPUTS)
    with watch(model, tmp_path / "run") as recording:
        for head in (model.fc_mu, model.fc_logvar):
            for batch in x:
                head(batch)
        recording.step(0)
    assert_statistics(Run(tmp_path / "run").at(0), truth(model, x.flatten(0, 1)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_module_that_is_called_many_times_a_step(tmp_path, kind):
    model, x = kind(), torch.randn(2, 20, BATCH, INPUTS)
    with watch(model, tmp_path / "run") as recording:
        for step in range(2):
            for batch in x[step]:
                model(batch)
            recording.step(step)
    for step in range(2):
        assert_statistics(Run(tmp_path / "run").at(step), truth(model, x[step].flatten(0, 1)))


@pytest.mark.parametrize("kind", KINDS)
def test_threads(tmp_path, kind):
    """As of asynchronous actors: no row is lost, and no mean gets another thread's scale."""
    model, x = kind(), torch.randn(4, 50, BATCH, INPUTS)
    with watch(model, tmp_path / "run") as recording:
        model(rows())
        recording.step(0)
        threads = [threading.Thread(target=lambda part=part: [model(one) for one in part]) for part in x]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        recording.step(1)
    row = Run(tmp_path / "run").at(1)
    assert row["rows"].tolist() == [4 * 50 * BATCH] * NEURONS
    assert_statistics(row, truth(model, x.flatten(0, 2)))


@pytest.mark.filterwarnings("ignore:.torch.cpu.amp.autocast:FutureWarning")  # torch 2.4 warns of itself
@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpointing_counts_a_batch_once(tmp_path, reentrant):
    model, x = networks.ReturnsMuLogVar(), rows().requires_grad_()
    with watch(model, tmp_path / "run") as recording:
        for step in range(2):
            mu, logvar = checkpoint(model, x, use_reentrant=reentrant)
            (mu.sum() + logvar.sum()).backward()
            recording.step(step)
    run = Run(tmp_path / "run")
    mu, logvar = model(x)
    assert_statistics(run.at(1), expected(mu, (logvar / 2).exp()))
    assert recording.lost == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_step_is_read_as_it_was_or_not_at_all(tmp_path, kind):
    """What is not due is kept unread, in case it is the last; in the meantime the network may change it."""

    class InPlace(kind):
        def forward(self, x):
            if kind is Observes:
                return super().forward(x).mul_(3)
            mu, logvar = self.fc_mu(x), self.fc_logvar(x)
            return mu.mul_(3) + logvar

    model, x = InPlace(), torch.randn(3, BATCH, INPUTS)
    recording = watch(model, tmp_path / "run", every=10)
    for step, batch in enumerate(x):
        model(batch)
        recording.step(step)
    with pytest.warns(RuntimeWarning, match="changed in place after the forward pass"):
        recording.close()
    assert recording.lost == 1
    run = Run(tmp_path / "run")
    assert run.steps.tolist() == [0]
    assert_statistics(run.at(0), truth(model, x[0]))


@pytest.mark.parametrize("every", [1, 10])
def test_forward_passes_after_the_last_step_belong_to_none(tmp_path, every):
    model, x = Pair(), torch.randn(3, BATCH, INPUTS)
    with watch(model, tmp_path / "run", every=every) as recording:
        for step, batch in enumerate(x):
            model(batch)
            recording.step(step)
        model(rows())
    assert_statistics(Run(tmp_path / "run").at(2), truth(model, x[2]))


def test_a_long_step_that_is_not_due_is_kept_as_sums(tmp_path, monkeypatch):
    """An epoch between two calls of `step`, say: its tensors are not kept in case it is the last."""
    monkeypatch.setattr(step_sums, "HELD_BYTES", 4 * BATCH * NEURONS * 4)
    model, x = Pair(), torch.randn(3, 40, BATCH, INPUTS)
    held = []
    with watch(model, tmp_path / "run", every=10) as recording:
        for step, batches in enumerate(x):
            for batch in batches:
                model(batch)
                held.append(len(recording._sums.held))
            recording.step(step)
    assert max(held) <= 2
    run = Run(tmp_path / "run")
    assert run.steps.tolist() == [0, 2]
    assert_statistics(run.at(2), truth(model, x[2].flatten(0, 1)))


@pytest.mark.parametrize("how", ["hooks", "module", "parent", "removed"])
def test_hooks_that_others_take_off_are_told_once_and_counted(tmp_path, how):
    model = nn.ModuleDict({"encoder": nn.ModuleDict({"body": Pair()}), "other": Pair()})
    with watch(model, tmp_path / "run") as recording:
        for step in range(6):
            body = model["encoder"]["body"] if "encoder" in model else None
            if step == 3 and how == "hooks":
                for module in body.modules():
                    module._forward_hooks.clear()
            elif step == 3 and how == "module":
                body.fc_mu = nn.Linear(INPUTS, NEURONS)
            elif step == 3 and how == "parent":
                model["encoder"]["body"] = body = Pair()
            elif step == 3:
                del model["encoder"]
                body = None
            if body is not None:
                body(rows())
            model["other"](rows())
            if step == 3:
                with pytest.warns(RuntimeWarning, match=r"layer 'encoder\.body\.fc_mu' is seen no more"):
                    recording.step(step)
            else:
                recording.step(step)
    assert recording.lost == 3
    run = Run(tmp_path / "run")
    assert run.history(0, [0])["step"].tolist() == [0, 1, 2]
    assert run.history(1, [0])["step"].tolist() == list(range(6))


def test_what_reads_the_source_of_hooks_is_told_why_it_cannot(tmp_path):
    model = Pair()
    hook = next(iter(model.fc_mu._forward_hooks.values()), None)
    assert hook is None
    with watch(model, tmp_path / "run"):
        hook = next(iter(model.fc_mu._forward_hooks.values()))
        with pytest.raises(AttributeError, match=r"torch\.jit\.script cannot compile a watched model"):
            hook.__name__  # noqa: B018 - as torch.jit.script does
        assert getattr(hook, "__name__", "none") == "none"


class DoublesInPlace(Pair):
    """The mean is doubled, from some forward pass on in place, before its partner's layer runs."""

    def __init__(self, first):
        super().__init__()
        self.first, self.calls = first, 0

    def forward(self, x):
        mu = self.fc_mu(x)
        mu = mu.mul_(2) if self.calls >= self.first else mu * 2
        self.calls += 1
        return mu + self.fc_logvar(x).mul_(0.5).exp_() * torch.randn_like(mu)


@pytest.mark.parametrize(
    ("count", "first", "lost"), [(BATCH, 0, []), (BATCH, 2, []), (10_000, 0, []), (10_000, 2, [2])]
)
@pytest.mark.filterwarnings("ignore:.*changed in place:RuntimeWarning")
def test_what_a_network_does_in_place_is_repeated_once(tmp_path, count, first, lost):
    """A small batch is copied as it comes; of a large one the first change is seen too late."""
    model, x = DoublesInPlace(first), torch.randn(4, count, INPUTS)
    with watch(model, tmp_path / "run") as recording:
        for step, batch in enumerate(x):
            model(batch)
            recording.step(step)
    run = Run(tmp_path / "run")
    assert [step for step in range(4) if step not in run.steps] == lost
    assert recording.lost == len(lost)
    for step in run.steps:
        mu, sigma = 2 * model.fc_mu(x[step]), (model.fc_logvar(x[step]) / 2).exp()
        assert_statistics(run.at(step), expected(mu, sigma))
