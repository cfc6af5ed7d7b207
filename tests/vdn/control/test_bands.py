"""Control laws over sequences of calls: bands, projection, homeostat, sigma guard, AR share."""

import math

import pytest
import torch

from vdn.control.bands import (
    ArShareController,
    Homeostat,
    band_penalty,
    guard_sigma,
    homeostat_scale,
    mean_square,
    mu2_band,
    project_to_band,
)
from vdn.neuron import VariationalNeurons


def layer_at(energy, k=1):
    """A layer and inputs for which mu2 of every neuron is `energy` (N,)."""
    torch.manual_seed(0)
    layer = VariationalNeurons(6, len(energy), k).double()
    h = torch.randn(400, 6).double()
    with torch.no_grad():
        mu2 = mean_square(layer.parameters_of(h)[0])
        rows = (energy / mu2).sqrt().repeat_interleave(k)
        layer.mean.weight.mul_(rows[:, None])
        layer.mean.bias.mul_(rows)
    return layer, h


def energy_of(layer, h):
    with torch.no_grad():
        return mean_square(layer.parameters_of(h)[0])


def test_bands():
    low, high = mu2_band(4, 0.3)
    torch.testing.assert_close(low, torch.full((4,), 0.24))
    torch.testing.assert_close(high, torch.full((4,), 0.48))
    low, _ = mu2_band(5, 0.1, lo=1.0, hi=2.0, mode="heterogeneous", spread=4.0)
    torch.testing.assert_close(low, 0.1 * torch.tensor([0.25, 0.5, 1.0, 2.0, 4.0]))
    assert torch.equal(mu2_band(3, 0.1, mode="heterogeneous", spread=0.5)[0], mu2_band(3, 0.1)[0])
    torch.testing.assert_close(
        mu2_band(1, 0.8, lo=1, hi=1, mode="heterogeneous", spread=8.0)[0], torch.tensor([0.1])
    )
    with pytest.raises(ValueError, match="target"):
        mu2_band(3, 0.0)
    with pytest.raises(ValueError, match="0 <= lo <= hi"):
        mu2_band(3, 0.1, lo=-0.5)
    with pytest.raises(ValueError, match="mode"):
        mu2_band(3, 0.1, mode="both")


def test_band_penalty():
    mu2, low, high = (
        torch.tensor([0.1, 0.5, 3.0]),
        torch.tensor([0.2, 0.2, 0.2]),
        torch.tensor([1.0, 1.0, 1.0]),
    )
    assert band_penalty(mu2, low, high).item() == pytest.approx((0.5**2 + 2**2) / 3)
    assert band_penalty(mu2, low, high, "absolute", weight_low=2, weight_high=0.5).item() == pytest.approx(
        (2 * 0.01 + 0.5 * 4) / 3
    )
    tiny = torch.tensor([1e-5])
    assert band_penalty(torch.zeros(1), tiny, tiny, eps=1e-3).item() == pytest.approx((1e-5 / 1e-3) ** 2)
    with pytest.raises(ValueError, match="mode"):
        band_penalty(mu2, low, high, "both")


@pytest.mark.parametrize("k", [1, 4])
def test_projection_reaches_the_nearer_edge_at_once(k):
    energy = torch.tensor([0.01, 0.3, 5.0]).double()
    layer, h = layer_at(energy, k)
    low, high = torch.full((3,), 0.24).double(), torch.full((3,), 0.48).double()
    scale = project_to_band(layer, energy_of(layer, h), low, high)
    torch.testing.assert_close(energy_of(layer, h), torch.tensor([0.24, 0.3, 0.48]).double())
    torch.testing.assert_close(scale.square() * energy, energy_of(layer, h))
    assert scale[1] == 1


def test_projection_is_limited():
    energy = torch.tensor([1e-9, 1e9]).double()
    layer, h = layer_at(energy)
    band = torch.ones(2).double()
    torch.testing.assert_close(
        project_to_band(layer, energy_of(layer, h), band, band), torch.tensor([50, 0.02]).double()
    )


