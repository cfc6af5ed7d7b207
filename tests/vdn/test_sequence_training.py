"""Training on sequences as a run: log, resume bit for bit, checkpoint by validation, evaluation."""

import os
import signal

import numpy as np
import pandas as pd
import pytest
import torch

import probes
from probes.analysis.score_differences import score_differences
from probes.experiments import store
from probes.log.check import check
from vdn import sweep
from vdn.__main__ import main
from vdn.config import ConfigError, from_dict, resolve
from vdn.data import load
from vdn.evaluate import evaluate, scores
from vdn.sequence_experiment import SequenceSubject, examples, sequence_score
from vdn.sequence_objective import sequence_objective
from vdn.sequence_scores import passes, scores_of_sequences
from vdn.train import resume, train
from vdn.trainer import SequenceTrainer, load_checkpoint, load_run, make_trainer

SMALL = {
    "neurons": 8, "layers": 2, "steps": 14, "batch": 4, "window": 12, "validate_every": 5, "record_every": 1,
    "probe_sequence": 10, "probe_times": 3, "test_draws": 2, "threads": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "text.txt"
    rng = np.random.default_rng(0)
    path.write_text(" ".join(rng.choice(["to", "be", "or", "not", "that"], 400)))
    return f"text:{path}"


@pytest.fixture(autouse=True)
def every_step_reports(monkeypatch):
    monkeypatch.setattr("vdn.train.PROGRESS_SECONDS", 0.0)


def config_of(data, **settings):
    return resolve(from_dict({"data": data, **SMALL, **settings}))


def interrupt_at(step):
    pressed = []

    def report(progress):
        if progress.step >= step and not pressed:
            pressed.append(progress.step)
            os.kill(os.getpid(), signal.SIGINT)

    return report


def rows(folder, table):
    frame = pd.concat([pd.read_parquet(path) for path in sorted((folder / table).rglob("*.parquet"))])
    keys = [key for key in ("step", "split", "name", "layer", "neuron", "t", "input") if key in frame]
    return frame.sort_values(keys, ignore_index=True).drop(columns=["time"], errors="ignore")


def test_log_of_a_run(tmp_path, text):
    run = tmp_path / "run"
    summary = train(config_of(text), run)
    log = probes.Run(run)
    assert summary["status"] == log.status == "finished"
    held = {"held_information", "held_mismatch", "gate", "phi", "persistence", "past"}
    assert held <= set(log.statistics)
    neurons = log.history(0, None, ["kl", "information", "mismatch", "past", "variance", "contraction"])
    np.testing.assert_allclose(
        neurons["kl"], neurons[["information", "mismatch", "past"]].sum(axis=1), atol=2e-5
    )
    np.testing.assert_allclose(neurons["contraction"], 1 - neurons["variance"], atol=1e-6)
    assert log.at(3, statistics=["held_variance"])["held_variance"].between(0, 1).all()
    # the probe sequence: beliefs, what stands there, what was predicted
    assert list(log.sequence_steps()) == list(log.probe_steps()) == [0, 3, 13]
    table = log.sequence(13, "layer 2")
    assert len(table) == 8 * 10
    assert list(table.columns) == ["step", "layer", "neuron", "t", "m", "V", "mu", "sigma", "kl"]
    probe = log.probe(13).query("layer == 1")
    np.testing.assert_allclose(probe["mu"], table["m"], atol=1e-6)
    np.testing.assert_allclose(probe["sigma"] ** 2, table["V"], atol=1e-6)
    stands, predicted = log.inputs()["content"], log.predictions()
    assert list(stands[1:]) == list(predicted["y"][:-1])
    assert predicted["p_1"].between(0, 1).all()
    assert (predicted["conditional_entropy"] <= predicted["entropy"] + 1e-6).all()
    scalars = log.scalars()
    assert {"test unigram", "test bigram", "validation"} <= set(scalars["split"])
    assert set(scalars.query("name == 'draws' and split == 'test'")["value"]) == {2}
    found = store.load(run, "generation")
    assert len(found.tables["continuations"]) == 8 * 200
    assert [finding for finding in check(run) if finding.level == "error"] == []


@pytest.mark.parametrize(
    "extra", [{}, {"twin": True}, {"learn_phi": True, "latent_dim": 2, "draws": 2, "dropout": 0.1}]
)
def test_resume_continues_bit_for_bit(tmp_path, text, extra):
    config = config_of(text, **extra)
    whole = train(config, tmp_path / "whole")
    assert train(config, tmp_path / "parts", interrupt_at(8)) == {"status": "interrupted"}
    assert resume(tmp_path / "parts")["model"] == whole["model"]
    first, second = (load_checkpoint(tmp_path / name) for name in ("whole", "parts"))
    assert all(torch.equal(first["model"][name], second["model"][name]) for name in first["model"])
    assert first["selection"] == second["selection"]
    for table in ["scalars"] + ([] if extra.get("twin") else ["neurons", "sequence", "evaluation"]):
        one, two = (rows(tmp_path / name, table) for name in ("whole", "parts"))
        pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_threads_are_those_of_the_run_and_only_meanwhile(tmp_path, text):
    seen, stop = [], interrupt_at(5)

    def report(progress):
        seen.append(torch.get_num_threads())
        stop(progress)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert train(config_of(text, threads=1), tmp_path / "run", report)["status"] == "interrupted"
        assert torch.get_num_threads() == 2
        assert resume(tmp_path / "run", report)["status"] == "finished"
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {1}


def test_the_best_weights_are_tested_and_loaded(tmp_path, text):
    run = tmp_path / "run"
    summary = train(config_of(text, lr=0.3, steps=12), run)  # so fast that it gets worse
    state = load_checkpoint(run)
    config, task, network = load_run(run)
    best = scores(network, task, "validation", 8, config.seed, 16_384)["nll_joint"]
    validated = probes.Run(run).scalars().query("split == 'validation' and name == 'nll_joint'")
    assert best == pytest.approx(validated["value"].min(), abs=1e-9)
    assert state["selection"]["score"] == pytest.approx(best)
    assert evaluate(run)["model"] == summary["model"]


def test_a_twin_is_found_and_compared(tmp_path, text):
    several = {"window": 2, "split": "0.4,0.1,0.5"}  # sequences of the test split
    train(config_of(text, twin=True, **several), tmp_path / "twin")
    summary = train(config_of(text, **several), tmp_path / "run")
    assert summary["twin"]["nll_joint"] > 0
    assert summary["twin"]["draws"] == 1
    assert probes.Run(tmp_path / "twin").layers[0]["prior"] == "none"
    stored = [probes.Run(tmp_path / name).origin_scores() for name in ("run", "twin")]
    assert stored[0]["nll_joint"].mean() == pytest.approx(summary["model"]["nll_joint"], rel=1e-6)
    line = score_differences(stored[:1], stored[1:]).loc["nll_joint"]
    gap = summary["model"]["nll_joint"] - summary["twin"]["nll_joint"]
    assert line["difference"] == pytest.approx(gap, rel=1e-4)
    assert line["blocks"] == line["origins"] == len(stored[0]) > 1
    told = evaluate(tmp_path / "run")["differences"]
    assert told["scores"]["nll_joint"]["difference"] == pytest.approx(gap, rel=1e-4)
    assert "examples of the test split" in told["of"]


def test_sequences_of_unequal_lengths_are_a_ratio_of_means():
    """Their scores have the mean and the variance that drawing whole sequences anew gives the ratio."""
    draw = np.random.default_rng(0)
    positions = draw.integers(20, 200, 400).astype(float)
    nats = positions * (2 + 0.1 * draw.normal(size=400)) + 5 * draw.normal(size=400)
    found = scores_of_sequences(nats, positions, positions)
    scores = found.scores["nll_joint"]
    assert scores.mean() == pytest.approx(nats.sum() / positions.sum(), rel=1e-12)
    weight = draw.multinomial(400, np.full(400, 1 / 400), 20_000)
    drawn = (weight @ nats / (weight @ positions)).std()
    assert scores.std(ddof=1) / 20 == pytest.approx(drawn, rel=0.03)
    assert found.span == 0


def test_a_limit_holds_where_one_chunk_of_every_sequence_is_more():
    # 2,048 signals of one chunk of 128: scoring all of them beside each validation took most of a run's time
    config = config_of("signal", window=128)
    task = load(config)
    network = make_trainer(config, task).trained
    for split, limit in (("train", 4096), ("validation", 16_384), ("test", 300)):
        seen = [batch for batch, _ in passes(network, task, split, 1, 0, limit)]
        positions = sum(int(batch.mask.sum()) for batch in seen)
        assert limit - 128 < positions <= limit
    taken = torch.cat([batch.y for batch in seen])
    last = task.sequences("test") // 2  # two of them, evenly spread
    assert torch.equal(taken, task.batch("test", torch.tensor([0, last])).y)


def test_a_limit_of_few_long_sequences_is_their_first_chunks(text):
    config = config_of(text)
    task = load(config)
    network = make_trainer(config, task).trained
    seen = [batch for batch, _ in passes(network, task, "train", 1, 0, 2 * 4 * 12)]
    assert task.sequences("train") == 4
    assert [tuple(batch.y.shape) for batch in seen] == [(4, 12)] * 2
    assert [bool(batch.fresh.all()) for batch in seen] == [True, False]


@pytest.mark.parametrize("prior", ["standard", "autoregressive"])
def test_a_transformer_is_trained_and_logged(tmp_path, text, prior):
    settings = {"network": "transformer", "neurons": 16, "prior": prior, "phi": "0.5"}
    summary = train(config_of(text, **settings), tmp_path / "run")
    log = probes.Run(tmp_path / "run")
    assert "persistence" in log.statistics
    assert "held_information" not in log.statistics
    believed, probed = log.sequence(), log.probe(int(log.sequence_steps()[-1]))
    assert len(probed) == len(believed) == 2 * 16 * 10
    by = ["layer", "neuron"]
    believed, probed = (rows.sort_values([*by, at]) for rows, at in ((believed, "t"), (probed, "input")))
    np.testing.assert_allclose(believed["m"], probed["mu"], atol=1e-6)
    np.testing.assert_allclose(believed["V"], probed["sigma"] ** 2, rtol=1e-4)
    assert (believed["kl"] > -1e-5).all()
    found = log.history(
        0,
        None,
        ["kl", "information", "mismatch", "past"]
        if prior != "standard"
        else ["kl", "information", "mismatch"],
    )
    np.testing.assert_allclose(
        found["kl"], found.drop(columns=["step", "layer", "neuron", "kl"]).sum(axis=1), atol=2e-4
    )
    assert summary["model"]["draw_information"] >= 0


def test_beta_rises_over_its_ramp(text):
    config = config_of(text, beta=1.0, beta_ramp=0.5, steps=10)
    trainer = make_trainer(config, load(config))
    assert isinstance(trainer, SequenceTrainer)
    first = trainer.forward()
    assert first.total.item() == pytest.approx(first.scalars["nll"].item())
    trainer.done = 5
    later = trainer.forward()
    assert later.total.item() == pytest.approx(
        (later.scalars["nll"] + later.scalars["rate"]).item(), rel=1e-5
    )


def test_masked_positions_count_nowhere(text):
    config = config_of(text)
    trainer = make_trainer(config, load(config))
    batch = trainer.sequences.batch("train", torch.arange(4))
    batch = batch._replace(mask=batch.mask.clone())
    batch.mask[1, 6:] = False
    noise, start = trainer.network.draw_noise(4, 12), trainer.network.start(4)

    def loss(given):
        output = trainer.network(given.x, start, 1, noise)
        return sequence_objective(trainer.network, output, given, 0.1)

    changed = batch._replace(x=batch.x.clone(), y=batch.y.clone())
    changed.x[1, 6:], changed.y[1, 6:] = 0, 1
    for one, two in zip(loss(batch), loss(changed), strict=True):
        torch.testing.assert_close(one, two)
    whole = loss(batch._replace(mask=torch.ones_like(batch.mask)))
    assert not torch.allclose(whole.distortion, loss(batch).distortion)


def test_other_samples_than_the_neurons_raise_the_nll_to_the_marginals(text):
    """A trained network whose draws are replaced by the prior's knows no more than the shares of symbols."""
    config = config_of(text, steps=150, lr=0.03, neurons=16, beta=1e-4)
    trainer = make_trainer(config, load(config))
    while trainer.done < trainer.steps:
        trainer.step()
    network, task = trainer.network, trainer.sequences
    batch = task.batch("validation", torch.arange(task.count("validation")))
    generator = torch.Generator().manual_seed(0)

    def edit(layer, z):
        return torch.randn(z.shape, generator=generator)

    def nll(edit):
        output = network(batch.x, None, 8, None, edit)
        log_p = network.log_prob(output, batch.y, batch.mask)
        per = np.log(8) - torch.logsumexp(log_p, 0)
        return per[batch.mask].mean().item()

    shares = torch.bincount(task.values, minlength=task.outputs).double()
    marginal = torch.distributions.Categorical(shares).entropy().item()
    with torch.no_grad():
        seeing, blind = nll(None), nll(edit)
    assert seeing < marginal - 0.5
    assert blind > marginal - 0.05


@pytest.mark.parametrize("network", ["recurrent", "transformer"])
def test_each_neuron_is_silenced_along_the_sequence(tmp_path, text, network):
    run = tmp_path / "run"
    train(config_of(text, steps=2, neurons=16, network=network), run)
    assert main(["probe", str(run), "ablation", "--windows", "6", "--draws", "2", "--workers", "1"]) == 0
    effects = store.load(run, "ablation").tables["effects"]
    assert len(effects) == 2 * 16 * 2
    assert (effects["effect"] != 0).all()
    with pytest.raises(ConfigError, match="is finished"):
        resume(run)


def test_a_silenced_neuron_is_what_its_edit_says(text):
    config = config_of(text)
    trainer = make_trainer(config, load(config))
    subject = SequenceSubject(trainer.network)
    x, y = examples(trainer.sequences, "test", 3)
    response = subject.respond(x, 2, 0)
    score = sequence_score(trainer.network, trainer.sequences)["nll"]
    replaced = subject.replace(response, 1, torch.tensor([4]), torch.zeros(1, 1, 1, 1))

    def edit(layer, z):
        z = z.clone()
        z[..., 4, :] = 0 if layer == 1 else z[..., 4, :]
        return z

    generator = torch.Generator().manual_seed(0)
    state = trainer.network.start(len(x), 2, generator)
    noise = trainer.network.draw_noise(*x.shape, 2, generator)
    output = trainer.network.eval()(x, state, 2, noise, edit)
    torch.testing.assert_close(replaced.mean[:, 0], output.parameters.flatten(2))
    log_p = trainer.network.log_prob(output, y.clamp_min(0))
    expected = (np.log(2) - torch.logsumexp(log_p, 0)).mean(1)
    torch.testing.assert_close(score(replaced.mean[:, 0], None, y), expected)
    with pytest.raises(ConfigError, match="twin"):
        SequenceSubject(make_trainer(config_of(text, twin=True), load(config)).network)


def test_experiments_that_do_not_take_sequences_say_so(tmp_path, text, capsys):
    train(config_of(text, steps=2), tmp_path / "run")
    assert main(["probe", str(tmp_path / "run"), "rollout"]) == 2
    assert "rollout does not take sequences" in capsys.readouterr().err


def test_the_jobs_of_a_sweep_over_texts_have_scores_to_compare(tmp_path):
    """Each job's own command, in this process."""
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be " * 200)
    small = ["--steps=2", "--neurons=8", "--batch=4", "--test-draws=2", "--probe-sequence=8", "--threads=1"]
    jobs = sweep.plan(["beta=0.0001,0.01"], "0", tmp_path / "runs")
    for job in jobs:
        assert main(job.command(["--data", f"text:{text}", *small])[3:]) == 0
    results = {job: sweep.test_scores(job.folder) for job in jobs}
    rows = sweep.summarise(results, ["nll_joint", "rate"])
    assert [row["point"] for row in rows] == ["beta=0.0001", "beta=0.01"]
    assert all(0 < row["nll_joint"][0] < np.log(20) * 2 for row in rows)
    assert [load_run(job.folder)[0].beta for job in jobs] == [0.0001, 0.01]
