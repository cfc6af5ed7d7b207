"""Our hooks on the modules of a watched model, by the path of what they read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from torch import nn
from torch.jit import ScriptModule
from torch.utils.hooks import RemovableHandle

from probes.watching.forward_passes import ForwardPasses
from probes.watching.hooks import (
    COMPILED,
    CompiledError,
    PairHooks,
    Sites,
    hook_output,
    hook_sites,
    is_compiled,
    is_on,
    is_pyro,
)

SCRIPTED = "scripted: its inside cannot be watched"


class ModuleHooks:
    """Puts hooks on modules and takes them off; what they bring of forward passes that count goes on.

    Parameters
    ----------
    model
        The watched one.
    passes
        Which of its forward passes count.
    seen
        Gets (path, module, output); of layers that are read together the model, and their outputs.
    sampled
        Gets (path, sites) of a Pyro guide; None: nothing is asked of guides.
    """

    def __init__(
        self,
        model: nn.Module,
        passes: ForwardPasses,
        seen: Callable[[str, nn.Module, Any], None],
        sampled: Callable[[str, Sites], None] | None,
    ) -> None:
        self._model, self._passes = model, passes
        self._seen, self._sampled = seen, sampled
        self.pairs: dict[str, PairHooks] = {}  # by path, as all below
        self._handles: dict[str, list[RemovableHandle]] = {}
        self._modules: dict[str, list[tuple[str, nn.Module]]] = {}

    def hook(self, path: str) -> str | None:
        """Begin to listen at a path, or at several joined by " & "; why not, where that cannot be."""
        if " & " in path:
            pair = PairHooks(
                self._model,
                path,
                lambda outputs: self._seen(path, self._model, outputs),
                self._passes.counts_now,
            )
            self.pairs[path] = pair
            self._handles[path], self._modules[path] = pair.handles, pair.modules
            return None
        module = self._model.get_submodule(path)
        self._modules[path] = [(path, module)]
        if isinstance(module, ScriptModule):
            return SCRIPTED
        self._handles[path] = hook_output(module, lambda output: self._arrived(path, module, output))
        topmost = not any(is_pyro(self._model.get_submodule(parent)) for parent in parents(path))
        if self._sampled is not None and topmost and is_pyro(module):
            self._handles[path] += hook_sites(module, lambda sites: self._sites_arrived(path, sites))
        return None

    def _arrived(self, path: str, module: nn.Module, output: Any) -> None:
        if self._passes.counts_now():
            self._seen(path, module, output)

    def _sites_arrived(self, path: str, sites: Sites) -> None:
        if self._sampled is not None and self._passes.counts_now():
            self._sampled(path, sites)

    @property
    def handles(self) -> list[RemovableHandle]:
        """Those of all hooks."""
        return [handle for handles in self._handles.values() for handle in handles]

    def keep(self, paths: Collection[str]) -> None:
        """Remove the hooks of all other paths."""
        for path in self._handles.keys() - set(paths):
            for handle in self._handles.pop(path):
                handle.remove()

    def close(self) -> None:
        """Remove our hooks, and no others."""
        self.keep(())

    def is_whole(self, path: str) -> bool:
        """Whether our hooks are where they were put, and their modules in the model."""
        return all(map(is_on, self._handles[path])) and all(map(self._is_there, self._modules[path]))

    def _is_there(self, place: tuple[str, nn.Module]) -> bool:
        path, module = place
        try:
            return self._model.get_submodule(path) is module
        except AttributeError:
            return False


def refuse_compiled(model: nn.Module, paths: Iterable[str]) -> None:
    """Raises CompiledError where one of these modules, or one above it, is compiled."""
    compiled = {path: module for path, module in model.named_modules() if is_compiled(module)}
    for path in paths:
        for side in path.split(" & "):
            for above in (*parents(side), side):
                if above in compiled:
                    what = repr(above) if above else f"the model ({type(compiled[above]).__name__})"
                    raise CompiledError(COMPILED.format(what=what))


def parents(path: str) -> list[str]:
    """Paths above a path, the model ("") first."""
    parts = path.split(".") if path else []
    return [".".join(parts[:size]) for size in range(len(parts))]
