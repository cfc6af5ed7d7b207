"""Alerts of one kind as one: they repeat themselves over layers and in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class AlertGroup:
    """All alerts of a kind, in order of step; `layers`: indices of the layers that take part in any."""

    kind: str
    alerts: tuple[dict[str, Any], ...]
    layers: tuple[int, ...]

    @property
    def steps(self) -> tuple[int, int]:
        """Of the first and of the last one."""
        return int(self.alerts[0]["step"]), int(self.alerts[-1]["step"])


def grouped(alerts: pd.DataFrame) -> list[AlertGroup]:
    """Alerts (as `probes.alerts.alerts` gives them) by kind, the kind that began first first."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for alert in alerts.to_dict("records"):
        groups.setdefault(str(alert["kind"]), []).append({str(key): value for key, value in alert.items()})
    return [
        AlertGroup(
            kind, tuple(found), tuple(sorted({int(layer) for alert in found for layer in alert["layers"]}))
        )
        for kind, found in groups.items()
    ]
