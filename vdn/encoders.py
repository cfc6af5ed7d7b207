"""Encoders: the deterministic maps from an example to the features that the first layer of neurons reads."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ENCODERS = ("linear", "mlp", "trend_seasonal")
TREND_WIDTH = 25  # of the moving average, as in DLinear (Zeng et al. 2023); odd, so that it is centred


class LinearEncoder(nn.Module):
    """One linear map (B, inputs) -> (B, width)."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.map = nn.Linear(inputs, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.map(x)


class MlpEncoder(nn.Module):
    """Two linear maps with a GELU between, (B, inputs) -> (B, width): for rows of a table and small
    images.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(inputs, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.gelu(self.first(x)))


class TrendSeasonalEncoder(nn.Module):
    """A window (B, inputs) split into its moving average and the rest, each with a linear map of its own;
    their sum.

    The window's ends are repeated for the moving average.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.trend, self.seasonal = nn.Linear(inputs, width), nn.Linear(inputs, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        reach = TREND_WIDTH // 2
        padded = torch.cat([x[:, :1].expand(-1, reach), x, x[:, -1:].expand(-1, reach)], 1)
        trend = F.avg_pool1d(padded[:, None], TREND_WIDTH, 1)[:, 0]
        return self.trend(trend) + self.seasonal(x - trend)


class Embedding(nn.Module):
    """A position as a layer's input; zeros at a sequence's start.

    Parameters
    ----------
    size
        Symbols, or numbers of a position.
    features
        F.
    symbols
        Whether positions are symbols; -1 is the start. The start of numbers is zeros.
    """

    def __init__(self, size: int, features: int, symbols: bool) -> None:
        super().__init__()
        self.size, self.symbols = size, symbols
        # the row that is always zeros comes last
        self.map = (
            nn.Embedding(size + 1, features, padding_idx=size)
            if symbols
            else nn.Linear(size, features, bias=False)
        )

    def first(self, like: Tensor) -> Tensor:
        """The position that a sequence begins with.

        Parameters
        ----------
        like
            (T,) symbols or (T, D).

        Returns
        -------
        Tensor
            (1,) or (1, D).
        """
        if self.symbols:
            return torch.full((1,), -1, dtype=torch.long, device=like.device)
        return torch.zeros((1, self.size), dtype=like.dtype, device=like.device)

    def forward(self, x: Tensor) -> Tensor:
        """Inputs of the first layer.

        Parameters
        ----------
        x
            (...) symbols or (..., D).

        Returns
        -------
        Tensor
            (..., F).
        """
        if self.symbols:
            x = torch.where(x < 0, self.size, x)
        found: Tensor = self.map(x)
        return found


def make_encoder(kind: str, inputs: int, width: int) -> nn.Module:
    """The encoder called `kind`, one of `ENCODERS`; ValueError for another name."""
    if kind == "linear":
        return LinearEncoder(inputs, width)
    if kind == "mlp":
        return MlpEncoder(inputs, width)
    if kind == "trend_seasonal":
        return TrendSeasonalEncoder(inputs, width)
    raise ValueError(f"encoder must be one of {', '.join(ENCODERS)}, this is {kind!r}")
