"""What is kept of a posterior between its forward pass and the end of the step: its tensors, or sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from probes.moments import Moments
from probes.watching.posterior_source import Observed


class Reading:
    """A posterior that was computed, to be read when and if it is needed: call it.

    Raises ValueError when a tensor was changed in place since `hold`, and what `read` raises.
    """

    def __init__(self, read: Callable[[Any], Observed], taken: tuple[Any, ...]) -> None:
        self._read, self._taken = read, taken
        self._versions: list[int] | None = None

    def hold(self) -> int:
        """From now on tensors must not change; returns the bytes that are kept alive."""
        self._versions = self._counted()
        return sum(tensor.nbytes for tensor in self._tensors())

    def __call__(self) -> Observed:
        if self._versions is not None and self._counted() != self._versions:
            raise ValueError("a tensor was changed in place after the forward pass had put it out")
        return self._read(self._taken)

    def _tensors(self) -> list[Tensor]:
        return [value for value in self._taken if isinstance(value, Tensor)]

    def _counted(self) -> list[int]:
        return [tensor._version for tensor in self._tensors() if not tensor.is_inference()]


class Pool:
    """Sums of one layer over the batches of a step.

    Parameters
    ----------
    size
        Neurons and latent dimensions of the layer.
    shared
        Whether the posterior is the same for every input.
    """

    def __init__(self, size: tuple[int, int], shared: bool) -> None:
        self.size, self.shared = size, shared
        self.moments: Moments | None = None  # None: no batch yet

    def add(self, observed: Observed) -> None:
        """One batch. Raises ValueError for another size, and what sums of odd tensors raise."""
        mu, sigma, log_sigma, prior_mu, prior_sigma, previous, mask = observed
        neurons, dimensions = self.size
        if mu.shape[1:] != self.size:
            raise ValueError(
                f"it has {neurons} neurons, a batch is {tuple(mu.shape)}"
                if mu.shape[1] != neurons
                else f"it has {dimensions} dimensions or positions a neuron, a batch is {tuple(mu.shape)}"
            )
        moments = self.moments or Moments()
        moments.update(
            mu, sigma, prior_mu, prior_sigma, log_sigma=log_sigma, previous_mu=previous, mask=mask,
            shared=self.shared,
        )  # fmt: skip
        self.moments = moments

    def take(self) -> Moments | None:
        """What was added since the last call."""
        taken, self.moments = self.moments, None
        return taken
