"""Laws that hold KL and persistence over sequences of calls: thermostat, multiplier, both together."""

import math

import pytest
import torch

from probes.persistence import Pairs
from vdn.control.set_points import BetaThermostat, PersistenceMultiplier, slope_sums


def test_thermostat_holds_kl_in_its_range():
    """A neuron whose KL falls as its beta rises, kl = a / beta, ends inside [c_min, c_max] from either
    side.
    """
    scale = torch.tensor([0.002, 0.006, 0.02])
    law = BetaThermostat(3)
    for _ in range(2000):
        law.update((scale / law.beta).expand(8, 3))
    kl = scale / law.beta
    assert (kl > 0.05 - 0.01).all()
    assert (kl < 0.30 + 0.01).all()


def test_thermostat_first_step_by_hand():
    law = BetaThermostat(3, beta_init=0.1, c_min=torch.tensor([0.05, 0.2, 0.05]), c_max=0.3)
    beta = law.update(torch.tensor([[0.5, 0.1, 0.0], [0.7, 0.1, 0.0]]))
    errors = torch.tensor([0.6 - 0.3, 0.1 - 0.2, -0.05 - 0.05 - 0.5])
    torch.testing.assert_close(beta, 0.1 * (0.2 * errors).exp())


def test_thermostat_keeps_neighbours_together_and_within_limits():
    law = BetaThermostat(8)
    kl = torch.full((4, 8), 1.0)
    kl[:, 0] = 0.0
    for _ in range(500):
        beta = law.update(kl)
        assert (beta <= 4 * beta.mean() * (1 + 1e-5)).all()
        assert (beta >= 1e-4).all()
        assert (beta <= 1).all()
    assert beta[0] < beta[1]
    assert BetaThermostat(2, beta_init=5.0).beta.tolist() == [1, 1]
    with pytest.raises(ValueError, match="c_min"):
        BetaThermostat(2, c_min=0.5, c_max=0.1)
    with pytest.raises(ValueError, match="beta_min"):
        BetaThermostat(2, beta_min=0.1, beta_max=0.01)


def test_thermostat_second_step_by_hand():
    """Running means of a tenth: KL 0.5 then 0.1 is 0.46, 0.5 then 0 is 0.45; 1 of 1 inputs alive, then 0, is
    0.9: none in need.

    A neuron that was dead and is alive at a tenth of 0.5, 0.05, is not below alive_min any more.
    """
    law = BetaThermostat(3, beta_init=0.1)
    law.restore(
        {
            "beta": torch.full((3,), 0.1),
            "kl": torch.tensor([0.5, 0.5, 0.2]),
            "alive": torch.tensor([1.0, 1.0, 0.0]),
        }
    )
    beta = law.update(torch.tensor([[0.1, 0.0, 0.2], [0.1, 0.0, 0.0]]))
    torch.testing.assert_close(law.kl, torch.tensor([0.46, 0.45, 0.19]))
    torch.testing.assert_close(law.alive, torch.tensor([1.0, 0.9, 0.05]))
    torch.testing.assert_close(beta, 0.1 * (0.2 * torch.tensor([0.16, 0.15, 0.0])).exp())
    again = BetaThermostat(3)
    again.restore(law.state())
    for name, value in law.state().items():
        assert torch.equal(again.state()[name], value), name


@pytest.mark.parametrize(
    ("beta", "expected"),
    [
        ([0.8] + [0.01] * 9, [0.356] + [0.02225] * 9),  # mean 0.089: within [0.089 / 4, 0.089 x 4]
        ([0.002] + [0.08] * 9, [0.01805] + [0.08] * 9),  # mean 0.0722: only the lowest is lifted
        ([0.2] + [0.06] * 9, [0.2] + [0.06] * 9),  # mean 0.074: all within a factor of 4
    ],
)
def test_thermostat_keeps_every_beta_within_a_factor_of_four_of_the_mean(beta, expected):
    """A KL between its set-points moves no beta; what is left is the limit around the mean."""
    law = BetaThermostat(10)
    law.restore({"beta": torch.tensor(beta), "kl": None, "alive": None})
    torch.testing.assert_close(law.update(torch.full((3, 10), 0.2)), torch.tensor(expected))


