"""Which regime a neuron is in: the first rule that fires, vectorised, with its reasons.

The rules are written once, in `rules`, as comparisons of named values with limits: `codes` and `classify`
evaluate them on whole columns, `explain` on one row, and prints them. Names, readings and advice are in
`schema.REGIMES`.

What is missing and what is broken are two things:

- A rule whose column is absent, or null in that row, does not fire.
- In the columns that the layer's family requires (`families.Family.required`; Gaussian: mean, variance, kl,
  information, spread) a NaN is non-finite, always.
- In the other statistics a null is "not taken at this step". Columns that know nulls (Arrow and masked types,
  object columns with None) tell it from a NaN, which is then non-finite; in plain float columns, where pandas
  writes a null as NaN, NaN is "not taken". Statistics that may be undefined (`Statistic.nullable`: the slope
  of a mean that never moves) are never non-finite for being NaN.
- Of fewer than two inputs (`rows`) nothing that varies with the input is known: a NaN is "not taken" there.
- Of a family that is no Gaussian the rules are fewer (`Family.regimes`), a NaN where the family does not
  require a statistic is "not taken", and a neuron is only living by numbers: without a prior, or where what
  its rules need is null, its regime is unknown.
- Where no information is recorded, it is what KL and mismatch say; else, of one dimension under Normal(0, 1),
  what mean, variance and KL leave open: where all of that is one regime, it is the neuron's, else the regime
  is unknown (`schema.UNKNOWN`). Nobody is living for want of a column.
- Neurons whose state is carried along a sequence (`held_information`) are judged by what they hold, not by
  what they pay at a position.
- An infinite value is non-finite everywhere. So is a positive `non_finite` count, and a variance below 0.
"""

from __future__ import annotations

from probes.regimes.classification import classify, codes
from probes.regimes.explanation import explain, reading
from probes.regimes.rules import Array, Check
from probes.regimes.values import ROUNDING
from probes.schema import Thresholds

__all__ = ["ROUNDING", "Array", "Check", "Thresholds", "classify", "codes", "explain", "reading"]
