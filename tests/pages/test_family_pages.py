"""Every page on runs of every family: each layer by its own, nothing invented, nothing empty."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import planted
import pytest
import shown
from family_runs import CODES, RUNS, write_family_runs
from streamlit.testing.v1 import AppTest

from pages.shell.session import state

Open = Callable[..., AppTest]
PAGES = [name for name, _, _ in state.PAGES if name != "reference"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_family_runs(tmp_path_factory.mktemp("families"))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("run", ["mixed", "densities", "others"])
def test_every_page_shows_runs_of_every_family(open_page: Open, folder: Path, page: str, run: str) -> None:
    app = open_page(page, folder=folder, run=run)
    said = shown.texts(app)
    assert not app.error, said
    if page not in ("runs", "persistence"):
        assert RUNS[run][0].capitalize()[:4] in said, "families stand under the title"
        assert "holds no distributions" not in said
    for figure in shown.figures(app):
        drawn = [trace for trace in figure["data"] if trace.get("type") != "heatmap"]
        assert any(_known(trace) for trace in drawn) or len(drawn) < len(figure["data"]), figure["layout"][
            "meta"
        ]


def _known(trace: dict[str, object]) -> bool:
    values = shown.numbers(trace["y"]) if trace.get("y") is not None else np.zeros(0)
    return bool(np.isfinite(values.astype(float)).any())


def test_the_replay_draws_each_layer_by_its_family(open_page: Open, folder: Path) -> None:
    header, arrays = shown.unpack(open_page("replay", folder=folder, run="mixed"), "replay")
    shapes = {layer["name"]: layer.get("shape") for layer in header["layers"]}
    assert shapes["gaussian"] is None
    kinds = {name: shape["kind"] for name, shape in shapes.items() if shape}
    assert kinds == {"categorical": "bars", "codes": "book", "beta": "density", "samples": "curve"}
    assert shapes["categorical"]["classes"][-1] == "8 more"
    assert shapes["samples"]["prior"] is None
    assert "inner.concentration1.3" in arrays
    assert "sd.1" not in arrays, "a categorical has no sd"
    assert arrays["used.2"].max() == CODES // 2


def test_a_replay_offers_what_does_something(open_page: Open, folder: Path) -> None:
    def offered(run: str) -> tuple[set[str], str]:
        app = open_page("replay", folder=folder, run=run)
        widgets = [*app.selectbox, *app.toggle, *app.select_slider, *app.get("button_group")]
        return {widget.label for widget in widgets}, shown.texts(app)

    ridges = {"Show", "Neurons per layer", "Order by"}
    labels, said = offered("book")
    assert not labels & {*ridges, "Trail", "One probe input"}, "a code book is one picture"
    assert "Click a neuron" not in said
    assert "ridge" not in said
    labels, said = offered("classes")
    assert ridges < labels
    assert "Trail" not in labels, "bars have none"
    assert "Click a neuron" in said
    assert ridges | {"Trail", "One probe input"} < offered("mixed")[0]


def test_classes_are_ordered_by_their_entropy(open_page: Open, folder: Path) -> None:
    app = open_page("replay", folder=folder, run="classes")
    (order,) = (box for box in app.get("button_group") if box.label == "Order by")
    assert order.options == ["entropy", "KL", "index"], "classes have neither an sd nor a spread"


def test_one_probe_input_is_of_its_own_family(open_page: Open, folder: Path) -> None:
    header, arrays = shown.unpack(open_page("replay", folder=folder, run="densities", input="1"), "replay")
    assert header["input"] == 1
    assert np.isfinite(arrays["inner.rate.0"].astype(float)).any()


def test_a_dirichlet_is_a_composition_over_its_prior(open_page: Open, folder: Path) -> None:
    header, _ = shown.unpack(open_page("replay", folder=folder, run="others"), "replay")
    shape = header["layers"][0]["shape"]
    assert (shape["kind"], shape["axis"].split(" · ")[0]) == ("bars", "component")
    assert np.allclose(shape["priorBars"], 1 / len(shape["classes"]))


def test_a_layer_offers_what_it_has(open_page: Open, folder: Path) -> None:
    app = open_page("layers", folder=folder, run="mixed", layer="categorical")
    offered = next(box for box in app.selectbox if box.label == "Statistic").options
    assert "Entropy" in offered
    assert "Posterior variance" not in offered
    app = open_page("layers", folder=folder, run="mixed", layer="codes", statistic="variance")
    assert "Code book" in shown.texts(app)
    assert f"{CODES // 2} of {CODES} used in the last 16 steps" in shown.texts(app)
    assert not app.warning, "another layer's statistic is no error"


def test_a_code_book_shows_dead_codes_and_those_that_came_back(open_page: Open, folder: Path) -> None:
    app = open_page("health", folder=folder, run="book", codes="index")
    maps = [figure for figure in shown.figures(app) if figure["data"][0].get("type") == "heatmap"]
    assert len(maps) == 1
    again = [trace for trace in maps[0]["data"] if trace.get("name") == "picked again"]
    assert shown.numbers(again[0]["y"]).tolist() == [0], "code 0 dies at step 8 and is back at 16"


def test_a_full_covariance_shows_its_joint_kl(open_page: Open, folder: Path) -> None:
    app = open_page("layers", folder=folder, run="others", layer="gaussian_full")
    assert "Joint KL and coupling" in shown.texts(app)
    assert "Joint KL" not in shown.texts(open_page("layers", folder=folder, run="others", layer="bernoulli"))


def test_a_neuron_without_a_variance_shows_its_entropy(open_page: Open, folder: Path) -> None:
    app = open_page("neurons", folder=folder, run="classes", neurons="1:0")
    said = shown.texts(app)
    assert "Entropy over steps" in said
    assert "mean ± sd" not in said
    bars = [trace for figure in shown.figures(app) for trace in figure["data"] if trace["type"] == "bar"]
    assert bars


def test_draws_without_a_prior_say_what_can_be_said(open_page: Open, folder: Path) -> None:
    said = shown.texts(open_page("neurons", folder=folder, run="mixed", neurons="5:0"))
    assert "% lies between inputs" in said
    assert "state its prior" not in said
    assert "It has no contraction" not in said
    assert "mean and ± sd" in said


def test_bands_are_of_the_family(open_page: Open, folder: Path) -> None:
    """However wide: none leaves the support, and an angle's is of the circle."""
    for layer, least, most in ((1, 0.0, np.inf), (3, 0.0, np.inf), (4, 0.0, np.inf), (2, 0.0, np.inf)):
        app = open_page("neurons", folder=folder, run="densities", neurons=f"{layer}:0,{layer}:4")
        assert "mean and central 68 %" in shown.texts(app)
        bands = _bands(app)
        assert (bands >= least).all(), layer
        assert (bands <= most).all(), layer
    (beta,) = (_bands(open_page("neurons", folder=folder, run="mixed", neurons=at)) for at in ("4:4",))
    assert ((beta >= 0) & (beta <= 1)).all()
    figures = shown.figures(open_page("neurons", folder=folder, run="densities", neurons="5:4"))
    fan = next(one for one in figures if "central 68 %" in one["layout"]["meta"]["alt"])
    assert fan["layout"]["yaxis"]["ticktext"] == ["−π", "0", "π"]
    band = [trace for trace in fan["data"] if trace.get("name") == "posterior 68 %"]
    assert shown.numbers(band[0]["y"]).max() > 1.9, "an even circle: 68 % of it is ± 0.68 π"


