"""Two runs scored on the same forecasts or answers: the difference of their scores with an interval."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.special import beta, ndtr

from probes.analysis.tails import mixture_df
from probes.experiments.estimates import (
    NORMAL_95,
    Estimate,
    clustered_mean,
    degrees_of_freedom,
    half_width,
)

Floats = NDArray[np.float64]
KEYS = ["input", "horizon"]
NEEDED = (*KEYS, "y", "mean", "observation_variance")
ANSWERED = ("split", "input", "y", "predicted", "likelihood")
SPLITS = ("test", "validation", "train")
"""Of answers that two runs have of several splits, those of the first are paired."""
HALF_LN_2PI = 0.5 * np.log(2 * np.pi)


class UnpairedError(ValueError):
    """Two runs whose scores cannot be paired; the message says why."""


def point_scores(predictions: pd.DataFrame) -> pd.DataFrame:
    """Scores of each forecast number by the Gaussian, or Student's t, that has its mean and variance.

    Parameters
    ----------
    predictions
        Rows of `Run.predictions()` of one step.

    Returns
    -------
    DataFrame
        input, horizon, y, block (the input where none is named), nll (nats), crps (in y's unit) and
        squared_error.

    Raises
    ------
    UnpairedError
        Where the rows are no forecasts of numbers.

    Notes
    -----
    Variance: latent and observation part added (latent taken as 0 where one draw says nothing of it). CRPS:
    s (u (2 Phi(u) - 1) + 2 phi(u) - 1/sqrt(pi)), u = (y - mean)/s (Gneiting & Raftery 2007); of Student's t,
    `probes.analysis.tails`, that of Jordan et al. 2019.
    """
    if not len(predictions) or not set(NEEDED) <= set(predictions):
        raise UnpairedError("no forecasts of single test points are stored")
    y, mean = (predictions[name].to_numpy(np.float64) for name in ("y", "mean"))
    variance = predictions["observation_variance"].to_numpy(np.float64)
    if "latent_variance" in predictions:
        variance = variance + np.nan_to_num(predictions["latent_variance"].to_numpy(np.float64))
    sd = np.sqrt(variance)
    u = (y - mean) / sd
    density = np.exp(-0.5 * u * u - HALF_LN_2PI)
    nll = 0.5 * u * u + np.log(sd) + HALF_LN_2PI
    crps = sd * (u * (2 * ndtr(u) - 1) + 2 * density - 1 / np.sqrt(np.pi))
    if (df := mixture_df(predictions)) is not None:
        student = np.isfinite(df)
        nll[student], crps[student] = _student_scores(u[student], sd[student], df[student])
    block = "block" if "block" in predictions else "input"
    return pd.DataFrame(
        {
            "input": predictions["input"].to_numpy(),
            "horizon": predictions["horizon"].to_numpy(),
            "y": y,
            "block": predictions[block].to_numpy(),
            "nll": nll,
            "crps": crps,
            "squared_error": (y - mean) ** 2,
        }
    )


def _student_scores(u: Floats, sd: Floats, df: Floats) -> tuple[Floats, Floats]:
    """NLL and CRPS of Student's t, deviations in sds."""
    width = np.sqrt((df - 2) / df)
    scale, z = sd * width, u / width
    density = stats.t.pdf(z, df)
    spread = 2 * np.sqrt(df) / (df - 1) * beta(0.5, df - 0.5) / beta(0.5, df / 2) ** 2
    crps = scale * (z * (2 * stats.t.cdf(z, df) - 1) + 2 * density * (df + z * z) / (df - 1) - spread)
    return np.log(scale) - stats.t.logpdf(z, df), crps


def paired_differences(predictions: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """Scores of a run minus those of another on the same targets, with 95 % intervals.

    Parameters
    ----------
    predictions, reference
        Rows of `Run.predictions()` of one step of each run.

    Returns
    -------
    DataFrame
        By score (nll, crps, squared_error): value, reference (means over the points), difference, half_width
        (of its 95 % interval; NaN with one block), points, blocks.

    Raises
    ------
    UnpairedError
        Where one of them has no forecasts of numbers, or their targets are not the same.

    Notes
    -----
    A cluster-robust t interval of the mean difference over blocks of inputs, which are independent of each
    other; the points of one block are not (`experiments.estimates.clustered_mean`).
    """
    own, other = point_scores(predictions), point_scores(reference)
    both = own.merge(other, on=KEYS, suffixes=("", " of reference"), validate="one_to_one")
    if not len(own) == len(other) == len(both) or not np.allclose(
        both["y"], both["y of reference"], atol=1e-6
    ):
        raise UnpairedError("their stored forecasts are of other targets")
    found = {}
    for score in ("nll", "crps", "squared_error"):
        here, there = both[score].to_numpy(), both[f"{score} of reference"].to_numpy()
        mean, error = clustered_mean(here - there, both["block"])
        width = half_width(error, degrees_of_freedom(len(both), both["block"]))
        found[score] = (
            here.mean(),
            there.mean(),
            float(mean),
            float(width),
            len(both),
            both["block"].nunique(),
        )
    names = ["value", "reference", "difference", "half_width", "points", "blocks"]
    return pd.DataFrame.from_dict(found, orient="index", columns=names)


def difference_of_proportions(right: ArrayLike, reference: ArrayLike) -> Estimate:
    """Share of right answers of one classifier minus that of another, on the same examples.

    Parameters
    ----------
    right, reference
        (n,) bool: whether each answer is right.

    Returns
    -------
    Estimate
        The difference, in [-1, 1], with its 95 % interval.

    Notes
    -----
    Agresti & Min 2005: half an answer more in each cell of the table of both, then Wald's interval. Its
    middle lies closer to 0 than the difference; it has a width where the two agree on every example too.
    """
    own, other = np.asarray(right, bool), np.asarray(reference, bool)
    gained, lost = (own & ~other).sum() + 0.5, (other & ~own).sum() + 0.5
    count = len(own) + 2
    middle = (gained - lost) / count
    width = NORMAL_95 * np.sqrt(gained + lost - (gained - lost) ** 2 / count) / count
    return Estimate(
        float(own.mean() - other.mean()), float(max(middle - width, -1)), float(min(middle + width, 1))
    )


def paired_answers(answers: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """Scores of a classifier minus those of another on the same examples, with 95 % intervals.

    Parameters
    ----------
    answers, reference
        Rows of `Run.answers()` of one step of each run.

    Returns
    -------
    DataFrame
        By score (accuracy; nll: -ln of the right class's probability, nats): value, reference (means over the
        answers), difference, low, high (of its 95 % interval), answers (how many), split.

    Raises
    ------
    UnpairedError
        Where one of them has no answers, or they are to other examples.

    Notes
    -----
    Examples are taken as independent of each other. NLL: Student's t of the mean of paired differences.
    Accuracy: `difference_of_proportions`.
    """
    if not all(len(table) and set(ANSWERED) <= set(table) for table in (answers, reference)):
        raise UnpairedError("no answers to single examples are stored")
    there = [set(table["split"]) for table in (answers, reference)]
    split = next((name for name in SPLITS if all(name in names for names in there)), None)
    parts = [
        table.loc[table["split"] == split, list(ANSWERED[1:])].reset_index(drop=True)
        for table in (answers, reference)
    ]
    if split is None or not parts[0][["input", "y"]].equals(parts[1][["input", "y"]]):
        raise UnpairedError("their stored answers are to other examples")
    right, right_there = ((part["predicted"] == part["y"]).to_numpy() for part in parts)
    with np.errstate(divide="ignore", invalid="ignore"):
        nll, nll_there = (-np.log(part["likelihood"].to_numpy(np.float64)) for part in parts)
        mean, error = clustered_mean(nll - nll_there)
    width = half_width(error, degrees_of_freedom(len(nll)))
    accuracy = difference_of_proportions(right, right_there)
    found = {
        "accuracy": (right.mean(), right_there.mean(), *accuracy),
        "nll": (nll.mean(), nll_there.mean(), float(mean), float(mean - width), float(mean + width)),
    }
    names = ["value", "reference", "difference", "low", "high"]
    table = pd.DataFrame.from_dict(found, orient="index", columns=names)
    return table.assign(answers=len(right), split=split)
