"""A run as one HTML file that opens from disk and asks no host: overview, replay, layers, top neurons,
alerts.

`assets/report.html` is the page, a Jinja2 template that escapes every text of the log; here is what it shows.
In the figures' JSON `<`, `>` and `&` are escapes, in plotly's own text `figures.style.text` takes care. The
page forbids itself every request by its content security policy.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from probes import alerts as alert_rules
from probes import canvas, notes
from probes.analysis import layer_families
from probes.analysis.layer_quantiles import summary_with_derived
from probes.analysis.network_curves import network_curves
from probes.canvas import replay_shapes, run_replay
from probes.errors import RunError
from probes.export import replay_page
from probes.export.replay_page import ASSETS, TEMPLATES
from probes.export.sparkline import number, points
from probes.figures import depth_profile, layer_bands, regime_counts, scalar_curves
from probes.figures.code_book import CodeBook, code_book, code_counts
from probes.figures.joint_kl import joint_kl
from probes.neuron_names import full_name
from probes.run import Run
from probes.schema import LIKELIHOODS, OBJECTIVE, REGIMES, SCORES, SETTLED, STATISTICS
from probes.spacing import evenly_spaced, log_spaced_steps
from probes.storage.local import write_text

# of a figure's curves: about one in three pixels, a 10,000-step run stays below 6 MB with plotly's 4.8 MB
STEPS = 240
LAYERS = 8  # in figures, evenly spaced in depth
TOP = 16  # neurons in the table
CODE_COLUMNS = 160  # of the map of a code book
TOP_POINTS = 60  # of a neuron's curve
ALERTS = 60
BANDS = ("information", "kl", "contraction")
COLUMNS = ("mean", "variance", "kl", "information", "spread", "persistence")
OF_FAMILIES = ("kl", "information", "contraction", "entropy", "perplexity", "usage")
"""Columns of the table where layers are of several families, each in a unit of its own."""
SHOWN_SCORES = (LIKELIHOODS, ("crps",))  # of each the first that the run has


def write(run: Run, target: Path) -> Path:
    """Write the report of a run to `target`, whole or not at all."""
    write_text(target, report(run))
    return target


def report(run: Run) -> str:
    """The page as text."""
    neurons = layer_families.has_distributions(run)
    summary, scalars, alerts = summary_with_derived(run), run.scalars(), run.alerts()
    figures: dict[str, go.Figure] = {}
    sections = []
    if neurons:
        figures |= _figures(run, thin(summary, STEPS))
        figures |= _family_figures(run, summary)
        sections += [*_depth(run, figures), *_family_sections(run, figures), _top(run)]
    curves = scalars[scalars["split"].isin(("train", "validation")) & scalars["name"].isin(OBJECTIVE)]
    if len(curves):
        thinned = pd.concat([thin(segment, STEPS) for _, segment in curves.groupby(["split", "name"])])
        unit = "as the training loop logs it" if "watch" in run.config else "nats per prediction"
        figures["objective"] = scalar_curves(thinned, OBJECTIVE, title=unit)
        caption = "Loss in training, negative log likelihood in training and validation"
        sections.append({"title": "Objective", "caption": caption, "figure": "objective"})
    replay = None
    if neurons:
        replay = replay_page.parts(run_replay.payload(run, summary=summary, alerts=alerts))
    encoded = (f"{json.dumps(key)}: {_safe(plotly.io.to_json(fig))}" for key, fig in figures.items())
    return TEMPLATES.get_template("report.html").render(
        name=run.name,
        notes=_notes(run),
        about=_about(run),
        cards=_cards(run, summary, scalars, neurons),
        alerts=_alerts(run, alerts),
        alert_count=len(alerts),
        replay_caption=replay_shapes.caption(run.layers),
        replay=replay,
        sections=sections,
        settings=_settings(run),
        css=_own((ASSETS / "report.css").read_text(encoding="utf-8")),
        figures=_own("{" + ", ".join(encoded) + "}"),
        plotly=_own(get_plotlyjs() if figures else ""),
        script=_own(canvas.script("report")),
    )


def _own(text: str) -> Markup:
    """A text of this package, or one that was made safe, which stands in the page as it is."""
    return Markup(text)


def _safe(text: str) -> str:
    """JSON that no parser can leave a script element by."""
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def thin(frame: pd.DataFrame, count: int) -> pd.DataFrame:
    """Rows at about `count` of a frame's steps, half of them evenly and half log-spaced; first and last
    included.
    """
    steps = np.unique(frame["step"])
    if len(steps) <= count:
        return frame
    keep = np.union1d(evenly_spaced(len(steps), count // 2), log_spaced_steps(steps, count // 2))
    return frame[frame["step"].isin(steps[keep])]


def _figures(run: Run, summary: pd.DataFrame) -> dict[str, go.Figure]:
    names = [str(layer["name"]) for layer in run.layers]
    shown = evenly_spaced(len(names), LAYERS).tolist()
    few = summary[summary["layer"].isin(shown)]
    few = few.assign(layer=few["layer"].map({layer: place for place, layer in enumerate(shown)}))
    present = [name for name in ("kl", "information", "contraction") if name in run.available]
    figures = {"regimes": regime_counts(few, [names[i] for i in shown])}
    figures["depth"] = depth_profile(summary, present, names, int(run.steps[-1]))
    found = layer_families.recorded(summary, run.layers)
    for name in BANDS:
        having = layer_families.with_statistic(found, name)
        if name in present and having:
            some = [having[place] for place in evenly_spaced(len(having), LAYERS)]
            figures[name] = layer_bands(summary, name, names, shown=some)
    return figures


def _family_figures(run: Run, summary: pd.DataFrame) -> dict[str, go.Figure]:
    """What layers of some families have of their own: code books, entropies, joint KL."""
    names = [str(layer["name"]) for layer in run.layers]
    figures: dict[str, go.Figure] = {}
    thinned = thin(summary, STEPS)
    for place, layer in enumerate(run.layers):
        if layer_families.is_code_book(layer) and "usage" in run.statistics:
            usage, edges = run.matrix(place, "usage", max_columns=CODE_COLUMNS)
            book = CodeBook(np.asarray(edges[:-1], np.int64), np.asarray(usage, np.float64))
            figures[f"code book {place}"] = code_book(book)
            figures[f"code counts {place}"] = code_counts(book)
        rows = thinned[thinned["layer"] == place]
        if {"layer_joint_kl", "layer_coupling"} & set(rows) and layer.get("family") == "gaussian_full":
            figures[f"joint KL {place}"] = joint_kl(rows, layer["neurons"])
    having = [
        place
        for place in layer_families.with_statistic(layer_families.recorded(summary, run.layers), "entropy")
        if not layer_families.is_gaussian(run.layers[place])
    ]
    if having:
        some = [having[place] for place in evenly_spaced(len(having), LAYERS)]
        figures["entropy"] = layer_bands(thinned, "entropy", names, shown=some, prior="prior_entropy")
    return figures


def _family_sections(run: Run, figures: dict[str, go.Figure]) -> list[dict[str, str]]:
    sections = []
    captions = {
        "entropy": ("Entropy", STATISTICS["entropy"].meaning),
        "code book": ("Code book {}", "Share of picks of each code; red: dead, triangle: picked again."),
        "code counts": ("Codes of {}", "How many are used, dead and picked again, and their perplexity."),
        "joint KL": ("Joint KL of {}", "Of the whole layer, and what its neurons' dependence costs."),
    }  # fmt: skip
    for key in figures:
        kind, _, place = key.rpartition(" ")
        title, caption = captions.get(kind if place.isdecimal() else key, ("", ""))
        if title:
            name = str(run.layers[int(place)]["name"]) if place.isdecimal() else ""
            sections.append({"title": title.format(name), "caption": caption, "figure": key})
    return sections


def _about(run: Run) -> list[str]:
    steps = run.steps
    recorded = (
        f"{len(steps):,} recorded steps, {int(steps[0]):,} to {int(steps[-1]):,}"
        if len(steps)
        else "no recorded step"
    )
    widths = [layer["neurons"] for layer in run.layers]
    families = layer_families.line(run.layers)
    return [
        run.status,
        recorded,
        f"{len(widths)} layers, {sum(widths):,} neurons",
        f"begun {run.manifest.get('created') or 'unknown'}",
        *([] if families is None else [families]),
    ]


def _notes(run: Run) -> notes.Notes:
    try:
        return notes.read(run.path)
    except RunError as error:
        return notes.Notes(text=str(error))


def _cards(run: Run, summary: pd.DataFrame, scalars: pd.DataFrame, neurons: bool) -> list[dict[str, str]]:
    cards = []
    validation = scalars[scalars["split"] == "validation"]
    for names in SHOWN_SCORES:
        name = next((name for name in names if (validation["name"] == name).any()), None)
        if name is not None:
            cards.append(
                (
                    SCORES[name].label,
                    validation.loc[validation["name"] == name, "value"].to_numpy(float),
                    SCORES[name].short_unit,
                    "validation",
                )
            )
    if neurons:
        curves = network_curves(summary, [layer["neurons"] for layer in run.layers])
        unknown = int(curves["unknown"].iloc[-1])
        note = f"living or mixed{f'; {unknown:,} unknown not counted' if unknown else ''}"
        cards.append(("Living neurons", 100 * curves["living_share"].to_numpy(), "%", note))
        cards.append(("Rate", curves["rate"].to_numpy(), "nats", "per example"))
        cards.append(("Information", curves["information"].to_numpy(), "nats", "all neurons"))
        cards.append(("Contraction", curves["contraction"].to_numpy(), "", "0 prior, 1 point"))
    return [
        {"label": label, "value": number(series[-1]), "unit": unit, "note": note, "points": points(series)}
        for label, series, unit, note in cards
        if np.isfinite(series).any()
    ]


def _alerts(run: Run, alerts: pd.DataFrame) -> list[dict[str, Any]]:
    names = [str(layer["name"]) for layer in run.layers]
    return [
        {"where": alert_rules.where(alert, names), **{key: alert[key] for key in ("step", "text", "advice")}}
        for alert in alerts.head(ALERTS).to_dict("records")
    ]


def _depth(run: Run, figures: dict[str, go.Figure]) -> list[dict[str, str]]:
    spaced = f" {LAYERS} of {len(run.layers)} layers are drawn." if len(run.layers) > LAYERS else ""
    thinned = (
        f" Curves are drawn at about {STEPS} of {len(run.steps):,} steps." if len(run.steps) > STEPS else ""
    )
    captions = [
        ("Regimes", f"Share of each layer's neurons in each regime.{thinned}{spaced}", "regimes"),
        ("Layers", "Where in depth information is held, at the last step.", "depth"),
    ]
    captions += [
        (STATISTICS[name].label, f"{STATISTICS[name].meaning} Median and bands over neurons.", name)
        for name in BANDS
        if name in figures
    ]
    return [{"title": title, "caption": caption, "figure": figure} for title, caption, figure in captions]


def _top(run: Run) -> dict[str, Any]:
    by = next((name for name in ("information", "kl", "spread") if name in run.statistics), "variance")
    last = run.at(int(run.steps[-1]), statistics=(SETTLED, *run.available))
    top = last.sort_values(by, ascending=by == "variance").head(TOP)
    plain = all(layer_families.is_gaussian(layer) for layer in run.layers)
    columns = [
        name for name in (COLUMNS if plain else OF_FAMILIES) if name in last and last[name].notna().any()
    ]
    regimes = {regime.code: regime.name for regime in REGIMES}
    rows = []
    for row in top.to_dict("records"):
        layer, neuron = int(row["layer"]), int(row["neuron"])
        series = run.history(layer, neuron, [by], max_points=TOP_POINTS)[by].to_numpy(float, na_value=np.nan)
        rows.append(
            {
                "name": full_name(layer, neuron, str(run.layers[layer]["name"])),
                "regime": regimes.get(int(row["settled"]), "–"),
                "numbers": [number(float(row[name])) for name in columns],
                "points": points(series),
            }
        )
    label = STATISTICS[by].label.lower()
    order = "narrowest posteriors" if by == "variance" else f"most {label}"
    return {
        "title": "Top neurons",
        "caption": f"The {len(top)} with the {order} at the last step; the line is their {label} over steps.",
        "figure": None,
        "heads": [STATISTICS[name] for name in columns],
        "curve": label,
        "rows": rows,
    }


def _settings(run: Run) -> list[tuple[str, Any]]:
    packages = run.manifest.get("packages") or {}
    return [*run.config.items(), *((f"package {name}", version) for name, version in packages.items())]
