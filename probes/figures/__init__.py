"""Figures of a run: pure functions from frames and arrays to plotly figures, one file a figure.

They need no dashboard: call one in a notebook and it shows. Backgrounds are transparent and text colours are
left to the page, so that one figure serves a light and a dark theme.

To add a figure, write one file here with one function: put traces on a `builder.FigureBuilder` (`line`,
`band`, `scatter`, `add_trace`; `small_multiples` for several panels, `neuron_panels.NeuronPanels` for one
panel a neuron), take labels and units from `probes.schema.STATISTICS` and colours from `probes.palette`,
pass names that came with a run through `style.text`, and return `finish(height, alt)`, where `alt` is the
figure in words. A test in tests/probes/figures/ compares what is drawn with the data, not how it looks.
docs/how_to_add.md does it once from beginning to end. `frames` and `clock` are data, not figures.
"""

from probes.extras import named

with named("probes.figures"):
    from probes.figures.curves import scalar_curves
    from probes.figures.depth import depth_profile
    from probes.figures.layer_bands import layer_bands
    from probes.figures.regime_counts import regime_counts

__all__ = ["depth_profile", "layer_bands", "regime_counts", "scalar_curves"]
