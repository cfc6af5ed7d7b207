"""Plotly's check of figures, which building leaves out, for every figure that a test builds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import plotly.graph_objects as go
import pytest
from plotly.io.json import to_json_plotly

from probes.figures import plotly_figure


@pytest.fixture(autouse=True, scope="session")
def checked_figures() -> Iterator[None]:
    """A property that plotly does not know, or a value that it does not take, is an error; so is another
    JSON than plotly's own.
    """
    built = plotly_figure.build

    def build(data: list[dict[str, Any]], layout: dict[str, Any]) -> go.Figure:
        expected = go.Figure(data=data, layout=layout)
        figure = built(data, layout)
        ours, plotlys = (json.loads(to_json_plotly(one.to_dict())) for one in (figure, expected))
        assert ours == plotlys
        return figure

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plotly_figure, "build", build)
        yield
