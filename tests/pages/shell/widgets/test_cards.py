"""When panels beside each other scroll instead of shrinking."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import pytest

from pages.shell.widgets import cards


@pytest.mark.parametrize(
    ("names", "several"),
    [
        ([], 0),
        (["Layer 1", "Layer 2", "Layer 3"], 0),
        (["gamma", "inverse_gamma", "exponential", "poisson", "laplace"], 4),
        (["encoder.posterior.mean"], 0),
        (["encoder.0.posterior.mean", "encoder.1.posterior.mean.of.all"], 2),
    ],
)
def test_panels_scroll_where_their_titles_would_overlap(names: list[str], several: int) -> None:
    assert cards.for_titles(names) == several


@pytest.mark.parametrize(("several", "side"), [(0, None), (3, "left")])
def test_the_legend_of_what_scrolls_stands_at_its_left_end(several: int, side: str | None) -> None:
    figure = go.Figure()
    cards.card("title", figure, "key", pd.DataFrame(), of="run", draw=lambda _, __: None, several=several)
    assert figure.layout.legend.xanchor == side
