"""A Lightning callback: `Trainer(callbacks=[Watch("runs/mine")])` records the module's posteriors at every
optimiser step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning  # type: ignore[import-not-found]
from torch import Tensor

from probes.log import manifest
from probes.recorder import Precision
from probes.run_reader import FinalStatus
from probes.watching.attaching import Recording, Which, watch
from probes.watching.in_the_loop import OnAlert
from probes.watching.shares import ShareSpec
from probes.watching.stated import PartSpec, PriorSpec
from probes.watching.statistics_buffer import BUFFERED_STEPS, Mirror

VALIDATION = "val"  # how names of validation's numbers begin


class Watch(lightning.Callback):
    """Records a run while `Trainer.fit` trains. The arguments are those of `probes.watch`.

    A step is an optimiser step (`global_step` − 1); accumulated batches are pooled. Scalars are the loss and
    what the module logs; names that begin with val are of the split validation. A fit that continues a
    checkpoint continues the run in `folder`, unless `resume` says after which step. Validation runs in eval
    mode and is not recorded.
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
        self._done = 0

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Attach, or continue the run after the step that the checkpoint was taken at."""
        self._done = trainer.global_step
        resume = self.resume
        if resume is None and self._done and (self.folder / manifest.FILE).exists():
            resume = self._done - 1
        self.recording = self._watch(pl_module, resume=resume)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A step, where the optimiser has made one."""
        if self.recording is None or trainer.global_step == self._done:
            return
        self._done = trainer.global_step
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        scalars = {"loss": loss} if isinstance(loss, Tensor) else {}
        scalars |= {
            name: value for name, value in trainer.logged_metrics.items() if not name.startswith(VALIDATION)
        }
        self.recording.step(self._done - 1)
        for name, value in scalars.items():  # not as keywords: a name may be any text
            self.recording.scalar(self._done - 1, name, value, epoch=trainer.current_epoch)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Validation's numbers, at the last step done."""
        if self.recording is not None and not trainer.sanity_checking and self._done:
            for name, value in trainer.callback_metrics.items():
                if name.startswith(VALIDATION):
                    self.recording.scalar(self._done - 1, name, value, "validation", trainer.current_epoch)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """The end."""
        self._close("interrupted" if trainer.interrupted else "finished")

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """An end that was not meant."""
        self._close(manifest.final_status(type(exception)))

    def _close(self, status: FinalStatus) -> None:
        if self.recording is not None:
            self.recording.close(status)
            self.recording = None
