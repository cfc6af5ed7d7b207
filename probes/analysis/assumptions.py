"""What was assumed of a watched network, in one line of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from probes.analysis.layer_families import is_gaussian
from probes.log import manifest

FOLLOWS = {
    True: "KL and information are left out, contraction is against Normal(0, 1), and regimes are unknown.",
    False: "KL and contraction are left out, and regimes are unknown.",
}
"""Whether layers are Gaussian -> what follows for them from a prior that is not known."""
NAMED = 3  # layers of which a line gives the names


def lines(layers: Sequence[Mapping[str, Any]]) -> list[str]:
    """At most three lines: what is assumed, and which priors are not known; none where everything is known.

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
    for gaussian, follows in FOLLOWS.items():
        named = [layer for layer in unknown if is_gaussian(layer) == gaussian]
        if named:
            names = _listed([str(layer["name"]) for layer in named])
            said = dict.fromkeys(str(layer.get("prior_said")) for layer in named)
            found.append(f"The prior of {names} is {_together(list(said))}. {follows}")
    return found


def _together(said: list[str]) -> str:
    """What is said of several priors; what they begin with alike ("not known: ...") once."""
    first, others = said[0], said[1:NAMED]
    start = first.split(": ")[0] + ": "
    rest = [one.removeprefix(start) for one in others]
    return "; ".join([first, *rest]) + (" and others" if len(said) > NAMED else "")


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
