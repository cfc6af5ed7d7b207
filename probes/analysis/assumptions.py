"""What was assumed of a watched network, in one line of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from probes.log import manifest

NAMED = 3  # layers of which a line gives the names


def lines(layers: Sequence[Mapping[str, Any]]) -> list[str]:
    """At most two lines: what is assumed, and which priors are not known; none where everything is known.

    Parameters
    ----------
    layers : sequence of mappings
        `Run.layers`: those of a watched network have `assumed`, a list of what was assumed in a few words,
        and `origins`.
    """
    found = []
    assumed: dict[str, list[str]] = {}
    for layer in layers:
        for one in layer.get("assumed") or ():
            assumed.setdefault(str(one), []).append(str(layer["name"]))
    parts = [
        one if len(names) == len(layers) else f"{one} of {_listed(names)}" for one, names in assumed.items()
    ]
    if parts:
        found.append(f"Assumed: {'; '.join(parts)}.")
    unknown = [layer for layer in layers if (layer.get("origins") or {}).get("prior") == "absent"]
    if unknown:
        names = _listed([str(layer["name"]) for layer in unknown])
        gaussian = any(str(layer.get("family", "gaussian")).startswith("gaussian") for layer in unknown)
        found.append(
            f"The prior of {names} is {unknown[0].get('prior_said')}. KL and information are left out,"
            f"{' contraction is against Normal(0, 1),' if gaussian else ''} and regimes are unknown."
        )
    return found


def nothing_recorded(config: Mapping[str, Any]) -> str | None:
    """Why a watch recorded no layer, None where it did.

    Parameters
    ----------
    config : mapping
        `Run.config`.
    """
    return next(iter(manifest.refused(config)), None)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (" and others" if len(names) > NAMED else "")
