"""Categorical posteriors by their raw logits, not normalised, which are normalised where somebody asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

NAMES = ("probability", "logits")


class ClassLogits(Mapping[str, Tensor]):
    """Parameters of categorical posteriors, name -> tensor: "probability" and normalised "logits".

    Parameters
    ----------
    raw
        (..., C), any finite numbers; −inf for a class that never is.
    """

    def __init__(self, raw: Tensor) -> None:
        self.raw = raw
        self._known: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        if name not in NAMES:
            raise KeyError(name)
        if not self._known:
            logits = self.raw.detach().log_softmax(-1)
            self._known = {"probability": logits.exp(), "logits": logits}
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in NAMES

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


def first_of(parameters: Mapping[str, Tensor]) -> Tensor:
    """A tensor of the parameters' shape, which nobody need compute.

    Parameters
    ----------
    parameters
        Of a family that has some.
    """
    return parameters.raw if isinstance(parameters, ClassLogits) else next(iter(parameters.values()))
