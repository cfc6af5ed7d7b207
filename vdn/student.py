"""Student's t as an observation's distribution: wider in the tails than a Gaussian of the same sd.

A forecast is given by its mean, its sd and its degrees of freedom, df > 2: t of scale sd sqrt((df - 2)/df).
So the sd means the same as a Gaussian's, whatever the degrees of freedom, and variances add up alike.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import stats
from torch import Tensor

LEAST_DF = 2.05
"""Of a learned number of degrees of freedom: at 2 the variance is infinite."""


def scale_of(sd: Tensor, df: Tensor) -> Tensor:
    """Scale of the t that has this sd.

    Parameters
    ----------
    sd
        Standard deviation.
    df
        () degrees of freedom, above 2.

    Returns
    -------
    Tensor
        sd sqrt((df - 2)/df).
    """
    return sd * (1 - 2 / df).sqrt()


def student_nll(y: Tensor, mean: Tensor, sd: Tensor, df: Tensor) -> Tensor:
    """-ln of the density, nats per element.

    Parameters
    ----------
    y
        Targets.
    mean, sd
        Forecast, broadcastable to y.
    df
        () degrees of freedom, above 2.

    Returns
    -------
    Tensor
        As y, or of more draws.

    Notes
    -----
    ln B(1/2, df/2) + ln(df)/2 + ln s + (df + 1)/2 ln(1 + u^2/df), u = (y - mean)/s, s as `scale_of` has it.
    """
    scale = scale_of(sd, df)
    u = (y - mean) / scale
    constant = math.lgamma(0.5) + torch.lgamma(df / 2) - torch.lgamma((df + 1) / 2) + 0.5 * df.log()
    return constant + scale.log() + 0.5 * (df + 1) * torch.log1p(u * u / df)


def student_cdf(u: Tensor, df: Tensor) -> Tensor:
    """P(T <= u sqrt(df/(df - 2))) of a t of `df` degrees of freedom: of a deviation in sds. No gradient.

    Parameters
    ----------
    u
        Deviations from the mean, in sds.
    df
        () degrees of freedom, above 2.

    Returns
    -------
    Tensor
        As u.
    """
    number = float(df)
    values = u.double().cpu().numpy() / math.sqrt(1 - 2 / number)
    return torch.from_numpy(np.asarray(stats.t.cdf(values, number))).to(u)


def student_quantile(levels: Tensor, df: Tensor) -> Tensor:
    """Quantiles in sds from the mean. No gradient.

    Parameters
    ----------
    levels
        In (0, 1).
    df
        () degrees of freedom, above 2.

    Returns
    -------
    Tensor
        As levels.
    """
    number = float(df)
    found = stats.t.ppf(levels.double().cpu().numpy(), number) * math.sqrt(1 - 2 / number)
    return torch.from_numpy(np.asarray(found)).to(levels)


@torch.no_grad()
def student_noise(
    shape: tuple[int, ...], df: Tensor, like: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Draws of mean 0 and sd 1.

    Parameters
    ----------
    shape
        Of the draws.
    df
        () degrees of freedom, above 2.
    like
        Of whose dtype and device they are.
    generator
        Of the uniform numbers that they are made of.

    Returns
    -------
    Tensor
        Of `shape`.

    Notes
    -----
    sqrt(df (U^(-2/df) - 1)) cos(2 pi V) is a t of df degrees of freedom (Bailey 1994, the polar method).
    """
    u, v = torch.rand((2, *shape), dtype=like.dtype, device=like.device, generator=generator)
    df = df.detach().to(like)
    u.neg_().add_(1)  # in (0, 1]
    radius = (df * torch.expm1(-2 / df * u.log())).sqrt()
    return radius.mul_(v.mul_(2 * math.pi).cos_()).mul_((1 - 2 / df).sqrt())
