"""Hooks on a foreign model: what they see they hand on, what they touch they leave as it was.

A hook hears its own module alone. In copies of the model (an exponential moving average, a pickle) it is
inert and needs none
of this package: it turns into the exit of the standard library's empty context, which takes anything and
returns None.
"""

from __future__ import annotations

import inspect
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import takewhile
from threading import local
from typing import Any

import torch
from torch import Tensor, nn
from torch.compiler import is_compiling
from torch.distributions import Distribution, Independent, Normal
from torch.jit._trace import is_tracing
from torch.utils.hooks import RemovableHandle

from probes.watching.gathering import Gathering
from probes.watching.tensors import CHANGED_IN_PLACE, NotReadable

Receive = Callable[[Any], None]


class CompiledError(RuntimeError):
    """Hooks do not work on a compiled model; the message says what to do instead."""


COMPILED = (
    "{what} is compiled, and hooks do not run in compiled code. Call probes.observe(name, mu, sigma) in its"
    " forward, which works inside torch.compile(fullgraph=True), and watch with hooks=False; or watch and"
    " train the model without torch.compile; or leave the compiled part out with skip=[pattern of its path]"
)

SCRIPTED = (
    "a hook of probes.watch has no __name__: torch.jit.script cannot compile a watched model; script it"
    " before probes.watch or after close()"
)