def test_homeostat_scale():
    low, high = torch.tensor([0.2]), torch.tensor([0.8])

    def at(value, **options):
        return homeostat_scale(torch.tensor([value]), low, high, 0.5, **options).item()

    assert at(0.1) == pytest.approx(2**0.25)
    assert at(1.6) == pytest.approx(0.5**0.25)
    assert at(0.3) == 1
    assert at(0.3, inside="geometric") == pytest.approx((0.4 / 0.3) ** 0.25)
    assert at(0.3, inside="arithmetic") == pytest.approx((0.5 / 0.3) ** 0.25)
    assert at(0.0) == 1.5
    assert at(1e9) == pytest.approx(1 / 1.5)


@pytest.mark.parametrize("start", [30.0, 1 / 30])
def test_homeostat_approaches_its_band_monotonely_and_stays(start):
    """From 30 times above (or below) the band's edge: never crosses it, never turns back."""
    low, high = (edge.double() for edge in mu2_band(3, 0.3))
    edge = high if start > 1 else low
    layer, h = layer_at(start * edge)
    law = Homeostat(low, high)
    path = []
    for step in range(3000):
        law.observe(energy_of(layer, h))
        if step % 10 == 0:
            law.act(layer)
        path.append(energy_of(layer, h) / edge)
    path = torch.stack(path)
    toward = -1 if start > 1 else 1
    assert (toward * path.diff(dim=0) >= -1e-12).all()
    assert (path[-1] - 1).abs().max() < 0.03
    assert not law.outside().any()


def test_homeostat_acts_by_hand():
    """Two of four neurons outside: eta 0.15 (1 + 2 x 0.5) = 0.3, so that a neuron goes 0.3 of its way in ln
    mu2.
    """
    energy = torch.tensor([0.1, 0.5, 1.0, 4.0]).double()
    layer, h = layer_at(energy)
    law = Homeostat(torch.full((4,), 0.2).double(), torch.full((4,), 1.0).double())
    law.observe(energy)
    assert law.outside().tolist() == [True, False, False, True]
    scale = law.act(layer)
    torch.testing.assert_close(scale, torch.tensor([2**0.15, 1, 1, 0.25**0.15]).double())
    torch.testing.assert_close(law.mu2, energy * scale.square())
    torch.testing.assert_close(energy_of(layer, h), law.mu2)


def test_homeostat_goes_no_further_than_half_of_its_way():
    """All outside: 0.4 (1 + 2) = 1.2, limited to eta_max 0.5; 81 / 80 of the upper edge is inside, within its
    tolerance.
    """
    law = Homeostat(torch.ones(2).double(), torch.ones(2).double(), eta=0.4)
    energy = torch.tensor([0.5, 2.0]).double()
    law.observe(energy)
    torch.testing.assert_close(law.act(layer_at(energy)[0]), torch.tensor([2**0.25, 0.5**0.25]).double())
    near = Homeostat(torch.ones(3), torch.ones(3))
    near.observe(torch.tensor([1.0125, 0.985, 1.03]))
    assert near.outside().tolist() == [False, False, True]


def test_homeostat_keeps_a_running_mean_and_takes_it_up_again():
    law = Homeostat(torch.zeros(1), torch.ones(1))
    first = torch.tensor([1.0])
    law.observe(first)
    law.observe(torch.tensor([3.0]))
    assert law.mu2.item() == pytest.approx(1 + 0.05 * 2)
    assert first.item() == 1
    again = Homeostat(torch.zeros(1), torch.ones(1))
    again.restore(law.state())
    assert again.mu2.item() == law.mu2.item()


def test_homeostat_does_nothing_before_it_has_seen_anything():
    layer, h = layer_at(torch.ones(2).double())
    before = energy_of(layer, h)
    assert torch.equal(Homeostat(torch.ones(2), torch.ones(2)).act(layer), torch.ones(2))
    assert torch.equal(energy_of(layer, h), before)


