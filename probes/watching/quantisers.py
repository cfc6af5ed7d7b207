"""Code books in a foreign network: modules that put out which codes they picked.

By the conventions of vector-quantize-pytorch, whose quantisers state their size, and of those written by
hand, which hold a table of codes. Of a quantiser that is made of others each is a layer of its own.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from probes.watching.adapters import fields, join
from probes.watching.family_readings import CodeReader
from probes.watching.family_sources import FamilySource
from probes.watching.naming import describe
from probes.watching.posterior_source import NAMED, RANK_NAMED
from probes.watching.slots import CODES, Slot, pick
from probes.watching.tensors import NotReadable

SIZES = ("codebook_size", "num_embeddings", "n_embeddings", "n_embed", "num_codes", "n_codes", "n_e", "K")
"""What quantisers call the number of their codes."""
BOOKS = ("num_codebooks", "heads")
"""What they call the number of code books whose picks stand side by side."""
OF_SEVERAL = (
    "{count} code books, whose picks are {what}: which axis is the code books' cannot be told; call"
    " probes.observe_codes(name, picks, {size}) of each in the forward pass"
)
SPEAKS = re.compile(r"quant|vq|codebook|code_book|fsq|lfq|(^|_)codes?($|_)", re.IGNORECASE)
INDICES = re.compile(r"ind|ids|code|token", re.IGNORECASE)
WHOLE_NUMBERS = (torch.int64, torch.int32, torch.int16, torch.uint8)


def find_codes(model: nn.Module, path: str, output: Any) -> list[FamilySource]:
    """The code books whose picks a module has put out; none where it is no quantiser, or one of a residual
    quantiser's, which says of all its levels which it left out.

    Parameters
    ----------
    model
        That the module is in.
    path, output
        Of the module and its forward pass.

    Raises
    ------
    NotReadable
        Of several code books where the axis that tells them apart is not known.
    """
    module = model.get_submodule(path)
    levels = _levels(module)
    if path.rpartition(".")[2].startswith("_") or _is_level(model, path):
        return []
    if not levels and _is_made_of_quantisers(module):
        return []
    size = code_book_size(levels[0] if levels else module)
    found = _indices(module, output)
    if size is None or found is None:
        return []
    key, indices = found
    if not (
        SPEAKS.search(f"{type(module).__name__} {path}") or _holds_what_was_picked(module, output, indices)
    ):
        return []
    books, axis = (len(levels), -1) if levels else _books(module, indices, size)
    if levels and indices.shape[-1] != books:
        return []
    what, name = "level" if levels else "code book", path or type(module).__name__
    sources = []
    for book in range(books or 1):
        of = f"{what} {book + 1} of {books} in " if books else ""
        codes = (code_book_size(levels[book]) if levels else size) or size
        sources.append(
            FamilySource(
                join(name, str(book)) if books else name,
                path,
                "output",
                Slot(key, (book if axis == -1 else (axis, book)) if books else None, CODES),
                f"{of}a quantiser of {codes} codes ({type(module).__name__}) and the indices that it returns",
                RANK_NAMED,
                layout="rows",
                origins={part: at for part, at in NAMED.items() if part != "prior"},
                reader=CodeReader(codes),
            )
        )
    return sources


def _levels(module: nn.Module) -> list[nn.Module]:
    """The quantisers that a residual quantiser applies one after the other."""
    count, inner = getattr(module, "num_quantizers", None), getattr(module, "layers", None)
    if not isinstance(count, int) or not isinstance(inner, nn.ModuleList) or len(inner) != count:
        return []
    return list(inner) if all(code_book_size(one) is not None for one in inner) else []


def _is_level(model: nn.Module, path: str) -> bool:
    parts = path.split(".")
    return any(_levels(model.get_submodule(".".join(parts[:size]))) for size in range(len(parts)))


def code_book_size(module: nn.Module) -> int | None:
    """Codes of a quantiser: as it says, or the rows of the one table that it holds."""
    for name in SIZES:
        size = getattr(module, name, None)
        if isinstance(size, int) and not isinstance(size, bool) and size > 1:
            return size
    tables = _tables(module)
    return len(tables[0]) if len(tables) == 1 else None


def _tables(module: nn.Module) -> list[Tensor]:
    """(codes, dimensions) tables of a module's own, and of its embeddings."""
    found = [child.weight for child in module.children() if isinstance(child, nn.Embedding)]
    own = (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
    found += [
        value
        for name, value in own
        if value is not None
        and not is_lazy(value)
        and value.dim() == 2
        and value.is_floating_point()
        and re.search("embed|code|weight", name)
    ]
    return found


def _is_made_of_quantisers(module: nn.Module) -> bool:
    return any(
        inner is not module
        and not path.rpartition(".")[2].startswith("_")
        and SPEAKS.search(f"{type(inner).__name__} {path}")
        and not isinstance(inner, (nn.ModuleList, nn.ModuleDict, nn.Embedding))
        and code_book_size(inner) is not None
        for path, inner in module.named_modules()
    )


def _indices(module: nn.Module, output: Any) -> tuple[Any, Tensor] | None:
    """Key and value of the indices in an output."""
    if isinstance(output, Tensor):
        return (None, output) if output.dtype in WHOLE_NUMBERS and output.dim() else None
    found = {
        key: name
        for key, name in fields(module, output).items()
        if isinstance(value := pick(output, key), Tensor) and value.dtype in WHOLE_NUMBERS and value.dim()
    }
    if len(found) > 1:
        found = {key: name for key, name in found.items() if name is not None and INDICES.search(name)}
    if len(found) != 1:
        return None
    key = next(iter(found))
    return key, pick(output, key)


def _books(module: nn.Module, indices: Tensor, size: int) -> tuple[int, int]:
    """Code books whose picks stand side by side in the indices, and the axis that they stand on; (0, -1)
    where there is one. Raises NotReadable where no axis, or more than one, may be theirs.
    """
    held = _held_books(module)
    stated = [count for name in BOOKS if isinstance(count := getattr(module, name, 1), int) and count > 1]
    if held is None and getattr(module, "separate_codebook_per_head", True) is False:
        return 0, -1
    for count in (held,) if held is not None else stated:
        axes = [axis for axis, length in enumerate(indices.shape) if length == count]
        if held is None and indices.shape[-1] == count:  # as vector-quantize-pytorch puts them
            return count, -1
        if len(axes) == 1:
            return count, axes[0] if axes[0] < indices.dim() - 1 else -1
        if held is not None or axes:
            raise NotReadable(OF_SEVERAL.format(count=count, what=describe(indices), size=size))
    return 0, -1


def _held_books(module: nn.Module) -> int | None:
    """Tables of codes that a module holds itself, in a list or in one tensor (code books, codes, dimensions);
    None where it holds at most one.
    """
    own = (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
    counts = [
        len(value)
        for name, value in own
        if value is not None and not is_lazy(value) and value.dim() == 3 and re.search("embed|code", name)
    ]
    for child in module.children():
        if isinstance(child, nn.ModuleList) and all(isinstance(one, nn.Embedding) for one in child):
            counts.append(len(child))
        elif isinstance(child, nn.ParameterList):
            counts.append(sum(isinstance(one, Tensor) and one.dim() == 2 for one in child))
    several = {count for count in counts if count > 1}
    return several.pop() if len(several) == 1 else None


@torch.no_grad()
def _holds_what_was_picked(module: nn.Module, output: Any, indices: Tensor) -> bool:
    """Whether what a module puts out beside the indices are the rows of its table that they name."""
    tables = _tables(module)
    if len(tables) != 1 or bool((indices < 0).any()) or bool((indices >= len(tables[0])).any()):
        return False
    picked = tables[0].detach()[indices.long().reshape(-1)]
    for key in fields(module, output):
        value = pick(output, key)
        if not isinstance(value, Tensor) or value.numel() != picked.numel() or value.dim() < 2:
            continue
        turned = (value, value.movedim(1, -1))
        if any(torch.allclose(one.reshape(picked.shape), picked, rtol=1e-4, atol=1e-5) for one in turned):
            return True
    return False
