"""Which candidates become layers: what the network samples with, each once, and under which prior."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from probes.watching.after_head import AfterHeads
from probes.watching.as_sampled import BETWEEN
from probes.watching.candidates import Candidate, has_prior
from probes.watching.collecting import NOT_READ, SHARDED, Candidates
from probes.watching.evidence import CandidateKey
from probes.watching.family_pools import pool_for
from probes.watching.family_sources import FamilySource, without_any_prior
from probes.watching.graph_uses import OF_BITS, OF_CLASSES
from probes.watching.naming import words
from probes.watching.posterior_source import RANK_GUESS, RANK_OBSERVED, PosteriorSource
from probes.watching.prior_links import Kept, PriorLinks, Waiting
from probes.watching.slots import DISTRIBUTION

BITS = (
    "{name} goes through a sigmoid, so that its last axis are independent bits and no classes: call"
    " probes.observe(name, torch.distributions.Bernoulli(logits=...)) in the forward pass, no Gaussian and no"
    " Categorical"
)
COMPONENTS = (
    "{name} are parameters that no name calls weights, beside a posterior of as many neurons: they may be the"
    " components of its prior; if they are weights name them by hand"
)
NOT_SAMPLED = (
    "nothing was seen to sample with it as with {name}: it may be a prior, a likelihood or a target, which"
    " skip= leaves out"
)
OF_WEIGHTS = (
    "weight",
    "kernel",
    "bias",
    "bayes",
    "variational",
    "flipout",
    "linear",
    "conv",
    "dense",
    "embed",
)
CLASSES = "; ASSUMED that its last axis are classes, since what uses it was not seen"


def choose(candidates: Candidates, merges: bool) -> list[Candidate]:
    """The candidates that become layers, in the order of the forward pass; none where nothing was found.

    merges: whether parts of a layer that lie in several processes are put together later; else they are
    refused.
    """
    if candidates.after is not None:
        candidates.after.settle(last=True)
        _read_as_its_heads(candidates, candidates.after)
    _refuse_other_families(candidates)
    for key, candidate in candidates.found.items() if not merges else ():
        if candidate.placed is not None and candidate.placed.is_split:
            candidates.refuse(key, SHARDED)
    _say_maps(candidates)
    for key, candidate in candidates.found.items():
        _settle_classes(candidates, key, candidate)
    possible = [
        candidate
        for key, candidate in candidates.found.items()
        if not _is_elsewhere(candidates, key) and _may_be_latent(candidates, candidate)
    ]
    drawn = _sampled_with(candidates)
    keys = [(one.source.name, one.source.rank) for one in possible]
    possible = [
        candidates.found[key]
        for key in keys
        if not any(_is_known_better(candidates, key, one) for one in keys)
    ]
    chosen: list[Candidate] = []
    # stable: first seen first, but one that came with its prior says more
    for candidate in sorted(possible, key=lambda one: (one.source.rank, not has_prior(one))):
        if candidate.source.rank == RANK_GUESS and chosen and chosen[0].source.rank < RANK_GUESS:
            break
        stated = candidate.source.rank == RANK_OBSERVED  # what has two names is two layers
        if stated or not any(candidate.same_as(other) for other in chosen):
            chosen.append(candidate)
    chosen = [one for one in chosen if not any(one.is_prior_of(other) for other in chosen)]
    chosen = [one for one in chosen if not one.is_put_together_of(chosen)]
    chosen = _without_components(candidates, chosen)
    _doubt_what_is_not_sampled(chosen, drawn)
    _doubt_what_is_sampled_otherwise(candidates, chosen)
    return sorted(chosen, key=possible.index)


def _doubt_what_is_sampled_otherwise(candidates: Candidates, chosen: Sequence[Candidate]) -> None:
    """Of samples that were drawn in several ways the first was read."""
    after = candidates.after
    unlike = set(after.unlike) if after is not None else set()
    for head, key in (*after.inside.items(), *after.handed_on.items()) if after is not None else ():
        unlike |= {key} if head in unlike else set()
    for one in chosen:
        if (one.source.name, one.source.rank) in unlike:
            one.source = one.source.doubted(
                "that its first sample is the posterior's", "another is drawn otherwise"
            )


def _sampled_with(candidates: Candidates) -> list[Candidate]:
    """The candidates of which a sample was seen, or to whose mean something is added."""
    after = candidates.after
    if after is None:
        return []
    keys = after.sampled | candidates.added
    for head, key in (*after.inside.items(), *after.handed_on.items()):
        keys |= {key} if head in keys else set()
    return [candidates.found[key] for key in keys if key in candidates.found]


def _is_known_better(candidates: Candidates, key: CandidateKey, by: CandidateKey) -> bool:
    """Whether a scale is taken for what its name may mean, and another candidate is the same mean, read as it
    is sampled with.
    """
    sampled = candidates.after.sampled if candidates.after is not None else set()
    one, other = candidates.found[key], candidates.found[by]
    unsure = one.source.origins.get("scale") == "assumed" and one.source.origin == "output"
    unsure = unsure and one.source.slot.form.startswith("log_")  # a plain sigma is what it is sampled with
    known = other.source.origins.get("scale") == "named" and by in sampled and by not in candidates.refused
    if key == by or not unsure or not known or key in sampled or has_prior(one) or one.source.by_hand:
        return False
    return one.same_as(other)


def _without_components(candidates: Candidates, chosen: list[Candidate]) -> list[Candidate]:
    """Pairs of parameters that no name calls weights are none beside a posterior of as many neurons: they may
    be the components of its prior.
    """
    unnamed = [
        one for one in chosen if one.source.origin == "parameters" and not _says_weights(candidates, one)
    ]
    sizes = {
        one.tensors[0].shape[-1]
        for one in chosen
        if one.source.of == "activations" and one.tensors and one.tensors[0].dim()
    }
    left = []
    for one in unnamed:
        one.source = one.source.doubted("that they are weights, which no name says")
        if one.tensors and one.tensors[0].shape[-1] in sizes:
            candidates.links.tables.append(COMPONENTS.format(name=one.source.name))
            candidates.refuse((one.source.name, one.source.rank), COMPONENTS.format(name=one.source.name))
            left.append(one)
    return [one for one in chosen if one not in left]


def _says_weights(candidates: Candidates, candidate: Candidate) -> bool:
    """Whether parameters are called weights, or belong to a layer that has some."""
    source = candidate.source
    module = candidates.model.get_submodule(source.path) if source.path else candidates.model
    said = {*words(str(source.slot.mean)), *words(source.path), *words(type(module).__name__)}
    sized = any(hasattr(module, name) for name in ("in_features", "in_channels", "input_size"))
    return source.by_hand or sized or any(word.startswith(OF_WEIGHTS) for word in said)


def _doubt_what_is_not_sampled(chosen: Sequence[Candidate], drawn: Sequence[Candidate]) -> None:
    """Beside what is sampled with, a Gaussian that is not may be a prior, a likelihood or a target."""
    seen = [one for one in chosen if one in drawn or any(one.same_as(other) for other in drawn)]
    for one in chosen if seen else ():
        source = one.source
        read = source.origin in ("output", "layers") and source.of == "activations" and not source.by_hand
        if read and source.family == "gaussian" and one not in seen and not has_prior(one):
            one.source = source.doubted(
                "that it is a posterior", NOT_SAMPLED.format(name=seen[0].source.name)
            )


def link_priors(
    links: PriorLinks, chosen: Sequence[Candidate], ran: Collection[str]
) -> list[PosteriorSource]:
    """Give each posterior that came without one its prior, as far as the model tells; the sources that are
    read at another place because of it.

    ran: paths of the modules that have put something out.
    """
    moved: list[PosteriorSource] = []
    lacking = [one for one in chosen if one.source.origins.get("prior") == "assumed" and not one.given]
    linked = links.settle([Waiting(one.source, one.kept) for one in lacking], ran)
    for candidate, link in zip(lacking, linked, strict=True):
        before, candidate.source = candidate.source, link.source
        if link.again is not None:
            read = [link.source.observed(taken) for taken in link.again]
            shared = candidate.pool.shared
            candidate.pool = pool_for(read[0], shared) if read else candidate.pool.anew()
            for observed in read if not link.incomplete else ():
                candidate.pool.add_observed(observed)
        if link.incomplete:
            candidate.failures.append("the first step is not read again under its prior")
        if link.source.path != before.path:
            moved.append(link.source)
    for candidate in chosen:
        candidate.kept = Kept()
        source = candidate.source
        unsaid = source.prior is None and source.origins.get("prior") == "assumed"
        if unsaid and source.default_prior == "none" and not candidate.given:
            candidate.source = without_any_prior(source)
    return moved


def _read_as_its_heads(candidates: Candidates, after: AfterHeads) -> None:
    """What a module returns are the outputs of its heads, under other names: it is what is sampled with
    them.
    """
    for head, key in after.handed_on.items():
        inner, outer = candidates.found.get(head), candidates.found.get(key)
        if outer is None or outer.source.slot.form == DISTRIBUTION:
            continue
        if key in after.sampled and head not in after.sampled:
            continue  # its own sample was seen
        if head in candidates.refused:
            candidates.refuse(key, candidates.refused[head])
        elif inner is not None and (inner.source.after, inner.source.slot.form) != (
            None,
            outer.source.slot.form,
        ):
            source = inner.source
            if inner.pool.size != outer.pool.size and not outer.given:
                del candidates.found[key]  # the heads are the layer
                continue
            if outer.given:
                candidates.refuse(key, BETWEEN.format(source=key[0], what="code", side="scale"))
                continue
            slot = replace(outer.source.slot, form=source.slot.form)
            read = replace(outer.source, slot=slot, after=source.after, why=source.why)
            outer.source = read.known(scale=source.origins["scale"])
            outer.pool, outer.kept = inner.pool, inner.kept


def _refuse_other_families(candidates: Candidates) -> None:
    """Heads from which the network makes another distribution than a Gaussian."""
    for key, family in candidates.families.others() if candidates.families is not None else ():
        candidate = candidates.found.get(key)
        if candidate is None or candidate.source.by_hand or key in candidates.absorbed:
            continue
        if not isinstance(candidate.source, FamilySource):
            candidates.refuse(key, NOT_READ.format(family=family, name=key[0]))


def _say_maps(candidates: Candidates) -> None:
    """Of Gaussians that stand behind a map, such as a LogNormal's."""
    if candidates.families is None:
        return
    for key, candidate in candidates.found.items():
        behind = candidates.families.map_of(key)
        if candidate.source.family == "gaussian" and behind is not None:
            why = f"{candidate.source.why}; of the Gaussian before the map {behind}"
            candidate.source = replace(candidate.source, map=behind, why=why)