@pytest.mark.parametrize("sigma", ["per_neuron", "input"])
def test_sigma_guard_pushes_dead_neurons_to_the_prior_alone(sigma):
    layer = VariationalNeurons(3, 4, 2, sigma, sigma_init=0.5)
    bias = layer.log_sigma.bias if sigma == "input" else layer.log_sigma
    with torch.no_grad():
        bias.view(4, 2)[3] = math.log(3.0)
    dead = torch.tensor([True, False, False, True])
    change = guard_sigma(layer, dead)
    torch.testing.assert_close(change, torch.tensor([0.02, 0, 0, 0]))
    for _ in range(200):
        guard_sigma(layer, dead)
    torch.testing.assert_close(bias.view(4, 2).exp()[:, 0], torch.tensor([1.0, 0.5, 0.5, 3.0]))


def test_sigma_guard_limits():
    layer = VariationalNeurons(3, 2, sigma_init=0.01)
    guard_sigma(layer, torch.zeros(2, dtype=torch.bool))
    torch.testing.assert_close(layer.log_sigma.exp(), torch.full((2, 1), 0.15))
    shared = VariationalNeurons(3, 2, sigma="shared", sigma_init=8.0)
    wide = VariationalNeurons(3, 2, sigma_init=5.5)
    torch.testing.assert_close(
        guard_sigma(wide, torch.ones(2, dtype=torch.bool)), torch.full((2,), math.log(5 / 5.5))
    )
    assert guard_sigma(shared, torch.ones(2, dtype=torch.bool)).shape == (2,)
    assert shared.log_sigma.exp().item() == pytest.approx(5)


def test_ar_share_settles_at_its_target():
    """A penalty that makes up lam p / (lam p + rest) of the loss: its share ends at the target."""
    law = ArShareController(lam=5.0)
    share = 0.0
    for _ in range(2000):
        share = law.lam * 2.0 / (law.lam * 2.0 + 1.0)
        law.update(share)
    assert share == pytest.approx(0.2, abs=1e-3)


def test_ar_share_starts_where_the_published_penalty_does():
    assert ArShareController().update(None) == 0.1
    assert ArShareController().update(0.2) == pytest.approx(0.1), "at its target it stays"


def test_ar_share_damps_hard_above_its_cap_and_rests_while_off():
    law = ArShareController(lam=1.0)
    assert law.update(None) == 1.0
    assert law.update(0.6) == pytest.approx(0.9)
    assert law.update(0.1) == pytest.approx(0.9 * math.exp(0.01))
    assert ArShareController(lam=1e-4).update(0.99) == 1e-4
    assert ArShareController(lam=9.99).update(0.0) == 10.0
    again = ArShareController()
    again.restore(law.state())
    assert again.lam == law.lam


def test_a_band_may_be_a_point_and_may_begin_at_zero():
    low, high = mu2_band(2, 1e-3, lo=1.0, hi=1.0)
    assert torch.equal(low, high)
    assert mu2_band(2, 0.5, lo=0.0, hi=0.0)[1].tolist() == [0, 0]
    low, high = mu2_band(2, 2.0, mode="heterogeneous", lo=1.0, hi=2.0)
    torch.testing.assert_close(low, torch.tensor([2 / 8, 2 * 8.0]))
    torch.testing.assert_close(high, 2 * low)
    torch.testing.assert_close(
        mu2_band(2, 2.0, mode="heterogeneous", lo=1.0, spread=1.5)[0], torch.tensor([2 / 1.5, 2 * 1.5])
    )
    with pytest.raises(ValueError, match="target 0.1, lo 2.0, hi 1.6"):
        mu2_band(3, 0.1, lo=2.0)


def test_a_relative_penalty_counts_both_sides_by_their_own_end():
    """Ends below 0.001 count as 0.001 on both sides, and each side has the weight 1."""
    mu2, low, high = torch.tensor([0.0, 2.0]), torch.tensor([0.5, 0.5]), torch.tensor([0.5, 1.5])
    assert band_penalty(mu2, low, high).item() == pytest.approx((1 + (0.5 / 1.5) ** 2) / 2)
    assert band_penalty(mu2, low, high, "absolute").item() == pytest.approx((0.25 + 0.25) / 2)
    end = torch.tensor([2e-4])
    assert band_penalty(torch.zeros(1), end, end).item() == pytest.approx(0.04)
    assert band_penalty(3 * end, end, end).item() == pytest.approx(0.16)
    assert band_penalty(torch.ones(1), torch.ones(1), torch.ones(1)).item() == 0


