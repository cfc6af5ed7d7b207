"""The committed sample runs are what a fresh machine opens: of the current format, whole, small, and what
their names say.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import probes
from probes import schema
from probes.alerts import alerts
from probes.analysis import posteriors, sequence_features
from probes.experiments import store
from probes.log.check import check

FOLDER = Path(__file__).resolve().parents[2] / "sample_runs"
RUNS = sorted(path.parent for path in FOLDER.glob("*/run.json"))
SWEEP = sorted(path.parent for path in FOLDER.glob("sweep/*/run.json"))
# as sample_runs/make.py trains them
OURS = [FOLDER / name for name in ("classes", "informed", "persistent", "collapsed", "healthy")]
SEQUENCES = [FOLDER / name for name in ("text", "signal")]
WATCHED = {  # as examples/ write them: how each layer was found
    "digits-vae": {"VAE": ("mu=1, log_var=2", "activations")},
    "lightning-bottleneck": {"encoder": ("distribution", "activations")},
    "pyro-vae": {"z": ("distribution=z", "activations")},
    "text-collapse": {"TextVAE": ("mu=1, log_var=2", "activations")},
    "text-rescued": {"TextVAE": ("mu=1, log_var=2", "activations")},
    "pyro-regression": {"weight_unconstrained": ("distribution=weight_unconstrained", "shared variables")},
}
FAMILIES = {  # those of other families, handed over: layers, families
    "digits-vqvae": {"digits": "codes"},
    "signal-rssm": {"state": "categorical"},
    "uncertainty": {"ensemble": "samples", "dropout": "samples"},
}
MEGABYTE = 1e6


@pytest.mark.parametrize("path", [*RUNS, *SWEEP], ids=lambda path: path.name)
def test_format_is_current(path):
    version = json.loads((path / "run.json").read_text())["format"]
    assert version == schema.FORMAT_VERSION, (
        f"{path.name} is of format {version}: make it anew with `make sample`"
    )


def test_these_are_all():
    assert {path.name for path in RUNS} == {path.name for path in [*OURS, *SEQUENCES]} | {*WATCHED, *FAMILIES}


@pytest.mark.parametrize("path", [*RUNS, SWEEP[0], SWEEP[-1]], ids=lambda path: path.name)
def test_each_is_whole_and_finished(path):
    run = probes.Run(path)
    assert set(run.statistics) <= set(schema.STATISTICS)
    assert run.status == "finished"
    assert check(path) == []


@pytest.mark.parametrize("name", WATCHED)
def test_a_watched_run_says_how_its_layers_were_found_and_leaves_the_prior(name):
    run = probes.Run(FOLDER / name)
    parts = run.config["watch"]["parts"]
    assert {part["name"]: (part["read"], part["of"]) for part in parts} == WATCHED[name]
    assert all(part["why"] for part in parts)
    first, last = (run.at(int(step)) for step in run.steps[[0, -1]])
    assert last["kl"].sum() > first["kl"].sum()
    assert "loss" in set(run.scalars()["name"])


@pytest.mark.parametrize("name", ["digits-vae", "pyro-regression"])
def test_a_watched_run_starts_at_its_prior(name):
    run = probes.Run(FOLDER / name)
    assert run.at(int(run.steps[0]))["variance"].to_numpy() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_run_of_another_family_has_its_layers_and_no_gaussian_numbers(name):
    run = probes.Run(FOLDER / name)
    assert {layer["name"]: layer["family"] for layer in run.layers} == FAMILIES[name]
    assert _size(FOLDER / name) < 0.2 * MEGABYTE
    absent = {"codes": {"kl", "mean", "variance"}, "categorical": {"mean", "variance", "spread"}}
    absent["samples"] = {"kl", "information", "entropy"}
    assert not absent[run.layers[0]["family"]] & set(run.statistics)


def test_the_code_book_loses_codes_and_gets_them_back_where_they_are_restarted():
    run = probes.Run(FOLDER / "digits-vqvae")
    summary = run.layer_summary().set_index("step")
    dead = summary["layer_dead_codes"]
    restarts = run.events().query("kind == 'restart'")
    first = int(restarts["step"].min())
    assert dead.loc[10:120].min() <= 2
    assert dead[first - 10] >= 40
    assert (restarts["step"] == first).sum() == pytest.approx(dead[first], abs=2)
    assert dead.loc[first + 50 :].max() == 0
    assert summary["layer_perplexity"].iloc[-1] > 4 * summary["layer_perplexity"][first]
    losses = run.scalars().query("split == 'validation' and name == 'loss'").set_index("step")["value"]
    assert losses.iloc[-1] < losses[losses.index < first].min() - 4


def test_the_state_space_model_learns_to_foresee_what_its_state_tells():
    run = probes.Run(FOLDER / "signal-rssm")
    last = run.at(int(run.steps[-1]))
    assert run.layers[0]["classes"] == 8
    assert run.layers[0]["prior"] == "given"
    assert "mismatch" not in run.statistics  # the prior differs from row to row
    assert (last["prior_entropy"] < np.log(8) / 2).all()  # of the prior network, not of a uniform one
    assert (last["kl"] > 0.1).all()
    assert (last["entropy"] < last["prior_entropy"]).all()


def test_an_ensemble_knows_what_it_does_not_know():
    """The last four places lie where there are no data."""
    run = probes.Run(FOLDER / "uncertainty")
    steps = [int(step) for step in run.steps]
    ensemble = [run.at(step, 0)["variance"].to_numpy() for step in (steps[len(steps) // 4], steps[-1])]
    for variance in ensemble:
        assert variance[4:].min() > 5 * variance[:4].max()


def test_experiments_on_a_watched_network_are_stored_with_it():
    path = FOLDER / "digits-vae"
    assert store.stored(path) == ["ablation", "traversal"]
    assert store.load(path, "traversal").settings["image"] == [8, 8]


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_the_start_is_the_prior(path):
    run = probes.Run(path)
    first = run.at(int(run.steps[0]))
    assert first["variance"].to_numpy() == pytest.approx(1, abs=0.1)  # of the stationary prior
    assert first["spread"].max() < 0.01


def test_the_two_that_a_newcomer_compares():
    shares = {name: _living_at_the_end(FOLDER / name) for name in ("healthy", "collapsed")}
    assert min(shares["healthy"]) >= 0.9
    assert shares["collapsed"][0] >= 0.9  # the first layer lives ...
    assert max(shares["collapsed"][1:]) <= 0.1  # ... and the deep ones died


def test_the_text_that_collapsed_says_so_and_the_one_that_was_rescued_lives():
    collapsed, rescued = (probes.Run(FOLDER / f"text-{name}") for name in ("collapse", "rescued"))
    assert _living_at_the_end(Path(collapsed.path))[0] < 0.1
    assert _living_at_the_end(Path(rescued.path))[0] > 0.8
    left = alerts(collapsed).query("kind == 'left living'").iloc[0]
    assert len(left["neurons"]) >= 8
    assert "lower beta" in left["advice"]
    assert "left living" not in set(alerts(rescued)["kind"])
    bounds = [
        run.scalars().query("name == 'importance_weighted_bound'")["value"].item()
        for run in (collapsed, rescued)
    ]
    assert bounds[1] > bounds[0]
    assert max(_size(Path(run.path)) for run in (collapsed, rescued)) < 0.4 * MEGABYTE


@pytest.mark.parametrize("path", SEQUENCES, ids=lambda path: path.name)
def test_a_sequence_has_its_probe_sequence_and_continuations(path):
    run = probes.Run(path)
    assert len(run.sequence_steps()) == 8
    first, last = (run.sequence(int(step)) for step in run.sequence_steps()[[0, -1]])
    assert len(run.inputs()) == last["t"].nunique() == len(run.predictions())
    assert last["V"].mean() < 0.5 * first["V"].mean()
    assert store.load(path, "generation").tables["continuations"]["trajectory"].nunique() == 8


def test_some_neurons_of_the_text_notice_the_end_of_a_line():
    run = probes.Run(FOLDER / "text")
    named = sequence_features.features(sequence_features.read_positions(run.inputs()["content"].tolist()))
    rows = run.sequence().pivot_table(index="t", columns=["layer", "neuron"], values="kl")
    found = sequence_features.associations(rows.to_numpy(), named)
    assert (found.p_neurons[:, found.names.index("line's end")] <= 0.05).sum() >= 3


def test_the_sequences_are_small():
    assert sum(_size(path) for path in SEQUENCES) < 3 * MEGABYTE


def _size(path, experiments=True):
    """Bytes of a run's files, with or without those of its experiments."""
    files = [file for file in path.rglob("*") if file.is_file()]
    return sum(
        file.stat().st_size
        for file in files
        if experiments or "experiments" not in file.relative_to(path).parts
    )


