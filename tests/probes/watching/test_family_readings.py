"""Any distribution, handed over: its numbers are those of torch, its prior is its own or said."""

from contextlib import nullcontext

import networks
import numpy as np
import pytest
import torch
import torch.distributions as td
import torch.nn.functional as F
from networks import BATCH, NEURONS
from torch import nn
from torch.distributions import kl_divergence

from probes.run import Run
from probes.watching.attaching import watch
from probes.watching.observing import observe, observe_codes, observe_samples

C = 3
torch.manual_seed(0)
H = torch.randn(BATCH, NEURONS)
L = torch.randn(BATCH, NEURONS, C)
POSITIVE = F.softplus(H) + 0.1


def handed_over(path, *given, steps=1, **options):
    """The run of one layer, and what was said of it."""
    with watch(nn.Linear(1, 1), path, hooks=False, strict=True) as recording:
        for step in range(steps):
            observe("z", *given, **options)
            recording.step(step)
    return Run(path), recording.found[0]


def one_hot(logits, kind=td.OneHotCategorical):
    return td.Independent(kind(logits=logits), 1)


SAME_FAMILY = {
    "categorical": (td.Categorical(logits=L), td.Categorical(logits=torch.zeros(NEURONS, C))),
    "one-hot": (one_hot(L), one_hot(torch.randn(NEURONS, C))),
    "straight through": (one_hot(L, td.OneHotCategoricalStraightThrough), one_hot(torch.zeros(NEURONS, C))),
    "bernoulli": (td.Bernoulli(logits=H), td.Bernoulli(torch.full((NEURONS,), 0.3))),
    "beta": (td.Beta(POSITIVE, POSITIVE.flip(0)), td.Beta(torch.tensor(2.0), torch.tensor(1.0))),
    "gamma": (td.Gamma(POSITIVE, POSITIVE.flip(1)), td.Gamma(torch.tensor(2.0), torch.tensor(1.0))),
    "dirichlet": (td.Dirichlet(L.exp()), td.Dirichlet(torch.ones(C))),
    "exponential": (td.Exponential(POSITIVE), td.Exponential(torch.tensor(1.0))),
    "poisson": (td.Poisson(POSITIVE), td.Poisson(torch.tensor(1.0))),
    "laplace": (td.Laplace(H, POSITIVE), td.Laplace(torch.tensor(0.0), torch.tensor(1.0))),
    "log-normal": (td.LogNormal(H, POSITIVE), td.LogNormal(torch.tensor(0.0), torch.tensor(1.0))),
}


@pytest.mark.parametrize("name", SAME_FAMILY)
def test_the_kl_is_torchs_and_splits_into_information_and_mismatch(tmp_path, name):
    q, p = SAME_FAMILY[name]
    run, found = handed_over(tmp_path / "run", q, prior=p)
    own = [one.base_dist if isinstance(one, td.Independent) else one for one in (q, p)]
    exact = kl_divergence(own[0], own[1].expand(own[0].batch_shape)).mean(0)
    frame = run.at(0)
    np.testing.assert_allclose(frame["kl"], exact, rtol=2e-4, atol=2e-6)
    assert found["origins"]["prior"] == "stated"
    if "mismatch" in frame:
        np.testing.assert_allclose(
            frame["kl"], frame["information"] + frame["mismatch"], rtol=1e-4, atol=1e-5
        )


def test_the_manifest_says_family_classes_and_map(tmp_path):
    layers = {}
    for name in ("categorical", "bernoulli", "beta", "log-normal"):
        run, _ = handed_over(tmp_path / name, SAME_FAMILY[name][0])
        layers[name] = run.layers[0]
    assert [layers["categorical"][key] for key in ("family", "classes", "prior")] == [
        "categorical", C, "uniform",
    ]  # fmt: skip
    assert layers["categorical"]["prior_said"] == "uniform, ASSUMED"
    assert (layers["bernoulli"]["classes"], layers["bernoulli"]["neurons"]) == (2, NEURONS)
    assert (layers["beta"]["family"], layers["beta"]["prior"]) == ("beta", "unknown")
    assert (layers["log-normal"]["family"], layers["log-normal"]["map"]) == ("gaussian", "exp")
    assert layers["log-normal"]["prior_said"] == "Normal(0, 1), ASSUMED"


