"""How processes share a layer: decided by what they say of it, and put together by what they have."""

import os
import warnings

import pytest
import torch
from torch import nn

import probes
from probes.run import Run
from probes.watching.shares import Evidence, Placed, Share, ShareError, digest, shared_by, stated_shares
from tests.probes.watching import rank_training as training
from tests.probes.watching import share_training as sharing
from tests.probes.watching.test_ranks import compare

CLOSE = 1e-5


def evidence(neurons=4, **known):
    return Evidence(neurons, known.pop("separable", True), known.pop("shared", False), **known)


def on_mesh(part, parts=2, rows=0, ranks=(0, 1), neurons=4, why_not=""):
    return Placed(list(ranks), rows, part, parts, neurons, why_not)


# ---- decided


def test_parts_by_placements_stand_in_their_order_whatever_their_ranks():
    said = {0: evidence(3, placed=on_mesh(1, neurons=7)), 1: evidence(4, placed=on_mesh(0, neurons=7))}
    found = shared_by("z", said)
    assert found.by_rank == {0: Share(4, 7, 7, 1, 2), 1: Share(0, 4, 7, 0, 2)}
    assert (found.neurons, found.origin, found.plain, found.together) == (7, "named", False, True)


def test_the_same_numbers_are_the_same_rows_and_count_once():
    found = shared_by("z", {rank: evidence(values="a", batch="x") for rank in range(3)})
    assert (list(found.by_rank), found.copies) == ([0], [1, 2])
    assert "counted once" in found.said


def test_other_inputs_are_other_rows():
    found = shared_by("z", {rank: evidence(values=f"v{rank}", batch=f"b{rank}") for rank in range(3)})
    assert (len(found.by_rank), found.plain, found.origin) == (3, True, "named")
    inside = {rank: evidence(values=f"v{rank}", inside=f"b{rank}") for rank in range(3)}
    assert shared_by("z", inside).origin == "named"
    same = {rank: evidence(values=f"v{rank}", inside="b") for rank in range(3)}
    assert (shared_by("z", same).plain, shared_by("z", same).origin) == (True, "assumed")


def test_where_nothing_tells_rows_of_its_own_are_assumed():
    found = shared_by("z", {rank: evidence(values=f"v{rank}") for rank in range(2)})
    assert (found.plain, found.origin) == (True, "assumed")
    assert "ASSUMED" in found.why
    alike = shared_by("z", {rank: evidence(values=f"v{rank}", alike=[0, 1]) for rank in range(2)})
    assert alike.origin == "named"


def test_rows_that_do_not_differ_are_no_evidence_of_copies():
    assert len(shared_by("z", {rank: evidence(values=None) for rank in range(2)}).by_rank) == 2


def test_one_batch_and_other_numbers_are_refused_until_it_is_said_what_they_are():
    said = {rank: evidence(2, values=f"v{rank}", batch="x") for rank in range(2)}
    with pytest.raises(ShareError, match=r"same batch.*shares=\{'z': 'neurons'\}"):
        shared_by("z", said)
    stated = {rank: one._replace(stated="neurons") for rank, one in said.items()}
    assert shared_by("z", stated).by_rank[1] == Share(2, 4, 4, 1, 2)
    rows = shared_by("z", {rank: one._replace(stated="rows") for rank, one in said.items()})
    assert (rows.plain, rows.origin) == (True, "stated")
    replicas = {rank: one._replace(alike=[0, 1]) for rank, one in said.items()}
    assert shared_by("z", replicas).plain  # data parallel: what differs is random


