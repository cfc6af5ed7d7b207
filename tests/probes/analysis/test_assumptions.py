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


def test_contraction_against_a_standard_gaussian_is_said_of_gaussians_alone():
    unknown = layer("a", prior="absent")
    assert "Normal(0, 1)" in lines([unknown])[0]
    assert "Normal" not in lines([{**unknown, "family": "samples"}])[0]


def test_nothing_is_said_of_what_is_known_or_was_not_watched():
    assert lines([layer("a", prior="stated"), {"name": "b", "neurons": 3}]) == []
