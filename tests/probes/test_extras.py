"""Without the packages of an extra, what does not need them works, and the rest says how to get them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from probes.extras import EXTRAS, MissingPackageError, named

ROOT = Path(__file__).resolve().parents[2]
WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
"""
OPTIONAL = tuple(name for name, extra in EXTRAS.items() if extra)
RECORD = """
import numpy as np, probes
with probes.Recorder("one", [{"name": "latent", "neurons": 4}]) as recorder:
    for step in range(40):
        recorder.record(step, "latent", mean=np.zeros(4), variance=np.full(4, 0.5), kl=np.full(4, 0.1))
run = probes.Run("one")
assert run.steps.size == 40
run.alerts()
from probes.__main__ import main
for words in ("ls .", "show one", "check one", "compact one", "export one --csv one.csv"):
    assert main(words.split()) == 0, words
"""


def python(code: str, folder: Path, without: tuple[str, ...] = OPTIONAL) -> subprocess.CompletedProcess[str]:
    """Code in an interpreter that cannot find some packages."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT.format(names=without) + code],
        cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_recording_reading_and_the_command_line_need_no_extra(tmp_path: Path) -> None:
    done = python(RECORD, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import probes; probes.watch", "probes.watch needs torch, which is not installed: pip install "
         "'vdn-probes[watch]'"),
        ("import probes.figures", "probes.figures needs plotly, which is not installed: pip install "
         "'vdn-probes[ui]'"),
    ],
)  # fmt: skip
def test_what_needs_an_extra_names_it(tmp_path: Path, code: str, says: str) -> None:
    done = python(code, tmp_path)
    assert done.stderr.splitlines()[-1] == f"probes.extras.MissingPackageError: {says}"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("probes ui", "the dashboard needs streamlit, which is not installed: pip install 'vdn-probes[ui]'"),
        ("probes export one --html one.html", "an HTML report needs plotly"),
        ("vdn train", "vdn needs torch, which is not installed: pip install 'vdn-probes[train]'"),
    ],
)
def test_a_command_that_needs_an_extra_says_so_in_one_line(tmp_path: Path, words: str, says: str) -> None:
    assert python(RECORD, tmp_path).returncode == 0
    program, *rest = words.split()
    code = f"import sys; sys.argv[1:] = {rest!r}; import {program}.__main__ as m; sys.exit(m.main())"
    done = python(code, tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert says in done.stderr


def test_what_no_extra_brings_keeps_its_own_error() -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named 'nowhere'") as error, named("it"):
        import nowhere  # noqa: F401
    assert not isinstance(error.value, MissingPackageError)


def test_what_is_always_installed_names_the_distribution_alone() -> None:
    with pytest.raises(MissingPackageError, match=r"pip install vdn-probes$"), named("it"):
        raise ModuleNotFoundError(name="scipy.special")
