"""Our hooks taken off their modules for a while and put back to where they were: a module without hooks is
called as fast as one that nobody watches.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch.utils.hooks import RemovableHandle


class Resting:
    """Hooks that are off their modules between two recorded steps."""

    def __init__(self) -> None:
        self._taken: list[tuple[RemovableHandle, Any, frozenset[int]]] = []

    @property
    def is_on(self) -> bool:
        """Whether hooks rest."""
        return bool(self._taken)

    def begin(self, handles: Iterable[RemovableHandle]) -> None:
        """Take hooks off, those that are on."""
        for handle in handles:
            hooks = handle.hooks_dict_ref()
            if hooks is not None and handle.id in hooks:
                keys = list(hooks)
                before = frozenset(keys[: keys.index(handle.id)])
                self._taken.append((handle, hooks.pop(handle.id), before))

    def end(self) -> None:
        """Put them back, before those hooks that stood, or came, after them."""
        taken, self._taken = self._taken, []
        for handle, hook, before in reversed(taken):
            hooks = handle.hooks_dict_ref()
            if hooks is not None:
                hooks[handle.id] = hook
                for key in [key for key in hooks if key != handle.id and key not in before]:
                    hooks.move_to_end(key)

    def forget(self) -> None:
        """Leave them off."""
        self._taken.clear()
