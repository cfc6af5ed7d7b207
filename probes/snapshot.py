"""`snapshot(model, loader, folder)`: a run of one record of a model that is trained already."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from probes.inputs import MOST as MOST_INPUTS
from probes.inputs import Call, Inputs, as_inputs, first, run_model, size_of
from probes.run import Run
from probes.schema import REGIME, REGIMES
from probes.watching.attaching import Recording
from probes.watching.probing import untouched
from probes.watching.stated import PartSpec, PriorSpec

logger = logging.getLogger("probes.watch")


def snapshot(
    model: nn.Module,
    loader: Iterable[Any],
    folder: str | Path,
    *,
    batches: int | None = None,
    training: bool = False,
    call: Call | None = None,
    inputs: Any = None,
    parts: Mapping[str, PartSpec] | None = None,
    skip: Sequence[str] = (),
    priors: Mapping[str, PriorSpec] | None = None,
    hooks: bool = True,
    config: Mapping[str, Any] | None = None,
    name: str | None = None,
    step: int = 0,
) -> Run:
    """Record a trained model without its loop: one record, pooled over a loader, and its probe batch.

    The model, its modes and buffers, and the random states of torch, numpy and Python are left as they were;
    nothing needs gradients.

    Parameters
    ----------
    model
        The model, with its weights loaded.
    loader
        Of batches: tensors, tuples whose first element is the input, mappings of keyword arguments, or what
        `call` takes. Tensors move to the device of the model's parameters.
    folder
        Folder of the run, made if missing.
    batches
        How many batches are used; all by default.
    training
        False runs the model in eval mode, True in training mode (dropout, batch statistics).
    call
        (model, batch) -> runs the model, where model(batch) does not.
    inputs
        The probe batch, as for `watch`; by default the first batch, at most 256 inputs.
    parts, skip, priors, hooks, config, name
        As for `watch`.
    step
        The record's step, such as the checkpoint's.

    Returns
    -------
    Run
        `snapshot(...).regimes()` says which neurons are collapsed; the logger `probes.watch` says it too.

    Raises
    ------
    TypeError
        For a loader that is a tensor.
    ValueError
        For a loader without batches, or inputs that cannot be shown.
    RunError, CompiledError, PartError, WatchError
        As for `watch`.
    """
    if isinstance(loader, Tensor):
        raise TypeError("the loader is a tensor: hand over its batches, such as loader=[tensor]")
    if batches is not None and batches < 1:
        raise ValueError(f"batches is {batches}; it must be at least 1")
    given = None if inputs is None else as_inputs(inputs, call)
    how = {"mode": "training" if training else "eval", "batches": batches}
    recording = Recording(
        model, folder, parts=parts, skip=skip, priors=priors, hooks=hooks, name=name, strict=True,
        ranks="first",
        config={"snapshot": how, **(config or {})},
    )  # fmt: skip
    recording.trained = True
    with recording, untouched(recording.model, training), recording.listening():
        count = 0
        for batch in islice(loader, batches):
            if count == 0 and given is None:
                given = _probe_batch(batch, call)
            run_model(recording.model, batch, call)
            count += 1
        if not count:
            raise ValueError("the loader has no batches")
        recording.step(step)
        if given is not None:
            recording.probe(given)
    run = Run(folder)
    _say(run)
    return run


def _probe_batch(batch: Any, call: Call | None) -> Inputs | None:
    """The first inputs of a batch; None where it has no tensors."""
    size = size_of(batch)
    return as_inputs(first(batch, size, MOST_INPUTS), call) if size else None


def _say(run: Run) -> None:
    """Which neurons do what, one line a layer."""
    rows = run.regimes()
    for index, layer in enumerate(run.layers):
        codes = rows[rows["layer"] == index].set_index("neuron")[REGIME]
        said = [
            f"{len(some)} {REGIMES[int(code)].name}"
            + ("" if code == 0 else f" ({_listed(list(some.index))})")
            for code, some in codes.groupby(codes)
        ]
        logger.info("%s: %s", layer["name"], ", ".join(said))


def _listed(neurons: list[int], most: int = 20) -> str:
    return ", ".join(map(str, neurons[:most])) + (", ..." if len(neurons) > most else "")
