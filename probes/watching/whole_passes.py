"""Which forward passes run to their end, before layers are settled: what one that raised has shown is of no
step.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from threading import local
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from probes.watching.hooks import hook_input, hook_output


class _Running(local):
    """Calls of modules that this thread is in, and the error that was handled as the outermost began."""

    depth = 0
    handled: int | None = None


class WholePasses:
    """Hears where the outermost call of a module begins and ends, be it the model or a part of it.

    Parameters
    ----------
    begin
        Called as an outermost call begins.
    drop
        Called when one has raised, or was left: what came since it began is to be forgotten.
    """

    def __init__(self, begin: Callable[[], None], drop: Callable[[], None]) -> None:
        self._begin, self._drop = begin, drop
        self._running = _Running()
        self._handles: list[RemovableHandle] = []

    def hear_beginnings(self, modules: Iterable[nn.Module]) -> None:
        """Before all other hooks on these modules."""
        for module in modules:
            self._handles.append(hook_input(module, self._entered))

    def hear_ends(self, modules: Iterable[nn.Module]) -> None:
        """After all other hooks."""
        for module in modules:
            self._handles += hook_output(module, self._left, raised_too=True)

    def close(self) -> None:
        """Hear no more."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._running.depth = 0

    def break_off(self) -> None:
        """No call runs any more: one that was left by an interrupt, which ends without a word, has raised."""
        if self._running.depth:
            self._running.depth = 0
            self._drop()

    def _entered(self, _: Any) -> None:
        if not self._running.depth:
            self._running.handled = _error_now()
            self._begin()
        self._running.depth += 1

    def _left(self, output: Any) -> None:
        if not self._running.depth:
            return  # the hooks came during a forward pass, or a hook before ours has raised
        self._running.depth -= 1
        if not self._running.depth and output is None and _error_now() != self._running.handled:
            self._drop()


def _error_now() -> int | None:
    """What tells the error that is being handled from others; None where there is none."""
    error = sys.exc_info()[1]
    return None if error is None else id(error)
