from contextlib import nullcontext

import torch

from probes.precision import unrounded


def test_products_are_not_rounded_under_autocast():
    ones, value = torch.ones(1, 3), torch.tensor([[1.0], [1e-3], [1e-6]])
    with torch.autocast("cpu", torch.bfloat16):
        assert (ones @ value).dtype == torch.bfloat16
        with unrounded(value.device):
            assert (ones @ value).dtype == torch.float32
        assert (ones @ value).dtype == torch.bfloat16


def test_nothing_is_entered_where_autocast_is_off():
    assert isinstance(unrounded(torch.device("cpu")), nullcontext)
