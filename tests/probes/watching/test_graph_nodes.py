"""Nodes of the graph: their kinds, their axes, and whether they pass some of the neurons on."""

import pytest
import torch

from probes.watching.graph_nodes import SAME, axis_of, is_closed, kind_of, takes_a_part

X = torch.ones(3, 4, requires_grad=True)
IMAGE = torch.ones(2, 4, 5, 5, requires_grad=True)


@pytest.mark.parametrize(
    ("made", "kind", "axis", "part"),
    [
        (X[:, :2], "Slice", 1, True),
        (X[:2], "Slice", 0, False),
        (X.narrow(-1, 0, 4), "Slice", -1, False),
        (X[..., 0], "Select", 1, True),
        (X[0], "Select", 0, False),
        (X.unsqueeze(1).select(2, 1), "Select", 2, True),
        (X.chunk(2, -1)[0], "Split", -1, True),
        (IMAGE.chunk(2, 1)[0], "Split", 1, True),
        (IMAGE[..., :2], "Slice", 3, True),
        (IMAGE[:, :, :2], "Slice", 2, False),
        (X.t(), "T", None, False),
        (X.softmax(-1), "Softmax", -1, False),
        (X.exp(), "Exp", None, False),
    ],
)
def test_a_node_says_what_it_is_and_whether_it_takes_a_part(made, kind, axis, part):
    node = made.grad_fn
    assert (kind_of(node), axis_of(node), takes_a_part(node, kind_of(node))) == (kind, axis, part)
    assert (kind_of(node) in SAME) == (kind not in ("Softmax", "Exp"))


def test_what_hides_what_it_does_is_closed():
    class Hidden(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, grad):
            return 2 * grad

    assert is_closed(Hidden.apply(X).grad_fn)
    assert not is_closed(X.exp().grad_fn)
