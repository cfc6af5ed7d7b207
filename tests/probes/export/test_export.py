"""Exports against the rows of the run: report, CSV, netCDF."""

import base64
import importlib.util
import json
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from payloads import unpack
from plotly.offline import get_plotlyjs

from probes import Recorder, Run, notes
from probes.__main__ import main
from probes.export import export, report
from probes.schema import REGIMES

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'<!--part:css-->"
MEGABYTE = 1_000_000
SVG_NAMESPACE = "http://www.w3.org/2000/svg"  # a name, which nobody is asked for


def write(path, steps=12, layers=("first", "second"), width=5, skip=(), **more):
    """A run whose second layer is half as wide as its first; `skip` names (step, layer) that are not
    recorded.
    """
    rng = np.random.default_rng(0)
    widths = [width, *[max(width // 2, 1)] * (len(layers) - 1)]
    config = {"warmup_steps": 0, EVIL: EVIL} | more
    at = np.arange(steps)
    with Recorder(
        path, [{"name": n, "neurons": w} for n, w in zip(layers, widths, strict=True)], config
    ) as recorder:
        for layer, own in enumerate(widths):
            kept = np.array([step for step in at if (step, layer) not in skip])
            information, mismatch = rng.uniform(0, 0.2, (2, kept.size, own))
            recorder.record_block(
                kept, layer,
                {
                    "mean": rng.normal(size=(kept.size, own)),
                    "variance": rng.uniform(0.1, 1, (kept.size, own)),
                    "spread": rng.uniform(0, 1, (kept.size, own)), "kl": information + mismatch,
                    "information": information,
                    "mismatch": mismatch,
                },
            )  # fmt: skip
        for step in at:
            recorder.scalar(int(step), "nll", 1 / (step + 1), split="validation")
        recorder.event(0, EVIL, layer=0, value=1.0, text=EVIL)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write(tmp_path_factory.mktemp("export") / "run", skip={(3, 1)})


def page(path):
    """The report without plotly's script."""
    text = report.report(Run(path))
    plotly = get_plotlyjs()
    assert text.count(plotly) == 1
    return text.replace(plotly, "")


def replayed(text):
    """Header and arrays of the report's replay."""
    return unpack(base64.b64decode(re.search(r'id="replay-payload">([^<]*)<', text)[1]))


def test_the_report_asks_no_host_and_forbids_itself_to(run):
    text = page(run)
    assert "default-src 'none'" in text
    links = re.findall(r"""<[a-z][^>]*\s(?:src|href)\s*=\s*["']?([^"'\s>]*)""", text)
    assert [link for link in links if not link.startswith("data:")] == []
    assert not re.findall(r"https?://|url\(|@import", text.replace(SVG_NAMESPACE, ""))


def test_every_string_of_the_log_is_escaped(tmp_path):
    path = write(tmp_path / "run", layers=(EVIL, "two"))
    content = json.loads((path / "run.json").read_text())
    content |= {"name": EVIL, "packages": {EVIL: EVIL}}
    (path / "run.json").write_text(json.dumps(content))
    notes.write(path, ["<b>&tag"], EVIL)
    text = page(path)
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "<b>&tag" not in text
    assert text.count("</script>") == 4
    assert "&lt;script&gt;alert(1)" in text
    assert "\\u0026lt;script\\u0026gt;alert(1)" in text, "of the figures, whose text plotly reads as HTML"
    assert replayed(text)[0]["layers"][0]["name"] == EVIL


def test_the_replay_holds_the_recorded_distributions(run):
    header, arrays = replayed(page(run))
    assert [layer["name"] for layer in header["layers"]] == ["first", "second"]
    reader = Run(run)
    alerts = [{"step": int(step), "alert": True} for step in np.unique(reader.alerts()["step"])]
    assert header["events"] == [{"step": 0, "alert": False}, *alerts]
    for index, layer in enumerate(header["layers"]):
        sent = {
            name: arrays[f"{name}.{index}"].reshape(len(header["steps"]), -1)
            for name in ("mean", "sd", "total")
        }
        for place, step in enumerate(header["steps"]):
            at = 2 if (step, index) == (3, 1) else step  # not recorded there: the one before
            stored = reader.at(at, index).set_index("neuron").loc[layer["neurons"]]
            sd, total = stored["variance"] ** 0.5, (stored["variance"] + stored["spread"]) ** 0.5
            for name, exact in (("mean", stored["mean"]), ("sd", sd), ("total", total)):
                np.testing.assert_array_equal(sent[name][place], exact.astype(np.float16))


def test_the_replays_strip_holds_what_the_summary_says(run):
    header, arrays = replayed(page(run))
    summary = Run(run).layer_summary().set_index(["layer", "step"])
    first = summary.loc[0].loc[header["steps"]]
    np.testing.assert_allclose(arrays["median.0"], first["variance_p50"], rtol=1e-6)
    np.testing.assert_allclose(arrays["contraction.0"], 1 - first["variance_mean"], rtol=1e-5, atol=1e-6)
    counts = first[[f"settled_{regime.code}" for regime in REGIMES]]
    np.testing.assert_allclose(
        arrays["living.0"], counts[["settled_0", "settled_9"]].sum(axis=1) / counts.sum(axis=1)
    )


def test_a_long_run_makes_a_report_below_six_megabytes(tmp_path):
    path = write(tmp_path / "long", steps=10_000, width=64, layers=("a", "b", "c"))
    (file,) = export(path, html=tmp_path / "long.html")
    assert file.stat().st_size < 6 * MEGABYTE


@pytest.mark.parametrize(
    "shape",
    [{"steps": 1}, {"width": 1, "layers": ("one",)}, {"layers": tuple("abcdefghijklmnop"), "width": 2}],
)
def test_any_shape_has_a_report(tmp_path, shape):
    assert "data-figure" in page(write(tmp_path / "run", **shape))


def test_a_run_without_distributions_says_so(tmp_path):
    with Recorder(tmp_path / "twin", [{"name": "one", "neurons": 2}]) as recorder:
        recorder.scalar(0, "loss", 1.0)
    assert "This run holds no distributions" in page(tmp_path / "twin")
    with Recorder(tmp_path / "bare", [{"name": "one", "neurons": 2}]):
        pass
    assert "This run holds no distributions" in report.report(Run(tmp_path / "bare"))


def test_one_csv_has_every_row(run, tmp_path):
    (file,) = export(run, csv=tmp_path / "out.csv")
    expected = pd.concat([Run(run).history(layer) for layer in range(2)]).sort_values(
        ["step", "layer", "neuron"]
    )
    read = pd.read_csv(file, dtype=expected.dtypes.to_dict())
    pd.testing.assert_frame_equal(read, expected.reset_index(drop=True))


def test_a_csv_tells_what_was_not_taken_from_what_is_no_number(tmp_path):
    with Recorder(tmp_path / "gaps", [{"name": "one", "neurons": 2}]) as recorder:
        for step in range(3):
            often = {"mean": np.array([0.0, np.nan]), "variance": np.array([1.0, np.inf])}
            recorder.record(
                step, 0, **often, **({"persistence": np.array([0.5, np.nan])} if step != 1 else {})
            )
            recorder.scalar(step, "loss", float("nan"))
    file = next(path for path in export(tmp_path / "gaps", csv=tmp_path / "out") if path.stem == "neurons")
    read = pd.read_csv(file, dtype=str, keep_default_na=False)
    assert read["persistence"].tolist() == ["0.5", "nan", "", "", "0.5", "nan"]
    assert read["mean"].tolist() == ["0", "nan"] * 3
    assert read["variance"].tolist() == ["1", "inf"] * 3
    scalars = pd.read_csv(tmp_path / "out" / "scalars.csv", dtype=str, keep_default_na=False)
    assert scalars["value"].tolist() == ["nan"] * 3
    assert scalars["epoch"].tolist() == [""] * 3


def test_blocks_of_a_csv_join_without_a_seam(run, tmp_path, monkeypatch):
    monkeypatch.setattr("probes.export.tables.ROWS_AT_ONCE", 20)
    blocks, whole = tmp_path / "blocks.csv", tmp_path / "whole.csv"
    export(run, csv=blocks)
    monkeypatch.undo()
    export(run, csv=whole)
    assert blocks.read_bytes() == whole.read_bytes()


def test_a_folder_has_all_tables(run, tmp_path):
    files = export(run, csv=tmp_path / "tables")
    names = {file.stem: pd.read_csv(file) for file in files}
    assert set(names) == {"neurons", "layers", "scalars", "events", "alerts", "layer_names"}
    assert names["layer_names"]["name"].tolist() == ["first", "second"]
    assert names["events"]["text"].tolist() == [EVIL]
    assert len(names["layers"]) == 23


def test_netcdf_has_every_statistic_over_step_and_neuron(run, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # of xarray's own imports
        import xarray

        (file,) = export(run, netcdf=tmp_path / "run.nc")
        with xarray.open_dataset(file, engine="h5netcdf") as data:
            loaded = data.load()
    reader = Run(run)
    assert dict(loaded.sizes) == {"step": 12, "neuron": 7}
    assert loaded["kl"].attrs["units"] == "nats"
    assert loaded["layer_name"].values.tolist() == ["first"] * 5 + ["second"] * 2
    assert json.loads(loaded.attrs["config"])["warmup_steps"] == 0
    for name in ("regime", "settled", *reader.statistics):
        for layer in range(2):
            mine = loaded[name].isel(neuron=loaded["layer"].values == layer)
            steps = [step for step in range(12) if (step, layer) != (3, 1)]
            stored = reader.history(layer, statistics=[name]).set_index(["step", "neuron"])[name].unstack()
            np.testing.assert_array_equal(mine.sel(step=steps), stored)
    assert loaded["kl"].isel(neuron=slice(5, 7)).sel(step=3).isnull().all()
    assert (loaded["regime"].isel(neuron=slice(5, 7)).sel(step=3) == -1).all()


def test_netcdf_without_its_libraries_says_what_to_install(run, tmp_path, monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "xarray" else find(name, *rest)
    )
    assert main(["export", str(run), "--netcdf", str(tmp_path / "run.nc")]) == 2
    assert "pip install xarray" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to export"),
        (["--html", "RUN/report.html"], "inside the run's folder"),
        (["--csv", "RUN"], "inside the run's"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line(run, arguments, message, capsys):
    before = sorted(run.rglob("*"))
    assert main(["export", str(run), *(argument.replace("RUN", str(run)) for argument in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(run.rglob("*")) == before


def test_the_command_names_its_files(run, tmp_path, capsys):
    assert (
        main(["export", str(run), "--html", str(tmp_path / "a.html"), "--csv", str(tmp_path / "b.csv")]) == 0
    )
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        str(tmp_path / "a.html"),
        str(tmp_path / "b.csv"),
    ]
    assert main(["export", str(tmp_path), "--html", str(tmp_path / "a.html")]) == 2
