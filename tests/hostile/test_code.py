"""Nothing that is read is executed: no pickle in the code, checkpoints load tensors alone."""

from __future__ import annotations

import ast
import math
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from vdn.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    [ROOT / "app.py", *(path for name in ("vdn", "probes", "pages") for path in (ROOT / name).rglob("*.py"))]
)
UNPICKLING = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
EVALUATING = {"eval", "exec", "compile", "__import__"}
SHELLS = {"system", "popen", "getoutput", "getstatusoutput"}
NAMING = {ROOT / "probes" / "__init__.py", ROOT / "pages" / "shell" / "server" / "preload.py"}
"""Modules that import by names which a table of theirs holds."""
UNSAFE_READERS = {"read_pickle", "unsafe_load", "allow_pickle"}


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str, str]]:
    """Every call with the name of what is called and of what that belongs to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                yield node, node.func.attr, getattr(node.func.value, "id", "")
            elif isinstance(node.func, ast.Name):
                yield node, node.func.id, ""


def keyword(call: ast.Call, name: str) -> object:
    return next(
        (k.value.value for k in call.keywords if k.arg == name and isinstance(k.value, ast.Constant)), None
    )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_reads_pickles_or_runs_what_it_has_read(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert not UNPICKLING & {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in UNPICKLING:
            assert {alias.name for alias in node.names} <= {"UnpicklingError"}, (
                "an error's name, and nothing that loads"
            )
    for call, name, owner in calls(tree):
        where = f"line {call.lineno}: {owner}.{name}"
        assert name not in UNSAFE_READERS, where
        assert not (name in EVALUATING and owner in ("", "builtins")), where
        assert not (name in SHELLS and owner in ("os", "subprocess")), where
        assert keyword(call, "shell") is not True, where
        assert keyword(call, "allow_pickle") is not True, where
        if name == "load" and owner == "torch":
            assert keyword(call, "weights_only") is True, where
        if name == "load" and owner in ("np", "numpy"):
            assert keyword(call, "allow_pickle") is False, where
        if name == "import_module":
            assert isinstance(call.args[0], ast.Constant) or path in NAMING, (
                f"{where}: of a name that is not written here"
            )


class Bomb:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.target,)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a checkpoint."""
    run = tmp_path_factory.mktemp("trained") / "run"
    series = run.with_name("waves.csv")
    series.write_text("t,wave\n" + "".join(f"{t},{math.sin(t / 3):.4f}\n" for t in range(400)))
    small = [
        "--layers",
        "1",
        "--neurons",
        "4",
        "--batch",
        "16",
        "--window",
        "24",
        "--horizon",
        "4",
        "--steps",
        "4",
    ]
    assert main(["train", "--out", str(run), "--data", f"csv:{series}", *small]) == 0
    return run


@pytest.mark.parametrize("form", ["torch", "plain", "nested"])
def test_a_checkpoint_that_is_a_pickle_is_refused_and_not_run(
    form: str, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run, target = shutil.copytree(trained, tmp_path / "run"), tmp_path / "executed"
    checkpoints = [run / "checkpoints" / name for name in ("best.pt", "last.pt")]
    for checkpoint in checkpoints:
        if form == "plain":
            checkpoint.write_bytes(pickle.dumps(Bomb(target), protocol=2))
        elif form == "torch":
            torch.save(Bomb(target), checkpoint)
        else:
            torch.save({**torch.load(checkpoint, weights_only=True), "extra": [Bomb(target)]}, checkpoint)
    capfd.readouterr()
    for command in (["evaluate", str(run)], ["resume", str(run)], ["probe", str(run), "ablation"]):
        assert main(command) != 0, command
        said = capfd.readouterr().err
        assert any(str(checkpoint) in said for checkpoint in checkpoints)
        assert not target.exists(), command