def test_origins_name_the_familys_own_parts(tmp_path, caplog):
    """A categorical has no mean and scale to come from anywhere."""
    own = {
        "categorical": ["probability"],
        "gamma": ["concentration", "rate"],
        "log-normal": ["mean", "scale"],
    }
    for name, parts in own.items():
        with caplog.at_level("INFO", "probes.watch"):
            _, found = handed_over(tmp_path / name, SAME_FAMILY[name][0])
        assert list(found["origins"]) == [*parts, "layout", "family", "prior"], name
        assert set(found["origins"].values()) <= {"stated", "assumed", "absent"}
    assert "read from z as handed over; prior" in caplog.text
    assert "as as" not in caplog.text
    with watch(nn.Linear(1, 1), tmp_path / "book", hooks=False, strict=True) as recording:
        observe_codes("book", torch.arange(6), size=6)
        observe_samples("draws", torch.randn(3, 6, 2))
        recording.step(0)
    book, draws = recording.found
    assert list(book["origins"]) == ["indices", "layout", "family"]
    assert list(draws["origins"]) == ["sample", "layout", "family", "prior"]


def test_without_a_prior_the_kl_is_absent_and_the_rest_is_there(tmp_path):
    run, found = handed_over(tmp_path / "run", td.Beta(POSITIVE, POSITIVE))
    assert {"mean", "variance", "entropy", "information"} <= set(run.statistics)
    assert not {"kl", "mismatch", "active_share"} & set(run.statistics)
    assert found["origins"]["prior"] == "absent"
    assert set(run.regimes()["regime"]) == {11}  # unknown


def test_an_unknown_prior_of_a_categorical_leaves_the_kl_out(tmp_path):
    run, _ = handed_over(tmp_path / "run", td.Categorical(logits=L), prior="unknown")
    assert {"entropy", "perplexity", "information"} <= set(run.statistics)
    assert not {"kl", "mismatch"} & set(run.statistics)


def test_a_prior_by_row_has_the_kl_of_each_row_and_no_mismatch(tmp_path):
    q, p = td.Categorical(logits=L), td.Categorical(logits=L.flip(0))
    run, _ = handed_over(tmp_path / "run", q, prior=p)
    np.testing.assert_allclose(run.at(0)["kl"], kl_divergence(q, p).mean(0), rtol=1e-5)
    assert "mismatch" not in run.statistics
    assert "information" in run.statistics


def test_a_prior_of_another_family_is_estimated_with_its_error_and_says_so(tmp_path):
    """Beta against LogitNormal: neither torch nor anybody has it closed."""
    many = torch.randn(4000, 2)
    q = td.Beta(F.softplus(many) + 1, F.softplus(-many) + 1)
    p = td.TransformedDistribution(td.Normal(torch.zeros(2), 1.5), td.SigmoidTransform())
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False, strict=True) as recording:
        before = torch.get_rng_state()
        observe("z", q, prior=p)
        recording.step(0)
        assert torch.equal(torch.get_rng_state(), before)
    run = Run(tmp_path / "run")
    z = q.sample((200,))
    exact = (q.log_prob(z) - p.log_prob(z)).mean((0, 1)).numpy()
    frame = run.at(0)
    assert (abs(frame["kl"] - exact) < 5 * frame["kl_error"]).all()
    assert "mismatch" not in frame
    assert "active_share" not in frame