def test_a_neuron_that_has_never_moved_is_projected_by_the_largest_scale():
    layer, _ = layer_at(torch.ones(3).double())
    band = torch.tensor([1.0, 1e-10, 0.0]).double()
    scale = project_to_band(layer, torch.zeros(3).double(), band, band)
    torch.testing.assert_close(scale, torch.tensor([50.0, 10.0, 1.0]).double())
    torch.testing.assert_close(
        project_to_band(layer, torch.full((3,), 4.0).double(), band * 0, band * 0 + 1, max_scale=1.25),
        torch.full((3,), 0.8).double(),
    )


def test_homeostat_scale_of_what_its_caller_does_not_say():
    low, high = torch.tensor([0.2]), torch.tensor([0.8])
    with pytest.raises(ValueError, match=r"inside must be one of \('keep', 'geometric', 'arithmetic'\)"):
        homeostat_scale(low, low, high, 0.5, inside="middle")
    for edge in (low, high):
        assert homeostat_scale(edge, low, high, 1.0).item() == 1
    tiny = torch.tensor([1e-14])
    assert homeostat_scale(tiny, tiny, high, 1.0).item() == 1, "below the floor counts as at it"
    assert homeostat_scale(
        torch.tensor([0.0]), torch.tensor([4e-12]), high, 1.0, 3.0
    ).item() == pytest.approx(2)


def test_a_homeostat_that_is_told_nothing_keeps_what_is_inside_and_steps_by_half_at_most():
    law = Homeostat(torch.full((3,), 0.2).double(), torch.full((3,), 0.8).double())
    assert law.outside().tolist() == [False, False, False], "nothing seen"
    energy = torch.tensor([1e-9, 0.3, 0.8]).double()
    law.observe(energy)
    torch.testing.assert_close(law.act(layer_at(energy)[0]), torch.tensor([1.5, 1.0, 1.0]).double())
    assert Homeostat(torch.zeros(1), torch.ones(1)).state() == {"mu2": None}
    again = Homeostat(torch.zeros(1), torch.ones(1))
    again.restore({"mu2": None})
    assert again.mu2 is None


def test_a_homeostat_goes_up_to_its_own_limits():
    law = Homeostat(torch.ones(1).double(), torch.ones(1).double(), 0.3, 0.6, 0.5, 1.2, "geometric")
    energy = torch.tensor([0.9]).double()
    law.observe(energy)
    law.observe(torch.tensor([0.7]).double())
    torch.testing.assert_close(law.mu2, torch.tensor([0.8]).double())
    torch.testing.assert_close(law.act(layer_at(energy)[0]), torch.tensor([0.8**-0.3]).double())
    law.observe(torch.tensor([0.001]).double())
    assert law.act(layer_at(energy)[0]).item() == pytest.approx(1.2)


@pytest.mark.parametrize("k", [1, 4])
def test_sigma_guard_of_its_own_limits(k):
    """Dead neurons are pushed before the limits are kept; what a limit changes is told too."""
    layer = VariationalNeurons(3, 2, k, sigma_init=0.5)
    change = guard_sigma(layer, torch.tensor([True, False]), low=0.25, high=0.75, push=0.5)
    torch.testing.assert_close(change, torch.tensor([math.log(0.75 / 0.5), 0.0]))
    change = guard_sigma(layer, torch.zeros(2, dtype=torch.bool), low=0.6)
    torch.testing.assert_close(change, torch.tensor([0.0, math.log(0.6 / 0.5)]))


def test_ar_share_at_its_cap_is_not_damped():
    law = ArShareController(lam=1.0, target=0.5, rate=1.0, cap=0.75, damping=0.5)
    assert law.update(0.75) == pytest.approx(math.exp(-0.25))
    assert ArShareController(lam=1.0, target=0.5, rate=9.0, cap=0.75).update(0.8) == pytest.approx(
        math.exp(-2.7)
    )
