"""python -m vdn: bad input is one line and exit 2 and leaves nothing behind; commands end to end; Ctrl-C in a
real process.
"""

import errno
import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

import probes
from probes.command_line import Output
from probes.storage import local
from vdn import trainer
from vdn.__main__ import INTERRUPTED, Display, main
from vdn.config import command_words, flag_words, from_dict, resolve
from vdn.train import Progress


def words(settings):
    return [word for name, value in settings.items() for word in flag_words(name, value)]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--data", "mnist"], "unknown data set 'mnist'"),
        (["--data", "csv:/absent.csv"], "no such file"),
        (["--data", "csv:{text}"], "no column of numbers"),
        (["--steps", "0"], "--steps must be at least 1"),
        (["--neurons", "many"], "takes a whole number, this is 'many'"),
        (["--beta", "0.01,0.1"], "vdn sweep --grid beta=0.01,0.1"),
        (["--seed", "0,1"], "vdn sweep --seeds 0,1"),
        (["--lr", "inf"], "--lr takes a finite number"),
        (["--phi", "0.5,x"], "--phi takes numbers with commas between"),
        (["--data", "csv:"], "names no file"),
        (["--bta", "1"], "did you mean --beta?"),
        (["--sigma", "none"], "--sigma is one of"),
        (["--device", "cuda:99"], "device 'cuda:99'"),
        (["--config", "/absent.toml"], "cannot be read"),
        (["--layer", "2"], "unrecognized arguments: --layer 2"),
        (["--out", "{full}"], "is not empty"),
        (["--split", "nan,0.1,0.2"], "three positive numbers"),
        (["--columns", "a\nb"], "names of columns have commas between"),
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


