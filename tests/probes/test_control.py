"""The control laws that anybody can use: closed forms, convergence, what they refuse, what they survive."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from probes.control import BetaThermostat, free_bits

NAN = float("nan")


def test_one_step_by_hand():
    """Relative errors 1 (clipped from 9), 0.5, 0 and -1 at a rate of 0.1."""
    law = BetaThermostat(0.2, beta=0.5, rate=0.1)
    beta = law.step(torch.tensor([[1.5, 0.2, 0.2, 0.0], [2.5, 0.4, 0.2, 0.0]]))
    torch.testing.assert_close(beta, 0.5 * torch.tensor([0.1, 0.05, 0.0, -0.1]).exp())


def test_a_thermostat_that_is_told_nothing_has_the_documented_numbers():
    """1 at most and at first, a thousandth at least, 2 % a step, a tenth of a new step in the mean."""
    law = BetaThermostat(0.5)
    assert law.step(torch.tensor([0.25, 9.0])).tolist() == pytest.approx([math.exp(-0.01), 1.0])
    law.step(torch.tensor([0.75, 9.0]))
    assert law.kl.tolist() == pytest.approx([0.3, 9.0])
    assert law.beta[0].item() == pytest.approx(math.exp(-0.01 - 0.02 * 0.4))
    for _ in range(500):
        law.step(torch.tensor([0.0, 9.0]))
    torch.testing.assert_close(law.beta, torch.tensor([1e-3, 1.0]))
    with pytest.raises(TypeError):
        BetaThermostat(0.5, 0.1)


def test_an_estimate_below_zero_moves_the_weight_as_far_as_any():
    """Of draws a KL may be estimated as negative: no step divides beta by more than exp(rate)."""
    law = BetaThermostat(0.5, beta=0.5, rate=0.1)
    assert law.step(torch.tensor(-3.0)).item() == pytest.approx(0.5 * math.exp(-0.1))


def test_settings_at_their_edges_are_taken():
    law = BetaThermostat(torch.tensor([0.5]), beta=0.5, low=0.5, high=0.5, ema=1.0)
    assert law.step(torch.tensor([[9.0], [7.0]])).tolist() == [0.5]
    law.step(torch.tensor([[1.0]]))
    assert law.kl.tolist() == [1.0], "all of the newest"


def test_the_running_mean_by_hand():
    """0.2, then 0.4 with weight 0.25, is 0.25: a relative error of a quarter."""
    law = BetaThermostat(0.2, beta=0.5, rate=0.1, ema=0.25)
    assert law.step(torch.tensor([0.2])).item() == pytest.approx(0.5)
    assert law.step(torch.tensor([0.4])).item() == pytest.approx(0.5 * math.exp(0.025))
    assert law.kl.item() == pytest.approx(0.25)


@pytest.mark.parametrize("start", [0.01, 1.0])
def test_it_converges_on_a_response_without_overshooting(start):
    """kl = a / beta: the weight that gives the target is a / target; four neurons, two decades apart."""
    scale = torch.tensor([0.002, 0.006, 0.02, 0.2], dtype=torch.float64)
    law = BetaThermostat(0.25, beta=start, low=1e-3, high=1.0)
    away = []
    for _ in range(1000):
        beta = torch.as_tensor(law.beta, dtype=torch.float64)
        away.append((beta * 0.25 / scale).log().expand(4) * (1 if start == 1 else -1))
        law.step(scale / beta)
    torch.testing.assert_close(scale / law.beta, torch.full((4,), 0.25).double(), rtol=1e-3, atol=0)
    beyond = torch.stack(away)[:, :2] if start == 1 else torch.stack(away)[:, 1:]
    assert beyond.min() > -0.05  # those that began on that side


def test_each_neuron_has_its_own_target():
    targets = torch.tensor([0.05, 0.5])
    law = BetaThermostat(targets, beta=0.1, low=1e-4)
    for _ in range(1500):
        law.step(0.02 / torch.as_tensor(law.beta).expand(2))
    torch.testing.assert_close(0.02 / law.beta, targets, rtol=1e-3, atol=0)


def test_a_target_may_be_set_anew():
    """Of 0.02 / beta nats the weight for 0.2 is 0.1, and for 0.02 it is 1."""
    law = BetaThermostat(0.2, beta=0.5)
    for target, beta in ((0.2, 0.1), (0.02, 1.0)):
        law.target = target
        for _ in range(1500):
            law.step(0.02 / torch.as_tensor(law.beta).expand(2))
        torch.testing.assert_close(law.beta, torch.full((2,), beta), rtol=1e-3, atol=0)
    with pytest.raises(ValueError, match="target"):
        law.target = 0.0


def test_a_number_steers_the_layer_as_a_whole():
    law = BetaThermostat(3.0, beta=0.5)
    for _ in range(800):
        law.step(torch.tensor(0.9) / law.beta)
    assert law.beta.shape == ()
    assert law.beta.item() == pytest.approx(0.3, rel=1e-3)


def test_limits_hold_and_are_reached():
    law = BetaThermostat(0.1, beta=0.5, low=0.01, high=1.0)
    kl = torch.tensor([0.0, 1e6])
    for _ in range(400):
        beta = law.step(kl)
        assert ((beta >= 0.01 - 1e-9) & (beta <= 1)).all()
    torch.testing.assert_close(beta, torch.tensor([0.01, 1.0]))


@pytest.mark.parametrize("bad", [NAN, math.inf, -math.inf])
def test_a_kl_that_is_not_finite_changes_nothing(bad):
    law, same = BetaThermostat(0.1, beta=0.5), BetaThermostat(0.1, beta=0.5)
    for kl in ([bad, 0.3], [0.2, 0.3], [bad, bad], [0.2, 0.3]):
        beta = law.step(torch.tensor(kl))
        assert beta.isfinite().all()
    for _ in range(2):
        expected = same.step(torch.tensor([0.2, 0.3]))
    assert beta[0] == expected[0]
    never = BetaThermostat(0.1, beta=0.5)
    assert never.step(torch.full((3,), bad)).tolist() == [0.5] * 3


def test_it_stays_finite_whatever_comes():
    random = torch.Generator().manual_seed(0)
    law = BetaThermostat(1e-6, beta=1e-3, low=1e-30, high=1e30, rate=5.0)
    for step in range(300):
        kl = torch.randn((4, 6), generator=random) * 10.0 ** ((step % 70) - 35)
        kl[0, step % 6] = (NAN, math.inf, -math.inf)[step % 3]
        assert law.step(kl).isfinite().all()


def test_a_batch_without_rows_changes_nothing():
    law = BetaThermostat(0.1, beta=0.5)
    assert law.step(torch.zeros(0, 3)).tolist() == [0.5] * 3


def test_arrays_and_half_precision_are_taken():
    assert BetaThermostat(0.1).step(np.array([0.0, 0.0])).dtype == torch.float64
    assert BetaThermostat(0.1).step(torch.zeros(2, dtype=torch.bfloat16)).dtype == torch.float32


def test_no_gradient_passes():
    kl = torch.ones(3, 2, requires_grad=True)
    assert not BetaThermostat(0.1).step(kl).requires_grad


def test_what_is_returned_is_a_copy():
    law = BetaThermostat(0.1)
    law.step(torch.zeros(2)).zero_()
    assert (law.beta > 0.9).all()


def test_a_checkpoint_goes_on_where_it_was():
    law, again = BetaThermostat(0.1, beta=0.3), BetaThermostat(0.1, beta=0.3)
    again.load_state_dict(law.state_dict())  # of one that has not begun
    series = torch.rand((20, 4), generator=torch.Generator().manual_seed(0))
    for kl in series[:10]:
        law.step(kl)
    state = law.state_dict()
    again.load_state_dict(state)
    for kl in series[10:]:
        law.step(kl)
    for kl in series[10:]:
        again.step(kl)
    assert torch.equal(law.beta, again.beta)
    assert torch.equal(law.kl, again.kl)
    assert not torch.equal(state["beta"], again.beta)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": 0.0}, "target"),
        ({"target": -1.0}, "target"),
        ({"target": NAN}, "target"),
        ({"target": math.inf}, "target"),
        ({"target": torch.tensor([0.1, 0.0])}, "target"),
        ({"target": torch.ones(2, 2)}, "target"),
        ({"target": torch.ones(0)}, "target"),
        ({"target": 0.1, "low": 0.0}, "low"),
        ({"target": 0.1, "low": 0.5, "high": 0.1}, "low"),
        ({"target": 0.1, "beta": 2.0}, "beta 2"),
        ({"target": 0.1, "beta": NAN}, "beta nan"),
        ({"target": 0.1, "high": math.inf}, "high"),
        ({"target": 0.1, "beta": 0.1, "low": 0.2}, "low 0.2, beta 0.1"),
        ({"target": 0.1, "beta": 0.5, "high": 0.4}, "beta 0.5, high 0.4"),
        ({"target": 0.1, "rate": 0.0}, "rate"),
        ({"target": 0.1, "rate": NAN}, "rate"),
        ({"target": 0.1, "ema": 0.0}, "ema"),
        ({"target": 0.1, "ema": 1.5}, "ema"),
    ],
)
def test_bad_settings_are_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        BetaThermostat(**arguments)


def test_bad_kls_are_errors():
    law = BetaThermostat(torch.tensor([0.1, 0.2]))
    with pytest.raises(ValueError, match="targets for 2"):
        law.step(torch.zeros(3))
    with pytest.raises(ValueError, match=r"\(4, 2, 2\)"):
        law.step(torch.zeros(4, 2, 2))
    one = BetaThermostat(0.1)
    one.step(torch.zeros(3))
    for neurons in (2, 4):
        with pytest.raises(ValueError, match=r"the KL was \(3,\) before"):
            one.step(torch.zeros(neurons))
    with pytest.raises(ValueError, match="no kl"):
        one.load_state_dict({"beta": torch.ones(3)})


def test_free_bits_by_hand():
    kl = torch.tensor([[0.0, 0.4, 0.1], [0.2, 0.6, 0.3]], requires_grad=True)
    cost = free_bits(kl, 0.2)
    torch.testing.assert_close(cost, torch.tensor([0.2, 0.5, 0.2]))
    cost.sum().backward()
    assert kl.grad[:, 0].tolist() == [0, 0]
    assert kl.grad[:, 1].tolist() == [0.5, 0.5]  # the mean's own
    torch.testing.assert_close(
        free_bits(torch.tensor([0.1, 0.5]), torch.tensor([0.3, 0.0])), torch.tensor([0.3, 0.5])
    )
    assert free_bits(torch.tensor(3.0), 1.0).item() == 3
    assert free_bits(kl, 0.0).tolist() == pytest.approx([0.1, 0.5, 0.2])
    assert math.isnan(free_bits(torch.tensor([NAN]), 0.1).item())


@pytest.mark.parametrize("nats", [-0.1, NAN, math.inf, torch.tensor([0.1, 0.2])])
def test_bad_free_bits_are_errors(nats):
    with pytest.raises(ValueError, match="free nats"):
        free_bits(torch.zeros(4, 3), nats)


@pytest.mark.parametrize("law", ["thermostat", "free bits"])
def test_a_gaussian_layer_in_a_torch_loop_reaches_its_target(law):
    """Nothing but the KL in the loss, which alone would lead to 0, and a decoder that gains ln(1 + mu^2): the
    thermostat finds the weight that gives 0.5 nats a neuron; free bits let the KL fall no further than 0.3.
    """
    torch.manual_seed(0)
    mu = nn.Parameter(torch.full((8, 3), 1.5))
    optimiser = torch.optim.SGD([mu], lr=0.3)
    thermostat, beta = BetaThermostat(0.5, beta=0.2), 0.2
    for _ in range(1500):
        kl = 0.5 * mu.square()  # of Normal(mu, 1)
        if law == "thermostat":
            loss = (beta * kl.mean(0)).sum() - torch.log1p(mu.square()).mean(0).sum()
            beta = thermostat.step(kl)
        else:
            loss = free_bits(kl, 0.3).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    expected = 0.5 if law == "thermostat" else 0.3
    torch.testing.assert_close(kl.mean(0).detach(), torch.full((3,), expected), rtol=0.1, atol=0)
