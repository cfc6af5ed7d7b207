"""The gated recurrence against a plain loop under autograd, and its gradient against finite differences."""

import pytest
import torch

import vdn.scan
from vdn.scan import at_once, gated_scan, scan


def given(draws=True):
    generator = torch.Generator().manual_seed(0)
    size, raw = 4, torch.randn(5, 3, 12, dtype=torch.double, generator=generator)
    phi = 0.05 + 0.9 * torch.rand(size, dtype=torch.double, generator=generator)
    start = torch.randn(3, size, dtype=torch.double, generator=generator)
    noise = torch.randn(5, 3, size, dtype=torch.double, generator=generator)
    # some widths beyond either end of their clip
    raw[..., 8:] = 4 * raw[..., 8:] - 2
    return (raw if draws else raw[..., :8]), phi, start, (noise if draws else None)


def plainly(raw, phi, start, noise):
    """The equations of `vdn.sequence_layer`, one position after the other."""
    z, draws, kls = start, [], []
    prior = torch.sqrt(1 - phi**2)
    for t in range(len(raw)):
        g, c, w = raw[t].split(len(phi), -1)
        g, c, sigma = torch.sigmoid(g), 2 * torch.tanh(c), prior * torch.exp(w.clamp(-5, 0))
        q = torch.distributions.Normal((1 - g) * z + g * c, sigma)
        kls.append(torch.distributions.kl_divergence(q, torch.distributions.Normal(phi * z, prior)))
        z = q.mean + sigma * noise[t]
        draws.append(z)
    return torch.stack(draws), torch.stack(kls)


def test_draws_and_kl_are_those_of_the_equations():
    raw, phi, start, noise = given()
    path, (z, kl) = gated_scan(raw, phi, start, noise), plainly(raw, phi, start, noise)
    torch.testing.assert_close(path.z, z)
    torch.testing.assert_close(path.kl, kl)


def test_gradients_are_those_of_autograd_through_the_equations():
    raw, phi, start, noise = given()
    leaves = [part.clone().requires_grad_() for part in (raw, phi, start)]
    weights = torch.randn(2, *noise.shape, dtype=torch.double, generator=torch.Generator().manual_seed(1))

    def gradients(function):
        z, kl = function(*leaves, noise)[:2]
        return torch.autograd.grad((weights[0] * z + weights[1] * kl).sum(), leaves)

    for own, true in zip(gradients(gated_scan), gradients(plainly), strict=True):
        torch.testing.assert_close(own, true)


@pytest.mark.parametrize("draws", [True, False])
def test_gradients_against_finite_differences(draws):
    raw, phi, start, noise = given(draws)

    def outputs(*leaves):
        return gated_scan(*leaves, noise)[: 2 if draws else 1]

    leaves = [part.requires_grad_(draws or part is not phi) for part in (raw, phi, start)]
    assert torch.autograd.gradcheck(outputs, leaves)


def test_a_scan_is_its_recurrence():
    a, b, start = torch.tensor([[0.5], [0.25]]), torch.tensor([[1.0], [2.0]]), torch.tensor([4.0])
    assert scan(a, b, start).tolist() == [[3.0], [2.75]]


@pytest.mark.parametrize("dtype", [torch.float, torch.double])
def test_a_width_beyond_its_limits_has_no_gradient_and_one_at_the_priors_has(dtype):
    raw = torch.zeros(1, 1, 3 * 6, dtype=dtype)
    raw[..., 12:] = torch.tensor([-6.0, -5.0 - 1e-5, -4.99, 0.0, 1e-5, 3.0])
    raw.requires_grad_()
    phi, start = torch.full((6,), 0.6, dtype=dtype), torch.zeros(1, 6, dtype=dtype)
    path = gated_scan(raw, phi, start, torch.ones(1, 1, 6, dtype=dtype))
    path.z.sum().backward()
    widths = torch.tensor([-5.0, -5.0, -4.99, 0.0, 0.0, 0.0], dtype=dtype).exp()
    torch.testing.assert_close(path.width.flatten(), widths, rtol=4e-7, atol=0)
    assert raw.grad is not None
    expected = 0.8 * widths * torch.tensor([0, 0, 1, 1, 0, 0])
    torch.testing.assert_close(raw.grad[0, 0, 12:], expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("draws", [True, False])
@pytest.mark.parametrize("numbers", [1, 24, 36, 10_000])
def test_parts_of_any_length_make_the_same(monkeypatch, draws, numbers):
    raw, phi, start, noise = given(draws)
    raw.requires_grad_()
    weights = torch.linspace(-1, 1, 60, dtype=torch.double).view(5, 3, 4)

    def made():
        path = gated_scan(raw, phi, start, noise)
        loss = (weights * path.z).sum() + (weights * path.kl).sum() if draws else (weights * path.z).sum()
        return path.z, path.gate, path.width, *torch.autograd.grad(loss, raw)

    whole = made()
    monkeypatch.setattr(vdn.scan, "AT_ONCE", numbers)
    assert at_once(5, 12) == {1: 1, 24: 2, 36: 3, 10_000: 5}[numbers]
    for own, true in zip(made(), whole, strict=True):
        torch.testing.assert_close(own, true)


def test_parts_are_of_nearly_one_length():
    assert at_once(65, vdn.scan.AT_ONCE // 32) == 22
    assert at_once(64, 10 * vdn.scan.AT_ONCE) == 1
    assert at_once(0, 12) == 1