def _bands(app: AppTest) -> np.ndarray:
    fan = next(one for one in shown.figures(app) if "central 68 %" in one["layout"]["meta"]["alt"])
    edges = [shown.numbers(trace["y"]) for trace in fan["data"] if trace.get("line", {}).get("width") == 0]
    assert edges
    values = np.concatenate(edges).astype(float)
    return values[np.isfinite(values)]


def test_distributions_that_were_stored_once_are_of_one_step(open_page: Open, tmp_path: Path) -> None:
    planted.write_run(tmp_path / "once", layers=1, steps=1)
    said = shown.texts(open_page("neurons", folder=tmp_path, run="once"))
    assert "Distribution at step 1" in said
    assert "1 and 1" not in said


def test_a_card_of_what_a_family_lacks_is_left_out(open_page: Open, folder: Path) -> None:
    """Beside layers that have it, so that the run does."""
    for neuron, energy, kl in (
        ("1:0", True, True),
        ("2:0", False, True),
        ("4:0", False, True),
        ("5:0", False, False),
    ):
        said = shown.texts(open_page("neurons", folder=folder, run="mixed", neurons=neuron))
        assert ("Mean energy" in said) == energy, neuron
        said = shown.texts(
            open_page("neurons", folder=folder, run="mixed", neurons=neuron, detail="KL decomposition")
        )
        assert ("KL was not recorded" not in said) == kl, neuron


def test_draws_are_of_the_step_at_which_they_were_stored(open_page: Open, folder: Path) -> None:
    app = open_page("neurons", folder=folder, run="mixed", neurons="5:0", step="23", earlier="6")
    assert "Distributions at step 18" in shown.texts(app), "parameters are stored every sixth step"
    assert "Distribution at steps 6 and 18" in shown.texts(app)
    app = open_page("neurons", folder=folder, run="mixed", neurons="4:0", step="23", earlier="6")
    assert "Distribution at steps 6 and 23" in shown.texts(app), (
        "a Beta's mean and variance are of every step"
    )


