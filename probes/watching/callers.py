"""Which module `probes.observe` was called in, and whether what it handed over is of a watched model: two
models of one class that are trained side by side call it under the same names.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any
from weakref import WeakSet

from torch import nn

CALLS = nn.Module._call_impl.__code__
"""Where the call of any module passes through."""
ANOTHER = "of another model than the watched one"


@dataclass(frozen=True, eq=False)
class Receiver:
    """An open recording. model: the watched one. take: gets a name, what stands there, and why it may not
    count (`hooks.without_gradients`); it raises ValueError for what cannot be read while that is the user's
    to mend, before the layers of a run are settled.
    """

    model: nn.Module
    take: Callable[[str, Any, str | None], None]
    _held: WeakSet[nn.Module] = field(default_factory=WeakSet)

    def holds(self, module: nn.Module) -> bool:
        """Whether a module is the model or a part of it."""
        if module not in self._held and any(part is module for part in self.model.modules()):
            self._held.add(module)
        return module in self._held

    def has_one_like(self, module: nn.Module) -> bool:
        """Whether the model, or a part of it, is of the same class."""
        return any(type(part) is type(module) for part in self.model.modules())


def calling_module() -> nn.Module | None:
    """The innermost module that runs in this thread and is of a class of the user's own; None: there is none.

    Only frames of calls of modules are looked into: to look into another one would keep its values alive.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code is CALLS:
            module = frame.f_locals["self"]
            module = getattr(module, "_orig_mod", module)  # of torch.compile
            if not type(module).__module__.startswith("torch."):
                return module if isinstance(module, nn.Module) else None
        frame = frame.f_back
    return None


def concerned(receivers: Sequence[Receiver]) -> list[tuple[Receiver, str | None]]:
    """Open recordings, and why what is handed over now is not of the model of one.

    It is not where it comes from within another watched model, or from within a module that is no part of the
    model but of the same class as a part: a copy of it, another member of an ensemble.
    """
    module = calling_module() if receivers else None
    if module is None or getattr(module, "_is_replica", False):  # of nn.DataParallel
        return [(receiver, None) for receiver in receivers]
    owners = [receiver for receiver in receivers if receiver.holds(module)]
    return [
        (receiver, None if receiver in owners or not (owners or receiver.has_one_like(module)) else ANOTHER)
        for receiver in receivers
    ]