def test_thermostat_does_not_run_away_under_the_floor_of_a_persistent_prior():
    """KL at the floor of phi 0.95, 0.322 nats, carries no information: beta must fall, not climb."""
    floor = 0.5 * math.log1p(0.95**2)
    kl = torch.full((4, 3), floor + 0.01)
    fed_rightly, fed_wrongly = BetaThermostat(3), BetaThermostat(3)
    for _ in range(2000):
        fed_rightly.update(kl - floor)
        fed_wrongly.update(kl)
    assert (fed_rightly.beta <= 0.02).all()
    assert (fed_wrongly.beta == 1).all()


def test_proportional_action_by_hand():
    """Nothing between the limits; below and above the ratio to the nearer limit, at most e either way, to the
    power of the gain; the running beta is what it is without.
    """
    kl = torch.tensor([[0.05, 0.2, 0.4, 30.0]])
    with_gain = BetaThermostat(4, beta_init=0.01, c_min=0.1, c_max=0.3, gain=2.0)
    plain = BetaThermostat(4, beta_init=0.01, c_min=0.1, c_max=0.3)
    assert torch.equal(with_gain.weights(), plain.beta)  # before the first batch
    found, beta = with_gain.update(kl), plain.update(kl)
    torch.testing.assert_close(with_gain.beta, beta)
    factor = torch.tensor([0.25, 1.0, (4 / 3) ** 2, math.e**2])
    torch.testing.assert_close(found, (beta * factor).clamp(1e-4, 1.0))
    assert BetaThermostat(1, beta_init=0.9, c_max=0.3, gain=2.0).update(torch.tensor([[0.6]])) == 1


@pytest.mark.parametrize(("gain", "steady"), [(0.0, False), (2.0, True)])
def test_proportional_action_damps_a_neuron_that_drifts_while_its_weight_is_off(gain, steady):
    """KL that changes at a rate of how far the weight is off swings under the integral alone."""
    law = BetaThermostat(2, beta_init=0.05, c_min=0.2, c_max=0.2, gain=gain)
    log_kl, seen = torch.full((2,), 0.5).log(), []
    for _ in range(3000):
        weight = law.update(log_kl.exp().expand(8, 2))
        log_kl = log_kl - 0.05 * (weight / 0.02).log()
        seen.append(log_kl.exp())
    off = (torch.stack(seen[-1000:]) / 0.2 - 1).abs().max()
    assert (off < 0.01) if steady else (off > 0.1)


@pytest.mark.parametrize("k", [1, 2])
def test_slopes_are_those_of_the_log(k):
    """Means of each series taken out; series of one pair and of none."""
    torch.manual_seed(0)
    series = torch.tensor([0, 0, 2, 2, 2, 3, 0, 2])
    previous = torch.randn(8, 5, k) + 10 * series[:, None, None]
    current = 0.6 * previous + torch.randn(8, 5, k)
    sums = slope_sums(current, previous, series, 5)
    expected = Pairs(5).update(current, previous, series).result()["persistence"]
    torch.testing.assert_close(sums[0] / sums[1], expected, rtol=1e-4, atol=1e-4)


def test_the_pull_on_a_slope_leaves_the_scale_alone():
    """Down its gradient each slope moves to its own side, and the gradient has no part along the mean."""
    torch.manual_seed(0)
    mu = torch.randn(64, 3, 1, dtype=torch.float64, requires_grad=True)
    series = torch.zeros(32, dtype=torch.int64)
    law = PersistenceMultiplier(torch.zeros(3, dtype=torch.float64))
    law.weight = torch.tensor([0.5, -0.5, 0.0], dtype=torch.float64)
    sums = slope_sums(mu[:32], mu[32:], series, 1)
    [gradient] = torch.autograd.grad(law.penalty(sums, 32), mu)
    torch.testing.assert_close((gradient * mu).sum((0, 2)), torch.zeros(3, dtype=torch.float64))
    moved = mu - 0.1 * gradient
    after = slope_sums(moved[:32], moved[32:], series, 1)
    change = (after[0] / after[1] - sums[0] / sums[1]).sign()
    assert change.tolist() == [1, -1, 0]