def test_healthy_and_collapsed_are_small_and_carry_checkpoints():
    size = 0
    for name in ("healthy", "collapsed"):
        summary = (FOLDER / name / "neuron_summary.parquet").stat().st_size
        assert summary < 20_000
        size += _size(FOLDER / name, experiments=False) - summary
        state = torch.load(FOLDER / name / "checkpoints" / "best.pt", weights_only=True)
        assert state["model"]
    assert size < 3 * MEGABYTE


def test_all_together_are_small():
    assert max(_size(path, experiments=False) for path in RUNS) < 2 * MEGABYTE
    assert sum(_size(FOLDER / name) for name in (*WATCHED, *FAMILIES)) < 2 * MEGABYTE
    assert sum(_size(path) for path in (*RUNS, *SWEEP)) < 16 * MEGABYTE


def test_the_sweep_is_a_grid_in_which_layers_collapse_at_some_points_and_not_at_others():
    with probes.fleet(FOLDER / "sweep") as fleet:
        assert fleet.varying() == ["beta", "lr", "seed"]
        collapsed = fleet.sql(
            "select beta, lr, layer, avg((regime_name in ('dead', 'at prior'))::int) as share, count(distinct"
            " seed) as seeds from neurons join runs using (run) group by all"
        )
    assert len(SWEEP) == 24
    assert len(collapsed) == 4 * 3 * 3
    assert set(collapsed["seeds"]) == {2}
    at = collapsed.set_index(["beta", "lr", "layer"])["share"]
    assert at[0.03].max() == 0
    assert at[1.0, 0.01, 1] == at[1.0, 0.01, 2] == 1
    assert at[1.0, 0.001, 0] == 0
    assert sum(_size(path) for path in SWEEP) < 4 * MEGABYTE


