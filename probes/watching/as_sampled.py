"""A pair of heads, read as it is sampled with: what stands between them and the sample becomes part of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from probes.watching.chains import ADDED, Chain, Repeated, Step, Use, form_of
from probes.watching.naming import FORMS
from probes.watching.posterior_source import PosteriorSource
from probes.watching.tensors import NotReadable

Reread = Callable[[PosteriorSource], PosteriorSource]
POSITIVE = ("exp", "exp2", "softplus", "sigmoid", "sqrt", "relu", "abs", "elu", "reciprocal", "rsqrt")
BOUNDED = ("clamp", "hardtanh", "pow")
"""What makes a number positive, too, by its own numbers."""
PRODUCTS = ("Bmm", "Mm", "Mv")
"""Nodes that mix components."""
SPOKEN = {
    "Add": "a sum with another tensor",
    "Sub": "a difference to another tensor",
    "Mul": "a product with another tensor",
    "Div": "a quotient with another tensor",
    "add": "a sum with what is not one number",
    "nativelayernorm": "a layer norm",
    "nativebatchnorm": "a batch norm",
    "NativeBatchNorm": "a batch norm",
    "Addmm": "a linear layer",
    **dict.fromkeys(PRODUCTS, "a matrix product"),
}
BETWEEN = (
    "{what} stands between the {side} of {source} and the sample that is drawn with it, and cannot be"
    " repeated from here: call probes.observe(name, mu, sigma) in the forward pass, or say what is done with"
    ' parts={{"{source}": probes.Part("mu, log_var", then=function)}}, where function(mu, sigma) returns'
    " the mean and sigma that are used"
)


def as_sampled(source: PosteriorSource, use: Use) -> PosteriorSource:
    """A pair of heads, read as it is sampled. Raises NotReadable, which says what stands between, for what
    cannot be repeated.
    """
    if use.opaque is not None or (use.hidden and use.checked is False):
        side, step = use.opaque or ("mean or scale", ADDED)
        what = SPOKEN.get(step.name, step.name)
        raise NotReadable(BETWEEN.format(source=source.path, what=what, side=side))
    unsure = ""
    if use.scale.steps[-2:] == (Step("mul", (None,)), Step("exp")) and source.slot.form == "log_var":
        steps = (*use.scale.steps[:-2], Step("mul", (0.5,)), Step("exp"))
        use, unsure = replace(use, scale=replace(use.scale, steps=steps)), "; its factor as its name says"
    form, before = form_of(use.scale.steps)
    factor = _last_factor(use.scale)
    if form == "sigma" and not any(step.name in (*POSITIVE, *BOUNDED) for step in before):
        before = (*before, Step("abs"))  # Gaussian noise is the same on both sides
        use = replace(use, scale=replace(use.scale, steps=before))
    why = f"{source.why.split(';')[0]}; {use}{unsure}"
    if use.hidden:
        why += "; ASSUMED the constant, which was not seen, changes nothing"
    if use.checked is False:
        why += "; ASSUMED, since a sample that was seen is another"
    read = _read(source, use, form, before, why)
    if factor is not None:
        read = read.doubted(f"that {factor:.4g} is a part of σ, and no temperature of its sample")
    if use.mean.part or use.scale.part:
        read = read.doubted(f"that all of {source.path} is sampled with", "a part of it was seen to be")
    return read


def _last_factor(scale: Chain) -> float | None:
    """A number that what makes a scale positive is multiplied by last."""
    *before, last = scale.steps or (ADDED,)
    positive = any(step.name in POSITIVE for step in before)
    is_factor = last.name == "mul" and not last.hidden and last.factor != 1
    return last.factor if positive and is_factor else None


def as_prepared(source: PosteriorSource, scale: Chain, named: str, lowest: float) -> PosteriorSource:
    """A pair of heads whose sample was not seen, but what stands between its scale and all that uses it.

    named: the form that its name speaks of. lowest: the least number behind those operations.
    """
    form = f"log_{named}" if named in ("sigma", "var") and lowest < 0 else named
    why = source.why.split(";")[0]
    why += f"; ASSUMED {scale} is {FORMS[form]}, since nothing uses {scale.head[0]} itself"
    return _read(source, Use(Chain((sides_of(source)[0], None), 0), scale), form, scale.steps, why)


def multiplied(source: PosteriorSource) -> PosteriorSource:
    """A pair whose scale noise is multiplied with, which was not seen to be added to its mean."""
    return source.doubted("that it is a Gaussian's", "what its scale makes of noise is not added to its mean")


def unseen(source: PosteriorSource) -> PosteriorSource:
    """A pair of heads of which no use was seen: one without gradients, or behind the model's own modules."""
    why = f"{source.why}; ASSUMED as it is, since what uses it was not seen"
    return replace(source, why=why).known(scale="assumed")


