"""Where in an output a posterior's numbers stand: a `Slot` of keys, and the form that its scale is in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from probes.watching.gaussians import gaussian
from probes.watching.layouts import neuron_axis
from probes.watching.naming import describe
from probes.watching.tensors import NotReadable, is_number, is_simple, plain

Key = str | int | None | tuple[Any, ...]
"""Index, key or attribute; None is the output itself, a tuple several, one after the other."""
DISTRIBUTION = "distribution"
LOGITS = ("logits", "probs")
"""Forms of a slot that holds a categorical distribution's numbers, classes last."""
CODES = "codes"
SINGLE = (*LOGITS, CODES)
"""Forms that one tensor holds."""


def pick(output: Any, key: Key) -> Any:
    """Element of an output: by index, by key or by attribute; None is the output itself."""
    if key is None:
        return output
    if isinstance(key, tuple):
        for one in key:
            output = pick(output, one)
        return output
    if isinstance(output, Tensor):
        raise NotReadable(f"the output is one {describe(output)}: there is no {key!r} in it")
    if isinstance(key, int) or isinstance(output, Mapping):
        return output[key]
    return getattr(output, key)


@dataclass(frozen=True)
class Slot:
    """Where in an output a Gaussian stands: keys of mean and scale, and the form the scale is written in
    (`naming.FORMS`).

    form "distribution": the mean's key holds a torch distribution. "codes": the scale is the place of the
    code book on the last axis of the indices, or (axis, place). halves: one tensor holds both, mean first,
    along the channels of a convolution or the last dimension.
    """

    mean: Key = None
    scale: Key = None
    form: str = DISTRIBUTION
    halves: bool = False

    def tensors(self, output: Any) -> tuple[Tensor, Tensor]:
        """Mean and scale as they stand. Raises NotReadable for what is no pair of tensors, or no Gaussian."""
        if type(output) is tuple and type(self.mean) is type(self.scale) is int:
            mean, scale = output[self.mean], output[self.scale]
            if is_simple(mean) and is_simple(scale):
                return mean, scale  # as below in fewer calls: this runs all training long
        mean = pick(output, self.mean)
        if self.form == DISTRIBUTION:
            mean, scale = gaussian(mean)
        elif self.halves:
            mean, scale = mean.chunk(2, dim=1 if neuron_axis(mean) == 1 else -1)
        else:
            scale = pick(output, self.scale)
        if not (is_number(mean) and is_number(scale)):
            raise NotReadable(f"{self} is {describe(mean)} and {describe(scale)}, not two tensors of numbers")
        return plain(mean), plain(scale)

    def sigmas(self, scale: Tensor) -> tuple[Tensor, Tensor | None]:
        """sigma and, where the scale is a logarithm, ln sigma."""
        if self.form in ("log_sigma", "log_var"):
            log_sigma = scale.float() if self.form == "log_sigma" else 0.5 * scale.float()
            return log_sigma.exp(), log_sigma
        if self.form == "var":
            return scale.float().sqrt(), None
        return F.softplus(scale.float()) if self.form == "rho" else scale, None

    def under(self, key: Any) -> Slot:
        """The same place in an output that stands at `key` of another."""
        alone = self.form in (DISTRIBUTION, *SINGLE) or self.halves
        scale = self.scale if alone else nested(key, self.scale)
        return replace(self, mean=nested(key, self.mean), scale=scale)

    def __str__(self) -> str:
        if self.form in SINGLE:
            place = "" if self.mean is None else f"={_said(self.mean)}"
            return f"{self.form}{place}{_said_of_book(self.scale)}"
        if self.form == DISTRIBUTION:
            return DISTRIBUTION if self.mean is None else f"{DISTRIBUTION}={_said(self.mean)}"
        if self.halves:
            return f"mu | {self.form}"
        return f"mu={_said(self.mean)}, {self.form}={_said(self.scale)}"


def nested(key: Any, inner: Key) -> Key:
    """The key of what stands at `inner` of what stands at `key`."""
    return key if inner is None else (key, *(inner if isinstance(inner, tuple) else (inner,)))


def _said_of_book(place: Key) -> str:
    """As an index of the picks: [..., 1], or [:, 1] where another axis is the code books'."""
    if place is None:
        return ""
    return (
        f"[{', '.join([':'] * int(place[0]) + [str(place[1])])}]"
        if isinstance(place, tuple)
        else f"[..., {place}]"
    )


def _said(key: Key) -> str:
    return ".".join(map(str, key)) if isinstance(key, tuple) else str(key)
