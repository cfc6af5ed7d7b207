"""What a model holds: distributions found in its modules and parameters, before anything is computed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal
from torch.nn.parameter import is_lazy

from probes.watching.adapters.pairs import assumption, join, pair_origins
from probes.watching.layouts import Layout
from probes.watching.naming import find_pairs, not_latent, speaks_of_prior
from probes.watching.own_priors import flow_above, is_in_flow, layer_prior, prior_above
from probes.watching.posterior_source import (
    NAMED,
    RANK_NAMED,
    RANK_SIBLINGS,
    STATED,
    Origin,
    PosteriorSource,
    Prior,
    UnknownPrior,
)
from probes.watching.slots import Slot

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def sibling_layers(model: nn.Module) -> list[PosteriorSource]:
    """Pairs of layers, or a layer and a parameter, of one parent that are named as mean and scale; those of a
    prior too.
    """
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
            is_prior = speaks_of_prior(join(path, mean))
            whole = join(path, mean)
            is_prior = is_prior or prior_above(model, whole) is not None
            if (
                mean not in layers
                or is_in_flow(model, whole)
                or (of_parameter and assumed)
                or (not_latent(join(path, mean)) and not is_prior)
            ):
                continue
            pair = f"{join(path, mean)} & {join(path, scale)}"
            channels = isinstance(parent.get_submodule(mean), CONVOLUTIONS)
            why = f"sibling layers {mean} and {scale}" + assumption(scale, form, assumed)
            slot = Slot(0, 1, form)
            layout: Layout | None = "channels" if channels else None
            found.append(
                PosteriorSource(
                    join(path, mean),
                    pair,
                    "layers",
                    slot,
                    why,
                    RANK_SIBLINGS,
                    layout=layout,
                    origins=pair_origins(mean, assumed, "assumed"),
                    is_prior=is_prior,
                )
            )
    return found


def latent_diffusion(model: nn.Module) -> list[PosteriorSource]:
    """Autoencoders of latent diffusion (diffusers, CompVis, taming-transformers): `post_quant_conv` takes in
    half of the channels that `quant_conv` puts out, which are means and log variances.
    """
    found = []
    for path, parent in model.named_modules():
        into, out_of = getattr(parent, "quant_conv", None), getattr(parent, "post_quant_conv", None)
        if not (isinstance(into, CONVOLUTIONS) and isinstance(out_of, CONVOLUTIONS)):
            continue
        if into.out_channels != 2 * out_of.in_channels:  # as many: of a code book
            continue
        name = join(path, "quant_conv")
        why = "quant_conv has twice the channels of post_quant_conv, as in latent diffusion"
        slot = Slot(None, None, "log_var", halves=True)
        found.append(PosteriorSource(name, name, "output", slot, why, RANK_SIBLINGS, layout="channels"))
    return found


def gaussian_processes(model: nn.Module) -> list[PosteriorSource]:
    """Inducing values of gpytorch's variational strategies, which are never called through hooks: of a
    whitened one the prior is Normal(0, 1), of any other the kernel's.
    """
    found = []
    for path, module in model.named_modules():
        if not isinstance(getattr(module, "_variational_distribution", None), nn.Module):
            continue
        name = path or type(module).__name__
        whitened = type(module).__name__ == "VariationalStrategy"
        prior: Prior = (0.0, 1.0) if whitened else UnknownPrior(f"{type(module).__name__}: the kernel's")
        found.append(
            PosteriorSource(
                f"{name} (inducing values)",
                path,
                "parameters",
                Slot(),
                "the variational distribution of a Gaussian process",
                RANK_NAMED,
                prior,
                function=_inducing_values,
                of="shared variables",
                origins={**STATED, "prior": "named" if whitened else "absent"},
            )
        )
    return found


def _inducing_values(module: Any, _: Any) -> Distribution:
    with torch.no_grad():
        q = module._variational_distribution()
        return MultivariateNormal(q.mean, covariance_matrix=q.covariance_matrix, validate_args=False)


def weight_posteriors(model: nn.Module) -> list[PosteriorSource]:
    """Modules whose own weights are Gaussian (torchbnn, Blitz, bayesian-torch and their like): a neuron is an
    output row.

    Its latent dimensions are the row's weights; there is one row, so spread is 0 and KL is all mismatch.
    Biases are left out; so is what a flow has of its own, which is its base.
    """
    found = []
    seen: set[int] = set()
    for path, module in model.named_modules():
        own = {
            name: value
            for name, value in module.named_parameters(recurse=False)
            if not is_lazy(value) and value.dim() > 1
        }
        for mean, scale, form, assumed in find_pairs(own):
            unlike = assumed or own[mean].shape != own[scale].shape or not_latent(join(path, mean))
            if unlike or own[mean].data_ptr() in seen or flow_above(model, path) is not None:
                continue
            seen.add(own[mean].data_ptr())
            why = f"parameters {mean} and {scale}: a posterior of WEIGHTS, the same for every input"
            prior = layer_prior(model, path, mean, own[mean])
            layout: Layout = "weights_across" if _is_across(module, own[mean]) else "weights"
            origin: Origin = (
                "assumed" if prior is None else "absent" if isinstance(prior, UnknownPrior) else "named"
            )
            found.append(
                PosteriorSource(
                    f"{join(path, mean)} (weights)",
                    path,
                    "parameters",
                    Slot(mean, scale, form),
                    why,
                    RANK_NAMED,
                    prior,
                    of="weights",
                    layout=layout,
                    origins={**NAMED, "prior": origin},
                )
            )
    return found


def _is_across(module: nn.Module, weight: Tensor) -> bool:
    """Whether a matrix of weights is (inputs, outputs), by the sizes that its module states: a recurrent
    layer has outputs for each of its gates.
    """
    inputs, outputs = getattr(module, "in_features", None), getattr(module, "out_features", None)
    if weight.dim() != 2 or not isinstance(inputs, int) or not isinstance(outputs, int):
        return False
    rows, columns = weight.shape
    return (
        rows in (inputs, outputs) and columns % outputs == 0 and not (rows == outputs and columns == inputs)
    )