def made_otherwise(source: PosteriorSource, chain: Chain) -> PosteriorSource:
    """A pair of heads whose sample was not seen, and whose scale is multiplied by a number that its name says
    nothing of.
    """
    return source.doubted("that its scale is as its name says", f"{chain} was seen, and no sample")


def _read(
    source: PosteriorSource, use: Use, form: str, before: tuple[Step, ...], why: str
) -> PosteriorSource:
    path = source.path
    if source.origin == "layers":
        path = f"{use.mean.head[0]} & {use.scale.head[0]}"
    after = Repeated(use.mean.steps, before) if use.mean.steps or before else None
    read = replace(source, path=path, slot=replace(source.slot, form=form), after=after, why=why)
    return read.known(scale="assumed" if "ASSUMED" in why else "named")


def sides_of(source: PosteriorSource) -> tuple[str, str]:
    """Paths of mean and scale of a pair of layers."""
    sides = source.path.split(" & ")
    return sides[int(str(source.slot.mean))], sides[int(str(source.slot.scale))]


NOISE = (
    "the noise that {source} is sampled with is not Normal(0, 1), its mean is {mean:.2g}, its variance"
    " {variance:.2g} and its kurtosis {kurtosis:.2g}, of which a Gaussian has 3: call probes.observe(name, q)"
    " in the forward pass, or probes.observe(name, mu, sigma)"
)
FAR = 5.0  # standard errors of what is compared with Gaussian noise
FEWEST = 16  # numbers of noise that tell
BELL = (0.5**0.5, (3**-0.5 - 0.5) ** 0.5)  # mean and sd of exp(-e²/2) of a standard normal e


def far_from_standard(noise: Tensor) -> tuple[float, float, float] | None:
    """Mean, variance and kurtosis of noise that is far from Normal(0, 1); None where it may be that, or too
    little to tell.

    Notes
    -----
    Light tails are told by the kurtosis, whose distribution has its long tail on the other side; heavy ones
    by the mean of exp(-e²/2), which is bounded.
    """
    for axis, stride in enumerate(noise.stride()):
        noise = noise.narrow(axis, 0, 1) if stride == 0 and noise.shape[axis] else noise  # expanded
    size = noise.numel()
    if size < FEWEST:
        return None
    noise = noise.double()
    mean, variance = float(noise.mean()), float(noise.var())
    scaled = (noise - noise.mean()).square() / max(variance, 1e-12)
    kurtosis = float(scaled.square().mean())
    bell = float((-scaled / 2).exp().mean())
    far = abs(mean) * size**0.5 > FAR or abs(math.log(max(variance, 1e-12))) * (size / 2) ** 0.5 > FAR
    light = (3 - kurtosis) * (size / 24) ** 0.5 > FAR
    heavy = (bell - BELL[0]) * size**0.5 > FAR * BELL[1]
    return (mean, variance, kurtosis) if far or light or heavy else None


def of_other_noise(source: PosteriorSource, mean: float, variance: float, kurtosis: float) -> PosteriorSource:
    """Raises NotReadable: the scale is not what a sample varies by, or it is no Gaussian."""
    raise NotReadable(NOISE.format(source=source.path, mean=mean, variance=variance, kurtosis=kurtosis))


def is_like_noise(value: Tensor) -> bool:
    """Whether numbers, enough to tell, are not far from Normal(0, 1)."""
    return value.is_floating_point() and value.numel() >= FEWEST and far_from_standard(value) is None


MORE_NOISE = "a product with what looks like noise is added to it"
OTHER_NOISE = "less μ and over σ it has mean {:.2g}, variance {:.2g}, kurtosis {:.2g}"


def with_more(source: PosteriorSource, because: str) -> PosteriorSource:
    """A pair of heads whose sample something is added to, so that it may be no draw of theirs."""
    return source.doubted("that what is added to its sample is no part of its noise", because)
