"""What a model is called with before its layers are settled, and what is assumed of layers because of it."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.jit import ScriptModule
from torch.utils.hooks import RemovableHandle

from probes.watching.candidates import Candidate
from probes.watching.forward_passes import ForwardPasses
from probes.watching.graph_nodes import tensors_in
from probes.watching.hooks import hook_arguments
from probes.watching.posterior_source import PosteriorSource
from probes.watching.shares import digest

POOLED = (
    "the model was called with different arguments ({said}), which are pooled; to keep them apart call"
    " probes.observe({name!r}, mu, sigma, tag=...) in its forward pass and watch with hooks=False"
)
PADDED = (
    "ASSUMED that every position counts, though the model was called with {mask}: leave padding out with"
    " parts={{...: probes.Part(..., mask={mask!r})}}, or probes.observe(name, mu, sigma, mask=...)"
)
REPEATED = (
    "ASSUMED that the rows of its {calls} calls of a step are independent inputs: where they are positions of"
    " the same sequences they are worth fewer, which layout='sequences' says, in observe or in a part;"
    " layout='bn' says that they are not"
)
SEVERAL = "that all its {calls} calls of a step are of inputs, each a posterior of its own"
NOT_OF_INPUTS = (
    "those of a prior's pseudo-inputs, of what was reconstructed, of another view or position would be pooled"
    " with them"
)
IN_TURN = "; its {calls} calls of a step are positions of the same sequences, a row a sequence"
REPEATS = 5  # calls for each of the model's from which it may be a loop over positions
MASKS = re.compile(r"(^|_)(mask|masks|padding|pad|len|lens|lengths?)($|_)")
"""Arguments that say which positions of a sequence count."""
COMPARED = 64  # calls of the first step that are compared with those of other processes, at most


class Calls:
    """Hears what the model, and of one of several processes its modules, are called with.

    Parameters
    ----------
    model
        The watched one.
    passes
        Which of its forward passes count.
    """

    def __init__(self, model: nn.Module, passes: ForwardPasses) -> None:
        self._model, self._passes = model, passes
        self._given: Counter[tuple[str, ...]] = Counter()  # which arguments the model was called with
        self._masks: dict[str, torch.Size] = {}  # those that may say which positions count
        self._batches: list[str | None] = []  # digests of what the model was called with
        self._inside: list[str] = []  # and of what its modules were
        self._before = self._given.copy(), self._batches.copy(), self._inside.copy()
        self._handles: list[RemovableHandle] = []

    def hear_modules(self) -> None:
        """Hear what each module is called with, to be compared with what it is called with in other
        processes.
        """
        for module in self._model.modules():
            if not isinstance(module, ScriptModule):
                self._handles.append(hook_arguments(module, partial(self._called_with, module)))

    def hear_model(self) -> None:
        """Hear which arguments the model is called with."""
        self._handles.append(hook_arguments(self._model, self._called))

    def begin(self) -> None:
        """A forward pass begins, which may raise."""
        self._before = self._given.copy(), self._batches.copy(), self._inside.copy()

    def drop(self) -> None:
        """It has raised: what came since it began is forgotten."""
        given, batches, inside = self._before
        self._given, self._batches, self._inside = given.copy(), batches.copy(), inside.copy()

    def close(self) -> None:
        """Hear no more; what was heard stays."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def say_what_is_assumed(self, chosen: Sequence[Candidate]) -> None:
        """Into the source of each layer, of terms of a loss, of padding and of positions."""
        self._say_what_is_pooled(chosen)
        self._say_what_is_padded(chosen)
        self._say_what_is_repeated(chosen)

    @property
    def batch(self) -> str | None:
        """What tells this process's batches from those of others; None where nothing does."""
        return " ".join(map(str, self._batches)) if any(self._batches) else None

    @property
    def inside(self) -> str | None:
        """What the first of its modules was called with, where a loop calls these and not the model."""
        return next(iter(self._inside), None)

    def _called(self, given: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        """Which arguments the model is called with: another set is another term of the loss."""
        if self._passes.is_trained_on():
            try:
                bound = inspect.signature(self._model.forward).bind_partial(*given[0], **given[1]).arguments
            except (TypeError, ValueError):
                return
            self._given[tuple(name for name, value in bound.items() if _holds_tensors(value))] += 1
            self._masks |= {
                name: value.shape
                for name, value in bound.items()
                if isinstance(value, Tensor) and value.dim() and MASKS.search(name.lower())
            }

    def _called_with(self, module: nn.Module, given: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        if not self._passes.would_count():
            return
        if module is self._model and len(self._batches) < COMPARED:
            self._batches.append(digest(tensors_in(given)))
        elif (
            module is not self._model and not self._inside and (told := digest(tensors_in(given))) is not None
        ):
            self._inside.append(told)

    def _say_what_is_pooled(self, chosen: Sequence[Candidate]) -> None:
        """Forward passes of a step with different arguments are terms of a loss that are not kept apart."""
        if len(self._given) < 2:
            return
        said = "; ".join(", ".join(names) or "none" for names in sorted(self._given))
        for candidate in chosen:
            source = candidate.source
            if source.of == "activations" and not (source.origin == "observe" and "/" in source.name):
                pooled = POOLED.format(said=said, name=source.name)
                why = f"{source.why}; ASSUMED one term of the loss: {pooled}"
                candidate.source = replace(source, why=why, pooled=f"called with {said}")

    def _say_what_is_padded(self, chosen: Sequence[Candidate]) -> None:
        """Of sequences that the model got a mask for, and are read without one."""
        for candidate in chosen:
            source, shape = candidate.source, candidate.tensors[0].shape if candidate.tensors else ()
            if source.mask is not None or source.origin == "observe" or source.of != "activations":
                continue
            mask = next((name for name, of in self._masks.items() if _may_be_masked(shape[:-1], of)), None)
            if mask is not None and source.layout != "channels":
                why = f"{source.why}; {PADDED.format(mask=mask)}"
                candidate.source = replace(source, why=why, padded=mask)

    def _say_what_is_repeated(self, chosen: Sequence[Candidate]) -> None:
        """Of what was called several times in a step, as a network that goes from position to position is."""
        for candidate in chosen:
            source, calls = candidate.source, candidate.calls
            if source.layout == "sequences":
                if calls > 1 and candidate.positions == 1:
                    candidate.source = replace(source, why=source.why + IN_TURN.format(calls=calls))
            elif (
                calls >= REPEATS * max(1, self._given.total())
                and source.of == "activations"
                and source.family not in ("codes", "samples")
                and source.stated_layout is None
            ):
                why = f"{source.why}; {REPEATED.format(calls=calls)}"
                candidate.source = replace(source, why=why, repeated=calls)
            elif calls > max(1, self._given.total()) and _is_of_a_hook(source):
                candidate.source = source.doubted(SEVERAL.format(calls=calls), NOT_OF_INPUTS)


def _is_of_a_hook(source: PosteriorSource) -> bool:
    """Whether a posterior is read wherever its module is called, and nobody says that it is one."""
    called = source.origin in ("output", "layers", "made") and source.of == "activations"
    return called and not source.by_hand and source.family not in ("codes", "samples")


def _holds_tensors(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return any(map(_holds_tensors, value))
    return isinstance(value, Tensor)


def _may_be_masked(lead: Sequence[int], mask: Sequence[int]) -> bool:
    """Whether a mask, or lengths, may be of sequences: of rows and positions, in either order."""
    if len(lead) < 2:
        return False
    return mask[0] in lead[:2] if len(mask) == 1 else sorted(mask[:2]) == sorted(lead[:2])