def _settle_classes(candidates: Candidates, key: CandidateKey, candidate: Candidate) -> None:
    """Returned logits are of classes or of bits: what they go through tells, else it is said."""
    source, kinds = candidate.source, candidates.uses.get(key, set())
    if source.slot.form != "logits" or source.by_hand or source.origin != "output":
        return
    made = candidates.families.families_of(key) if candidates.families is not None else set()
    last = candidate.tensors[0].dim() - 1 if candidate.tensors else -1
    kinds = {kind.removesuffix(f"@{last}") for kind in kinds}
    classes = kinds.intersection(OF_CLASSES) or any("Categorical" in one for one in made)
    bits = kinds.intersection(OF_BITS) or any("Bernoulli" in one for one in made)
    if bits and not classes:
        candidates.refuse(key, BITS.format(name=source.name))
    elif not classes or bits:
        candidate.source = replace(source, why=source.why + CLASSES).known(family="assumed")


def _may_be_latent(candidates: Candidates, candidate: Candidate) -> bool:
    """Not what neither varies with the input nor is trained, such as the base of a flow."""
    if not candidate.moves:
        path = candidate.source.path or "(the model itself)"
        candidates.looked_at[f"{path} as {candidate.source.slot}"] = (
            "neither varies with the input nor is trained: a prior, or the base of a flow"
        )
    return candidate.moves


