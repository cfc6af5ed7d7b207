"""A Hugging Face Trainer callback: `Trainer(..., callbacks=[Watch("runs/mine")])`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from transformers import TrainerCallback  # type: ignore[import-not-found]

from probes.log import manifest
from probes.recorder import Precision
from probes.watching.attaching import Recording, Which, watch
from probes.watching.in_the_loop import OnAlert
from probes.watching.shares import ShareSpec
from probes.watching.stated import PartSpec, PriorSpec
from probes.watching.statistics_buffer import BUFFERED_STEPS, Mirror


class Watch(TrainerCallback):
    """Records a run while `Trainer.train` trains. The arguments are those of `probes.watch`.

    A step is an optimiser step (`global_step` − 1); accumulated batches are pooled. Scalars are what the
    Trainer logs: names that begin with eval_ are of the split validation. Training that continues a
    checkpoint continues the run in `folder`, unless `resume` says after which step.
    """

    def __init__(
        self,
        folder: str | Path,
        every: int = 1,
        *,
        parts: Mapping[str, PartSpec] | None = None,
        skip: Sequence[str] = (),
        priors: Mapping[str, PriorSpec] | None = None,
        hooks: bool = True,
        config: Mapping[str, Any] | None = None,
        mirror: Mirror | None = None,
        strict: bool = False,
        resume: int | None = None,
        precision: Precision = "full",
        name: str | None = None,
        max_gb: float | None = None,
        no_grad: bool = False,
        on_alert: OnAlert | None = None,
        inputs: Any = None,
        ranks: Which = "all",
        shares: Mapping[str, ShareSpec] | None = None,
        flush_steps: int = BUFFERED_STEPS,
        last: bool = True,
    ) -> None:
        self.folder, self.every, self.resume = Path(folder), every, resume
        self._watch = partial(
            watch,
            folder=self.folder,
            every=every,
            parts=parts,
            skip=skip,
            priors=priors,
            hooks=hooks,
            config=config,
            mirror=mirror,
            strict=strict,
            precision=precision,
            name=name,
            max_gb=max_gb,
            no_grad=no_grad,
            on_alert=on_alert,
            inputs=inputs,
            ranks=ranks,
            shares=shares,
            flush_steps=flush_steps,
            last=last,
        )
        self.recording: Recording | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Attach, or continue the run after the step that the checkpoint was taken at."""
        resume = self.resume
        if resume is None and state.global_step and (self.folder / manifest.FILE).exists():
            resume = state.global_step - 1
        self.recording = self._watch(model, resume=resume)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """An optimiser step."""
        if self.recording is not None:
            self.recording.step(state.global_step - 1, epoch=state.epoch)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """What the Trainer logs, at the last step done."""
        for name, value in (logs or {}).items():
            if self.recording is not None and (isinstance(value, int | float) or hasattr(value, "item")):
                split = "validation" if name.startswith("eval_") else "train"
                self.recording.scalar(max(0, state.global_step - 1), name, value, split, state.epoch)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The end; training that breaks off ends as "interrupted", when the process does."""
        if self.recording is not None:
            self.recording.close()
            self.recording = None