def test_correlated_components_have_marginals_and_a_joint_kl(tmp_path):
    low = torch.eye(NEURONS) + 0.4 * torch.ones(NEURONS, NEURONS).tril(-1)
    q = td.MultivariateNormal(H, scale_tril=low)
    run, _ = handed_over(tmp_path / "run", q)
    frame, layer = run.at(0), run.layer_summary().iloc[0]
    marginal = kl_divergence(td.Normal(H, q.variance.sqrt()), td.Normal(0.0, 1.0)).mean(0)
    joint = kl_divergence(q, td.MultivariateNormal(torch.zeros(NEURONS), torch.eye(NEURONS))).mean()
    np.testing.assert_allclose(frame["kl"], marginal, rtol=1e-5)
    np.testing.assert_allclose(layer["layer_joint_kl"], joint, rtol=1e-5)
    np.testing.assert_allclose(layer["layer_coupling"], joint - marginal.sum(), rtol=1e-4)
    assert run.layers[0]["family"] == "gaussian_full"


def test_layouts_and_masks_of_sequences_and_images(tmp_path):
    sequence = POSITIVE[:, None].expand(BATCH, 5, NEURONS).contiguous()
    sequence[:, 3:] = torch.nan
    mask = torch.tensor([1, 1, 1, 0, 0]).expand(BATCH, 5)
    q = td.Gamma(sequence, torch.ones(()), validate_args=False)
    run, _ = handed_over(tmp_path / "masked", q, mask=mask)
    np.testing.assert_allclose(run.at(0)["mean"], POSITIVE.mean(0), rtol=1e-5)
    assert (run.at(0)["rows"] == 3 * BATCH).all()

    image = POSITIVE[:, :, None, None].expand(BATCH, NEURONS, 2, 2)
    run, found = handed_over(tmp_path / "image", td.Gamma(image, torch.ones(())))
    assert (run.layers[0]["neurons"], found["layout"]) == (NEURONS, "positions")
    np.testing.assert_allclose(run.at(0)["mean"], POSITIVE.mean(0), rtol=1e-5)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((td.Beta(POSITIVE, POSITIVE), POSITIVE), "sigma is given beside a distribution"),
        ((td.Beta(POSITIVE, POSITIVE), None, (0.0, 1.0)), "the prior of a Beta is a distribution"),
        ((td.Beta(POSITIVE, POSITIVE), None, "none"), "a text can only be 'unknown'"),
        ((td.Categorical(logits=L), None, td.Categorical(logits=torch.zeros(NEURONS, 5))), "observe"),
    ],
)
def test_what_cannot_be_read_is_an_error_at_the_call(tmp_path, given, words):
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False), pytest.raises(ValueError, match=words):
        observe("z", *given)


def test_what_changes_later_is_counted_and_training_goes_on(tmp_path):
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False) as recording:
        observe("z", td.Categorical(logits=L))
        recording.step(0)
        for step, q in enumerate((td.Categorical(logits=L[..., :2]), td.Beta(POSITIVE, POSITIVE)), 1):
            with pytest.warns(RuntimeWarning) if step == 1 else nullcontext():
                observe("z", q)
            recording.step(step)
        observe("z", td.Categorical(logits=L))
        recording.step(3)
    assert recording.lost == 2
    assert Run(tmp_path / "run").steps.tolist() == [0, 3]


def test_a_parameter_that_the_optimiser_changes_is_read_as_it_was(tmp_path):
    concentration = nn.Parameter(torch.ones(NEURONS))
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False, every=2) as recording:
        for step in range(2):
            observe("z", td.Independent(td.Exponential(concentration), 1))
            with torch.no_grad():
                concentration.mul_(2)
            recording.step(step)
    run = Run(tmp_path / "run")
    np.testing.assert_allclose([run.at(step)["mean"].iloc[0] for step in (0, 1)], [1.0, 0.5], rtol=1e-6)


def test_priors_by_name_are_distributions_of_the_family(tmp_path):
    q, p = td.Gamma(POSITIVE, POSITIVE), td.Gamma(torch.tensor(2.0), torch.tensor(3.0))
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False, priors={"z": p}) as recording:
        observe("z", q)
        recording.step(0)
    np.testing.assert_allclose(Run(tmp_path / "run").at(0)["kl"], kl_divergence(q, p).mean(0), rtol=1e-4)


