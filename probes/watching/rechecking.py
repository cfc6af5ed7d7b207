"""Whether the numbers between heads and their samples are still those of the first step: a noise that is
warmed up, a smallest sigma that shrinks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.jit import ScriptModule
from torch.utils.hooks import RemovableHandle

from probes.watching.after_head import AfterHeads
from probes.watching.as_sampled import Reread
from probes.watching.chains import SOFTPLUS, Repeated
from probes.watching.evidence import CandidateKey
from probes.watching.hooks import hook_output
from probes.watching.posterior_source import PosteriorSource
from probes.watching.tensors import NotReadable

CHANGED = (
    "its sample is drawn with other numbers than at the first step ({then} there, {now} now): call"
    " probes.observe(name, mu, sigma) in the forward pass"
)
NEAR = 1e-4  # of a number, relative: what rounding may change


class Rechecks:
    """Looks again what stands behind heads, in the second step and whenever the step has doubled.

    Parameters
    ----------
    model
        The watched one.
    listens
        Whether a forward pass that runs now counts.
    skipped
        Whether the user leaves a path alone.

    Attributes
    ----------
    changed
        Name of a layer -> why its scale is no longer known, since a step that has ended.
    """

    def __init__(self, model: nn.Module, listens: Callable[[], bool], skipped: Callable[[str], bool]) -> None:
        self._model, self._listens, self._skipped = model, listens, skipped
        self._known: dict[CandidateKey, tuple[PosteriorSource, Repeated, list[str]]] = {}
        self._steps = 0
        self._after: AfterHeads | None = None
        self._handles: list[RemovableHandle] = []
        self.changed: dict[str, str] = {}
        self._new: dict[str, str] = {}  # in this step

    def settle(
        self,
        before: Mapping[CandidateKey, PosteriorSource],
        found: Mapping[CandidateKey, PosteriorSource],
        layers: Mapping[str, PosteriorSource],
    ) -> None:
        """Keep what is to be compared.

        before: candidates as they were found. found: as they are read. layers: those that are recorded.
        """
        for key, source in before.items():
            then = found[key].after if key in found else None
            if isinstance(then, Repeated) and any(_numbers(then)):
                names = [name for name, layer in layers.items() if layer.after == then]
                if names:
                    self._known[key] = source, then, names

    def step(self) -> dict[str, str]:
        """A step has ended; what has changed in it."""
        self.close()
        self._steps += 1
        new, self._new = self._new, {}
        self.changed |= new
        if self._known and self._steps & (self._steps - 1) == 0:
            try:
                self._look()
            except Exception:  # noqa: BLE001 - of a model that was rebuilt since, say: their training goes on
                self.close()
                self._known.clear()
        return new

    def close(self) -> None:
        """Look no more, until the step has doubled."""
        if self._after is not None:
            self._after.close()
        for handle in self._handles:
            handle.remove()
        self._after, self._handles = None, []

    def _look(self) -> None:
        modules = {
            path: module
            for path, module in self._model.named_modules()
            if not self._skipped(path) and not isinstance(module, ScriptModule)
        }
        sources = [source for source, _, _ in self._known.values()]
        parameters = dict(self._model.named_parameters())
        self._after = AfterHeads(modules, sources, self._listens, self._found, parameters)
        self._handles = [
            handle
            for path, module in modules.items()
            for handle in hook_output(module, partial(self._put_out, path))
        ]

    def _put_out(self, path: str, output: Any) -> None:
        if self._after is None or not self._listens():
            return
        for source, _, _ in self._known.values():
            if source.path == path and source.origin == "output":
                self._after.returned(source, output)
        self._after.passed(path, output)

    def _found(self, key: CandidateKey, reread: Reread, _: Sequence[tuple[Tensor, Tensor]]) -> None:
        if key not in self._known:
            return
        source, then, names = self._known[key]
        try:
            now = reread(source).after
        except NotReadable:
            return
        if isinstance(now, Repeated) and _unlike(then, now):
            said = {"then": _said(then), "now": _said(now)}
            self._new |= dict.fromkeys(names, CHANGED.format(**said))
            del self._known[key]


def _numbers(made: Repeated) -> list[float]:
    """Those that are known, of mean and scale."""
    return [
        number for step in (*made.mean, *made.scale) for number in step.numbers or () if number is not None
    ]


def _unlike(one: Repeated, other: Repeated) -> bool:
    """Whether the same operations have other numbers."""
    names = [[step.name for step in (*made.mean, *made.scale)] for made in (one, other)]
    ours, theirs = _numbers(one), _numbers(other)
    if names[0] != names[1] or len(ours) != len(theirs):
        return False
    return not all(math.isclose(a, b, rel_tol=NEAR, abs_tol=1e-8) for a, b in zip(ours, theirs, strict=True))


def _said(made: Repeated) -> str:
    """The numbers, without those of a plain softplus."""
    steps = [step for step in (*made.mean, *made.scale) if step.numbers != SOFTPLUS]
    return ", ".join(f"{number:.4g}" for step in steps for number in step.numbers or () if number is not None)
