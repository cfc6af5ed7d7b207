"""The page Replay: which neurons it shows, what of it is in the URL, what can be taken away."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from payloads import unpack as unpacked
from planted import write_run
from shown import query, texts, unpack
from streamlit.testing.v1 import AppTest

from pages.shell.data import replay
from pages.shell.session import runs
from probes import Run
from probes.export import replay_page

Open = Callable[..., AppTest]
SAMPLES = Path(__file__).resolve().parents[2] / "sample_runs"
NARROW = 0.8  # prior sds: as wide, a ridge is visibly narrower than its prior


def last_sds(app: AppTest) -> np.ndarray:
    """The sd of every ridge at the last frame, prior sds."""
    header, arrays = unpack(app, "replay")
    frames = len(header["steps"])
    return np.concatenate(
        [arrays[f"sd.{place}"].reshape(frames, -1)[-1] for place in range(len(header["layers"]))]
    ).astype(float)


def test_the_default_view_of_the_sample_run_shows_contraction(open_page: Open) -> None:
    app = open_page("replay", SAMPLES, run="healthy")
    header, _ = unpack(app, "replay")
    assert [len(layer["neurons"]) for layer in header["layers"]] == [16, 16, 16]
    assert (last_sds(app) <= NARROW).mean() >= 0.5
    last = Run(SAMPLES / "healthy").at(int(header["steps"][-1])).set_index("neuron")
    for layer in header["layers"]:
        held = last.loc[last["layer"] == layer["index"], "information"]
        assert layer["informative"] == held.idxmax()
        assert layer["informative"] in layer["neurons"]
    assert header["chosen"] == "12 most contracted and 4 that stayed closest to the prior"
    assert header["trail"]


def test_every_choice_is_in_the_url_and_opens_from_it(open_page: Open, tmp_path: Path) -> None:
    write_run(tmp_path / "deep", layers=9, neurons=20, steps=30)
    app = open_page("replay", tmp_path)
    app.sidebar.selectbox(key="choose_show").set_value("changed").run()
    app.sidebar.select_slider(key="choose_count").set_value("8").run()
    app.sidebar.toggle(key="replay_trail").set_value(False).run()
    app.sidebar.multiselect(key="replay_layers").set_value([1, 7]).run()
    keys = {"show": "changed", "count": "8", "trail": "0", "layers": "2,8"}
    assert {key: query(app, key) for key in keys} == keys
    again = open_page("replay", tmp_path, run="deep", speed="skip", order="index", **keys)
    header, _ = unpack(again, "replay")
    assert not again.warning
    assert [layer["index"] for layer in header["layers"]] == [1, 7]
    assert all(layer["neurons"] == sorted(layer["neurons"]) for layer in header["layers"])
    assert [len(layer["neurons"]) for layer in header["layers"]] == [8, 8]
    assert (header["trail"], header["speed"]) == (False, "skip")


@pytest.mark.parametrize(
    "keys", [{"show": "best"}, {"count": "17"}, {"order": "luck"}, {"speed": "9"}, {"layers": "0,x"}]
)
def test_a_choice_that_is_none_is_said(open_page: Open, tmp_path: Path, keys: dict[str, str]) -> None:
    write_run(tmp_path / "deep", layers=9, neurons=20, steps=10)
    app = open_page("replay", tmp_path, run="deep", **keys)
    assert len(app.warning) == 1
    assert len(unpack(app, "replay")[0]["layers"]) == replay.COLUMNS


def test_what_was_found_is_shown(open_page: Open, run_folder: Path) -> None:
    app = open_page("replay", show="found", find="neuron:3,5 layer:2")
    drawn = [set(layer["neurons"]) - {layer["informative"]} for layer in unpack(app, "replay")[0]["layers"]]
    assert drawn[0] == drawn[2] == set()
    assert {3, 5} <= set(unpack(app, "replay")[0]["layers"][1]["neurons"])
    app = open_page("replay", show="found", find="nonsense>3")
    assert "nonsense" in app.error[0].value
    assert len(unpack(app, "replay")[0]["layers"][0]["neurons"]) == 16


def test_nothing_pinned_is_said(open_page: Open) -> None:
    app = open_page("replay", show="pinned")
    assert "Nothing is pinned" in texts(app)
    assert [len(layer["neurons"]) for layer in unpack(app, "replay")[0]["layers"]] == [1, 1, 1]
    app = open_page("replay", show="pinned", pin="planted:0:3")
    assert 3 in unpack(app, "replay")[0]["layers"][0]["neurons"]


def test_the_loss_stands_over_the_strip(open_page: Open, run_folder: Path) -> None:
    header, arrays = unpack(open_page("replay"), "replay")
    assert header["score"] == "Loss, train"
    logged = Run(run_folder / "planted").scalars().query("split == 'train' and name == 'loss'")
    expected = np.interp(header["steps"], logged["step"], logged["value"])
    np.testing.assert_allclose(arrays["score.0"], expected, rtol=1e-6)


def test_a_page_to_embed_holds_the_whole_replay_and_asks_no_host(run_folder: Path) -> None:
    context = runs.open_run(runs.Entry("planted", run_folder / "planted", {"error": None}))
    choice = replay.Choice(show="spread", count=8)
    sent = replay.payload([replay.Side(context, [0, 2], [])], choice, None, autoplay=False)
    text = replay_page.page(sent, "<b>planted")
    assert "default-src 'none'" in text
    assert "<title>Replay of &lt;b&gt;planted</title>" in text
    header, _ = unpacked(base64.b64decode(re.search(r'id="replay-payload">([^<]*)<', text)[1]))
    assert [layer["index"] for layer in header["layers"]] == [0, 2]
    assert not header["autoplay"]
    assert header["cursor"] is None