TRAINED = nn.Parameter(torch.zeros(()))
PRIORS = {
    "beta": (td.Beta(POSITIVE, POSITIVE), td.Uniform(torch.zeros(NEURONS), torch.ones(NEURONS)),
             {"concentration1": 1.0, "concentration0": 1.0}),
    "laplace": (td.Laplace(H, POSITIVE), td.Laplace(0.5, 2.0), {"loc": 0.5, "scale": 2.0}),
    "student t": (td.StudentT(torch.tensor(1.5), H, POSITIVE), td.StudentT(4.0),
                  {"df": 4.0, "loc": 0.0, "scale": 1.0}),
    "dirichlet": (td.Dirichlet(L.exp()), td.Dirichlet(torch.full((C,), 2.0)), {"concentration": 2.0}),
    "one of components": (td.Dirichlet(L.exp()), td.Dirichlet(torch.arange(1.0, C + 1)), None),
    "one a neuron": (td.Laplace(H, POSITIVE), td.Laplace(torch.arange(float(NEURONS)), 1.0), None),
    "of another family": (td.Gamma(POSITIVE, POSITIVE), td.LogNormal(0.0, 1.0), None),
    "by row": (td.Laplace(H, POSITIVE), td.Laplace(H.flip(0), 1.0), None),
    "trained": (td.Laplace(H, POSITIVE), td.Laplace(2 * TRAINED, TRAINED.exp()), None),
    "absent": (td.Beta(POSITIVE, POSITIVE), None, None),
    "classes": (td.Bernoulli(logits=H), td.Bernoulli(0.25), {"probability": 0.25}),
}  # fmt: skip


@pytest.mark.parametrize("name", PRIORS)
def test_the_manifest_holds_the_numbers_of_a_prior_that_is_one_for_all(tmp_path, name):
    q, p, expected = PRIORS[name]
    run, _ = handed_over(tmp_path / "run", q, prior=p)
    assert run.layers[0].get("prior_parameters") == expected


def test_the_numbers_of_priors_by_name_are_in_the_manifest(tmp_path):
    prior = td.Gamma(torch.tensor(2.0), torch.tensor(3.0))
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False, priors={"z": prior}) as recording:
        observe("z", td.Gamma(POSITIVE, POSITIVE))
        recording.step(0)
    found = Run(tmp_path / "run").layers[0]["prior_parameters"]
    assert found == {"concentration": 2.0, "rate": 3.0}


def test_a_student_without_a_variance_is_no_broken_neuron(tmp_path):
    q = td.StudentT(torch.tensor(1.5), H, POSITIVE)
    for name, prior in (("none", None), ("given", td.StudentT(3.0))):
        run, _ = handed_over(tmp_path / name, q, prior=prior)
        assert run.at(0)["variance"].isna().all()
        assert run.at(0)["non_finite"].eq(0).all()
        assert 1 not in set(run.regimes()["regime"])


def test_usage_of_classes_and_the_probe_batch_are_stored(tmp_path):
    class Discrete(networks.Encoder):
        def forward(self, x):
            logits = torch.stack([self.raw(x)[0], self.raw(x)[1], 0 * self.raw(x)[0]], -1)
            observe("z", td.Categorical(logits=logits))
            return logits

    model, x = Discrete(), torch.randn(7, networks.INPUTS)
    with watch(model, tmp_path / "run", hooks=False, inputs=x) as recording:
        logits = model(x)
        recording.step(0)
    run = Run(tmp_path / "run")
    shares = logits.softmax(-1).detach().numpy()
    classes = run.classes().sort_values(["neuron", "class"])
    np.testing.assert_allclose(classes["usage"].to_numpy().reshape(-1, C), shares.mean(0), atol=1e-5)
    stored = run.parameters().sort_values(["input", "neuron", "index"])
    assert set(stored["name"]) == {"probability"}
    np.testing.assert_allclose(stored["value"].to_numpy().reshape(shares.shape), shares, atol=1e-5)