NAMES = {
    "too long": "a" * 300,
    "NUL": "a\0b",
    "newline": "a\nb",
    "not UTF-8": "a\udcffb",
    "folder": "{here}/folder",
    "below a file": "{here}/file/x",
    "FIFO": "{here}/pipe",
    "no end": "/dev/zero",
    "loop": "{here}/loop/x",
    "store": "s3://bucket/run",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_any_kind_is_one_line(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    word, runs = NAMES[name].format(here=tmp_path), ["--runs", str(tmp_path / "runs")]
    commands = [
        ["train", "--data", f"csv:{word}", *runs],
        ["train", "--config", word, *runs],
        ["train", "--data", word, *runs],
        ["resume", word],
        ["evaluate", word],
        ["sweep", "--config", word, *runs],
        ["probe", word, "shift"],
    ]
    if name not in ("newline", "not UTF-8", "folder"):  # where a run may be
        commands += [["train", "--out", word], ["sweep", "--runs", word, "--data", "none"]]
    for command in commands:
        assert main(command) == 2, command
        err = capsys.readouterr().err
        assert err.count("\n") == 1, command
        assert err.strip().isprintable()
    if name == "store":
        assert main(["train", "--data", "diabetes", "--out", word]) == 2
        assert "pip install 'vdn-probes[store]'" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "s3:").exists()


@pytest.mark.parametrize("stem", ["sensor_export_" * 17, "ä" * 120, "two\nlines", "tab\tand:colon"])
def test_a_run_is_called_after_its_data_as_far_as_a_folder_can_be(tmp_path, waves, small, stem):
    data = tmp_path / f"{stem}.csv"
    data.write_bytes(waves.read_bytes())
    assert (
        main(
            ["train", "--runs", str(tmp_path / "runs"), *words({**small, "data": f"csv:{data}", "steps": 2})]
        )
        == 0
    )
    [run] = (tmp_path / "runs").iterdir()
    assert run.name.startswith(stem[:3])
    assert len(run.name.encode()) <= 143
    assert run.name.isprintable()
    assert not set(run.name) & set('/\\:*?"<>|')


@pytest.mark.parametrize("to", ["closed pipe", "full disk"])
@pytest.mark.parametrize("command", [["train", "--steps=2"], ["train", "--help"]], ids=" ".join)
def test_output_that_cannot_be_written(tmp_path, small, to, command):
    """What was read is said by logging, which would print a traceback of its own."""
    settings = [] if "--help" in command else ["--out", str(tmp_path / "run"), *words({**small, "steps": 2})]
    reader, writer = os.pipe()
    os.close(reader)
    target = writer if to == "closed pipe" else os.open("/dev/full", os.O_WRONLY)
    process = subprocess.Popen(
        [sys.executable, "-m", "vdn", *command, *settings], stdout=target, stderr=subprocess.PIPE, text=True
    )
    err = process.communicate(timeout=120)[1]
    for end in {writer, target}:
        os.close(end)
    assert err.count("\n") <= 1
    assert "Traceback" not in err
    assert settings == [] or process.returncode == 2


@pytest.mark.parametrize("when", ["log", "checkpoint"])
def test_a_disk_that_fills_up_is_one_line(tmp_path, monkeypatch, capsys, small, when):
    def full(*_arguments, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def torn(*_arguments, **_options):  # torch's word for it
        raise RuntimeError(
            "[enforce fail at inline_container.cc:692] . unexpected pos 64 vs 0\n frame #0: 0x7f"
        )

    if when == "checkpoint":
        monkeypatch.setattr(trainer.torch, "save", torn)
    else:
        start = trainer.Trainer.step

        def step(self):
            monkeypatch.setattr(local.os, "replace", full)
            return start(self)

        monkeypatch.setattr(trainer.Trainer, "step", step)
    assert main(["train", "--out", str(tmp_path / "run"), *words({**small, "steps": 3})]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert str(tmp_path / "run") in err
    assert "cannot" in err
    assert list((tmp_path / "run").rglob(".tmp-*")) == []


@pytest.mark.parametrize("twin", [False, True])
def test_a_training_that_diverges_is_one_line(tmp_path, capsys, small, twin):
    told = words({**small, "lr": 1e30, "twin": twin})
    assert main(["train", "--out", str(tmp_path / "run"), *told]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "the training diverged: since the update of step " in err
    assert "start anew with a lower --lr (it was 1e+30)" in err
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "crashed"


def test_a_run_that_was_killed_before_its_first_checkpoint(tmp_path, capsys, small):
    settings = {**small, "beta": 0.25, "learn_phi": False, "read_first": False, "columns": ""}
    config = resolve(from_dict(settings))
    assert resolve(from_dict({})) != config
    run = tmp_path / "a run"
    assert main(["train", "--out", str(run), *words(settings)]) == 0
    before = json.loads((run / "run.json").read_text())["config"]
    (run / "checkpoints" / "last.pt").unlink()
    state = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(state | {"status": "running", "heartbeat": 0.0}))
    capsys.readouterr()
    assert main(["resume", str(run)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert (
        f"was stopped before its first checkpoint, which is written after {config.validate_every} steps"
        in err
    )
    command = shlex.split(err.split("start anew with ")[1])
    assert command[:4] == ["python", "-m", "vdn", "train"]
    assert command[-1] == f"--out={run}-2"
    assert main(command[3:]) == 0
    assert json.loads((tmp_path / "a run-2" / "run.json").read_text())["config"] == before


def test_what_has_no_checkpoint_of_ours(tmp_path, capsys):
    with probes.Recorder(tmp_path / "run", [{"name": "z", "neurons": 2}]) as recorder:
        recorder.record(0, "z", mean=[0, 0])
    assert main(["resume", str(tmp_path / "run")]) == 2
    assert "was not made by `python -m vdn train`" in capsys.readouterr().err


def test_words_that_give_a_configuration_again():
    for settings in (
        {"data": "nyc"},
        {"data": "digits", "beta": 0.5},
        {"data": "nyc", "phi": "0.1,0.9", "bf16": True},
    ):
        config = resolve(from_dict(settings))
        assert set(command_words(config)) <= {w for n, v in settings.items() for w in flag_words(n, v)}
        assert len(command_words(config)) == len(settings)


def test_train_evaluate_and_twin(tmp_path, capsys, small):
    runs = ["--runs", str(tmp_path / "runs")]
    assert main(["train", *runs, *words(small)]) == 0
    [run] = (tmp_path / "runs").iterdir()
    assert run.name.startswith("waves-2x8-beta0.01-seed0-")
    capsys.readouterr()
    assert main(["evaluate", str(run), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result) == {"weights", "model", "twin", "baselines", "differences"}
    assert result["twin"] is result["differences"] is None
    scores = {"mse", "mae", "nll_joint", "nll_marginal", "crps", "energy", "coverage", "rate", "living_share"}
    assert result["weights"]["which"] == "best"
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
    assert f"weights: best by validation, of step {result['weights']['step']}" in table
    assert "model - twin" in table
    assert "blocks of time, one training each" in " ".join(table.split())
    assert main(["evaluate", str(run), "--weights", "last"]) == 0
    assert "weights: last, of step 24" in capsys.readouterr().out
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
    assert "energy" not in result["model"], "of one number it is the CRPS"
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


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ([], "give --grid, such as"),
        (["--beta", "0.1"], "give --grid, such as"),
        (["--seed", "3", "--grid", "beta=0.1"], "takes --seeds, here --seeds 3"),
        (["--grid", "beta=0.1,x"], "sweep: argument --beta: takes a number"),
        (["--grid", "beta=0.1", "--data", "mnist"], "unknown data set"),
    ],
)
def test_a_sweep_that_cannot_be_starts_nothing(tmp_path, capsys, extra, message):
    try:
        status = main(["sweep", "--runs", str(tmp_path / "runs"), *extra])
    except SystemExit as leave:
        status = leave.code
    assert status == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "runs").exists()


def test_help_names_the_choices_of_a_setting(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "what sigma depends on: shared | per_neuron | input [input]" in said


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
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    limit = time.monotonic() + 120
    while not list(run.glob("checkpoints/last.pt")):
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < limit
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == INTERRUPTED
    assert f"vdn resume {run} goes on" in out.decode()
    assert err == b""
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"


@pytest.mark.parametrize("command", [["resume"], ["evaluate"], ["probe", "ablation"]])
def test_commands_that_take_data_take_how_it_is_read(tmp_path, capsys, small, command):
    assert main(["train", "--out", str(tmp_path / "run"), *words({**small, "steps": 2})]) == 0
    what, *rest = command
    capsys.readouterr()
    for flag, value in (
        *(("sep", ";"), ("decimal", ","), ("time", "none"), ("id", "a")),
        *(("columns", "a"), ("header", "none")),
    ):
        flags = [f"--{flag}", value]
        run = [str(tmp_path / "run")]
        assert main([what, *run, *rest, *flags] if rest else [what, *run, *flags]) == 2
        said = capsys.readouterr().err
        assert f"--{flag} {value!r} is not how the run read its data" in said
        assert said.count("\n") == 1


def test_where_no_bar_can_move_a_line_a_tenth_says_how_far_it_is(capsys):
    with Display(Output()) as display:
        for step in range(0, 31):
            display(Progress(step, 30, loss=2.0, rate=3.0, living_share=0.5))
        display(Progress(30, 30, 2.0, 3.0, 0.5, tested=40, to_test=40))
    told = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in told] == [
        *(f"training {step} of 30" for step in range(0, 31, 3)),
        "testing 40 of 40",
    ]
    assert told[1].endswith("loss 2.000  rate 3 nats  living 50%")
