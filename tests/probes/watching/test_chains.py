"""Operations on a head: named by their nodes, repeated, put into words, and solved from a sample."""

import pytest
import torch
import torch.nn.functional as F

from probes.watching.chains import ADDED, STEPS, Blend, Chain, Step, Use, bare, form_of, solve
from probes.watching.graph_nodes import kind_of, step_of

HEAD = ("fc", None)
OPERATIONS = {
    "exp": torch.exp,
    "exp2": torch.exp2,
    "expm1": torch.expm1,
    "log": lambda x: x.abs().log(),
    "log1p": torch.log1p,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "reciprocal": torch.reciprocal,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "logsigmoid": F.logsigmoid,
    "relu": torch.relu,
    "silu": F.silu,
    "abs": torch.abs,
    "neg": torch.neg,
    "hardsigmoid": F.hardsigmoid,
    "softplus": lambda x: F.softplus(x, 2.0, 5.0),
    "clamp": lambda x: x.clamp(-0.5, 0.7),
    "hardtanh": lambda x: F.hardtanh(x, -0.5, 0.7),
    "leakyrelu": lambda x: F.leaky_relu(x, 0.2),
    "elu": F.selu,
    "pow": lambda x: x**3,
}


@pytest.mark.parametrize("name", sorted(STEPS.keys() - {"mul", "add"}))
def test_each_operation_is_named_by_its_node_and_repeated(name):
    torch.manual_seed(0)
    x = 2 * torch.randn(50)
    if name in ("sqrt", "rsqrt", "log", "log1p"):
        x = x.abs()
    result = OPERATIONS[name](x.clone().requires_grad_())
    step = step_of(result.grad_fn, kind_of(result.grad_fn).lower())
    assert step.name == name
    torch.testing.assert_close(step(x), result.detach())


def test_what_is_no_operation_of_ours_cannot_be_repeated():
    node = torch.ones(3, requires_grad=True).cumsum(0).grad_fn
    assert step_of(node, kind_of(node).lower()) == Step("cumsum", None)


@pytest.mark.parametrize(
    ("steps", "form", "before"),
    [
        ([Step("mul", (0.5,)), Step("exp")], "log_var", 0),
        ([Step("tanh"), Step("exp")], "log_sigma", 1),
        ([Step("exp"), Step("sqrt")], "log_var", 0),
        ([Step("exp"), Step("pow", (0.5,))], "log_var", 0),
        ([Step("softplus", (1.0, 20.0)), Step("sqrt")], "var", 1),
        ([Step("softplus", (1.0, 20.0))], "rho", 0),
        ([Step("softplus", (2.0, 20.0))], "sigma", 1),
        ([], "sigma", 0),
    ],
)
def test_the_form_is_that_of_the_last_operations(steps, form, before):
    assert form_of(tuple(steps)) == (form, tuple(steps[:before]))


def test_chains_are_short_and_read_well():
    chain = Chain(HEAD, 1)
    for step in (ADDED, Step("mul", (2.0,)), ADDED, Step("mul", (0.5,)), Step("mul", (-3.0,))):
        chain = chain.then(step)
    assert chain.steps == (Step("mul", (2.0,)), ADDED, Step("mul", (-1.5,)))
    assert str(chain) == "-1.5 * (2 * fc + a constant)"
    for _ in range(20):
        chain = chain.then(Step("tanh")) if isinstance(chain, Chain) else chain
    assert chain == Blend(frozenset({HEAD}), "tanh")
    assert [bare(text) for text in ("(a + b)", "(a) + (b)", "a")] == ["a + b", "(a) + (b)", "a"]


def drawn(mean, scale, rows=64, dtype=torch.float32):
    torch.manual_seed(0)
    heads = torch.randn(2, rows, 4).to(dtype)
    noise = torch.randn(rows, 4).to(dtype)
    return (*heads, noise, mean(heads[0]) + scale(heads[1]) * noise)


def test_constants_on_both_sides_are_solved_and_checked():
    given = drawn(lambda x: x + 0.25, lambda x: F.softplus(x - 0.7) + 1e-3)
    scale = Chain(HEAD, 1, (ADDED, Step("softplus", (1.0, 20.0)), ADDED))
    use = solve(Use(Chain(HEAD, 1, (ADDED,)), scale), *given)
    assert use.checked
    assert [step.numbers for step in (*use.mean.steps, *use.scale.steps) if step.name == "add"] == [
        (0.25,),
        (-0.7,),
        (0.001,),
    ]


def test_a_constant_of_nothing_is_left_out():
    given = drawn(lambda x: x, lambda x: (x.exp() + 1e-10).sqrt())
    use = solve(Use(Chain(HEAD, 1), Chain(HEAD, 1, (Step("exp"), ADDED, Step("sqrt")))), *given)
    assert (use.checked, use.scale.steps) == (True, (Step("exp"), Step("sqrt")))


@pytest.mark.parametrize(("rows", "dtype"), [(1, torch.float32), (64, torch.bfloat16), (64, torch.float64)])
def test_few_rows_and_other_precisions(rows, dtype):
    given = drawn(lambda x: x, lambda x: F.softplus(x) + 0.1, rows, dtype)
    use = solve(Use(Chain(HEAD, 1), Chain(HEAD, 1, (Step("softplus", (1.0, 20.0)), ADDED))), *given)
    assert use.checked
    assert use.scale.steps[1].factor == pytest.approx(0.1, abs=2e-2 if dtype == torch.bfloat16 else 1e-6)


@pytest.mark.parametrize("steps", [(), (ADDED,), (Step("sqrt"), ADDED)])
def test_another_sample_is_no_proof(steps):
    """A use that does not explain what was sampled keeps its constants unknown."""
    given = drawn(lambda x: x.sin(), torch.exp)
    use = solve(before := Use(Chain(HEAD, 1), Chain(HEAD, 1, steps)), *given)
    assert use.checked is False
    assert use.hidden == before.hidden
