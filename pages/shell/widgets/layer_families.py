"""What layers of some families have of their own: a code book's card, the joint KL of a full covariance."""

from __future__ import annotations

from functools import partial

import streamlit as st

from pages.shell.data import code_books
from pages.shell.session import cache, url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import cards, downloads, step_axis
from probes.figures.code_book import code_book, code_counts
from probes.figures.joint_kl import joint_kl

ORDERS = {"usage": "Most used first", "index": "By number"}


def code_book_card(context: RunContext, layer: int, view: step_axis.View, step: int) -> None:
    """Usage over steps as a map, perplexity, dead and revived codes."""
    name = url.plain(context.names[layer])
    axis = view.axis(context)
    book = code_books.book(context, layer, view.span)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            said = code_books.in_words(context, layer, step)
            st.markdown(f"**Code book** · {name}: {said}; triangle: picked again", width="stretch")
            by = url.choice(
                st.segmented_control, "Order of codes", list(ORDERS), "codes", "usage", required=True,
                format_func=ORDERS.__getitem__, label_visibility="collapsed",
            )  # fmt: skip
            cursor = view.cursor(step)
            figure = code_book(book, by="index" if by == "index" else "usage", step=cursor, axis=axis)
            rows = partial(code_books.table, context, layer, view.span)
            downloads.menu(figure, rows, f"{context.entry.name} code book {context.names[layer]}")
        step_axis.chart(figure, f"code_book_{layer}", view, [axis])
        told = code_books.perplexity(context, layer, book.steps)
        counts = code_counts(book, perplexity=told, step=cursor, axis=axis)
        step_axis.chart(counts, f"code_counts_{layer}", view, [axis])


def joint_kl_card(context: RunContext, layer: int, view: step_axis.View, step: int) -> None:
    """Of a layer with a full covariance; nothing where neither number was recorded."""
    summary = cache.thinned_summary(context, view.span)[0]
    rows = summary[summary["layer"] == layer]
    if not any(name in rows and rows[name].notna().any() for name in ("layer_joint_kl", "layer_coupling")):
        return
    axis = view.axis(context)
    figure = joint_kl(rows, context.layers[layer]["neurons"], step=view.cursor(step), axis=axis)
    cards.card(
        f"**Joint KL and coupling** · {url.plain(context.names[layer])}; coupling is what its neurons'"
        " dependence costs",
        figure, f"joint_kl_{layer}", rows, of=context.entry.name,
        draw=partial(step_axis.chart, view=view, axes=[axis]),
    )  # fmt: skip
