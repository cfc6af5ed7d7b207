"""A Stable-Baselines3 callback: `model.learn(total_timesteps, callback=Watch("runs/mine"))`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback  # type: ignore[import-not-found]

from probes.watching.attaching import Recording, watch


class Watch(BaseCallback):
    """Records a run while `learn` trains.

    A step is one update of the policy between two rollouts, at the number of time steps so far; what the
    update runs forward is pooled, rollouts are not recorded, since they need no gradients. Scalars are what
    the algorithm logs under train/.

    Parameters
    ----------
    folder
        As for `probes.watch`.
    options
        The further arguments of `probes.watch`: every, parts, skip, priors and so on.
    """

    def __init__(self, folder: str | Path, **options: Any) -> None:
        super().__init__()
        self.folder, self.options = Path(folder), options
        self.recording: Recording | None = None

    def _on_training_start(self) -> None:
        self.recording = watch(self.model.policy, self.folder, **self.options)

    def _on_rollout_start(self) -> None:
        if self.recording is not None and self.num_timesteps:
            logged = self.logger.name_to_value
            updates = {name: value for name, value in logged.items() if name.startswith("train/")}
            self.recording.step(self.num_timesteps, **updates)

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self._on_rollout_start()
        if self.recording is not None:
            self.recording.close()
            self.recording = None
