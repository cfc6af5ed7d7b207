"""Hooks on a foreign model: what they see they hand on, what they touch they leave as it was.

A hook hears its own module alone. In copies of the model (an exponential moving average, a pickle) it is
inert and needs none
of this package: it turns into the exit of the standard library's empty context, which takes anything and
returns None.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.distributions import Distribution, Independent, Normal
from torch.utils.hooks import RemovableHandle

Receive = Callable[[Any], None]


class CompiledError(RuntimeError):
    """Hooks do not work on a compiled model; the message says what to do instead."""


COMPILED = (
    "{what} is compiled, and hooks do not run in compiled code. Call probes.observe(name, mu, sigma) in its"
    " forward, which works inside torch.compile(fullgraph=True), and watch with hooks=False; or watch and"
    " train the model without torch.compile; or leave the compiled part out with skip=[pattern of its path]"
)


class Hook:
    """Calls `receive(output)` after (or before) each forward of `module` itself; never traced by a
    compiler.
    """

    def __init__(self, module: nn.Module, receive: Receive) -> None:
        self._module = weakref.ref(module)
        self._receive = _untraced(receive)

    def __call__(self, module: nn.Module, args: Any, output: Any = None) -> None:
        if module is self._module():
            self._receive(output)

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (nullcontext(), "__exit__")


def _untraced(receive: Receive) -> Receive:
    """`receive`, which a compiler refuses with our reason, where torch (2.8 on) lets it have one."""
    try:
        return torch.compiler.disable(receive, reason=COMPILED.format(what="the watched model"))
    except TypeError:
        return torch.compiler.disable(receive)


def is_transforming() -> bool:
    """Whether vmap, grad or another transform of torch.func runs: its tensors are dead after it."""
    functorch = getattr(torch._C, "_functorch", None)
    peek = getattr(functorch, "peek_interpreter_stack", None)
    return peek is not None and peek() is not None


def is_compiled(module: nn.Module) -> bool:
    """Whether a module is the result of `torch.compile`, or was compiled in place by `.compile()`."""
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    return module._compiled_call_impl is not None or (
        dynamo is not None and isinstance(module, dynamo.OptimizedModule)
    )


def hook_output(module: nn.Module, receive: Receive) -> list[RemovableHandle]:
    """`receive(output)` after each forward."""
    return [module.register_forward_hook(Hook(module, receive))]


class PairHooks:
    """Outputs of two layers, put together in the order of their calls: `receive((first, second))`.

    A side that is a parameter is read whenever the other side has run. `reset` forgets an output whose
    partner never came.
    """

    def __init__(self, model: nn.Module, path: str, receive: Receive) -> None:
        self._receive = receive
        self._queues: tuple[list[Any], list[Any]] = ([], [])
        self.handles: list[RemovableHandle] = []
        parameters = dict(model.named_parameters())
        self._fixed = [parameters.get(side) for side in path.split(" & ")]
        for side, layer in enumerate(path.split(" & ")):
            if self._fixed[side] is None:
                self.handles += hook_output(model.get_submodule(layer), partial(self._arrived, side))

    def _arrived(self, side: int, output: Any) -> None:
        self._queues[side].append(output)
        for other, fixed in enumerate(self._fixed):
            if fixed is not None:
                self._queues[other].append(fixed)
        if all(self._queues):
            self._receive((self._queues[0].pop(0), self._queues[1].pop(0)))

    def reset(self) -> None:
        for queue in self._queues:
            queue.clear()


class Sites(dict[str, Distribution]):
    """What a Pyro guide sampled: site -> distribution, Gaussians as (rows, neurons).

    observed: names of data's sites. shared: of those without a batch, which are the same for every input.
    """

    observed: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()


def is_pyro(module: nn.Module) -> bool:
    """Whether a module is a Pyro module: a guide, or a model."""
    pyro = sys.modules.get("pyro.nn.module")
    return pyro is not None and isinstance(module, pyro.PyroModule)


def hook_sites(module: nn.Module, receive: Receive) -> list[RemovableHandle]:
    """`receive(Sites)` after each forward of a Pyro module: an effect handler of its own stands around each
    call.
    """
    from pyro.poutine.messenger import Messenger  # type: ignore[import-not-found] # Pyro is there: the module is its

    class Collector(Messenger):
        def __init__(self) -> None:
            super().__init__()
            self.sites = Sites()

        def _pyro_post_sample(self, message: Any) -> None:
            if message["is_observed"]:
                self.sites.observed += (message["name"],)
            elif isinstance(message["fn"], Distribution) and type(message["fn"]).__name__ != "Delta":
                self.sites[message["name"]] = flat(message["fn"])
                if not message["fn"].batch_shape:
                    self.sites.shared += (message["name"],)

    collectors: list[Collector] = []

    def before(_: Any) -> None:
        collectors.append(Collector())
        collectors[-1].__enter__()

    def after(_: Any) -> None:
        collector = collectors.pop()
        collector.__exit__(None, None, None)
        receive(collector.sites)

    hook = module.register_forward_hook(Hook(module, after), always_call=True)
    return [module.register_forward_pre_hook(Hook(module, before)), hook]


def flat(distribution: Distribution) -> Distribution:
    """A Gaussian as Normal (rows, neurons): batch dimensions are rows, event dimensions neurons; others as
    they are.
    """
    base = distribution
    while isinstance(base, Independent):
        base = base.base_dist
    if not isinstance(base, Normal):
        return distribution
    shape = (max(1, distribution.batch_shape.numel()), max(1, distribution.event_shape.numel()))
    return Normal(base.loc.reshape(shape), base.scale.reshape(shape), validate_args=False)
