"""What a configuration says of when rules fire."""

from probes import alerts


def test_warm_up_of_a_configuration():
    assert alerts.warmup_of({"steps": 2000, "warmup_share": 0.1}) == 200
    assert alerts.warmup_of({"warmup_steps": 7, "steps": 10, "warmup_share": 0.5}) == 7
    assert alerts.warmup_of({"seed": 1}) is None