def test_usage_of_classes_is_there_from_the_first_step(tmp_path):
    """Most of a training happens early: the steps before the first flush are not all without."""
    run, _ = handed_over(tmp_path / "run", SAME_FAMILY["categorical"][0], steps=30)
    steps = list(run.class_steps())
    assert steps[0] == 0
    assert steps[-1] == 29
    assert len(steps) >= 6


def test_the_mean_composition_of_a_dirichlet_is_stored(tmp_path):
    concentration = L.exp()
    run, _ = handed_over(tmp_path / "run", td.Dirichlet(concentration))
    found = run.classes().sort_values(["neuron", "class"])["usage"].to_numpy().reshape(NEURONS, C)
    expected = (concentration / concentration.sum(-1, keepdim=True)).mean(0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


KEPT = {td.Beta: ("concentration1", "concentration0"), td.Bernoulli: ("probs",)}


@pytest.mark.parametrize("q", [td.Beta(POSITIVE[:, 0], POSITIVE[:, 1]), td.Bernoulli(logits=H[:, 0])])
def test_one_variable_an_input_has_the_prior_of_its_input(tmp_path, q):
    """The prior of the first input was taken for that of all."""
    p = type(q)(**{name: getattr(q, name).flip(0) for name in KEPT[type(q)]})
    run, _ = handed_over(tmp_path / "run", q, prior=p)
    np.testing.assert_allclose(run.at(0)["kl"], [kl_divergence(q, p).mean()], rtol=1e-4)
    assert "mismatch" not in run.statistics


def test_a_prior_of_each_variable_of_all_inputs_is_one_prior(tmp_path):
    logits = L[0]
    q, p = (td.Independent(td.OneHotCategorical(logits=one), 1) for one in (logits, logits.flip(0)))
    run, _ = handed_over(tmp_path / "run", q, prior=p)
    exact = kl_divergence(td.Categorical(logits=logits), td.Categorical(logits=logits.flip(0)))
    np.testing.assert_allclose(run.at(0)["kl"], exact, rtol=1e-4)
    assert "mismatch" in run.statistics


def test_a_single_number_is_one_variable(tmp_path):
    q, p = td.Gamma(torch.tensor(2.0), torch.tensor(3.0)), td.Gamma(torch.tensor(1.0), torch.tensor(1.0))
    run, _ = handed_over(tmp_path / "run", q, prior=p)
    np.testing.assert_allclose(run.at(0)["kl"], [kl_divergence(q, p)], rtol=1e-5)


@pytest.mark.parametrize("order", [(BATCH, 1), (1, BATCH)])
@pytest.mark.parametrize("kind", ["categorical", "gamma"])
def test_a_last_batch_of_one_row_has_a_prior_of_its_own_too(tmp_path, kind, order):
    """Its shape does not tell that; it was refused as another prior than that of the layer."""
    if kind == "gamma":
        q, p = td.Gamma(POSITIVE, POSITIVE.flip(1)), td.Gamma(POSITIVE.flip(0), POSITIVE)
        pairs = [tuple(td.Gamma(one.concentration[:n], one.rate[:n]) for one in (q, p)) for n in order]
    else:
        pairs = [tuple(td.Categorical(logits=one[:n]) for one in (L, L.flip(0))) for n in order]
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False, strict=True) as recording:
        for q, p in pairs:
            observe("z", q, prior=p)
        recording.step(0)
        assert recording.lost == 0
    exact = torch.cat([kl_divergence(q, p) for q, p in pairs]).mean(0)
    frame = Run(tmp_path / "run").at(0)
    np.testing.assert_allclose(frame["kl"], exact, rtol=1e-4)
    assert "mismatch" not in frame or frame["mismatch"].isna().all()


def test_a_one_hot_class_by_another_name_is_one_variable(tmp_path):
    class OneHot(td.OneHotCategorical):
        """As world models subclass it."""

    run, _ = handed_over(tmp_path / "run", OneHot(logits=L[:, 0]))
    assert (run.layers[0]["family"], run.layers[0]["neurons"], run.layers[0]["classes"]) == (
        "categorical",
        1,
        C,
    )


