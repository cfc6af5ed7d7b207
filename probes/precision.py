"""Precision that sums are kept in, whatever the training around them computes in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def unrounded(device: torch.device) -> AbstractContextManager[object]:
    """Within it matrix products keep the precision of their factors: autocast would round sums to 16 bits.

    Parameters
    ----------
    device
        Whose products are meant.

    Returns
    -------
    context manager
        One that does nothing where autocast is off, as it mostly is: leaving autocast costs a tenth of the
        sums of a batch.
    """
    if device.type != "meta" and torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