def test_a_silent_mean_is_not_torn_about():
    """The gradient of a slope is as large as the mean is small; its multiplier's share makes up for it."""
    law = PersistenceMultiplier(torch.zeros(2))
    law.weight = torch.ones(2)
    torch.manual_seed(0)
    drawn = torch.randn(64, 1, 1).expand(-1, 2, -1)
    mu = (drawn * torch.tensor([1.0, 1e-4])[:, None]).requires_grad_()
    sums = slope_sums(mu[:32], mu[32:], torch.zeros(32, dtype=torch.int64), 1)
    [gradient] = torch.autograd.grad(law.penalty(sums, 32), mu)
    loud, quiet = gradient.norm(dim=(0, 2))
    assert quiet < 0.1 * loud
    still = torch.zeros(64, 2, 1, requires_grad=True)
    sums = slope_sums(still[:32], still[32:], torch.zeros(32, dtype=torch.int64), 1)
    [gradient] = torch.autograd.grad(law.penalty(sums, 32), still)
    assert torch.equal(gradient, torch.zeros_like(gradient))


def test_multiplier_by_hand():
    """Slopes 0.5 then, of running sums of a half, (2 + 0) / (4 + 0) with 0 pairs that move: an error of 0.3,
    summed, and proportionally; a neuron that has not moved has no error.
    """
    law = PersistenceMultiplier(torch.tensor([0.8, 0.8]), gain=0.1, rate=0.01, ema=0.25)
    first = law.update(torch.tensor([[2.0, 0.0], [4.0, 0.0]]))
    torch.testing.assert_close(first, torch.tensor([0.003 + 0.03, 0.0]))
    second = law.update(torch.tensor([[6.0, 0.0], [4.0, 0.0]]))  # 3 / 4
    torch.testing.assert_close(second, torch.tensor([0.003 + 0.0005 + 0.005, 0.0]))
    again = PersistenceMultiplier(torch.tensor([0.8, 0.8]))
    again.restore(law.state())
    for name, value in law.state().items():
        assert torch.equal(again.state()[name], value), name


def test_a_set_point_out_of_reach_does_not_wind_the_multiplier_up():
    """At its limit it stays, and once the slope is beyond the set-point it comes back from there."""
    law = PersistenceMultiplier(torch.tensor([0.9]), rate=0.1, ema=1.0, limit=0.5)
    for _ in range(100):
        assert law.update(torch.tensor([[0.2], [1.0]])) <= 0.5
    assert law.weight == 0.5
    for _ in range(60):
        law.update(torch.tensor([[1.0], [1.0]]))
    assert law.weight < 0


def test_both_set_points_are_held_together():
    """Neurons that listen to a slow and a fast input under both laws: each has the KL and the slope that is
    asked of it; without a multiplier all have the slope that the loss prefers.
    """
    slow, kl_asked = 0.9, torch.tensor([0.1, 0.1, 0.3, 0.3])
    slope_asked = torch.tensor([0.3, 0.6, 0.3, 0.6])
    series = torch.zeros(128, dtype=torch.int64)
    found = {}
    for held in (True, False):
        draw = torch.Generator().manual_seed(0)
        weights = torch.full((4, 2), 0.3, requires_grad=True)
        optimiser = torch.optim.SGD([weights], lr=0.02)
        thermostat = BetaThermostat(4, 1.0, 1e-3, 100.0, kl_asked, kl_asked, gain=2.0)
        law = PersistenceMultiplier(slope_asked, gain=1.0, rate=0.005)
        seen = []
        for _ in range(3000):
            before = torch.randn(128, 2, generator=draw)
            step = torch.randn(128, 2, generator=draw)
            after = torch.stack([slow * before[:, 0] + math.sqrt(1 - slow**2) * step[:, 0], step[:, 1]], 1)
            mu = (torch.cat([after, before]) @ weights.T)[..., None]
            sums = slope_sums(mu[:128], mu[128:], series, 1)
            kl = 0.5 * mu.square()[..., 0]  # of sigma 1
            loss = 0.5 * (weights - 2).square().sum() + (thermostat.weights() * kl.mean(0)).sum()
            optimiser.zero_grad()
            (loss + law.penalty(sums, 128) * held).backward()
            optimiser.step()
            thermostat.update(kl.detach())
            law.update(sums)
            seen.append(weights.detach().square())
        power = torch.stack(seen[-1000:]).mean(0)
        found[held] = (0.5 * power.sum(1), slow * power[:, 0] / power.sum(1))
    torch.testing.assert_close(found[True][0], kl_asked, rtol=0.05, atol=0)
    torch.testing.assert_close(found[True][1], slope_asked, rtol=0.05, atol=0)
    torch.testing.assert_close(found[False][1], torch.full((4,), slow / 2), rtol=0.05, atol=0)


