"""How surprised a network was along its probe sequence, beside what all neurons paid."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from pages.shell.data import sequence as data
from pages.shell.session.runs import RunContext
from pages.shell.widgets import cards, sequence_axis
from probes.figures.surprise import surprise


def show(
    context: RunContext,
    other: RunContext | None,
    found: dict[int, data.LayerPath],
    table: pd.DataFrame,
    at: int,
    t: int,
) -> None:
    """Surprise and entropy of the predictions `table`, by t, at the stored step `at`; nothing where no
    surprise is known.
    """
    if "nll" not in table:
        return
    total = data.total_kl(found)
    length = len(total)
    labels = data.labels(context, length)
    rows = table.reindex(range(length))
    beside, why = data.second_surprise(context, other, at, length) if other else (None, "")
    if why:
        st.caption(why)
    figure = surprise(
        rows["nll"],
        entropy=rows.get("entropy"),
        total_kl=total if np.isfinite(total).all() else None,
        labels=[data.sign(label) for label in labels],
        t=t,
        other=beside,
        label=other.entry.name if other else "",
    )
    weak = data.surprise_correlation(found, table)
    note = (
        f"Total KL is a weak measure of surprise: correlation {weak:.2f} here." if np.isfinite(weak) else ""
    )
    taken = pd.DataFrame({"t": np.arange(length), "position": labels, "nll": rows["nll"], "kl": total})
    cards.card(
        "**Surprise** · −ln p of what came next", figure, "surprise", taken, of=context.entry.name, note=note,
        draw=sequence_axis.clickable,
    )  # fmt: skip
