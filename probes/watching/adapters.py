"""A module's output -> (mu, sigma, prior): how distributions are found in a foreign network.

`ADAPTERS` are tried on what a module put out; each is a small function (module, output) -> [(name, Slot,
prior, why)].
What two of them find in the same tensors is one posterior: the one higher up is kept. How it is then read:
`probes.watching.posterior_source`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.parameter import is_lazy

from probes.watching.naming import FORMS, PRIOR_WORD, find_pairs, not_latent, returned_names, speaks, words
from probes.watching.posterior_source import Key, Layout, PosteriorSource, Prior, Slot, is_number, pick

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def fields(module: nn.Module, output: Any) -> dict[Key, str | None]:
    """Key -> name of the values in an output; None where a tuple's element has no name in the source of
    `forward`.
    """
    if isinstance(output, (Tensor, Distribution, nn.Module)) or output is None:
        return {}
    if isinstance(output, Mapping):
        return {key: key for key in output if isinstance(key, str)}
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return dict(zip(output._fields, output._fields, strict=True))
    if isinstance(output, (tuple, list)):
        names = returned_names(type(module).forward)
        return dict(enumerate(names if len(names) == len(output) else [None] * len(output)))
    declared = [field.name for field in dataclasses.fields(output)] if is_dataclass(output) else []
    return {name: name for name in (*declared, *getattr(output, "__dict__", {}))}  # slots have no __dict__


Found = tuple[str, Slot, Prior, str]


def distributions(module: nn.Module, output: Any) -> list[Found]:
    """torch.distributions in an output: Normal, Independent of one, MultivariateNormal; a field named prior
    is their prior.
    """
    if isinstance(output, Distribution):
        return [("", Slot(None), None, f"returns the distribution {type(output).__name__}")]
    names = {
        key: name
        for key, name in fields(module, output).items()
        if isinstance(pick(output, key), Distribution)
    }
    priors = [key for key, name in names.items() if name is not None and PRIOR_WORD in words(name)]
    latent = [key for key, name in names.items() if name is None or not not_latent(name)]
    prior = Slot(priors[0]) if len(priors) == 1 == len(latent) else None
    several = len(latent) > 1
    return [
        ((names[key] or str(key)) if several else "", Slot(key), prior, _returns(output, key))
        for key in latent
    ]


def named_pairs(module: nn.Module, output: Any) -> list[Found]:
    """Tensors in an output whose names read as mean and scale; prior_mu and prior_sigma beside them are their
    prior.
    """
    names = {
        name: key
        for key, name in fields(module, output).items()
        if name is not None and is_number(pick(output, key))
    }
    found, priors = [], []
    for mean, scale, form, assumed in find_pairs(names):
        slot = Slot(names[mean], names[scale], form)
        if PRIOR_WORD in words(mean):
            priors.append(slot)
        elif not not_latent(mean):
            found.append((mean, slot, f"returns {mean} and {scale}" + _assumption(scale, form, assumed)))
    prior = priors[0] if len(priors) == 1 == len(found) else None
    return [(mean if len(found) > 1 else "", slot, prior, why) for mean, slot, why in found]


def unnamed_pair(module: nn.Module, output: Any) -> list[Found]:
    """Exactly two tensors of one shape (B, N) whose names do not contradict: the last resort, when nothing
    else was found.
    """
    if type(output) not in (tuple, list) or type(module).__module__.startswith("torch.nn"):
        return []
    names = [name for key, name in fields(module, output).items() if is_number(output[key])]
    pair = [key for key in range(len(output)) if is_number(output[key]) and output[key].dim() > 1]
    if (
        len(pair) != 2
        or output[pair[0]].shape != output[pair[1]].shape
        or not output[pair[0]].numel()
        or any(n is not None and not speaks(n) for n in names)
    ):
        return []
    positive = bool((output[pair[1]] > 0).all())
    form = "sigma" if positive else "log_var"
    why = f"returns two tensors of one shape; ASSUMED the second is {FORMS[form]}, since it "
    return [
        (
            "",
            Slot(pair[0], pair[1], form),
            None,
            why + ("is positive throughout" if positive else "takes negative values"),
        )
    ]


RANK_OBSERVED, RANK_DISTRIBUTION, RANK_NAMED, RANK_SIBLINGS, RANK_GUESS = range(5)
"""In order of trust. Pairs of sibling layers are known before anything runs."""

ADAPTERS: tuple[tuple[int, Callable[[nn.Module, Any], list[Found]]], ...] = (
    (RANK_DISTRIBUTION, distributions),
    (RANK_NAMED, named_pairs),
    (RANK_GUESS, unnamed_pair),
)


def find_in_output(path: str, module: nn.Module, output: Any) -> list[PosteriorSource]:
    """Posteriors in what a module put out, not settled yet; none where its path speaks of a decoder or a
    prior.
    """
    if not_latent(path):
        return []
    return [
        PosteriorSource(
            (join(path, suffix) if suffix else path) or type(module).__name__,
            path,
            "output",
            slot,
            why,
            rank,
            prior,
        )
        for rank, adapter in ADAPTERS
        for suffix, slot, prior, why in adapter(module, output)
    ]


def sibling_layers(model: nn.Module) -> list[PosteriorSource]:
    """Pairs of layers, or a layer and a parameter, of one parent that are named as mean and scale."""
    found = []
    for path, parent in model.named_modules():
        layers = {
            name
            for name, child in parent.named_children()
            if not isinstance(child, (nn.ModuleList, nn.ModuleDict))
        }
        parameters = {name for name, _ in parent.named_parameters(recurse=False)}
        for mean, scale, form, assumed in find_pairs(sorted(layers | parameters)):
            of_parameter = scale in parameters
            if mean not in layers or (of_parameter and assumed) or not_latent(join(path, mean)):
                continue
            pair = f"{join(path, mean)} & {join(path, scale)}"
            channels = isinstance(parent.get_submodule(mean), CONVOLUTIONS)
            why = f"sibling layers {mean} and {scale}" + _assumption(scale, form, assumed)
            slot = Slot(0, 1, form)
            layout: Layout | None = "channels" if channels else None
            found.append(
                PosteriorSource(join(path, mean), pair, "layers", slot, why, RANK_SIBLINGS, layout=layout)
            )
    return found


def weight_posteriors(model: nn.Module) -> list[PosteriorSource]:
    """Modules whose own weights are Gaussian (torchbnn, Blitz, bayesian-torch and their like): a neuron is an
    output row.

    Its latent dimensions are the row's weights; there is one row, so spread is 0 and KL is all mismatch.
    Biases are left out.
    """
    found = []
    for path, module in model.named_modules():
        own = {
            name: value
            for name, value in module.named_parameters(recurse=False)
            if not is_lazy(value) and value.dim() > 1
        }
        for mean, scale, form, assumed in find_pairs(own):
            if assumed or own[mean].shape != own[scale].shape or not_latent(join(path, mean)):
                continue
            why = f"parameters {mean} and {scale}: a posterior of WEIGHTS, the same for every input"
            slot, prior = Slot(mean, scale, form), _own_prior(module)
            found.append(
                PosteriorSource(
                    f"{join(path, mean)} (weights)",
                    path,
                    "parameters",
                    slot,
                    why,
                    RANK_NAMED,
                    prior,
                    of="weights",
                )
            )
    return found


def _own_prior(module: nn.Module) -> tuple[float, float] | None:
    """Normal(m, s²) that a module names as its prior in plain numbers (prior_mu, prior_sigma), None when it
    does not.
    """
    numbers = {
        name: float(value)
        for name, value in vars(module).items()
        if isinstance(value, Real) and PRIOR_WORD in words(name)
    }
    for mean, scale, form, assumed in find_pairs(numbers):
        # outside a network's outputs a variance is one
        plain = "var" if assumed and form == "log_var" else form
        sigma, _ = Slot(form=plain).sigmas(torch.tensor(numbers[scale], dtype=torch.float64, device="cpu"))
        return numbers[mean], sigma.item()
    return None


def join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _assumption(scale: str, form: str, assumed: bool) -> str:
    return f"; ASSUMED {scale} is {FORMS[form]}" if assumed else f"; {scale} is {FORMS[form]}"


def _returns(output: Any, key: Key) -> str:
    return f"returns {key!r}, a {type(pick(output, key)).__name__}"