class Hook:
    """Calls `receive(output)` after each forward of `module` itself, or `receive(arguments)` before; never
    traced by a compiler.
    """

    def __init__(self, module: nn.Module, receive: Receive) -> None:
        self._module = weakref.ref(module)
        self._receive, self._refuse = receive, _untraced(receive)

    def __call__(self, module: nn.Module, args: Any, *output: Any) -> None:
        if module is self._module():
            (self._refuse if is_compiling() else self._receive)(*(output or (args,)))

    def __getattr__(self, name: str) -> Any:
        # the first thing that torch.jit.script asks of a hook, which it would have to compile
        raise AttributeError(SCRIPTED if name == "__name__" else f"a hook has no attribute {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (nullcontext(), "__exit__")


def _untraced(receive: Receive) -> Receive:
    """`receive`, which a compiler refuses with our reason, where torch (2.8 on) lets it have one."""
    try:
        return torch.compiler.disable(receive, reason=COMPILED.format(what="the watched model"))
    except TypeError:
        return torch.compiler.disable(receive)


EVALUATED = "in eval mode: model.train() goes back to training"
TRANSFORMED = "inside a transform of torch.func (vmap, grad), whose tensors do not outlive it"
BROKEN_OFF = "broken off by an error"
TRACED = "traced by a compiler, which takes no numbers"
WITHOUT_GRADIENTS = "under torch.no_grad or inference_mode: watch(..., no_grad=True) records such ones too"


def passed_over(model: nn.Module) -> str | None:
    """Why a forward pass that runs now is not recorded, whatever autograd does; None: it may be."""
    if not model.training:
        return EVALUATED
    if _peek() is not None:
        return TRANSFORMED
    return TRACED if _is_tracing() else None


class _Drawing(local):
    """Whether this thread draws for us, from a distribution that may run modules of the model."""

    now = False


_drawing = _Drawing()


@contextmanager
def drawing() -> Iterator[None]:
    """What modules do inside is no forward pass of the model."""
    before, _drawing.now = _drawing.now, True
    try:
        yield
    finally:
        _drawing.now = before


def is_drawing() -> bool:
    """Whether what runs now is `drawing`."""
    return _drawing.now


def without_gradients() -> str | None:
    """Why a forward pass that runs now may not be recorded, where autograd takes no part."""
    return None if torch.is_grad_enabled() else WITHOUT_GRADIENTS


def counts() -> bool:
    """Whether neither `passed_over` nor `without_gradients` has a reason but the model's mode: asked at each
    forward pass, all training long.
    """
    return torch.is_grad_enabled() and _peek() is None and not _is_tracing()


# without the functions of Python around them: this runs all training long
_is_tracing: Callable[[], bool] = getattr(torch._C, "_is_tracing", is_tracing)
# None unless a transform of torch.func runs
_peek: Callable[[], object] = getattr(
    getattr(torch._C, "_functorch", None), "peek_interpreter_stack", lambda: None
)


def is_compiled(module: nn.Module) -> bool:
    """Whether a module is the result of `torch.compile`, or was compiled in place by `.compile()`."""
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    return module._compiled_call_impl is not None or (
        dynamo is not None and isinstance(module, dynamo.OptimizedModule)
    )


def hook_output(module: nn.Module, receive: Receive, raised_too: bool = False) -> list[RemovableHandle]:
    """`receive(output)` after each forward; where asked for `receive(None)` after one that raised."""
    return [module.register_forward_hook(Hook(module, receive), always_call=raised_too)]


def hook_input(module: nn.Module, receive: Receive) -> RemovableHandle:
    """`receive(arguments)`, the positional ones, before each forward."""
    return module.register_forward_pre_hook(Hook(module, receive))


class HookArguments(Hook):
    """Calls `receive((positional, by name))` before each forward of `module` itself."""

    def __call__(self, module: nn.Module, args: Any, *named: Any) -> None:
        if module is self._module():
            (self._refuse if is_compiling() else self._receive)((args, named[0] if named else {}))


def hook_arguments(module: nn.Module, receive: Receive) -> RemovableHandle:
    """`receive((positional arguments, arguments by name))` before each forward."""
    return module.register_forward_pre_hook(HookArguments(module, receive), with_kwargs=True)


class Argument:
    """What the forward of a module was last called with under a name: call it.

    Parameters
    ----------
    path
        The module's.
    name
        The argument's.
    """

    def __init__(self, path: str, name: str) -> None:
        self.path, self.name = path, name
        self._value: Any = None

    def attach(self, model: nn.Module) -> RemovableHandle:
        """Begin to listen."""
        module = model.get_submodule(self.path)
        signature = inspect.signature(module.forward)

        def arrived(given: Any) -> None:
            bound = signature.bind_partial(*given[0], **given[1]).arguments
            self._value = bound.get(self.name)

        return hook_arguments(module, arrived)

    def __call__(self, module: Any, output: Any) -> Any:
        return self._value


def is_on(handle: RemovableHandle) -> bool:
    """Whether a hook is where it was put: other programs may have taken it off, or let its module go."""
    hooks = handle.hooks_dict_ref()
    return hooks is not None and handle.id in hooks


WITHOUT_PARTNER = 64  # outputs of one layer of a pair that wait for the other's


class _Waits:
    """An output that waits for its partner; copied: with a copy of it."""

    __slots__ = ("_copy", "_version", "output")

    def __init__(self, output: Any, copied: bool) -> None:
        self.output, self._version = output, _version(output)
        self._copy = output.detach().clone() if copied and self._version is not None else None

    @property
    def is_changed(self) -> bool:
        """Whether it was changed in place since it came."""
        return _version(self.output) != self._version

    @property
    def as_it_came(self) -> Any:
        """NotReadable where that is gone."""
        if not self.is_changed:
            return self.output
        return NotReadable(CHANGED_IN_PLACE) if self._copy is None else self._copy


def _version(output: Any) -> int | None:
    """Counts a tensor's changes in place; None of what has no such count."""
    return output._version if isinstance(output, Tensor) and not output.is_inference() else None


class _Waiting(local):
    """Outputs of each side that have no partner yet: of each thread its own."""

    def __init__(self, sides: int) -> None:
        self.queues: tuple[list[Any], ...] = tuple([] for _ in range(sides))


class PairHooks:
    """Outputs of two or more layers, put together in the order of their calls: `receive((first, second))`.

    A side that is a parameter is read whenever the others have run. `reset` forgets an output whose
    partner never came; so does a new forward pass of the module that holds the layers. What comes while
    `listens()` is false has no partner. `uneven` counts what was forgotten.
    """

    def __init__(self, model: nn.Module, path: str, receive: Receive, listens: Callable[[], bool]) -> None:
        self._receive, self._listens = receive, listens
        self.handles: list[RemovableHandle] = []
        self.modules: list[tuple[str, nn.Module]] = []
        self.uneven = 0
        self._keeps = self._is_changed = False
        self._gathering: Gathering | None = None
        parameters = dict(model.named_parameters())
        sides = path.split(" & ")
        self._outputs: list[nn.Parameter | None] = [parameters.get(side) for side in sides]
        self._places: list[int] = []  # of the sides that are layers
        for place, side in enumerate(sides):
            if side not in parameters:
                self.modules.append((side, model.get_submodule(side)))
                self.handles += hook_output(self.modules[-1][1], partial(self._arrived, len(self._places)))
                self._places.append(place)
        self._waiting = _Waiting(len(self._places))
        above = model.get_submodule(_common_parent(path))
        self.handles.append(above.register_forward_pre_hook(Hook(above, lambda _: self.reset())))

    def _arrived(self, side: int, output: Any) -> None:
        if not self._listens():
            return
        queues, gathering = self._waiting.queues, self._gathering
        if gathering is not None and gathering.waits and not any(queues):
            if gathering.put(side, output):
                return
            for queue, alone in zip(queues, gathering.break_off(), strict=True):
                queue += [_Waits(one, False) for one in alone]
        if len(queues[side]) >= WITHOUT_PARTNER:
            self.reset()
        queues[side].append(_Waits(output, self._keeps and self._is_changed))
        if all(queues):
            outputs: list[Any] = self._outputs.copy()
            for place, queue in zip(self._places, queues, strict=True):
                waited = queue.pop(0)
                self._is_changed |= waited.is_changed
                outputs[place] = waited.as_it_came if self._keeps else waited.output
            lost = any(isinstance(output, NotReadable) for output in outputs)
            self._receive(NotReadable(CHANGED_IN_PLACE) if lost else tuple(outputs))

    def keep_as_they_come(self) -> None:
        """From now on outputs are read as they came, though the network changes them in place while they wait
        for a partner: by a copy, once a change was seen. The first one that is seen later, without a copy, is
        handed on as NotReadable.
        """
        self._keeps = True

    def gather(self, gathering: Gathering) -> bool:
        """From now on small outputs are read together, at the end of a step. False: not
        where a side is a parameter, or the network has changed an output before its partner came.
        """
        if (
            gathering.heads != len(self._places)
            or len(self._places) != len(self._outputs)
            or self._is_changed
        ):
            return False
        self._gathering = gathering
        return True

    def reset(self) -> None:
        for queue in self._waiting.queues:
            self.uneven += len(queue)
            queue.clear()
        if self._gathering is not None:
            self._gathering.reset()
            self.uneven += self._gathering.uneven
            self._gathering.uneven = 0


def _common_parent(path: str) -> str:
    """Path of the lowest module that holds all sides of a pair."""
    sides = [side.split(".")[:-1] for side in path.split(" & ")]
    return ".".join(
        parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*sides, strict=False))
    )


class Sites(dict[str, Distribution]):
    """What a Pyro guide sampled: site -> distribution. observed: names of data's sites."""

    observed: tuple[str, ...] = ()


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
                self.sites[message["name"]] = message["fn"]

    collectors: list[Collector] = []

    def before(_: Any) -> None:
        collectors.append(Collector())
        collectors[-1].__enter__()

    def after(_: Any) -> None:
        if collectors:  # else the hooks came during a forward pass
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