def test_a_thermostat_that_is_told_nothing_has_the_published_numbers():
    """One nat above c_max 0.30, one example of twenty alive: no emergency; then weights at their limits."""
    law = BetaThermostat(2)
    assert law.beta.tolist() == pytest.approx([0.02, 0.02])
    kl = torch.zeros(20, 2)
    kl[0] = 20 * 1.3
    first = law.update(kl)
    torch.testing.assert_close(first, torch.full((2,), 0.02 * math.exp(0.2 * 1.0)))
    second = law.update(torch.full((20, 2), 1e-4))  # not above 1e-4: none is alive, 0.9 x 0.05 of them
    torch.testing.assert_close(law.kl, torch.full((2,), 0.9 * 1.3 + 0.1 * 1e-4))
    error = 0.9 * 1.3 + 1e-5 - 0.30
    error -= error + 0.5
    torch.testing.assert_close(second, first * math.exp(0.2 * error))
    below = BetaThermostat(1).update(torch.full((20, 1), 0.01))
    torch.testing.assert_close(below, torch.full((1,), 0.02 * math.exp(0.2 * (0.01 - 0.05))))
    for kl, limit in ((100.0, 1.0), (0.0, 1e-4)):
        law = BetaThermostat(1)
        for _ in range(100):
            law.update(torch.full((1, 1), kl))
        assert law.beta.item() == pytest.approx(limit)


def test_limits_of_a_thermostat_may_be_one_number():
    law = BetaThermostat(2, beta_min=0.5, beta_max=0.5, c_min=0.2, c_max=torch.tensor([0.2, 0.3]))
    assert law.update(torch.full((3, 2), 0.9)).tolist() == [0.5, 0.5]
    for beta_min, beta_max in ((0.0, 1.0), (-1.0, 1.0)):
        with pytest.raises(
            ValueError, match=f"0 < beta_min <= beta_max, these are {beta_min} and {beta_max}"
        ):
            BetaThermostat(2, beta_min=beta_min, beta_max=beta_max)


def test_proportional_action_on_a_neuron_that_tells_nothing_at_all():
    """A KL of 0 is held to 1e-6 nats, and so is a limit of 0: their ratio is 1."""
    law = BetaThermostat(2, beta_init=0.1, c_min=torch.tensor([0.0, 1e-6]), c_max=0.3, gain=1.0)
    found = law.update(torch.zeros(2, 2))
    torch.testing.assert_close(found, law.beta)
    law.kl = torch.tensor([2e-7, 0.0])
    torch.testing.assert_close(law.weights(), law.beta)


def test_a_multiplier_that_is_told_nothing_has_the_documented_numbers():
    law = PersistenceMultiplier(torch.tensor([0.5]))
    first = law.update(torch.tensor([[0.0], [1.0]]))
    torch.testing.assert_close(first, torch.tensor([0.5 * (5e-4 + 0.1)]))
    second = law.update(torch.tensor([[1.0], [1.0]]))  # running slope 0.05
    torch.testing.assert_close(second, torch.tensor([5e-4 * (0.5 + 0.45) + 0.1 * 0.45]))
    far = PersistenceMultiplier(torch.tensor([0.0]), gain=10.0)
    assert far.update(torch.tensor([[5.0], [1.0]])).item() == -1.0


def test_a_mean_that_turns_round_is_pushed_as_one_that_goes_on():
    """A negative slope is a slope: what counts is whether the predecessors vary."""
    law = PersistenceMultiplier(torch.tensor([0.0, 0.0]), gain=0.1, rate=0.0)
    torch.testing.assert_close(
        law.update(torch.tensor([[-2.0, 2.0], [4.0, 4.0]])), torch.tensor([0.05, -0.05])
    )


def test_penalty_by_hand():
    """Predecessors that vary by v = 0.03 a pair are pushed by v / (v + 0.01) of the multiplier."""
    law = PersistenceMultiplier(torch.zeros(3))
    law.weight = torch.tensor([0.5, -2.0, 1.0])
    sums = torch.tensor([[0.15, -0.6, 0.0], [0.3, 1.2, 0.0]])  # of 10 pairs
    expected = 0.5 * 0.75 * 0.5 + 2.0 * (0.12 / 0.13) * 0.5
    assert law.penalty(sums, 10).item() == pytest.approx(-expected)
