"""Plotly's check of figures, which building leaves out, for every figure that a test builds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import plotly.graph_objects as go
import pytest

from probes.figures import sketch


@pytest.fixture(autouse=True, scope="session")
def checked_figures() -> Iterator[None]:
    """A property that plotly does not know, or a value that it does not take, is an error."""
    built = sketch.build

    def build(data: list[dict[str, Any]], layout: dict[str, Any]) -> go.Figure:
        go.Figure(data=data, layout=layout)
        return built(data, layout)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sketch, "build", build)
        yield
