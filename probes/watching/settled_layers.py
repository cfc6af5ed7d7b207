"""What the first step of a process has shown: its layers as the log and the manifest have them, with why."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from probes.errors import first_line
from probes.families.gaussian import GAUSSIAN, GAUSSIAN_UNKNOWN_PRIOR
from probes.run_reader import LayerInfo
from probes.watching.candidates import Candidate
from probes.watching.family_pools import BY_MOMENTS, AnyPool, FamilyPool
from probes.watching.finding import Finder, WatchError
from probes.watching.hooks import CompiledError
from probes.watching.posterior_source import FoundLayer
from probes.watching.shares import Evidence, stated_share
from probes.watching.stated import PartError

logger = logging.getLogger("probes.watch")

INSEPARABLE = ("codes", "samples", "gaussian_full")  # families of which parts do not make a layer
UNSETTLED = (
    "what was seen could not be put together ({kind}: {said}), a fault of this package. Name the layers"
    " by hand, parts={{...}}, or call probes.observe(name, mu, sigma) in the forward pass"
)


@dataclass
class SettledLayers:
    """What a process has of its own. failures: (layer, why) of batches that were not read. refused: what is
    not recorded though it was seen. nothing: why there is no layer.
    """

    layers: list[LayerInfo] = field(default_factory=list)
    found: list[FoundLayer] = field(default_factory=list)
    pools: dict[str, AnyPool] = field(default_factory=dict)
    evidence: list[Evidence] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    nothing: WatchError | None = None


def settle_layers(
    finder: Finder, merges: bool, trained: bool, shares: Mapping[str, Any], alike: list[int], says: bool
) -> SettledLayers:
    """Decide what is a layer, and say so.

    finder: of the watched model. merges: whether parts of layers are put together with those of other
    processes. trained: whether the model was before. shares: what the user states of them. alike: processes
    that have the same weights. says: whether this process is the one that logs.
    """
    late = finder.missing
    try:
        chosen = finder.settle(merges)
    except (PartError, CompiledError):
        raise
    except Exception as error:  # noqa: BLE001 - one of ours that was not foreseen: their training goes on
        if isinstance(error, WatchError):
            return SettledLayers(refused=finder.left_out or [str(error)], nothing=error)
        unsettled = UNSETTLED.format(kind=type(error).__name__, said=first_line(error))
        return SettledLayers(refused=[unsettled], nothing=WatchError(unsettled))
    settled = SettledLayers()
    for candidate in chosen:
        description = candidate.source.describe()
        layer = _layer_of(candidate, description, trained)
        settled.layers.append(layer)
        settled.found.append(description)
        settled.pools[candidate.source.name] = candidate.pool
        share = stated_share(shares, layer["name"])
        settled.evidence.append(_evidence_of(candidate, layer, share, finder, alike))
        settled.failures += [(candidate.source.name, failure) for failure in candidate.failures]
        if says:
            _say(layer, description)
    if chosen and says:
        _say_what_is_left(finder.left_out, late)
    return settled


def _layer_of(candidate: Candidate, description: FoundLayer, trained: bool) -> LayerInfo:
    """As the manifest stores it."""
    source, (neurons, latent_dim) = candidate.source, candidate.pool.size
    layer: LayerInfo = {
        **description,
        "neurons": neurons,
        "latent_dim": latent_dim,
        "prior": candidate.kind_of_prior,
        "prior_said": description["prior"],
    }
    if layer["prior"] == "unknown" and layer["family"].startswith(GAUSSIAN.name):
        layer["family"] = GAUSSIAN_UNKNOWN_PRIOR.name
    if source.classes is not None:
        layer["classes"] = source.classes
    if source.map is not None:
        layer["map"] = source.map
    if source.window is not None:
        layer["window"] = source.window
    if layer["family"] in BY_MOMENTS:
        layer["information_by"] = "moments"
    if isinstance(candidate.pool, FamilyPool) and (prior := candidate.pool.prior_parameters()):
        layer["prior_parameters"] = prior
    if trained:
        layer["trained"] = True
    return layer


def _evidence_of(
    candidate: Candidate, layer: LayerInfo, share: Any, finder: Finder, alike: list[int]
) -> Evidence:
    """What tells which share of the layer this process has."""
    separable = layer["family"] not in INSEPARABLE
    return Evidence(
        layer["neurons"],
        separable,
        candidate.pool.shared,
        share,
        candidate.placed,
        candidate.values,
        finder.batch,
        finder.inside,
        alike,
    )


def _say(layer: LayerInfo, description: FoundLayer) -> None:
    """A line of the log: what the layer was read from, and a warning where something is assumed."""
    sure = "ASSUMED" not in description["why"] and description["origins"].get("prior") != "absent"
    level = logging.INFO if sure else logging.WARNING
    text = "watching %s: %d neurons, %d latent dimensions; read from %s %s; prior %s. Why: %s"
    read = description["read"]
    logger.log(
        level,
        text,
        description["name"],
        layer["neurons"],
        layer["latent_dim"],
        description["source"],
        read if read.startswith("as ") else f"as {read}",
        description["prior"],
        description["why"],
    )


def _say_what_is_left(left_out: Sequence[str], late: Sequence[str]) -> None:
    for left in left_out:
        logger.warning("not recorded: %s", left)
    if late:
        logger.warning("not watched, since they have not run before the first step: %s", ", ".join(late))