def _is_elsewhere(candidates: Candidates, key: CandidateKey) -> bool:
    """Whether a candidate is not what the network samples with: another is, or one that is not read."""
    after = candidates.after
    inside = after.inside.get(key) if after is not None else None
    if after is not None and key not in after.sampled:
        norm = candidates.norms.get(key)
        inside = inside or (norm if norm in after.sampled else None)
    if inside in candidates.found and _is_known_better(candidates, inside, key):
        inside = None
    known = inside in candidates.found or key in candidates.refused or key in candidates.absorbed
    return known or _is_a_step_to_another(candidates, key)


def _is_a_step_to_another(candidates: Candidates, key: CandidateKey) -> bool:
    """Whether a candidate stands in the module of another, and that one alone is sampled with: what an
    encoder is made of may be called an encoder too.
    """
    source = candidates.found[key].source
    sampled = candidates.after.sampled if candidates.after is not None else set()
    path = source.path.split(" & ")[0]
    others = (candidates.found[other].source for other in sampled if other in candidates.found)
    if source.origin not in ("output", "layers") or source.by_hand or key in sampled:
        return False
    above = next((one.path for one in others if one.path and path.startswith(f"{one.path}.")), None)
    if above is not None:
        candidates.looked_at[source.path] = (
            f"nothing was seen to sample with it, but with {above}, which it stands in"
        )
    return above is not None
