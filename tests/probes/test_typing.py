"""What a user's type checker and IPython see of `probes`: real types, and a misspelt keyword is an error.

One run of mypy over one script; `reveal_type` says what it takes each expression for.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from torch import nn

import probes
from probes import synthetic
from probes.moments import moments
from probes.recorder import Settings
from probes.watching.attaching import Recording

ROOT = Path(probes.__file__).parents[1]

PRELUDE = """
import numpy as np
import torch
from torch import Tensor, nn
import probes
from probes.run_reader import RunReader

array = np.zeros(4)
tensor = torch.zeros(4)
recorder = probes.Recorder("runs/one", [{"name": "first", "neurons": 4}], config={"seed": 1})
recording = probes.watch(nn.Linear(2, 2), "runs/two", every=10, parts={"": "mu, log_var"}, precision="10bit")
run = probes.Run("runs/one")
reader: RunReader = run
also: probes.RunReader = probes.Run("runs/one")

def read(module: nn.Linear, output: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return output

def mirror(name: str, value: float, step: int) -> None: ...
"""

FRAME = "pandas.DataFrame"
STEPS = "numpy.ndarray[tuple[Any, ...], numpy.dtype[numpy.signedinteger[numpy._typing._nbit_base._64Bit]]]"
LAYER = "TypedDict(probes.run_reader.LayerInfo, "
STATUS = "Literal['running'] | Literal['finished'] | Literal['interrupted'] | Literal['crashed']"

REVEALED = {
    "probes.watch": "def (model: torch.nn.modules.module.Module, folder: str | pathlib.Path, every: int =",
    "recording": "probes.watching.attaching.Recording",
    "recording.step(3, loss=tensor, accuracy=0.5)": "None",
    "recording.scalar(3, 'loss', np.float32(1))": "None",
    "recording.found[0]['why']": "str",
    "recording.lost": "int",
    "recording.every": "int",
    "recording.folder": "pathlib.Path",
    "recording.model": "torch.nn.modules.module.Module",
    "recording.recorder": "probes.recorder.Recorder | None",
    "recorder": "probes.recorder.Recorder",
    "probes.Recorder.resume('runs/one', 9, every=2)": "probes.recorder.Recorder",
    "recorder.record(0, 'first', mean=array, variance=[1.0, 1.0], kl=tensor)": "None",
    "recorder.scalar(0, 'nll', tensor.mean(), split='validation')": "None",
    "recorder.layers": f"list[{LAYER}",
    "recorder.dropped": "dict[str, int]",
    "run": "probes.run.Run",
    "run.history": "def (layer: int | str, neurons: int | Sequence[int]",
    "run.history('first', [0, 1], statistics=['kl'], steps=(0, 9), max_points=100)": FRAME,
    "run.at(3)": FRAME,
    "run.matrix(0, 'kl', reduce='max')": f"tuple[numpy.ndarray[tuple[Any, ...], numpy.dtype[Any]], {STEPS}]",
    "run.layer_summary()": FRAME,
    "run.layers": f"list[{LAYER}",
    "run.layers[0]['neurons']": "int",
    "run.layers[0].get('of')": "str | None",
    "run.steps": STEPS,
    "run.statistics": "list[str]",
    "run.status": STATUS,
    "run.config": "dict[str, Any]",
    "run.refresh()": "bool",
    "reader.at(3)": FRAME,
    "reader.status": STATUS,
    "probes.catalog('runs')": FRAME,
    "probes.observe('z', tensor, tensor, prior=(0.0, 1.0))": "None",
    "probes.RunError('x')": "probes.errors.RunError",
    "probes.RecorderError('x')": "probes.log.background.RecorderError",
    "probes.WatchError('x')": "probes.watching.finding.WatchError",
    "probes.PartError('x')": "probes.watching.stated.PartError",
    "probes.CompiledError('x')": "probes.watching.hooks.CompiledError",
}
"""Expression -> how the type begins that mypy reveals."""

ALLOWED = (
    "probes.watch(nn.Linear(2, 2), 'runs/a', parts={'encoder.*': read}, mirror=mirror, priors={'z': (0, 2)})",
    "probes.watch(nn.Linear(2, 2), 'runs/a', parts={'x': 'mu, log_var'}, config={'seed': 1}, skip=['dec.*'])",
    "probes.Recorder('runs/a', run.layers, flush_steps=16, when_full='drop', geometric=1.05)",
    "run.history(0, np.arange(3))",
)

REFUSED = {
    "probes.watch(nn.Linear(2, 2), 'runs/a', evry=3)": "call-arg",
    "probes.watch(nn.Linear(2, 2), 'runs/a', precision='9bit')": "arg-type",
    "probes.watch('model', 'runs/a')": "arg-type",
    "probes.Recorder('runs/a', run.layers, flush_step=16)": "call-arg",
    "probes.Recorder.resume('runs/a', 3, nam='x')": "call-arg",
    "recorder.close('done')": "arg-type",
    "recorder.scalar(3, 'nll', 'low')": "arg-type",
    "run.history(0, max_point=10)": "call-arg",
    "run.matrix(0, 'kl', reduce='median')": "arg-type",
    "run.layers[0]['widht']": "typeddict-item",
    "probes.Rnu": "attr-defined",
}
"""What a checker must find -> the code of its error."""


def said_by_mypy(script: Path, cache: Path) -> dict[int, list[str]]:
    """Line of a user's script -> what mypy, strict, says of it."""
    config = script.with_name("mypy.ini")
    config.write_text(
        "[mypy]\nstrict = true\nfollow_imports = silent\n"
        "[mypy-plotly.*,pyarrow.*,scipy.*,sklearn.*]\nignore_missing_imports = true\n"
    )
    options = ["--config-file", config, "--cache-dir", cache, "--no-pretty", "--no-error-summary"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, script],
        cwd=script.parent,
        env=os.environ | {"MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    said: dict[int, list[str]] = {}
    for line in done.stdout.splitlines():
        found = re.fullmatch(r".*script\.py:(\d+): (.*)", line)
        assert found, f"mypy says: {line}"
        said.setdefault(int(found[1]), []).append(found[2])
    return said


def revealed(said: list[str]) -> str:
    """The type that mypy reveals, with the short names that people use."""
    found = next(
        (match[1] for line in said if (match := re.match(r'note: Revealed type is "(.*)"', line))), ""
    )
    return re.sub(r"\b(builtins|collections\.abc|typing)\.", "", found).replace(
        "pandas.core.frame.", "pandas."
    )


def test_what_a_type_checker_says_of_a_users_script(tmp_path, pytestconfig):
    """One test, since mypy is to run once: some seconds, half a minute where its cache is empty."""
    lines = [*PRELUDE.splitlines(), *(f"reveal_type({text})" for text in REVEALED), *ALLOWED, *REFUSED]
    (tmp_path / "script.py").write_text("\n".join(lines) + "\n")
    kept = getattr(pytestconfig, "cache", None)
    cache = tmp_path / "cache" if kept is None else kept.mkdir("mypy")
    said = said_by_mypy(tmp_path / "script.py", cache)

    wrong = []
    for number, line in enumerate(lines, 1):
        of_line = said.get(number, [])
        expression = line.removeprefix("reveal_type(").removesuffix(")")
        if line in REFUSED:
            good = any(text.endswith(f"[{REFUSED[line]}]") for text in of_line)
        elif line.startswith("reveal_type("):
            good = len(of_line) == 1 and revealed(of_line).startswith(REVEALED[expression])
        else:
            good = not of_line
        if not good:
            wrong.append(f"{line}: {of_line or 'nothing is said'}")
    assert not wrong, "\n".join(wrong)


def test_public_names_are_listed_before_they_are_loaded():
    code = "import probes, sys; print(sorted(set(probes.__all__) - set(dir(probes))), 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "False"]
    assert sorted(probes._HOMES) == sorted(probes.__all__), "what is loaded lazily and what is public"
    for name in probes.__all__:
        assert getattr(probes, name) is not None


def test_type_checkers_are_told_the_homes_that_names_are_loaded_from():
    tree = ast.parse(Path(probes.__file__).read_text(encoding="utf-8"))
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    told = {alias.asname: node.module for node in checked.body for alias in node.names}
    assert told == probes._HOMES


def test_keywords_are_the_same_wherever_they_are_passed_on():
    keywords = dict(inspect.signature(Recording).parameters)
    assert dict(inspect.signature(probes.watch).parameters) == keywords
    for module in ("lightning", "huggingface"):  # their libraries need not be here: read, not imported
        tree = ast.parse((ROOT / "probes" / "integrations" / f"{module}.py").read_text(encoding="utf-8"))
        made = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "__init__")
        named = [argument.arg for argument in (*made.args.args[1:], *made.args.kwonlyargs)]
        assert named == [name for name in keywords if name != "model"], module
        assert made.args.kwarg is None, module


@pytest.mark.parametrize("method", [probes.Recorder, probes.Recorder.resume])
def test_a_recorders_keywords_are_its_settings(method):
    parameters = inspect.signature(method).parameters
    settings = {field.name: field.default for field in fields(Settings)}
    assert {name: parameters[name].default for name in settings} == settings
    assert [name for name in parameters if name in settings] == list(settings)


@pytest.mark.parametrize(
    "call",
    [
        lambda folder, **more: probes.watch(nn.Linear(2, 2), folder, **more),
        lambda folder, **more: probes.Recorder(folder, [{"name": "first", "neurons": 4}], **more),
        lambda folder, **more: probes.Recorder.resume(folder, 3, **more),
        lambda folder, **more: synthetic.write(folder, synthetic.plant([4], 10), 10, **more),
        lambda folder, **more: moments(torch.zeros(2, 3, 1), torch.ones(2, 3, 1), **more),
    ],
)
def test_an_unknown_keyword_is_an_error_at_the_call(call, tmp_path):
    with pytest.raises(TypeError, match="unexpected keyword argument 'evry'"):
        call(tmp_path / "run", evry=3)
    assert not (tmp_path / "run").exists()


def test_ipython_sees_signatures_behind_decorators():
    assert list(inspect.signature(probes.Run.history).parameters) == [
        "self", "layer", "neurons", "statistics", "steps", "max_points"
    ]  # fmt: skip
    assert "Chosen neurons" in (inspect.getdoc(probes.Run.history) or "")


def test_the_reader_protocol_is_light_and_met():
    code = "import sys, probes.run_reader; print({'numpy', 'pandas', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    for name, promised in vars(probes.RunReader).items():
        if inspect.isfunction(promised) and not name.startswith("_"):
            there = inspect.signature(getattr(probes.Run, name)).parameters
            assert list(there) == list(inspect.signature(promised).parameters), name