def test_every_experiment_can_be_seen_before_one_is_run():
    assert store.stored(FOLDER / "healthy") == ["ablation", "risk-coverage", "rollout", "shift", "traversal"]


def test_the_dashboard_opens_on_the_healthy_one():
    created = {path.name: probes.Run(path).manifest["created"] for path in (*RUNS, *SWEEP)}
    assert max(created, key=created.__getitem__) == "healthy"


@pytest.mark.parametrize(
    "path",
    OURS[1:],  # of images one by one nothing is a sequence
    ids=lambda path: path.name,
)
def test_probe_batch_has_spread_inputs_and_a_sequence(path):
    run = probes.Run(path)
    parts = posteriors.split_inputs(run.probe(), run.config)
    assert (parts.spread["input"].nunique(), parts.sequence["input"].nunique()) == (64, 96)
    forces = run.forces()
    assert set(forces["term"]) == {"nll", "kl", "total"}
    assert sorted(forces["step"].unique()) == run.probe_steps().tolist()


def test_where_the_first_layer_settled_the_terms_of_the_loss_pull_against_each_other():
    """In `collapsed` beta is high: the likelihood wants movement and narrow posteriors, the KL the opposite,
    about as much.
    """
    forces = probes.Run(FOLDER / "collapsed").forces()
    last = forces[(forces["step"] == forces["step"].max()) & (forces["layer"] == 0)]
    for name, sign in (("pull_mu", 1), ("pull_sigma", -1)):
        pulls = last.pivot_table(index="neuron", columns="term", values=name)
        assert np.sign(pulls["nll"].mean()) == sign
        assert np.sign(pulls["kl"].mean()) == -sign
        assert abs(pulls["total"].mean()) < 0.5 * pulls["kl"].abs().mean()
        assert np.corrcoef(pulls["nll"], pulls["kl"])[0, 1] < -0.6


def _living_at_the_end(path: Path) -> list[float]:
    run = probes.Run(path)
    last = run.at(int(run.steps[-1]))
    return last["regime"].isin(schema.LIVING_REGIMES).groupby(last["layer"]).mean().tolist()