def test_groups_of_other_families_are_in_no_prior_sds(open_page: Open, folder: Path) -> None:
    for run, unit in (("densities", False), ("mixed", True)):
        query = {"a": "layer:1", "b": "layer:1", "statistic": "variance", "detail": "Groups"}
        figures = shown.figures(open_page("neurons", folder=folder, run=run, **query))
        bands = next(one for one in figures if "mean and bands" in one["layout"]["meta"]["alt"])
        assert ("prior sd" in bands["layout"]["yaxis"]["title"]["text"]) == unit, run


def test_a_neuron_opens_on_a_statistic_that_tells_it(open_page: Open, folder: Path) -> None:
    app = open_page("neurons", folder=folder, run="mixed", neurons="5:0")
    assert next(box for box in app.selectbox if box.label == "Statistic").value == "spread"


def test_a_code_has_no_distribution(open_page: Open, folder: Path) -> None:
    app = open_page("neurons", folder=folder, run="book", neurons="1:0")
    assert "Usage over steps" in shown.texts(app)
    assert "Distribution" not in shown.texts(app)


@pytest.mark.parametrize("detail", ["KL decomposition", "Similar", "Inputs", "Groups"])
def test_details_of_neurons_work_without_gaussians(open_page: Open, folder: Path, detail: str) -> None:
    for run in ("densities", "others", "book"):
        app = open_page("neurons", folder=folder, run=run, detail=detail)
        assert not app.error, shown.texts(app)
        if detail in ("Similar", "Inputs"):
            assert ("A code has no posterior of its own" in shown.texts(app)) == (run == "book")


@pytest.mark.parametrize(
    ("run", "neuron", "several"),
    [("mixed", "1:0", False), ("mixed", "2:0", True), ("mixed", "4:0", False), ("mixed", "5:0", False),
     ("densities", "5:0", True), ("others", "1:0", True), ("others", "3:0", False)],
)  # fmt: skip
def test_neurons_of_every_family_have_similar_ones(
    open_page: Open, folder: Path, run: str, neuron: str, several: bool
) -> None:
    app = open_page("neurons", folder=folder, run=run, neurons=neuron, detail="Similar")
    said = shown.texts(app)
    assert ("RV coefficient" in said) == several
    assert ("sign of a latent variable" in said) != several
    near = next(table.value for table in app.dataframe if "correlation" in table.value)
    assert len(near) == 8
    assert near["correlation"].abs().is_monotonic_decreasing
    assert neuron not in set(near["neuron"])
    if several:
        assert near["correlation"].between(0, 1).all()


@pytest.mark.parametrize(
    ("run", "neuron", "groups"),
    [("mixed", "1:0", {"highest mean", "most informative"}), ("mixed", "2:0", {"class 0", "most certain"}),
     ("mixed", "4:0", {"highest mean", "widest"}), ("others", "1:0", {"component 0"}),
     ("others", "2:0", {"class 1", "least certain"}), ("densities", "5:0", {"lowest mean"})],
)  # fmt: skip
def test_inputs_are_ranked_by_what_the_family_has(
    open_page: Open, folder: Path, run: str, neuron: str, groups: set[str]
) -> None:
    app = open_page("neurons", folder=folder, run=run, neurons=neuron, detail="Inputs")
    table = next(table.value for table in app.dataframe if "content" in table.value)
    assert groups <= set(table["group"])
    assert table["content"].str.startswith("sentence").all()
    assert table.notna().all().all(), "nothing that the family lacks"
    assert ("information" in table) == (run == "mixed" and neuron[0] in "12" or neuron == "2:0")


def test_neurons_like_one_of_classes_are_found(open_page: Open, folder: Path) -> None:
    app = open_page("neurons", folder=folder, run="mixed", find="similar:2:0")
    assert not app.error, shown.texts(app)
    assert "1 of 68" in shown.texts(app), "itself, of neurons that were drawn apart"


def test_experiments_say_which_layers_are_left_out(open_page: Open, folder: Path) -> None:
    said = shown.texts(open_page("experiments", folder=folder, run="mixed"))
    assert "left out: categorical (Categorical, 40 classes)" in said


def test_the_reference_lists_every_family(open_page: Open, folder: Path) -> None:
    app = open_page("reference", folder=folder)
    table = next(table.value for table in app.table if "support" in table.value)
    assert {"Beta", "Code book", "von Mises", "Samples"} <= set(table["family"])


def test_a_run_of_classes_is_compared_with_one_of_codes(open_page: Open, folder: Path) -> None:
    for page in ("replay", "layers", "health", "uncertainty", "neurons"):
        app = open_page(page, folder=folder, run="classes", vs="book")
        assert not app.error, (page, shown.texts(app))
