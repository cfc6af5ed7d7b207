"""Which forward passes of a watched model count: those of its training, not of a pause; the others by why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from probes.watching.hooks import (
    EVALUATED,
    WITHOUT_GRADIENTS,
    counts,
    is_drawing,
    passed_over,
    without_gradients,
)


class ForwardPasses:
    """Asked by each hook whether the forward pass that runs now counts.

    Parameters
    ----------
    model
        The watched one.
    no_grad
        Whether forward passes without gradients count.

    Attributes
    ----------
    passed_over
        Forward passes, or parts of them, that were not looked at, by why (`hooks.passed_over`).
    """

    def __init__(self, model: nn.Module, no_grad: bool) -> None:
        self._model, self._no_grad = model, no_grad
        self.is_paused = False
        self._listening = False  # to every forward pass, in eval mode and without gradients too
        self.passed_over: Counter[str] = Counter()

    def would_count(self) -> bool:
        """Whether a forward pass that runs now counts, without counting it."""
        if self.is_paused or is_drawing():
            return False
        why = passed_over(self._model)
        if why == EVALUATED and self._listening:
            why = None
        return why is None and (self._listening or self._no_grad or without_gradients() is None)

    def is_trained_on(self) -> bool:
        """Whether the forward pass that runs now is one of training, with gradients."""
        return not self.is_paused and (passed_over(self._model) or without_gradients()) is None

    def counts(self, why_not: str | None) -> bool:
        """Whether a forward pass counts; one that does not is counted by its reason.

        why_not: as `hooks.without_gradients`, or what else is known of it.
        """
        if self.is_paused or is_drawing():
            return False
        if why_not == WITHOUT_GRADIENTS and (self._no_grad or self._listening):
            why_not = None
        why = passed_over(self._model)
        if why == EVALUATED and self._listening:
            why = None
        if (why := why or why_not) is not None:
            self.passed_over[why] += 1
        return why is None

    def counts_now(self) -> bool:
        """As `counts`, of the forward pass that runs now: asked at each, all training long."""
        if self._model.training and not self.is_paused and counts():
            return True
        return self.counts(without_gradients())

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is looked at inside."""
        before, self.is_paused = self.is_paused, True
        try:
            yield
        finally:
            self.is_paused = before

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Forward passes in eval mode and without gradients are looked at inside."""
        before, self._listening = self._listening, True
        try:
            yield
        finally:
            self._listening = before
