"""python -m vdn: bad input is one line and exit 2 and leaves nothing behind; commands end to end; Ctrl-C in a
real process.
"""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from vdn.__main__ import INTERRUPTED, flag_words, main


def words(settings):
    return [word for name, value in settings.items() for word in flag_words(name, value)]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--data", "mnist"], "unknown data set 'mnist'"),
        (["--data", "csv:/absent.csv"], "no such file"),
        (["--data", "csv:{text}"], "no column of numbers"),
        (["--steps", "0"], "--steps must be at least 1"),
        (["--neurons", "many"], "invalid int value"),
        (["--sigma", "none"], "--sigma is one of"),
        (["--device", "cuda:99"], "device 'cuda:99'"),
        (["--config", "/absent.toml"], "cannot be read"),
        (["--layer", "2"], "unrecognized arguments: --layer 2"),
        (["--out", "{full}"], "is not empty"),
        (["--split", "nan,0.1,0.2"], "three positive numbers"),
        (["--band-low", "2", "--band-high", "1"], "a band needs"),
        (["--thermostat", "--c-min", "0.5"], "c_min must not exceed c_max"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, capsys, extra, message):
    (tmp_path / "text.csv").write_text("date,name\n2020,x\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept").write_text("")
    here = {"text": tmp_path / "text.csv", "full": tmp_path / "full"}
    before = sorted(tmp_path.rglob("*"))
    try:
        status = main(["train", "--runs", str(tmp_path / "runs"), *(word.format(**here) for word in extra)])
    except SystemExit as leave:  # argparse's own
        status = leave.code
    out, err = capsys.readouterr()
    assert status == 2
    assert err.count("\n") == 1
    assert message in err
    assert out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_train_evaluate_and_twin(tmp_path, capsys, small):
    runs = ["--runs", str(tmp_path / "runs")]
    assert main(["train", *runs, *words(small)]) == 0
    [run] = (tmp_path / "runs").iterdir()
    assert run.name.startswith("waves-2x8-beta0.01-seed0-")
    capsys.readouterr()
    assert main(["evaluate", str(run), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result) == {"model", "twin", "baselines"}
    assert result["twin"] is None
    scores = {"mse", "mae", "nll_joint", "nll_marginal", "crps", "coverage", "rate", "living_share"}
    assert set(result["model"]) == scores
    assert set(result["model"]["coverage"]) == {"50", "80", "95"}
    assert len(result["model"]["living_share"]) == 2
    assert set(result["baselines"]) == {"last_value", "seasonal_naive"}

    assert main(["train", *runs, "--twin", "--lr", "0.01", *words(small)]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), "--json", "--draws", "2", "--split", "validation"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result["twin"]) == scores
    assert result["twin"]["rate"] is result["twin"]["living_share"] is None
    assert main(["evaluate", str(run)]) == 0
    table = capsys.readouterr().out
    assert all(word in table for word in ("model", "twin", "last value", "seasonal naive", "crps"))
    assert main(["evaluate", str(run), "--twin-run", str(run)]) == 2
    assert "no deterministic twin" in capsys.readouterr().err


def test_toml_and_flags(tmp_path, capsys, small):
    (tmp_path / "run.toml").write_text("neurons = 4\nlayers = 1\nsteps = 2\n")
    rest = {name: value for name, value in small.items() if name not in ("neurons", "layers", "steps")}
    assert (
        main(
            [
                "train",
                "--config",
                str(tmp_path / "run.toml"),
                "--layers",
                "3",
                "--out",
                str(tmp_path / "run"),
                *words(rest),
            ]
        )
        == 0
    )
    config = json.loads((tmp_path / "run" / "run.json").read_text())["config"]
    assert (config["neurons"], config["layers"], config["steps"]) == (4, 3, 2)


@pytest.mark.parametrize("data", ["digits", "diabetes"])
def test_rows_of_tables(tmp_path, capsys, data):
    settings = {
        "data": data,
        "steps": 5,
        "neurons": 8,
        "layers": 2,
        "batch": 32,
        "test_draws": 2,
        "probe_times": 2,
    }
    assert main(["train", "--out", str(tmp_path / "run"), *words(settings)]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert ("accuracy" in result["model"]) == (data == "digits")
    assert ("crps" in result["model"]) == (data == "diabetes")
    if data == "digits":
        assert 0 < result["model"]["ece_null"] < result["model"]["ece_null_95"]
        assert main(["evaluate", str(tmp_path / "run")]) == 0
        head, model, *_ = capsys.readouterr().out.splitlines()
        assert "ece if calibrated 95 % below" in " ".join(head.split())
        assert f"{result['model']['ece_null_95']:.4f}" in model


@pytest.mark.parametrize("words", [["evaluate", "run", "--draws", "0"], ["sweep", "--jobs", "0"]])
def test_counts_begin_at_one(capsys, words):
    with pytest.raises(SystemExit) as leave:
        main(words)
    assert leave.value.code == 2
    assert "must be at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["resume", "evaluate"])
def test_a_folder_without_a_run(tmp_path, capsys, what):
    assert main([what, str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_sweep(tmp_path, capsys, small):
    command = [
        "sweep",
        "--runs",
        str(tmp_path / "sweep"),
        "--grid",
        "beta=0.01,0.1",
        "--seeds",
        "0",
        "--jobs",
        "2",
    ]
    assert main([*command, *words({**small, "steps": 3})]) == 0
    table = capsys.readouterr().out
    assert "beta=0.01" in table
    assert "±" in table
    assert sorted(path.name for path in (tmp_path / "sweep").iterdir()) == ["beta0.01-seed0", "beta0.1-seed0"]
    assert main([*command, *words(small)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["sweep", "--runs", str(tmp_path / "other"), "--grid", "beta"]) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_a_real_process_cleanly(tmp_path, small, number):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "vdn", "train", "--out", str(run), *words({**small, "steps": 100_000})]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    limit = time.monotonic() + 120
    while not list(run.glob("checkpoints/last.pt")):
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < limit
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == INTERRUPTED
    assert err == b""
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
