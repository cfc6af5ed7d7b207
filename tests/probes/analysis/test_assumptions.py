"""What was assumed is one line; a prior that is not known is another."""

from probes.analysis.assumptions import lines

PRIOR = "the prior Normal(0, 1)"


def layer(name, assumed=(), prior="assumed"):
    return {
        "name": name,
        "assumed": list(assumed),
        "origins": {"prior": prior},
        "prior_said": "not known: a flow",
    }


def test_what_all_layers_have_in_common_is_said_once():
    assert lines([layer("a", [PRIOR]), layer("b", [PRIOR, "the scale (mu=0, sigma=1)"])]) == [
        "Assumed: the prior Normal(0, 1); the scale (mu=0, sigma=1) of b."
    ]


def test_a_prior_that_is_not_known_is_named():
    (line,) = lines([layer(name, prior="absent") for name in "abcd"])
    assert line.startswith(
        "The prior of a, b, c and others is not known: a flow. KL and information are left out"
    )
    assert "regimes are unknown" in line


def test_each_prior_that_is_not_known_is_said_of_its_own_layer():
    said = {"draws": "none is assumed for draws", "share": "none is assumed for a Beta"}
    several = [
        {**layer(name, prior="absent"), "family": family, "prior_said": f"not known: {said[name]}"}
        for name, family in (("draws", "samples"), ("share", "beta"))
    ]
    (line,) = lines([*several, several[0]])
    assert line.startswith(
        "The prior of draws, share, draws is not known: none is assumed for draws; none is"
    )
    assert line.count("none is assumed for") == 2


def test_of_other_families_nothing_gaussian_is_said():
    gaussian, beta = layer("a", prior="absent"), {**layer("b", prior="absent"), "family": "beta"}
    of_gaussian, of_beta = lines([gaussian, beta])
    assert "of a is" in of_gaussian
    assert "Normal(0, 1)" in of_gaussian
    assert "of b is" in of_beta
    assert "Normal" not in of_beta
    assert "information" not in of_beta


def test_nothing_is_said_of_what_is_known_or_was_not_watched():
    assert lines([layer("a", prior="stated"), {"name": "b", "neurons": 3}]) == []
