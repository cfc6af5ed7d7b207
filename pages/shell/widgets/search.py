"""Finding neurons: a line of text, whose result the page Neurons shows."""

from __future__ import annotations

import streamlit as st

from pages.shell.data import neuron_search
from pages.shell.data.neuron_search import Found
from pages.shell.session import cache, url
from pages.shell.session.runs import RunContext
from probes.analysis.neuron_query import QueryError

EXAMPLE = "layer:2 regime:dead kl>0.3 died:900-1100 sort:-kl"
HELP = """
Terms, all of which must hold:

- `layer:2`, `layer:"my layer"`, `neuron:3,20-40`, `1:9` (that neuron)
- `regime:dead,frozen` at the cursor, `was:living` at a step up to it
- `kl>0.3`: a statistic, one of `<` `<=` `>` `>=` `=`, a number
- `left>500` (its prior), `died:900-1100`, `onset<300` (of contraction)
- `similar:1:9`: means that move like its mean on the probe batch
- `sort:-kl`: the largest first
"""


def line(context: RunContext, step: int) -> Found | None:
    """The search line; what it finds at the cursor, None where nothing is asked for. What it cannot read is
    said, and finds nothing.
    """
    text = url.text("Find neurons", "find", clears=("neurons",), placeholder=EXAMPLE, help=HELP)
    if not text:
        return None
    try:
        found = neuron_search.find(context, text, cache.recorded_step(context.run.steps, step))
    except QueryError as error:
        st.error(f"{url.plain(error)}.", icon=":material/search_off:")
        return neuron_search.nothing(context)
    if found.rows.empty:
        st.info("No neuron matches at this step. Relax a term, or move the cursor on Replay or Health.")
    return found
