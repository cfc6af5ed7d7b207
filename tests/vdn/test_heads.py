"""Heads: densities that sum to one, and samples that follow them."""

import itertools

import pytest
import torch

from vdn.heads import HEADS, MIXTURE, make_head


def parameters(head, rows=1):
    torch.manual_seed(0)
    return make_head(head, 4, 3), 2 * torch.randn(rows, 4)


@pytest.mark.parametrize("name", ["categorical", "bernoulli", "mixture"])
def test_probabilities_of_all_positions_sum_to_one(name):
    head, h = parameters(name)
    if name == "categorical":
        every = torch.arange(3)[:, None]
    else:
        every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)))[:, None]
    found = head(h)[None, None].expand(1, len(every), -1, -1)  # (S, B, T, P)
    assert head.log_prob(found, every).exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_a_gaussian_integrates_to_one():
    head = make_head("gaussian", 4, 1)
    grid = torch.linspace(-20, 20, 4001)[:, None, None]
    found = head(torch.ones(1, 4))[None, None].expand(1, len(grid), -1, -1)
    assert (head.log_prob(found, grid).exp().sum() * 0.01).item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", HEADS)
def test_samples_follow_the_density(name):
    """The mean of ln p over samples is minus the entropy: it equals that of samples drawn another way."""
    head, h = parameters(name)
    found = head(h).expand(20_000, -1)
    generator = torch.Generator().manual_seed(1)
    drawn = head.sample(found, generator)
    log_p = head.log_prob(found[None, :, None], drawn[:, None])[0, :, 0]
    if name == "categorical":
        shares = torch.bincount(drawn, minlength=3) / len(drawn)
        torch.testing.assert_close(shares, found[0].softmax(-1), atol=0.015, rtol=0)
    elif name == "gaussian":
        mean, scale = head.mean_and_scale(found[0])
        torch.testing.assert_close(drawn.mean(0), mean, atol=0.03, rtol=0)
        torch.testing.assert_close(drawn.std(0), scale, rtol=0.03, atol=0)
    else:
        every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)))
        p = head.log_prob(found[None, :8, None], every[:, None])[0, :, 0].exp()
        seen = torch.stack([(drawn == one).all(-1).float().mean() for one in every])
        torch.testing.assert_close(seen, p, atol=0.015, rtol=0)
    assert torch.isfinite(log_p).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_components_of_a_mixture_share_the_chords_after_the_first_steps(seed):
    torch.manual_seed(seed)
    share = torch.zeros(88)
    share[torch.randperm(88)[:40]] = 0.1
    y = (torch.rand(200, 88) < share).float()[torch.randint(200, (1, 256))]  # (B, T, D)
    head = make_head("mixture", 96, 88)
    h = torch.nn.functional.gelu(torch.randn(1, 1, 256, 96))
    optimiser = torch.optim.AdamW(head.parameters(), lr=3e-3)
    for _ in range(40):
        optimiser.zero_grad()
        (-head.log_prob(head(h), y).mean()).backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1)
        optimiser.step()
    weights, logits = head(h).detach().split([MIXTURE, MIXTURE * 88], -1)
    logits = logits.unflatten(-1, (MIXTURE, 88))
    joint = weights + (logits * y[..., None, :]).sum(-1)
    of_component = (joint - torch.nn.functional.softplus(logits).sum(-1)).softmax(-1).mean((0, 1, 2))
    assert of_component.sort().values[-4] > 0.05, of_component


def test_an_unknown_head_is_refused():
    with pytest.raises(ValueError, match="head is one of"):
        make_head("poisson", 4, 3)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("junk", [-1.0, float("nan")])
def test_what_lies_where_the_mask_is_false_is_not_looked_at(name, junk):
    head, h = parameters(name, rows=5)
    found = head(h)[None, None].expand(2, 1, -1, -1).detach().requires_grad_()
    mask = torch.tensor([[True, True, True, False, False]])
    y = torch.tensor([[1, 0, 2, 1, 1]]) if name == "categorical" else torch.ones(1, 5, 3)
    filled = y.masked_fill(~(mask if y.dim() == 2 else mask[..., None]), -1 if y.dim() == 2 else junk)
    scored = head.masked_log_prob(found, filled, mask)
    torch.testing.assert_close(scored[..., :3], head.log_prob(found, y)[..., :3])
    assert (scored[..., 3:] == 0).all()
    scored.sum().backward()
    assert torch.isfinite(found.grad).all()
    assert (found.grad[:, :, 3:] == 0).all()
    torch.testing.assert_close(head.masked_log_prob(found, y, mask.float()), scored)
