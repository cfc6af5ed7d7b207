"""Which rows and which neurons of a layer each process of a training has, by what they say of it.

A place is two numbers: whose rows, and which part of the neurons. Processes at one place have copies, which
count once; rows of several are added up, parts are put beside each other in their order. A place is stated,
or told by a DTensor's placements, or by evidence: the same numbers are the same rows, and different inputs
are different ones. Where nothing tells, each process is taken to have rows of its own, and that is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from probes.watching.evidence import placements
from probes.watching.layouts import Layout
from probes.watching.posterior_source import Origin
from probes.watching.tensors import NotReadable, plain

Word = Literal["rows", "copies", "neurons"]
WORDS: tuple[str, ...] = get_args(Word)
ShareSpec = Word | tuple[int, int]
"""What a user says of a layer: each process has "rows" of its own, or "copies" of the same rows, or "neurons"
of its own, in the order of ranks; or of this process (whose rows, which part of the neurons), two numbers.
"""
SAMPLED = 1 << 16
"""Numbers of a tensor, at most, by which it is told from another."""
ROWS_ASSUMED = "that each process has rows of its own"
SAY = "say on every rank shares={{{name!r}: 'neurons'}}, 'copies' or 'rows'"
DIMENSIONS_SPLIT = "the latent dimensions of its neurons are sharded over devices: gather them first"
PARTIAL = "what each device has is a summand (Partial): give it an output layout of Replicate() or Shard()"
VIEWED = "it is sharded over devices, and reshaped since: gather it first, or {say}"
TOGETHER = (
    "the model is run by all processes together, and {what} by rank 0 alone, where it would wait for the"
    " others without an end: look at a gathered checkpoint with probes.snapshot"
)


class ShareError(ValueError):
    """It cannot be told, or cannot be, how the processes share a layer; the message says what to do."""


class Placed(NamedTuple):
    """Where a tensor lies on a mesh: the ranks of the mesh; whose rows of it and which part of its neurons
    this process has, of how many; all neurons; `why_not`: what cannot be read of it.
    """

    ranks: list[int]
    rows: int
    part: int
    parts: int
    neurons: int
    why_not: str = ""

    @property
    def is_split(self) -> bool:
        """Whether it is not all neurons of its layer."""
        return self.parts > 1 or bool(self.why_not)


class Evidence(NamedTuple):
    """What a process knows of its share of a layer, in plain values.

    neurons: that it has. separable: whether parts of the layer can be put beside each other. shared: whether
    its posterior is that of all inputs. stated: by the user. placed: as `Placed`. values: a digest of its
    first batch, None where all rows are one. batch: a digest of what the model was called with, and inside:
    what its first module was; where they differ so do rows, where only the latter is the same it tells
    nothing. alike: ranks with which it is data parallel.
    """

    neurons: int
    separable: bool
    shared: bool
    stated: Any = None
    placed: Any = None
    values: str | None = None
    batch: str | None = None
    inside: str | None = None
    alike: Sequence[int] = ()


class Share(NamedTuple):
    """Neurons [start, stop) of a layer, the part-th of `parts`."""

    start: int
    stop: int
    neurons: int
    part: int
    parts: int


class Shared(NamedTuple):
    """How the processes share a layer.

    by_rank: those that count. copies: those that have what one of these has. plain: each has rows of its own
    of all neurons, and so has whoever comes later. together: whether processes depend on each other in a
    forward pass.
    """

    neurons: int
    by_rank: dict[int, Share]
    copies: list[int]
    plain: bool
    together: bool
    said: str
    origin: Origin
    why: str


def stated_shares(shares: Mapping[str, ShareSpec] | None) -> dict[str, Any]:
    """As a user gives them, checked. Raises ValueError for what is none; the message says what is."""
    found = {}
    for pattern, share in (shares or {}).items():
        pair = (
            isinstance(share, (tuple, list))
            and len(share) == 2
            and all(isinstance(one, int) and one >= 0 for one in share)
        )
        if not pair and share not in WORDS:
            raise ValueError(
                f"shares: {pattern!r} is {share!r}; it is one of {', '.join(map(repr, WORDS))}, or of this"
                " process (whose rows, which part of the neurons), two whole numbers from 0"
            )
        found[pattern] = list(share) if pair else share
    return found


def stated_share(shares: Mapping[str, Any], name: str) -> Any:
    """What is stated of a layer, by the first pattern that fits; None: nothing."""
    return next((share for pattern, share in shares.items() if fnmatchcase(name, pattern)), None)


def placed(tensor: Tensor, layout: Layout) -> Placed | None:
    """Where a mean lies on a mesh of devices; None where DTensor has nothing to do with it.

    Parameters
    ----------
    tensor
        This process's.
    layout
        How it is read.
    """
    specs = placements(tensor)
    if not specs:
        return None
    spec = specs[0]
    mesh, axes = spec.mesh, len(spec.shape)
    ranks = mesh.mesh.flatten().tolist()
    neuron_axis = {"rows": axes - 1, "sequences": axes - 1, "weights": 0}.get(layout, min(1, axes - 1))
    rows = part = 0
    parts, why_not = 1, ""
    for at, size, kind in zip(mesh.get_coordinate() or (), mesh.mesh.shape, spec.placements, strict=False):
        if kind.is_replicate():
            continue
        if kind.is_partial():
            why_not = PARTIAL
        elif (
            not kind.is_shard()
            or axes != tensor.dim()
            or any(tuple(other.placements) != tuple(spec.placements) for other in specs[1:])
        ):
            why_not = VIEWED
        elif kind.dim == neuron_axis:
            part, parts = part * size + at, parts * size
        elif layout in ("rows", "positions") or (
            kind.dim == 0 and layout in ("channels", "neurons", "sequences")
        ):
            rows = rows * size + at
        else:
            why_not = DIMENSIONS_SPLIT
    return Placed(ranks, rows, part, parts, int(spec.shape[neuron_axis]), why_not)


def digest(tensors: Iterable[Tensor]) -> str | None:
    """What tells tensors from others, the same in every process; None of single numbers, and of tensors of
    one number throughout. Waits for the device.
    """
    found = blake2b(digest_size=12)
    varies = False
    for tensor in tensors:
        try:
            flat = plain(tensor.detach()).reshape(-1)
        except (NotReadable, RuntimeError):  # without values
            continue
        flat = flat[:: max(1, len(flat) // SAMPLED)].cpu().contiguous()
        varies = varies or (len(flat) > 1 and bool((flat != flat[0]).any()))
        found.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        found.update(flat.view(torch.uint8).numpy().tobytes())
    return found.hexdigest() if varies else None


def digest_of_rows(tensors: Sequence[Tensor], shared: bool) -> str | None:
    """As `digest`, of a posterior; None where its rows do not differ, unless there is one for all inputs."""
    try:
        mean = plain(tensors[0].detach())
    except (NotReadable, RuntimeError):  # without values
        return None
    of_all = mean.is_floating_point() and mean.dim() < 2
    if not shared and (of_all or not bool((mean != mean[:1]).any())):
        return None
    return digest(tensors)


def runs_together(model: nn.Module) -> bool:
    """Whether processes wait for each other in a forward pass of a model, as far as it tells: its parameters
    are sharded.
    """
    fully = ("FullyShardedDataParallel", "FSDPModule")
    return any(hasattr(one, "placements") for one in model.parameters()) or any(
        kind.__name__ in fully for module in model.modules() for kind in type(module).__mro__
    )


def shared_by(name: str, said: Mapping[int, Evidence]) -> Shared:
    """How the processes share a layer.

    Parameters
    ----------
    name
        The layer's.
    said
        What those know of it that have seen it, by rank.

    Returns
    -------
    Shared
        The same on all processes that know the same.

    Raises
    ------
    ShareError
        Where their parts do not make a layer, or where it cannot be told whether they are parts.
    """
    said = dict(sorted(said.items()))
    stated = {rank: one.stated for rank, one in said.items() if one.stated is not None}
    if stated:
        places, why, origin = _stated_places(name, said, stated)
    else:
        places, why, origin = _told_places(name, said)
    whose = list(dict.fromkeys(rows for rows, _ in places.values()))
    parts = sorted({part for _, part in places.values()})
    by_rank = _put_together(name, said, places, parts)
    if len(whose) == len(said):
        text = "each process has rows of its own"
    elif len(whose) == 1:
        text = "all processes have the same rows" if len(said) > 1 else "one process has it"
    else:
        text = f"{len(said)} processes have {len(whose)} batches"
    if len(parts) > 1:
        text += f", and one of {len(parts)} parts of the neurons"
    elif len(whose) < len(said):
        text += ", which are counted once"
    copies = sorted(said.keys() - by_rank.keys())
    of_inputs = not next(iter(said.values())).shared
    plain = of_inputs and len(parts) == 1 and not copies
    together = len(parts) > 1 or (of_inputs and bool(copies))
    neurons = next(iter(by_rank.values())).neurons
    return Shared(neurons, by_rank, copies, plain, together, text, origin, why)


def layers_of_all(
    said: Sequence[tuple[Sequence[Any], Sequence[Any], Sequence[Any]] | None],
) -> tuple[list[Any], list[Any], dict[str, Shared], list[str]]:
    """Layers of a training, from those of its processes.

    Parameters
    ----------
    said
        By rank its layers as the manifest has them, their descriptions, and its `Evidence` of each; None
        where it has seen nothing yet.

    Returns
    -------
    tuple
        Layers and descriptions, in the order in which ranks have them first; how each is shared; and why
        others are left out.
    """
    layers: dict[str, list[Any]] = {}
    found: dict[str, Any] = {}
    evidence: dict[str, dict[int, Evidence]] = {}
    for rank, one in enumerate(said):
        for layer, description, known in zip(*one, strict=True) if one is not None else ():
            layers.setdefault(layer["name"], []).append(layer)
            found.setdefault(layer["name"], description)
            evidence.setdefault(layer["name"], {})[rank] = Evidence(*known)
    shared, refused = {}, []
    for name in layers:
        try:
            shared[name] = shared_by(name, evidence[name])
        except ShareError as error:
            refused.append(str(error))
    kept = [_said_of_all(layers[name][0], shared[name], layers[name]) for name in shared]
    return kept, [_said_of_all(found[name], shared[name]) for name in shared], shared, refused


def _said_of_all(one: Mapping[str, Any], shared: Shared, all_of_it: Sequence[Any] = ()) -> dict[str, Any]:
    """A layer, or its description, with how it is shared."""
    said = dict(one)
    if "neurons" in said:
        said["neurons"] = shared.neurons
    if any(other.get("prior_parameters") != said.get("prior_parameters") for other in all_of_it):
        said.pop("prior_parameters", None)
    said["origins"] = {**said["origins"], "processes": shared.origin}
    said["processes"] = shared.said
    said["why"] = f"{said['why']}; {shared.said}: {shared.why}"
    if shared.origin == "assumed":
        said["assumed"] = [*said["assumed"], ROWS_ASSUMED]
    return said


Places = dict[int, tuple[Any, int]]
"""By rank whose rows, a key, and which part."""


def _stated_places(
    name: str, said: Mapping[int, Evidence], stated: Mapping[int, Any]
) -> tuple[Places, str, Origin]:
    lacking = sorted(said.keys() - stated.keys())
    kinds = {one if isinstance(one, str) else "numbers" for one in stated.values()}
    if lacking or len(kinds) > 1:
        raise ShareError(f"layer {name!r}: shares is not the same on all processes: {dict(stated)}")
    word = kinds.pop()
    if word == "numbers":
        places: Places = {rank: (rows, part) for rank, (rows, part) in stated.items()}
    else:
        places = {rank: (rank if word == "rows" else 0, rank if word == "neurons" else 0) for rank in said}
    return places, "as stated", "stated"


def _told_places(name: str, said: Mapping[int, Evidence]) -> tuple[Places, str, Origin]:
    """Places, and why, by evidence."""
    meshes = {rank: Placed(*one.placed) for rank, one in said.items() if one.placed is not None}
    for lies in meshes.values():
        if lies.why_not:
            raise ShareError(f"layer {name!r}: {lies.why_not.format(say=SAY.format(name=name))}")
    keys: dict[int, Any] = {}
    for rank, one in said.items():
        mesh = meshes.get(rank)
        keys[rank] = "all" if one.shared else rank if mesh is None else (tuple(mesh.ranks), mesh.rows)
    parts = {rank: meshes[rank].part if rank in meshes else 0 for rank in said}
    same: dict[Any, Any] = {}
    for rank, one in said.items():  # the same numbers are the same rows
        if one.values is not None and not one.shared:
            first = same.setdefault((parts[rank], one.values), keys[rank])
            keys = {other: first if key == keys[rank] else key for other, key in keys.items()}
    for one in said.values():
        if one.shared:
            _refuse_other_weights(name, said, parts)
    _refuse_one_batch(name, said, keys, meshes)
    places = {rank: (keys[rank], parts[rank]) for rank in said}
    if len(set(keys.values())) == 1:
        why = "by its placements on the mesh" if meshes else "by the same numbers on all of them"
        return places, why if len(said) > 1 else "it has run on no other", "named"
    everyone = set(said)
    if all(everyone <= set(one.alike) for one in said.values()):
        return places, "the model is data parallel", "named"
    if all(rank in meshes for rank in said) and len({tuple(lies.ranks) for lies in meshes.values()}) == 1:
        return places, "by its placements on the mesh", "named"
    batches = {keys[rank]: one.batch or one.inside for rank, one in said.items()}
    if None not in batches.values() and len(set(batches.values())) == len(batches):
        return places, "the model is called with other numbers on each", "named"
    return places, f"ASSUMED, since nothing tells: else {SAY.format(name=name)}", "assumed"


def _refuse_other_weights(name: str, said: Mapping[int, Evidence], parts: Mapping[int, int]) -> None:
    """A posterior that all rows share is one, wherever it is."""
    first: dict[int, tuple[int, Evidence]] = {}
    for rank, one in said.items():
        of, known = first.setdefault(parts[rank], (rank, one))
        if known.values != one.values and of not in one.alike:
            raise ShareError(
                f"layer {name!r} is the same for all inputs, but not on ranks {of} and {rank}: each may have"
                f" a part of it; {SAY.format(name=name)}"
            )


def _refuse_one_batch(
    name: str, said: Mapping[int, Evidence], keys: Mapping[int, Any], meshes: Mapping[int, Placed]
) -> None:
    """What differs though the model was called with one batch may be a part of the neurons."""
    first: dict[str, int] = {}
    for rank, one in said.items():
        if one.batch is None:
            continue
        other = first.setdefault(one.batch, rank)
        known = other in one.alike or (
            rank in meshes and other in meshes and meshes[rank].ranks == meshes[other].ranks
        )
        if keys[rank] != keys[other] and not known:
            raise ShareError(
                f"layer {name!r} is not the same on ranks {other} and {rank}, though the model is called with"
                " the same batch: either each has a part of its neurons, or it is random;"
                f" {SAY.format(name=name)}"
            )


def _put_together(
    name: str, said: Mapping[int, Evidence], places: Places, parts: Sequence[int]
) -> dict[int, Share]:
    """Neurons of each rank that counts."""
    holders: dict[tuple[Any, int], int] = {}
    for rank, place in places.items():
        holders.setdefault(place, rank)
    first = next(iter(said.values()))
    if len(parts) == 1:
        every = first.neurons
        return {rank: Share(0, every, every, 0, 1) for rank in holders.values()}
    if not first.separable:
        raise ShareError(
            f"layer {name!r}: its neurons are sharded over devices, and those of its family are not put"
            " together from parts: gather them first (full_tensor(), or an output layout of Replicate())"
        )
    of_part: dict[int, set[int]] = {}
    for (_, part), rank in holders.items():
        of_part.setdefault(part, set()).add(said[rank].neurons)
    whose = dict.fromkeys(rows for rows, _ in places.values())
    lacking = sorted(part for part in parts if any((rows, part) not in holders for rows in whose))
    uneven = sorted(part for part, widths in of_part.items() if len(widths) > 1)
    total = sum(max(widths) for widths in of_part.values())
    whole = {Placed(*one.placed).neurons for one in said.values() if one.placed is not None}
    if lacking or uneven or any(one != total for one in whole):
        widths = {rank: said[rank].neurons for rank in places}
        raise ShareError(
            f"layer {name!r}: the parts of its neurons, {widths} by rank, do not make one layer"
            + (f" of {whole.pop()}" if len(whole) == 1 else "")
            + (f"; part {lacking[0]} is not seen everywhere" if lacking else "")
        )
    starts, start = {}, 0
    for part in parts:
        starts[part] = start
        start += max(of_part[part])
    return {
        rank: Share(starts[part], starts[part] + said[rank].neurons, total, parts.index(part), len(parts))
        for (_, part), rank in holders.items()
    }