@pytest.mark.parametrize(
    "q", [td.Wishart(torch.tensor(5.0), torch.eye(3)), td.LKJCholesky(3, torch.tensor(1.0))]
)
def test_a_distribution_of_matrices_is_refused(tmp_path, q):
    """The rows of one matrix were taken for inputs."""
    with (
        watch(nn.Linear(1, 1), tmp_path / "run", hooks=False),
        pytest.raises(ValueError, match=r"values \(3, 3\) together, no vector of neurons"),
    ):
        observe("z", q)


def test_a_density_that_is_not_known_is_said(tmp_path):
    q, p = (td.TransformedDistribution(td.Normal(one, 1.0), td.SoftmaxTransform()) for one in (H, H.flip(0)))
    with (
        watch(nn.Linear(1, 1), tmp_path / "run", hooks=False),
        pytest.raises(ValueError, match="no log density"),
    ):
        observe("z", q, prior=p)


class MaskedDistribution(td.Distribution):
    """As Pyro's: rows that its mask leaves out count nothing."""

    arg_constraints = {}

    def __init__(self, base_dist, mask):
        self._mask, self.base_dist = mask, base_dist
        super().__init__(base_dist.batch_shape, base_dist.event_shape, validate_args=False)


ROWS_KEPT = torch.arange(BATCH) % 3 > 0
MASKED = {
    "normal": (td.Normal(H, POSITIVE), td.Normal(torch.zeros(NEURONS), 1.0)),
    "gamma": (td.Gamma(POSITIVE, POSITIVE.flip(1)), td.Gamma(torch.ones(NEURONS), torch.ones(NEURONS))),
}


@pytest.mark.parametrize("place", ["inside", "around"])
@pytest.mark.parametrize("kind", MASKED)
def test_a_mask_of_a_distribution_is_one_of_rows(tmp_path, kind, place):
    """Padding was pooled in silence; of a Gaussian the message was one of this package's own."""
    q, p = MASKED[kind]
    if place == "inside":
        masked = td.Independent(MaskedDistribution(q, ROWS_KEPT[:, None]), 1)
    else:
        masked = MaskedDistribution(td.Independent(q, 1), ROWS_KEPT)
    run, _ = handed_over(tmp_path / "run", masked, prior=p)
    exact = kl_divergence(q, p.expand(q.batch_shape))[ROWS_KEPT].mean(0)
    np.testing.assert_allclose(run.at(0)["kl"], exact, rtol=1e-4)
    assert (run.at(0)["rows"] == ROWS_KEPT.sum().item()).all()
    run, _ = handed_over(tmp_path / "all", MaskedDistribution(q, True), prior=p)
    np.testing.assert_allclose(run.at(0)["kl"], kl_divergence(q, p.expand(q.batch_shape)).mean(0), rtol=1e-4)


def test_a_mask_of_single_neurons_is_refused(tmp_path):
    q = MaskedDistribution(MASKED["gamma"][0], H > 0)
    with (
        watch(nn.Linear(1, 1), tmp_path / "run", hooks=False),
        pytest.raises(ValueError, match="the mask of a Gamma leaves single neurons out"),
    ):
        observe("z", q)


def test_a_gaussian_with_a_mask_that_a_network_returns_is_read(tmp_path):
    """Under what the network returns as its prior, and without the rows that are left out."""

    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(3, 2 * NEURONS)

        def forward(self, x):
            mean, scale = self.head(x).chunk(2, -1)
            return td.Independent(MaskedDistribution(td.Normal(mean, scale.exp()), ROWS_KEPT[:, None]), 1)

    model, x = Masked(), torch.randn(BATCH, 3)
    with watch(model, tmp_path / "run") as recording:
        q = model(x).base_dist.base_dist
        recording.step(0)
        assert recording.lost == 0
    frame = Run(tmp_path / "run").at(0)
    np.testing.assert_allclose(frame["mean"], q.loc[ROWS_KEPT].detach().mean(0), rtol=1e-4, atol=1e-6)
