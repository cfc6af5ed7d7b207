"""What stands between a named head and the sample that is drawn with it: a clamp, a softplus, a batch norm.

Before the layers of a run are settled the graph that autograd has built anyway is walked from what modules
get and return back to the heads. Where mean + scale * noise stands in it, the operations between each head
and that sum are known by the names of the graph's nodes, so that the posterior can be read as it is sampled:
sigma = softplus(fc_sigma) + 1e-4. A constant that is added stands in no node; it is solved from a sample that
a module got (`chains.solve`). Nothing is computed in the model's place, and no node is kept: what is known of
one is a note in its own metadata, which goes with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from probes.watching.as_sampled import (
    MORE_NOISE,
    OTHER_NOISE,
    POSITIVE,
    PRODUCTS,
    Reread,
    as_prepared,
    as_sampled,
    far_from_standard,
    is_like_noise,
    made_otherwise,
    multiplied,
    of_other_noise,
    sides_of,
    unseen,
    with_more,
)
from probes.watching.chains import (
    ADDED,
    Blend,
    Chain,
    Drawn,
    Noisy,
    Noted,
    Step,
    Use,
    Value,
    Where,
    alike,
    blend,
    next_step,
    plain,
    solve,
    then_all,
    together,
)
from probes.watching.evidence import CandidateKey
from probes.watching.graph_nodes import (
    NODES,
    SAME,
    is_closed,
    kind_of,
    saving_is_hooked,
    step_of,
    takes_a_part,
    tensors_in,
)
from probes.watching.hooks import hook_input
from probes.watching.posterior_source import PosteriorSource
from probes.watching.slots import DISTRIBUTION, pick

HELD_BYTES = 16e6  # of heads' outputs that are kept until it is seen what becomes of them
NOTE = "probes.after_head"

SUMS = ("Add", "Sub", "Addcmul", "Normal")
"""Nodes that mean + scale * noise may end in."""

FORMING = ("mul", "exp", "exp2", "sqrt", "rsqrt", "reciprocal", "pow", "log")
"""What makes one form of a scale of another."""


class AfterHeads:
    """Looks, until layers are settled, for what stands between heads and their samples.

    Parameters
    ----------
    modules
        Path -> module, of those whose inputs are looked at; what they return is handed over by `passed`.
    pairs
        Pairs of sibling layers.
    listens
        Whether a forward pass that runs now counts.
    found
        Called once a candidate, with its key, a function of its source that gives the one to read
        (`as_sampled`), and what the heads have put out (mean, scale), as far as it is kept.
    parameters
        Of the model, by path.

    Attributes
    ----------
    inside
        Pair of sibling layers -> the candidate that is computed from it.
    handed_on
        Pair of sibling layers -> the candidate that is the same numbers, as a module returns them.
    sampled
        Candidates of which a sample was seen.
    unlike
        Those of which another sample was seen that is drawn otherwise.
    hooked
        Whether to look at what autograd saved may run somebody's hooks.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        pairs: Iterable[PosteriorSource],
        listens: Callable[[], bool],
        found: Callable[[CandidateKey, Reread, list[tuple[Tensor, Tensor]]], None],
        parameters: Mapping[str, Tensor],
    ) -> None:
        self.inside: dict[CandidateKey, CandidateKey] = {}
        self.handed_on: dict[CandidateKey, CandidateKey] = {}
        self.sampled: set[CandidateKey] = set()
        self.unlike: set[CandidateKey] = set()
        self._distributions: dict[CandidateKey, tuple[Where, Where]] = {}  # loc and scale of returned ones
        # what the first sample of each was made by
        self._ways: dict[tuple[CandidateKey, Where, Where], Any] = {}
        self._noised: set[Where] = set()  # what noise is multiplied with
        self._listens, self._found = listens, found
        self._keys: dict[CandidateKey, tuple[Where, Where]] = {}  # mean and scale of each candidate
        self._seen: set[CandidateKey] = set()
        self._layers: set[str] = set()  # heads that are modules
        self._variables: dict[int, tuple[Where, Tensor]] = {}  # heads that are parameters, by id
        self._held: dict[Where, dict[int, Tensor]] = {}  # by call
        self._calls, self._room, self._budget = 0, HELD_BYTES, NODES
        self._roots: dict[Where, Where] = {}  # a module's output -> the head that it is computed from
        self._forms: dict[CandidateKey, str] = {}  # as their names speak
        self._users: dict[tuple[Where, tuple[Step, ...]], set[Step | None]] = {}  # None: anything else
        self.hooked = False
        self._exits: dict[str, Where | None] = {}
        self._shared: set[str] = set()  # modules that serve others than one head too
        for source in pairs:
            if source.origin == "layers":
                mean, scale = sides = sides_of(source)
                key = source.name, source.rank
                self._keys[key] = (mean, None), (scale, None)
                self._forms[key] = source.slot.form
                for side in sides:
                    if side in parameters:
                        self._variables[id(parameters[side])] = (side, None), parameters[side]
                    else:
                        self._layers.add(side)
        self.handles = [hook_input(module, partial(self._entered, path)) for path, module in modules.items()]

    def close(self) -> None:
        """Remove our hooks and forget all."""
        for handle in self.handles:
            handle.remove()
        self.handles.clear()
        self._held.clear()
        self._variables.clear()
        self._budget = 0

    def forget(self, keys: Collection[CandidateKey]) -> None:
        """A forward pass has raised: forget what heads have put out in it, and that these were told of."""
        for told in (self._seen, self.sampled, self.unlike):
            told -= set(keys)
        self._held.clear()
        self._room = HELD_BYTES

    # ---- what is seen

    def returned(self, source: PosteriorSource, output: Any) -> None:
        """A candidate in a module's output: its tensors are heads, too."""
        if self._budget > 0 and source.origin == "output" and source.function is None:
            with self._safely():
                self._returned(source, output)

    def _returned(self, source: PosteriorSource, output: Any) -> None:
        slot, key = source.slot, (source.name, source.rank)
        if slot.form == DISTRIBUTION:
            distribution = pick(output, slot.mean)
            while hasattr(distribution, "base_dist"):
                distribution = distribution.base_dist
            tensors = [getattr(distribution, "loc", None), getattr(distribution, "scale", None)]
        else:
            tensors = [pick(output, slot.mean), pick(output, slot.scale)]
        places = [(source.path, f"{slot.mean}.loc"), (source.path, f"{slot.mean}.scale")]
        if slot.form != DISTRIBUTION:
            places = [(source.path, slot.mean), (source.path, slot.scale)]  # type: ignore[list-item]
        roots: set[Where] = set()
        as_they_are = True  # the heads' own outputs, under less telling names
        for where, tensor in zip(places, tensors, strict=True):
            if isinstance(tensor, Tensor):
                if isinstance(value := self._walk(tensor), Chain):
                    roots |= self._rooted(value)
                    as_they_are &= not value.steps
                self._begin(where, tensor)
        if slot.form != DISTRIBUTION:
            self._keys[key] = places[0], places[1]
            self._forms.setdefault(key, slot.form)
        else:
            self._distributions[key] = places[0], places[1]
        for other, (mean, scale) in self._keys.items():
            if as_they_are and other in self.sampled and {mean, scale} <= roots and other != key:
                self.handed_on.setdefault(other, key)  # another module's output, under other names
            absorbed = slot.form == DISTRIBUTION or (mean[1] is None and scale[1] is None)
            if not absorbed or other == key or mean not in roots:
                continue
            if scale not in roots and scale[0] in self._layers:
                continue
            if as_they_are:
                self.handed_on.setdefault(other, key)
            if not as_they_are or other[1] > source.rank:
                self.inside.setdefault(other, key)

    def passed(self, path: str, output: Any) -> None:
        """What a module has put out."""
        if self._budget > 0 and (self._keys or self._distributions):
            with self._safely():
                self._passed(path, output)

    def _entered(self, path: str, args: Any) -> None:
        if self._budget > 0 and self._listens():
            self.hooked |= saving_is_hooked()
            if not path:
                self.settle()
                self._held.clear()
                self._room = HELD_BYTES
            with self._safely():
                self._walk_all(args)

    def _walk_all(self, values: Any) -> list[Noted]:
        waits = self._calls and not (self._seen | self.sampled).issuperset(
            (*self._keys, *self._distributions)
        )
        return [self._walk(tensor) for tensor in tensors_in(values)] if waits else []

    @contextmanager
    def _safely(self) -> Iterator[None]:
        """Whatever goes wrong, their training goes on, and nothing more is looked at."""
        try:
            yield
        except Exception:  # noqa: BLE001
            self._budget = 0

    def _passed(self, path: str, output: Any) -> None:
        if path in self._layers and isinstance(output, Tensor):
            self._begin((path, None), output)
            return
        self.hooked |= saving_is_hooked()
        values = self._walk_all(output)
        for value in values:
            if isinstance(value, Chain) and value.head[0] != path:
                self._users.setdefault((value.head, value.steps), set()).add(None)
        whole = values[0] if values and isinstance(output, Tensor) else None
        if isinstance(whole, Noisy) and isinstance(whole.value, Chain) and whole.mask:
            whole = whole.value.then(Step("Mul", None))  # dropout
        root = self._roots.get(whole.head, whole.head) if isinstance(whole, Chain) else None
        if self._exits.setdefault(path, root) != root:
            self._shared.add(path)
        if not isinstance(whole, Chain) or root is None or root[0] not in self._layers or not path:
            return
        if path not in self._shared and any(step.hidden or step.numbers is None for step in whole.steps):
            self._roots[path, None] = root
            self._begin((path, None), output, f"{path}({root[0]})")

    def _begin(self, where: Where, tensor: Tensor, label: str = "") -> None:
        if tensor.grad_fn is None or tensor.layout != torch.strided or tensor.is_nested:
            return
        self.hooked |= saving_is_hooked()
        self._calls += 1
        node: Any = tensor.grad_fn
        node.metadata.setdefault(NOTE, {})[tensor.output_nr] = Chain(where, self._calls, label=label)
        self._room -= tensor.nbytes
        if self._room > 0 and not self._seen.issuperset(self._keys):
            self._held.setdefault(where, {})[self._calls] = tensor.detach().clone()

    def _rooted(self, value: Chain | Blend | Noisy) -> frozenset[Where]:
        value = value.value if isinstance(value, Noisy) else value
        return frozenset(self._roots.get(head, head) for head in value.heads)

    # ---- the graph

    def _walk(self, tensor: Tensor) -> Noted:
        """What a tensor is, in terms of the heads; everything above it is noted on the way."""
        top: Any = tensor.grad_fn
        if top is None:
            return None
        stack = [(top, False)]
        while stack and self._budget > 0:
            node, ready = stack.pop()
            if NOTE in node.metadata:
                continue
            if not ready:
                stack.append((node, True))
                stack += [(above, False) for above, _ in node.next_functions if above is not None]
                continue
            self._budget -= 1
            sample = tensor if node is top else None
            value = self._value(node, sample)
            node.metadata[NOTE] = {None: value}
            for above in (self._noted(*edge) for edge in node.next_functions):
                if isinstance(above, Chain) and not alike([above, value]) and not is_closed(node):
                    self._users.setdefault((above.head, above.steps), set()).add(next_step(above, value))
        return self._noted(top, tensor.output_nr)

    def _noted(self, node: Any, place: int) -> Noted:
        if node is None:
            return None
        variable = getattr(node, "variable", None)
        if variable is not None:
            known = self._variables.get(id(variable))
            return None if known is None else Chain(known[0], 0)
        note: Mapping[int | None, Noted] = node.metadata.get(NOTE, {})
        return note.get(place, note.get(None))

    def _value(self, node: Any, sample: Tensor | None) -> Noted:
        noted = [self._noted(*edge) for edge in node.next_functions]
        drawn = next((value for value in noted if isinstance(value, Drawn)), None)
        values = [None if isinstance(value, Drawn) else value for value in noted]
        known = [value for value in values if value is not None]
        name = kind_of(node)
        if not known:
            return None if drawn is None else self._behind_sample(drawn, node, sample)
        if (
            len(known) > 1
            and name in SUMS
            and (drawn := self._sample(node, name, values, sample)) is not None
        ):
            return drawn
        if len(known) > 1 or name in ("Stack", "Cat"):
            return together(known, name) if name in ("Stack", "Cat") else blend(known, name)
        return self._alone(node, name, values.index(known[0]), known[0])

    def _alone(self, node: Any, name: str, place: int, value: Chain | Blend | Noisy) -> Value:
        """One value that depends on heads, by itself or with others that do not."""
        if name in SAME:
            return (
                replace(value, part=True) if isinstance(value, Chain) and takes_a_part(node, name) else value
            )
        if isinstance(value, Noisy):
            self._noised |= value.value.heads if name == "Mul" else frozenset()
            return blend([value], name)
        others = [edge for index, (edge, _) in enumerate(node.next_functions) if index != place]
        if name in ("Mul", "Div") and others == [None]:
            return self._product(node, name, place, value)
        if name in PRODUCTS and others == [None] and isinstance(value, Chain) and _is_part(value):
            # a covariance's factor, of which it is the diagonal, times noise
            return Noisy(replace(value, steps=(Step(name, None),)), False)
        if not isinstance(value, Chain):
            return value
        if name in ("Add", "Sub", "Rsub") and others in ([None], []):
            negative = name == "Rsub" or (name == "Sub" and place == 1)
            return then_all(value, *([Step("neg")] if negative else []), ADDED)
        # with others that are trained: a layer of its own, or a sum with something else
        return value.then(Step(name, None) if any(others) else step_of(node, name.lower()))

    def _product(self, node: Any, name: str, place: int, value: Chain | Blend) -> Value:
        """A value times, or over, or under what takes no part in training."""
        other = self._operand(node, place)
        if other is None and (name == "Mul" or place == 0) and isinstance(value, Chain):
            # as checkpointing hides it: noise behind what makes a scale positive, else a number
            return (
                Noisy(value, False)
                if _is_positive(value) and name == "Mul"
                else value.then(Step("mul", (None,)))
            )
        if other is None or (other.numel() > 1 and name == "Div"):
            return blend([value], name)
        if other.numel() > 1:
            mask = not bool((other < 0).any())
            self._noised |= frozenset() if mask else value.heads
            return Noisy(value, mask)
        number = float(other)
        if not isinstance(value, Chain) or number == 0:
            return value
        if name == "Div" and place == 1:
            return then_all(value, Step("reciprocal"), *([Step("mul", (number,))] if number != 1 else []))
        return value.then(Step("mul", (number if name == "Mul" else 1 / number,)))

    def _operand(self, node: Any, place: int) -> Tensor | None:
        """The factor that takes no part in training; None where to look would run somebody's hooks."""
        if self.hooked:
            return None
        other = getattr(node, "_saved_other" if place == 0 else "_saved_self", None)
        return other.detach() if isinstance(other, Tensor) else None

    # ---- samples

    def _sample(self, node: Any, name: str, values: list[Value], sample: Tensor | None) -> Drawn | None:
        """What is drawn where a sum is mean + scale * noise of a pair of heads."""
        noise: Tensor | None = None
        if name == "Normal":
            mean, scale = values
        elif name == "Addcmul":
            mean = values[0]
            place = 1 if values[1] is not None else 2
            scale = values[place]
            if not self.hooked:
                noise = getattr(node, "_saved_tensor2" if place == 1 else "_saved_tensor1", None)
        else:
            places = [p for p, value in enumerate(values) if isinstance(value, Noisy) and not value.mask]
            if len(places) != 1:
                return None
            noisy = values[places[0]]
            mean, scale = values[1 - places[0]], noisy.value if isinstance(noisy, Noisy) else None
            noise = self._noise(node.next_functions[places[0]][0])
            if noise is not None and name == "Sub":
                noise = -noise if places[0] == 1 else None
        if isinstance(mean, Noisy):  # a mask on it
            mean = then_all(plain(mean.value), Step("Mul", None))
        if mean is None or scale is None or isinstance(scale, Noisy):
            return None
        roots = self._rooted(mean), self._rooted(scale)
        keys = [key for key, (m, s) in self._keys.items() if m in roots[0] and s in roots[1]]
        own = [key for key, (m, s) in self._distributions.items() if m in roots[0] and s in roots[1]]
        self.sampled.update((*keys, *own))
        way = plain(mean), plain(scale)
        for key in keys:
            first = self._ways.setdefault((key, way[0].head, way[1].head), [one.steps for one in way])
            if first != [one.steps for one in way]:
                self.unlike.add(key)
        if new := [key for key in keys if key not in self._seen]:
            use = Use(plain(mean), plain(scale))
            known = use.opaque is None and not use.hidden
            drawn = Drawn(tuple(new), use, self._put_out(use) if known else None)
            if noise is not None and (said := far_from_standard(noise)) is not None:
                self._tell(
                    new, partial(of_other_noise, mean=said[0], variance=said[1], kurtosis=said[2]), use
                )
                return Drawn(())
            if noise is not None and sample is not None and use.opaque is None:
                use = self._solved(use, noise, sample)
            self._tell(new, partial(as_sampled, use=use), use)
            return drawn
        return Drawn(()) if keys else None

    def _behind_sample(self, drawn: Drawn, node: Any, sample: Tensor | None) -> Drawn | None:
        """What a sample becomes: the same numbers, or a sum with something else, which may be noise of its
        own.
        """
        name = kind_of(node)
        if name not in (*SAME, "Add", "Sub") or not drawn.keys:
            return None
        if name not in SAME:
            drawn = replace(drawn, summed=True)
            if any(
                not isinstance(self._noted(*edge), Drawn) and self._is_noise(edge[0])
                for edge in node.next_functions
            ):
                self._tell_more(drawn, MORE_NOISE)
                return None
        if sample is None or not drawn.summed:
            return drawn
        noise = drawn.noise_of(sample.detach())
        if noise is not None and (said := far_from_standard(noise)) is not None:
            self._tell_more(drawn, OTHER_NOISE.format(*said))
        return None

    def _tell_more(self, drawn: Drawn, because: str) -> None:
        for key in drawn.keys:
            self._found(key, partial(with_more, because=because), [])

    def _is_noise(self, node: Any) -> bool:
        """Whether a product with what takes no part in training, and looks like Gaussian noise."""
        while node is not None and kind_of(node) in SAME:
            node = node.next_functions[0][0]
        if node is None or self.hooked or kind_of(node) not in ("Mul", *PRODUCTS):
            return False
        names = ("_saved_self", "_saved_other", "_saved_mat2", "_saved_vec")
        saved = [getattr(node, name, None) for name in names]
        return any(
            isinstance(one, Tensor) and not one.requires_grad and is_like_noise(one.detach()) for one in saved
        )

    def _noise(self, node: Any) -> Tensor | None:
        while node is not None and kind_of(node) in SAME:
            node = node.next_functions[0][0]
        if node is None:
            return None
        places = [place for place, edge in enumerate(node.next_functions) if self._noted(*edge) is not None]
        return self._operand(node, places[0]) if len(places) == 1 else None

    def _tell(self, keys: Sequence[CandidateKey], reread: Reread, use: Use) -> None:
        self._seen.update(keys)
        outputs = self._outputs_of(use)
        for key in keys:
            self._found(key, reread, outputs)
        for chain in (use.mean, use.scale):
            self._held.pop(chain.head, None)

    def settle(self, last: bool = False) -> None:
        """What is known of pairs whose sample was not seen: what their scale goes through on all ways.

        last: nothing more comes; of pairs of layers that nothing was seen to use, that is said.
        """
        for key, (mean, scale) in list(self._keys.items()):
            if key not in self._seen:
                with self._safely():
                    self._prepared(key, mean, scale)
            heads = [head for head, other in self.handed_on.items() if other == key]
            behind = {scale, *(self._keys[head][1] for head in heads)}
            if last and self.sampled.isdisjoint((key, *heads)) and not self._noised.isdisjoint(behind):
                self._found(key, multiplied, [])
                continue
            outside = mean[1] is not None or key in self.handed_on  # whoever gets it, uses it by its name
            if (
                last
                and not outside
                and key not in self._seen
                and not self._users.get((scale, ()), scale[0] not in self._layers)
            ):
                self._found(key, unseen, [])
            elif last and key not in self._seen and (chain := self._only_way(scale)).has_own_factor:
                self._found(key, partial(made_otherwise, chain=chain), [])

    def _only_way(self, head: Where) -> Chain:
        """What a head goes through on all ways, as far as that is one."""
        chain = Chain(head, 0)
        while len(users := self._users.get((head, chain.steps), set())) == 1:
            (step,) = users
            if step is None or step.numbers is None:
                break
            chain = replace(chain, steps=(*chain.steps, step))
        return chain

    def _prepared(self, key: CandidateKey, mean: Where, scale: Where) -> None:
        chain = Chain(scale, 0)
        while len(users := self._users.get((scale, chain.steps), set())) == 1:
            (step,) = users
            if step is None or step.numbers is None or step.name in FORMING:
                break
            chain = replace(chain, steps=(*chain.steps, step))
        outputs = self._outputs_of(use := Use(Chain(mean, 0), chain))
        if chain.steps and outputs:
            lowest = min(float(chain.apply(scale).min()) for _, scale in outputs)
            reread = partial(as_prepared, scale=chain, named=self._forms[key], lowest=lowest)
            self._tell([key], reread, use)

    def _outputs_of(self, use: Use) -> list[tuple[Tensor, Tensor]]:
        """What the heads of a use have put out, call by call, as far as it is kept."""
        means, scales = (self._outputs(chain.head) for chain in (use.mean, use.scale))
        return list(zip(means, scales * len(means) if len(scales) == 1 else scales, strict=False))

    def _outputs(self, head: Where) -> list[Tensor]:
        fixed = [value.detach() for where, value in self._variables.values() if where == head]
        return fixed or [value for _, value in sorted(self._held.get(head, {}).items())]

    def _solved(self, use: Use, noise: Tensor, z: Tensor) -> Use:
        outputs = self._put_out(use)
        if outputs is None or z.shape != noise.shape:
            return use
        try:
            return solve(use, *outputs, noise, z)
        except RuntimeError:  # of other shapes
            return use

    def _put_out(self, use: Use) -> tuple[Tensor, Tensor] | None:
        """What the heads of a use have put out in its call, where that is kept."""
        try:
            mean, scale = (
                self._held[chain.head][chain.call] if chain.call else self._outputs(chain.head)[0]
                for chain in (use.mean, use.scale)
            )
        except (KeyError, IndexError):
            return None
        return mean, scale


def _is_positive(value: Value) -> bool:
    """Whether something was made of a head that makes a scale positive."""
    return isinstance(value, Chain) and any(step.name in POSITIVE for step in value.steps)


def _is_part(chain: Chain) -> bool:
    """Whether a scale was put together with something else that is trained: what stands off a diagonal. A
    diagonal by itself mixes no components.
    """
    return _is_positive(chain) and any(
        step.numbers is None and step.name[0].isupper() for step in chain.steps
    )