def test_groups_of_parts():
    """Two groups of processes with batches of their own, each with a whole layer in two parts."""
    said = {
        rank: evidence(2, batch=f"b{rank // 2}", values=f"v{rank}",
                       placed=on_mesh(rank % 2, ranks=(rank - rank % 2, rank - rank % 2 + 1)))
        for rank in range(4)
    }  # fmt: skip
    found = shared_by("z", said)
    assert [found.by_rank[rank].part for rank in range(4)] == [0, 1, 0, 1]
    assert found.neurons == 4
    stated = shared_by("z", {rank: evidence(2, stated=[rank // 2, rank % 2]) for rank in range(4)})
    assert stated.by_rank == found.by_rank


def test_parts_that_make_no_layer_are_refused():
    short = {0: evidence(2, placed=on_mesh(0)), 1: evidence(1, placed=on_mesh(1))}
    with pytest.raises(ShareError, match="do not make one layer of 4"):
        shared_by("z", short)
    lacking = {rank: evidence(2, stated=[rank // 2, rank % 2]) for rank in (0, 1, 2)}
    with pytest.raises(ShareError, match="part 1 is not seen everywhere"):
        shared_by("z", lacking)
    of_codes = {rank: evidence(2, separable=False, stated="neurons") for rank in range(2)}
    with pytest.raises(ShareError, match="gather them first"):
        shared_by("z", of_codes)
    summands = {rank: evidence(4, placed=on_mesh(0, 1, why_not="a summand")) for rank in range(2)}
    with pytest.raises(ShareError, match="a summand"):
        shared_by("z", summands)
    with pytest.raises(ShareError, match="not the same on all processes"):
        shared_by("z", {0: evidence(stated="rows"), 1: evidence()})


def test_weights_that_are_one_everywhere_are_counted_once_and_others_refused():
    same = shared_by("w", {rank: evidence(shared=True, values="a") for rank in range(2)})
    assert (list(same.by_rank), same.plain, same.together) == ([0], False, False)
    with pytest.raises(ShareError, match="not on ranks 0 and 1"):
        shared_by("w", {rank: evidence(shared=True, values=f"v{rank}") for rank in range(2)})
    only = shared_by("w", {1: evidence(shared=True, values="a")})  # a stage of a pipeline
    assert list(only.by_rank) == [1]


@pytest.mark.parametrize("share", ["row", 3, (1,), (0, -1), (0.5, 1)])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(ValueError, match=r"shares: 'z\*' is .*'rows', 'copies', 'neurons'"):
        stated_shares({"z*": share})
    with pytest.raises(ValueError, match="shares"):
        probes.watch(nn.Linear(2, 2), "unused", shares={"z*": share})


def test_a_digest_tells_numbers_shapes_and_kinds():
    x = torch.arange(6.0)
    assert digest([x]) == digest([x.clone()])
    others = [x.view(2, 3), x.double(), x + 1, x.flip(0)]
    assert len({digest([one]) for one in (x, *others)}) == 5
    assert digest([torch.ones(4), torch.zeros(())]) is None


# ---- recorded


@pytest.mark.parametrize(
    ("style", "size", "groups"),
    [("dtensor", 2, 1), ("gathered", 2, 1), ("local", 4, 2), ("local", 4, 1)],
)
def test_tensor_parallel_gives_the_statistics_of_one_process(tmp_path, style, size, groups):
    """Five neurons of four processes are 2, 2, 1 and none."""
    found = training.run(sharing.parallel, tmp_path / "ranks", size, style=style, groups=groups)
    sharing.alone(tmp_path / "whole", groups=groups)
    run = Run(tmp_path / "ranks" / "run")
    compare(run, Run(tmp_path / "whole"), CLOSE)
    assert run.at(0, "small_mu")["rows"].tolist() == [sharing.ROWS * groups] * 3
    assert [layer["neurons"] for layer in run.layers] == [3, sharing.NEURONS]
    assert [lost for (_, lost), _ in found.values()] == [0] * size
    assert all("probes" not in one for _, said in found.values() for one in said)
    for layer in run.layers:
        assert layer["origins"]["processes"] == "named"
        assert "process has rows of its own" not in " ".join(layer["assumed"])


def by_hand(rank, size, folder, widths=(2, 3), fails=False, at=None, stated=None, hooks=False, **options):
    """Each process has its own columns of the heads; three processes of each have a mask and pairs."""
    torch.manual_seed(0)
    layer = nn.Linear(6, 3 * sum(widths))
    start = sum(widths[:rank]) if stated != "whole" else 0
    own = slice(start, start + widths[rank] if stated != "whole" else sum(widths))
    stated = None if stated == "whole" else stated
    with probes.watch(
        layer, folder / "run", hooks=hooks, shares=stated, flush_steps=4, **options
    ) as recording:
        for step in range(9):
            if rank == size - 1 and step == at:
                os._exit(1)
            x = sharing.inputs(step)
            mu, scale, logits = layer(x).detach().chunk(3, -1)
            keep = x[:, 0] > -0.5
            previous = (0.7 * mu + 0.2)[:, own]
            part, sd = mu[:, own], (scale / 3).exp()[:, own]
            if not (fails and rank == 1 and step == 5):
                probes.observe("wide", part, sd, prior=(0.5, 2.0), mask=keep, previous=previous)
            probes.observe("odds", torch.distributions.Bernoulli(logits=logits[:, own]))
            recording.step(step)
    return recording.lost, [dict(one) for one in recording.found]


def test_parts_by_hand_with_masks_priors_pairs_and_classes(tmp_path):
    shares = {"*": "neurons"}
    training.run(by_hand, tmp_path / "ranks", 2, stated=shares)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        by_hand(0, 1, tmp_path / "whole", stated="whole")
    run = Run(tmp_path / "ranks" / "run")
    compare(run, Run(tmp_path / "whole" / "run"), CLOSE)
    assert 0 < run.at(0, "wide")["rows"][0] < sharing.ROWS
    assert "persistence" in run.at(0, "wide")
    assert [layer["origins"]["processes"] for layer in run.layers] == ["stated", "stated"]


def test_steps_of_which_a_part_is_lost_are_left_out_and_said(tmp_path):
    found = training.run(by_hand, tmp_path, 2, stated={"*": "neurons"}, fails=True)
    run = Run(tmp_path / "run")
    told = run.history("wide", [0], ["kl"]).dropna()["step"].tolist()
    assert told == [step for step in range(9) if step != 5]
    assert run.history("odds", [0], ["kl"])["step"].tolist() == list(range(9))
    assert any("not all processes have are left out: 5" in one for one in found[0][1])


def test_a_process_that_dies_leaves_what_was_put_together(tmp_path):
    found = training.run(by_hand, tmp_path, 3, expected=2, stated={"*": "neurons"}, widths=(2, 2, 1), at=6)
    run = Run(tmp_path / "run")
    assert (run.status, run.steps.tolist()) == ("interrupted", [0, 1, 2, 3])
    assert [layer["neurons"] for layer in run.layers] == [5, 5]
    assert any("a process of the training was lost" in one for one in found[0][1])


def same_batch(rank, size, folder, **options):
    """The model is called with one batch everywhere, and its columns differ: nothing says why."""
    torch.manual_seed(rank)

    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc_mu, self.fc_logvar = nn.Linear(6, 2), nn.Linear(6, 2)

        def forward(self, x):
            return self.fc_mu(x), self.fc_logvar(x)

    return sharing.train(Heads(), folder / "run", 3, lambda step: [sharing.inputs(step)], **options)


def test_a_part_that_may_be_one_is_refused_and_training_goes_on(tmp_path):
    found = training.run(same_batch, tmp_path, 2)
    assert any("called with the same batch" in one and "'neurons'" in one for one in found[0][1])
    run = Run(tmp_path / "run")
    assert not run.layers
    assert "same batch" in run.config["watch"]["refused"][0]


def stages(rank, size, folder, last=1, **options):
    """A pipeline: one stage alone has a posterior."""
    torch.manual_seed(0)
    model = nn.Linear(6, 4)
    with probes.watch(model, folder / "run", hooks=False, flush_steps=2, **options) as recording:
        for step in range(6):
            if rank == last:
                mu, log = model(sharing.inputs(step)).chunk(2, -1)
                probes.observe("latent", mu, log.exp())
            recording.step(step)
    return recording.lost


@pytest.mark.parametrize("last", [0, 1])
def test_a_stage_without_posteriors_holds_nobody_up(tmp_path, last):
    found = training.run(stages, tmp_path, 2, last=last, patience=20)
    run = Run(tmp_path / "run")
    assert (run.status, run.steps.tolist()) == ("finished", list(range(6)))
    assert run.at(0, "latent")["rows"].tolist() == [sharing.ROWS] * 2
    assert [lost for lost, _ in found.values()] == [0, 0]


def looked_at(rank, size, folder, **options):
    """With inputs to be looked at, which one process alone would wait for without an end."""
    return sharing.parallel(rank, size, folder, inputs=torch.randn(4, 6), **options)


def test_inputs_are_not_run_by_one_process_of_a_model_that_all_run_together(tmp_path):
    found = training.run(looked_at, tmp_path, 2)
    assert Run(tmp_path / "run").status == "finished"
    assert any("inputs= are run by rank 0 alone" in one and "snapshot" in one for one in found[0][1])
