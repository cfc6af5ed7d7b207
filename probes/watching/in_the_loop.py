"""What a training loop can ask of its own recording: new alerts, and the newest statistics, from memory.

Nothing is computed for it until it is asked for: the first question reads the log once, later ones judge what
has come since.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from probes import regimes
from probes.alerts import Alert
from probes.errors import first_line
from probes.families import family_of, standard_prior
from probes.live_alerts import LiveAlerts
from probes.recorder import RecorderError
from probes.run_reader import LayerInfo
from probes.schema import REGIME, derivable, evaluate
from probes.watching.statistics_buffer import Block, StatisticsBuffer

OnAlert = Callable[[Alert], object]
"""Gets each new alert; what it returns is not looked at."""
FAILURES = 3  # in a row, after which a callback is left alone
BREAK = (
    20  # times as long as a look for alerts took nobody looks again, unless asked: a twentieth of the time
)


class InTheLoop:
    """Answers of one recording; fed by its buffer.

    buffer: the recording's. on_alert: gets each alert once, as `alerts` would give it.
    """

    def __init__(self, buffer: StatisticsBuffer, on_alert: OnAlert | None) -> None:
        self._buffer, self._on_alert = buffer, on_alert
        self._layers: dict[str, LayerInfo] = {}
        self._config: dict[str, Any] = {}
        self._after: int | None = None  # step that a resumed run goes on after
        self._last: dict[str, tuple[int, dict[str, np.ndarray]]] = {}
        self._live: LiveAlerts | None = None  # None: nobody has asked yet
        self._untold: list[Alert] = []  # found for the callback, not asked for by `alerts` yet
        self._news = False  # whether something came since the last look
        self._failures = 0
        self._next_look = 0.0
        buffer.listener = self._take

    def begin(self, layers: Sequence[LayerInfo], config: dict[str, Any], resume: int | None) -> None:
        """The layers are settled and the run is open."""
        self._layers = {layer["name"]: layer for layer in layers}
        self._config, self._after = config, resume
        if self._on_alert is not None and resume is None:
            self._live = LiveAlerts(layers, config)
        elif self._on_alert is not None:
            self._safely(self._read_log)

    def last(self, layer: str) -> dict[str, np.ndarray] | None:
        """As `Recording.last`."""
        if self._layers and layer not in self._layers:
            raise KeyError(f"the recording has no layer {layer!r}; its layers are {list(self._layers)}")
        if layer not in self._last:
            return None
        of = self._layers[layer]
        found = {name: np.array(values) for name, values in self._last[layer][1].items()}
        further = {
            name: evaluate(name, found, latent_dim=of["latent_dim"], standard=standard_prior(of)).astype(
                np.float32
            )
            for name in derivable(found)
        }
        codes = regimes.codes(found, latent_dim=of["latent_dim"], family=family_of(of))
        return found | further | {REGIME: codes}

    def alerts(self) -> list[Alert]:
        """As `Recording.alerts`."""
        if self._layers:
            self._safely(self._look)
        told, self._untold = self._untold, []
        return told

    def finish(self) -> None:
        """The last records have come: tell of them."""
        if self._live is not None:
            self._safely(self._look)

    def _take(self, blocks: list[Block], scalars: list[tuple[int, str, float, str, float | None]]) -> None:
        """From the buffer."""
        for layer, steps, columns in blocks:
            self._last[layer] = steps[-1], {name: values[-1] for name, values in columns.items()}
        if self._live is not None and (blocks or scalars):
            self._safely(lambda: self._judge(blocks, scalars))

    def _judge(self, blocks: list[Block], scalars: list[tuple[int, str, float, str, float | None]]) -> None:
        assert self._live is not None  # the caller looked
        for block in blocks:
            self._live.add(*block)
        self._live.add_scalars(scalars)
        self._news = True
        if self._on_alert is not None and time.monotonic() >= self._next_look:
            self._look()

    def _look(self) -> None:
        if self._live is None:
            self._read_log()
        if self._live is None or not self._news:
            return
        began = time.monotonic()
        found, self._news = self._live.new(), False
        self._next_look = time.monotonic() + BREAK * (time.monotonic() - began)
        self._untold += found
        for alert in found:
            self._tell(alert)

    def _read_log(self) -> None:
        """Catch up with what was recorded before anybody asked."""
        recorder = self._buffer.recorder
        if recorder is None:  # a disk that failed: from now on
            self._live = LiveAlerts(list(self._layers.values()), self._config, self._after)
            return
        with suppress(RecorderError):  # closed: then all is written
            recorder.flush()
        self._live, self._news = LiveAlerts.of_folder(recorder.path, self._after), True

    def _tell(self, alert: Alert) -> None:
        if self._on_alert is None:
            return
        try:
            self._on_alert(alert)
            self._failures = 0
        except Exception as error:  # noqa: BLE001 - somebody else's function: training goes on
            self._failures += 1
            if self._failures == FAILURES:
                self._on_alert = None
            text = (
                f"on_alert failed: {first_line(error)}; after {FAILURES} failures in a row it is left alone"
            )
            self._buffer.failed(RuntimeError(text), 0, "on_alert")

    def _safely(self, do: Callable[[], object]) -> None:
        """What goes wrong in judging does not reach the training."""
        try:
            do()
        except Exception as error:
            if self._buffer.strict:
                raise
            self._buffer.failed(RuntimeError(f"alerts: {first_line(error)}"), 0, "alerts")
