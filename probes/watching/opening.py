"""From the first step to an open run: the layers of this process, or of several, are settled and said."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import nn

from probes.recorder import Precision
from probes.run_reader import LayerInfo
from probes.watching.family_pools import CodePool
from probes.watching.finding import Finder, WatchError
from probes.watching.pooling import Pool
from probes.watching.posterior_source import FoundLayer
from probes.watching.processes import Processes
from probes.watching.ranked_buffer import RankedBuffer
from probes.watching.ranks import Ranks
from probes.watching.settled_layers import SettledLayers, settle_layers
from probes.watching.statistics_buffer import StatisticsBuffer
from probes.watching.step_sums import StepSums
from probes.watching.tensors import NotReadable

logger = logging.getLogger("probes.watch")

NOTHING = "nothing is recorded of the model but the numbers that are handed over"


class RunSettings(NamedTuple):
    """What the user asks of the run, as `Recording` describes it."""

    config: Mapping[str, Any]
    every: int
    resume: int | None
    precision: Precision
    name: str | None
    max_gb: float | None


class Opening:
    """Settles layers and opens the run of them.

    Parameters
    ----------
    model, finder
        The watched one, and what finds its posteriors.
    buffer, sums
        Where steps go, and what is summed of one.
    processes
        Those of the training.
    settings
        Of the run.
    shares, alike
        What the user states of layers that several processes share; the processes that have the same weights.
    detach
        Removes hooks that nothing comes of.

    Attributes
    ----------
    settled
        What this process has; None: it has not settled yet.
    found
        The layers of all processes, in words.
    layers, config
        Of the run, once it is open.
    alone
        Why no process runs the model by itself; empty where that can be.
    is_open
        Whether there is a run, or other processes have one.
    """

    def __init__(
        self,
        model: nn.Module,
        finder: Finder,
        buffer: StatisticsBuffer,
        sums: StepSums,
        processes: Processes,
        settings: RunSettings,
        shares: Mapping[str, Any],
        alike: list[int],
        detach: Callable[[], None],
    ) -> None:
        self._model, self._finder = model, finder
        self._buffer, self._sums, self._processes = buffer, sums, processes
        self._settings, self._shares, self._alike = settings, shares, alike
        self._detach = detach
        self._nothing: WatchError | None = None  # why several processes have no layer together
        self.settled: SettledLayers | None = None
        self.found: list[FoundLayer] = []
        self.layers: Sequence[LayerInfo] = ()
        self.config: dict[str, Any] = {}
        self.alone = ""
        self.is_open = False

    def settle(self, trained: bool) -> None:
        """Decide what is a layer, say so, take what the first step has shown.

        trained: whether the model was before. Raises WatchError where there is none and the buffer is strict.
        """
        merges, writes = self._processes.ranks is not None, self._processes.writes
        settled = settle_layers(self._finder, merges, trained, self._shares, self._alike, says=writes)
        if settled.nothing is not None:
            self._detach()
            if not merges:  # else others may have some
                self._say_nothing(settled.nothing)
        self.settled, self.found, self._sums.pools = settled, settled.found, settled.pools
        for pool in settled.pools.values():
            if isinstance(pool, CodePool):
                pool.counts_empty_steps = merges
        for name, failure in settled.failures:
            self._sums.add(name, NotReadable(failure))

    def open_without_layers(self, waits: str | None) -> None:
        """Nothing came until the end: the run holds the numbers that were handed over.

        waits: what was waited for. Raises as `open`.
        """
        self.settled = SettledLayers(refused=[f"no posterior was seen: {waits}"])
        if self._processes.writes:
            self._begin([], self.settled.refused)

    def open(self) -> bool:
        """Open the run, once this process, or one of several, has settled; whether it is open.

        Raises RanksLostError where other processes do not answer; RuntimeError, ValueError or OSError where
        the run cannot be opened.
        """
        if self._processes.ranks is not None:
            return self._open_with(self._processes.ranks)
        if self.settled is not None:
            self._begin(self.settled.layers, self.settled.refused)
        return self.settled is not None

    def _open_with(self, ranks: Ranks) -> bool:
        """Open the run of several processes."""
        own = self.settled
        agreed = self._processes.agree(
            self._model, None if own is None else (own.layers, own.found, own.evidence)
        )
        if agreed is None:
            return False
        assert isinstance(self._buffer, RankedBuffer)  # of several processes
        layers, refused = agreed.layers, agreed.refused
        self.layers, self.found, self.alone = layers, agreed.found, agreed.alone
        numbers = sum(one["neurons"] * one["latent_dim"] for one in layers)
        self._buffer.join(ranks, ranks.rank, numbers, agreed.shared)
        self._nothing = WatchError("\n".join(refused)) if refused else own.nothing if own else None
        if refused and layers and self._processes.writes:
            self._buffer.warn("shares", f"not recorded: {self._nothing}")
        if self._processes.writes:
            for layer in layers:
                level = logging.WARNING if layer["origins"]["processes"] == "assumed" else logging.INFO
                logger.log(level, "watching %s on %d processes: %s", layer["name"], ranks.size, layer["why"])
            before = own.refused if own is not None and not layers else []
            self._begin(layers, [*before, *refused], ranks=ranks.size)
        self.is_open = True
        return True

    def say_what_no_process_has(self) -> None:
        """Warn, once the run of several processes is open and none of them has a layer.

        Raises WatchError when the buffer is strict.
        """
        if not self.layers and self._nothing is not None:
            self._say_nothing(self._nothing)

    @property
    def resume(self) -> int | None:
        """The step that a resumed run goes on after."""
        return self._settings.resume

    def _say_nothing(self, error: WatchError) -> None:
        """No layer is recorded. Raises it when strict."""
        if self._buffer.strict:
            raise error
        self._buffer.warn(NOTHING, f"{NOTHING}: {error}\nTraining goes on.")

    def _begin(self, layers: Sequence[LayerInfo], refused: Sequence[str], ranks: int | None = None) -> None:
        wanted = self._settings
        watched: dict[str, Any] = {
            "model": type(self._model).__name__,
            "every": wanted.every,
            "parts": self.found,
        }
        if ranks is not None:
            watched["ranks"] = ranks
        if refused:
            watched["refused"] = list(refused)
        self.layers, self.config = layers, {"watch": watched, **wanted.config}
        self._buffer.open(
            layers,
            self.config,
            wanted.resume,
            precision=wanted.precision,
            name=wanted.name,
            max_gb=wanted.max_gb,
        )
        self._keep_sizes(layers)
        self.is_open = True

    def _keep_sizes(self, layers: Sequence[LayerInfo]) -> None:
        """A resumed run has the latent dimensions that it had: where those of this first batch are others, of
        an image of another size say, it is counted, and batches of the run's size are recorded.

        Raises RunError where that cannot be: of several processes, of other families.
        """
        if self._settings.resume is None or self._buffer.recorder is None:
            return
        for layer, there in zip(layers, self._buffer.recorder.layers, strict=True):
            if layer["latent_dim"] == there["latent_dim"]:
                continue
            pool = self._sums.pools.get(layer["name"])
            if self._processes.ranks is not None or type(pool) is not Pool:
                raise self._buffer.other_layers(layers)
            first = f"the first batch has {layer['latent_dim']} latent dimensions"
            why = f"layer {layer['name']!r}: {first}, the run that is resumed has {there['latent_dim']}"
            layer["latent_dim"] = there["latent_dim"]
            self._sums.pools[layer["name"]] = Pool((there["neurons"], there["latent_dim"]), pool.shared)
            self._buffer.failed(ValueError(why), 1, f"layer {layer['name']}")
