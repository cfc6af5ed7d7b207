"""The page Sequence, on a run in which it is known what the neurons follow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted import write_run
from sequences import (
    CODE_OF_ENDS,
    LENGTH,
    LINE_END,
    STEPS,
    TEXT,
    UPPER,
    add_continuations,
    write_codes,
    write_families,
    write_sequence,
    write_signal,
)  # fmt: skip
from shown import cards, component, figures, numbers, query, texts, unpack
from streamlit.testing.v1 import AppTest

from probes import Recorder, Run

Open = Callable[..., AppTest]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequences")
    add_continuations(write_sequence(folder / "text"), list("The cat\n"))
    write_sequence(folder / "same", seed=1)
    write_signal(folder / "signal")
    add_continuations(folder / "signal", [json.dumps([value]) for value in (0.5, 1.0, -1.0)])
    notes = ["60 64 67", "62 65", "", "59 62 67 71"] * 16
    chords = [("text", chord) for chord in notes]
    add_continuations(write_sequence(folder / "chords", contents=chords, data="chords:FILE"), notes[:8])
    write_sequence(folder / "words", contents=chords)
    write_families(folder / "families")
    write_codes(folder / "codes")
    write_run(folder / "none")
    return folder


def tokens(app: AppTest, place: int = 0) -> dict[str, Any]:
    found = [e for e in app.get("bidi_component") if e.proto.component_name == "neurons_tokens"]
    return dict(json.loads(found[place].proto.json))


def table(app: AppTest, column: str) -> Any:
    return next(frame.value for frame in app.dataframe if column in frame.value)


def test_the_text_is_the_axis_and_carries_the_surprise(open_page: Open, folder: Path) -> None:
    app = open_page("sequence", folder, run="text")
    text = tokens(app)
    [panel] = text["panels"]
    assert "".join(panel["tokens"]) == TEXT
    assert text["chosen"] == 50  # the most surprising
    assert int(np.argmax(panel["shares"])) == 50
    assert "surprise" in text["title"]


def test_a_run_without_a_sequence_leads_to_those_that_have_one(open_page: Open, folder: Path) -> None:
    app = open_page("sequence", folder, run="none")
    assert "holds no probe sequence" in app.info[0].value
    offered = {button.label for button in app.button if str(button.key).startswith("sequence_of_")}
    assert len(offered) == 5
    assert offered < {path.parent.name for path in folder.glob("*/sequence")}
    name = min(offered)
    app.button(key=f"sequence_of_{name}").click().run()
    assert query(app, "run") == name
    assert not any("holds no probe sequence" in info.value for info in app.info)


def test_the_map_shows_kl_less_each_neurons_own_mean(open_page: Open, folder: Path) -> None:
    header, arrays = unpack(open_page("sequence", folder, run="text", sort_sequence="index"), "heatmap")
    assert (header["rows"], header["columns"], header["columnTitle"]) == (6, LENGTH, "t")
    assert header["colors"] == "diverging"
    assert header["columnNames"][TEXT.index("\n")] == "↵"
    cells = arrays["cells"].reshape(6, LENGTH)
    ends = np.array([letter == "\n" for letter in TEXT])
    row = cells[header["order"].index(LINE_END)]
    assert row[ends].min() > row[~ends].max()
    belief, _ = unpack(open_page("sequence", folder, run="text", quantity="width"), "heatmap")
    assert belief["colors"] == "Viridis"


def test_a_line_s_end_moves_the_neuron_that_notices_it(open_page: Open, folder: Path) -> None:
    end = TEXT.index("\n")
    app = open_page("sequence", folder, run="text", t=str(end))
    moved = table(app, "m at t")
    assert moved["neuron"].iloc[0] == f"1:{LINE_END}"
    kl = Run(folder / "text").sequence().query(f"layer == 0 and neuron == {LINE_END}")["kl"].to_numpy()
    assert moved["KL less the neuron's own mean (nats)"].iloc[0] == pytest.approx(
        kl[end] - kl.mean(), abs=1e-5
    )


@pytest.mark.parametrize(("feature", "name"), [("line's end", f"1:{LINE_END}"), ("upper case", f"2:{UPPER}")])
def test_the_neurons_that_follow_a_feature_are_found(
    open_page: Open, folder: Path, feature: str, name: str
) -> None:
    app = open_page("sequence", folder, run="text", follows=feature)
    rows = table(app, "correlation")
    assert rows["neuron"].iloc[0] == name
    assert rows["p, adjusted"].iloc[0] < 0.01
    assert rows["p, adjusted"].iloc[1] > 0.05
    assert "1 of 12 neurons go with it" in texts(app)


def test_a_position_asks_first_for_the_rarest_feature_that_is_there(open_page: Open, folder: Path) -> None:
    at_end = open_page("sequence", folder, run="text", t=str(TEXT.index("\n")))
    assert at_end.selectbox(key="choose_follows").value == "line's end"
    assert table(at_end, "correlation")["neuron"].iloc[0] == f"1:{LINE_END}"
    capital = open_page("sequence", folder, run="text", t=str(TEXT.index("M")))
    assert capital.selectbox(key="choose_follows").value == "upper case"
    asked = open_page("sequence", folder, run="text", t=str(TEXT.index("M")), follows="space")
    assert asked.selectbox(key="choose_follows").value == "space"


def test_a_chosen_neuron_shows_its_belief_and_what_it_goes_with(open_page: Open, folder: Path) -> None:
    app = open_page("sequence", folder, run="text", neurons=f"1:{LINE_END}")
    drawn = next(figure for figure in figures(app) if "Belief" in figure["layout"]["meta"]["alt"])
    line = next(trace for trace in drawn["data"] if trace.get("name") == "m")
    stored = Run(folder / "text").sequence().query(f"layer == 0 and neuron == {LINE_END}")
    np.testing.assert_allclose(numbers(line["y"]), stored["m"], atol=1e-5)
    goes = table(app, "feature")
    assert goes["feature"].iloc[0] == "line's end"
    assert goes["p"].iloc[0] < 0.01
    assert "Width √V" in cards(app)
    assert all(card["note"] for card in cards(app).values())


def test_what_was_predicted_stands_beside_what_came(open_page: Open, folder: Path) -> None:
    app = open_page("sequence", folder, run="text", t="50")
    bars = next(figure for figure in figures(app) if "came" in figure["layout"]["meta"]["alt"])
    assert len(bars["data"][0]["y"]) == 5
    said = texts(app).replace("*", "")
    assert f"After “{TEXT[50]}” at t 50 came “{TEXT[51]}”: surprise 6.5 nats" in said


def test_the_weakness_of_total_kl_is_said_with_its_number(open_page: Open, folder: Path) -> None:
    run = Run(folder / "text")
    total = run.sequence().groupby("t")["kl"].sum()
    expected = np.corrcoef(total, run.predictions()["nll"])[0, 1]
    assert f"correlation {expected:.2f} here" in texts(open_page("sequence", folder, run="text"))


def test_continuations_stand_side_by_side(open_page: Open, folder: Path) -> None:
    text = tokens(open_page("sequence", folder, run="text"), 1)
    assert [panel["given"] for panel in text["panels"]] == [8, 8, 8]
    assert "".join(text["panels"][1]["tokens"]).startswith("The cat\nhe cat\n")
    assert text["panels"][0]["shares"][:8] == [None] * 8
    signal = figures(open_page("sequence", folder, run="signal"))[-1]
    assert "continued 3 ways" in signal["layout"]["meta"]["alt"]


def test_signals_and_chords_have_their_own_axis(open_page: Open, folder: Path) -> None:
    signal = figures(open_page("sequence", folder, run="signal"))[0]
    assert signal["layout"]["meta"]["alt"].startswith("Signal at 64 positions")
    # notes are read as such where the data says so, else they are words
    assert tokens(open_page("sequence", folder, run="words"))["panels"][0]["tokens"][0] == "60 64 67"
    rolls = [
        one for one in figures(open_page("sequence", folder, run="chords")) if "MIDI" in str(one["layout"])
    ]
    assert numbers(rolls[0]["data"][0]["y"])[:5].tolist() == [60, 64, 67, 62, 65]
    assert set(table(open_page("sequence", folder, run="chords"), "feature")["feature"]) >= {"top pitch"}


def test_steps_of_training_follow_the_cursor(open_page: Open, folder: Path) -> None:
    app = open_page("sequence", folder, run="text", step="50")
    assert app.sidebar.select_slider(key="sequence_step").value == 40
    app.sidebar.select_slider(key="sequence_step").set_value(0).run()
    assert query(app, "step") == "0"


def test_a_second_run_s_surprise_lies_beside_or_the_reason_why_not(open_page: Open, folder: Path) -> None:
    app = open_page("sequence", folder, run="text", vs="same")
    drawn = next(figure for figure in figures(app) if "Surprise" in figure["layout"]["meta"]["alt"])
    assert "surprise, same" in [trace.get("name") for trace in drawn["data"]]
    for other in ("signal", "none"):
        said = texts(open_page("sequence", folder, run="text", vs=other))
        assert f"{other} cannot be shown beside it" in said


def test_a_run_without_a_sequence_says_how_to_make_one(open_page: Open, folder: Path) -> None:
    assert "no probe sequence" in texts(open_page("sequence", folder, run="none"))


def test_links_that_name_what_is_not_there_fall_back_and_say_so(open_page: Open, folder: Path) -> None:
    app = open_page("sequence", folder, run="text", t="9999", neurons="7:1", quantity="x", follows="y")
    said = texts(app)
    for asked in ("9999", "7:1", "“x”", "“y”"):
        assert asked in said
    assert "t" not in app.query_params
    assert component(app, "heatmap").bytes


def test_a_foreign_model_s_sequence_has_the_same_page(open_page: Open, folder: Path) -> None:
    letters = [("position", letter) for letter in TEXT]
    write_sequence(folder / "foreign", contents=letters, predicted=False, kl=False)
    app = open_page("sequence", folder, run="foreign")
    rows = Run(folder / "foreign").sequence()
    m, V = (rows.pivot_table(index="t", columns=["layer", "neuron"], values=name) for name in ("m", "V"))
    moved = (m.diff().abs() / np.sqrt(V)).sum(axis=1).to_numpy()
    assert tokens(app)["chosen"] == 16 + int(np.argmax(moved[16:]))  # it opens where most moved
    assert "belief" in tokens(app)["title"] or tokens(app)["title"].startswith("m of")
    assert app.sidebar.selectbox(key="choose_quantity").options == ["Belief m", "Width √V"]
    assert "Measured half-life" in cards(app)
    assert "Surprise" not in texts(app)


def test_the_replay_takes_the_positions_as_its_frames(open_page: Open, folder: Path) -> None:
    app = open_page("replay", folder, run="text", over="sequence", t="7", step="50")
    header, arrays = unpack(app, "replay")
    assert header["steps"] == list(range(LENGTH))
    assert header["cursor"] == 7
    assert header["along"][TEXT.index("\n")] == "↵"
    rows = Run(folder / "text").sequence(40, 0)  # the stored step at or before the cursor's
    for place, neuron in enumerate(header["layers"][0]["neurons"]):
        mine = rows[rows["neuron"] == neuron].sort_values("t")
        for name, expected in (("mean", mine["m"]), ("sd", np.sqrt(mine["V"]))):
            drawn = arrays[f"{name}.0"].reshape(LENGTH, -1)[:, place]
            np.testing.assert_allclose(drawn, expected, rtol=2e-3, atol=2e-3)
    assert "training step 40" in texts(app)


def test_the_replay_of_a_run_without_a_sequence_stays_over_training(open_page: Open, folder: Path) -> None:
    app = open_page("replay", folder, run="none", over="sequence")
    assert "no probe sequence" in texts(app)
    assert "along" not in unpack(app, "replay")[0]


def test_notes_are_shown_with_how_likely_they_were(open_page: Open, folder: Path) -> None:
    notes = [("text", chord) for chord in ("60 64 67", "62 65", "", "60 67") * 16]
    write_sequence(folder / "likely", contents=notes, predicted=False, data="chords:made")
    frame = pd.DataFrame({"input": np.arange(64), "nll": 1.0, "y": [chord for _, chord in notes]})
    with Recorder.resume(folder / "likely", STEPS[-1]) as recorder:
        recorder.predictions(STEPS[-1], frame.assign(symbol_1="60", p_1=0.9, symbol_2="62", p_2=0.01))
    app = open_page("sequence", folder, run="likely", t="3")
    roll = next(one for one in figures(app) if "MIDI" in str(one["layout"]))
    behind = next(trace for trace in roll["data"] if trace["name"] == "probability before it came")
    assert set(numbers(behind["y"])) == {60}  # the other one was not likely
    assert numbers(behind["x"])[0] == 1  # predicted after position 0
    bars = next(figure for figure in figures(app) if "Likeliest notes" in figure["layout"]["meta"]["alt"])
    assert bars["layout"]["yaxis"]["ticktext"] == ["<b>C4</b>", "<b>D4</b>"]
    assert "C4, G4 came" in bars["layout"]["meta"]["alt"]


def test_what_the_draws_tell_is_shown_along_the_text(open_page: Open, folder: Path) -> None:
    found = figures(open_page("sequence", folder, run="text"))
    drawn = next(one for one in found if "mutual information" in one["layout"]["meta"]["alt"])
    assert [trace["name"] for trace in drawn["data"]][-1] == "draw and next symbol"
    table_ = Run(folder / "text").predictions().sort_values("input")
    told = (table_["entropy"] - table_["conditional_entropy"])[:50]
    np.testing.assert_allclose(numbers(drawn["data"][-1]["y"])[:50], told, rtol=1e-4)


def test_classes_along_a_sequence_are_shown_as_classes(open_page: Open, folder: Path) -> None:
    app = open_page("sequence", folder, run="families", neurons="1:2", t="24")
    header, _ = unpack(app, "heatmap")
    assert header["title"] == "KL less the neuron's own mean"
    shown = figures(app)
    alts = [figure["layout"]["meta"]["alt"] for figure in shown]
    [classes] = [figure for figure in shown if "4 classes of neuron 1:2" in figure["layout"]["meta"]["alt"]]
    assert classes["layout"]["yaxis"]["title"]["text"] == "class"
    assert any(alt.startswith("Mean entropy (nats) of the neurons of 1 layers") for alt in alts)
    moved = table(app, "m or class at t")
    row = moved[moved["neuron"] == "1:2"].iloc[0]
    assert (row["m or class at t − 1"], row["m or class at t"]) == ("2 (0.85)", "3 (0.85)")
    held = {label: card["value"] for label, card in cards(app).items()}
    assert held["Stays"] == "12"
    assert held["Classes"] == "4 of 4"
    assert "the prior's is 1" not in texts(app)  # no layer here has such a prior


def test_a_layer_of_classes_offers_what_classes_have(open_page: Open, folder: Path) -> None:
    app = open_page("sequence", folder, run="families", layer="state")
    offered = next(box for box in app.selectbox if box.label == "Map shows").options
    assert offered == [
        "KL less the neuron's own mean",
        "Entropy of the classes",
        "Change of the class probabilities",
    ]
    app = open_page("sequence", folder, run="families", layer="state", quantity="change", t="24")
    header, _ = unpack(app, "heatmap")
    assert header["title"] == "Change of the class probabilities"
    moved = table(app, "class at t")
    assert moved["neuron"].iloc[0] == "1:2"
    assert {name.split(":")[0] for name in moved["neuron"]} == {"1"}  # others have no classes


def test_a_band_of_another_family_stays_in_its_support(open_page: Open, folder: Path) -> None:
    app = open_page("sequence", folder, run="families", layer="share", neurons="2:0")
    [belief] = [f for f in figures(app) if "Belief of neuron 2:0" in f["layout"]["meta"]["alt"]]
    assert belief["layout"]["yaxis"]["title"]["text"] == "belief"
    drawn = [numbers(trace["y"]) for trace in belief["data"] if "y" in trace]
    assert drawn
    assert all(np.nanmin(y) >= 0 and np.nanmax(y) <= 1 for y in drawn if y.size)


def test_the_replay_along_a_sequence_draws_the_gaussian_layers_alone(open_page: Open, folder: Path) -> None:
    app = open_page("replay", folder, run="families", over="sequence")
    header, _ = unpack(app, "replay")
    assert [layer["name"] for layer in header["layers"]] == ["z"]


def test_without_predictions_the_page_opens_where_most_was_paid(open_page: Open, folder: Path) -> None:
    write_sequence(folder / "unpredicted", predicted=False)
    total = Run(folder / "unpredicted").sequence().groupby("t")["kl"].sum().to_numpy()
    app = open_page("sequence", folder, run="unpredicted")
    assert tokens(app)["chosen"] == 16 + int(np.argmax(total[16:]))


def test_a_code_book_s_picks_stand_along_the_text(open_page: Open, folder: Path) -> None:
    app = open_page("sequence", folder, run="codes", neurons=f"1:{CODE_OF_ENDS}", follows="line's end")
    header, arrays = unpack(app, "heatmap")
    assert (header["title"], header["rows"]) == ("Picks", 5)  # of the codes that were picked
    cells = arrays["cells"].reshape(5, LENGTH)
    ends = np.array([letter == "\n" for letter in TEXT])
    row = cells[header["order"].index(CODE_OF_ENDS)]
    assert (row == np.where(ends, 255, 1)).all()
    assert not (cells[:, 1] > 1).any()
    [picks] = [one for one in figures(app) if "Codes picked at" in one["layout"]["meta"]["alt"]]
    assert numbers(picks["data"][1]["x"]).tolist() == np.flatnonzero(ends).tolist()
    held = {label: card["value"] for label, card in cards(app).items()}
    assert held["Picked"] == f"{ends.sum()} of {LENGTH}"
    assert held["Codes"] == "5 of 24"
    rows = table(app, "correlation")
    assert rows["neuron"].iloc[0] == f"1:{CODE_OF_ENDS}"
    assert rows["correlation"].iloc[0] == pytest.approx(1, abs=1e-6)
    assert list(table(app, "picked at t").columns)[1] == "change of picks"
    assert "no Gaussian layer" in texts(open_page("replay", folder, run="codes", over="sequence"))
