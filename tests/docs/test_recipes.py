"""docs/how_to_add.md, followed to the letter in a scratch copy: its blocks are applied, and what it says
shows it, does.

Where the text says "insert in X" an instruction here says at which line; what it says in words alone (an
import, a case, a number) is in `IN_WORDS`. Of the test files that it names those tests are run that look at
what a recipe adds.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest
from blocks import ROOT, Block, blocks

DOCUMENT = "docs/how_to_add.md"
COPIED = (
    "probes",
    "vdn",
    "pages",
    "tests",
    "data",
    "app.py",
    "pyproject.toml",
    "sample_runs/healthy",
    "docs",
)


@dataclass(frozen=True)
class Insert:
    """Put the lines of a diff block before the first line of `file` that holds `before`."""

    file: str
    before: str


@dataclass(frozen=True)
class Append:
    """Put a block at the end of `file`, which may be new."""

    file: str


@dataclass(frozen=True)
class Commands:
    """Run the commands of a block; `tests` chooses among the tests of the files that it names (`pytest
    -k`).
    """

    tests: str = ""


RECIPES: dict[str, list[Insert | Append | Commands]] = {
    "A statistic": [
        Insert("probes/schema/recorded.py", '    Statistic(\n        "kl_error",'),
        Insert("probes/moments.py", '        "active_share": sums["active_share"] + some,'),
        Insert("tests/probes/test_moments.py", '        "clamp_share": (('),
        Commands("against_float64 or every_statistic or names_and_labels or batching"),
    ],
    "A derived statistic": [
        Insert("probes/schema/derived.py", "DERIVED = ["),
        Insert("probes/schema/derived.py", '    Statistic(\n        "half_life",'),
        Append("tests/probes/schema/test_evaluation.py"),
        Commands("by_hand or every_statistic or names_and_labels or quantiles"),
    ],
    "A score": [
        Insert("probes/schema/score_registry.py", '    *(\n        Score(\n            f"coverage_'),
        Insert("vdn/answers.py", '        "nll_joint": mixture_nll(y, mean, scale, "joint", "none", df),'),
        Append("tests/vdn/test_evaluate.py"),
        Commands("sharpness or in_the_registry or every_score"),
    ],
    "A figure": [
        Append("probes/figures/kl_histogram.py"),
        Append("tests/probes/figures/test_kl_histogram.py"),
        Commands("finite_neuron or what_an_import_loads"),
    ],
    "A page": [
        Append("pages/depth.py"),
        Insert("pages/shell/session/state.py", '    ("neurons", "Neurons",'),
        Append("tests/pages/test_depth_page.py"),
        Commands(
            "bins_reach or without_kl or (opens_on_its_own_file and depth) or (no_run_says and depth)"
            " or foreign and depth"
        ),
    ],
    "An adapter": [
        Insert("probes/watching/naming.py", '}\n"""How a scale may be written'),
        Insert("probes/watching/naming.py", '    ("log", "sigma", "2"): "log_var",'),
        Insert("probes/watching/slots.py", '        if self.form == "var":'),
        Append("tests/probes/networks.py"),
        Insert("tests/probes/watching/test_adapters.py", "        (networks.ReturnsMuLogVar, lambda"),
        Insert("probes/watching/adapters/returned.py", "ADAPTERS: tuple"),
        Insert("probes/watching/adapters/returned.py", "    (RANK_GUESS, unnamed_pair),"),
        Append("tests/probes/networks.py"),
        Insert("tests/probes/watching/test_adapters.py", "        (networks.ReturnsMuLogVar, lambda"),
    ],
    "A control law": [
        Append("vdn/control/bands.py"),
        Insert("vdn/config.py", "    band_target: float ="),
        Insert("vdn/controller.py", "            if self.config.sigma_guard:"),
        Append("tests/vdn/control/test_bands.py"),
        Append("tests/vdn/test_controller.py"),
        Commands("gain or config"),
    ],
    "An experiment": [
        Append("probes/experiments/widening.py"),
        Append("tests/probes/experiments/test_widening.py"),
        Insert("probes/experiments/kinds.py", '    "rollout": Experiment('),
        Insert("vdn/experiment.py", "RUNNERS: dict["),
        Insert("vdn/experiment.py", '    "rollout": run_rollout,'),
        Insert("pages/shell/widgets/experiment_views.py", "VIEWS: dict["),
        Insert("pages/shell/widgets/experiment_views.py", '    "rollout": show_rollout,'),
        Commands("widening or added_variance or factor_of_one or (shown_without_running and widening)"),
    ],
}
IN_WORDS = {
    "A control law": [
        ("vdn/controller.py", "    band_penalty,\n", "    band_penalty,\n    cap_gain,\n"),
        ("tests/vdn/control/test_bands.py", "    band_penalty,\n", "    band_penalty,\n    cap_gain,\n"),
    ],
    "An experiment": [
        (
            "vdn/experiment.py",
            "from vdn.config import Config, ConfigError",
            "from probes.experiments.widening import widen\nfrom vdn.config import Config, ConfigError",
        ),
        (
            "tests/vdn/test_experiment.py",
            '        ("rollout", {"',
            '        ("widening", {"effects"}),\n        ("rollout", {"',
        ),
        (
            "tests/pages/test_experiments_page.py",
            '        "ablation": {',
            '        "widening": {"effects": effects.assign(mode="widened")},\n        "ablation": {',
        ),
        ("tests/pages/test_experiments_page.py", 'FIGURES = {"', 'FIGURES = {"widening": 1, "'),
    ],
}
WITHOUT_A_BLOCK = {
    "An adapter": (
        "tests/probes/watching/test_adapters.py",
        "ReturnsPrecision or ReturnsMoments or a_tuples_names",
    ),
}
"""Recipes whose proof stands in a line of the text: its file, and the tests chosen from it."""

SMALL = (
    "--window",
    "24",
    "--horizon",
    "6",
    "--probe-times",
    "1",
    "--probe-inputs",
    "16",
    "--probe-sequence",
    "0",
)
"""Further settings of each training, which is slow else."""
SERVERS = ("make app", ".venv/bin/streamlit run")
"""Beginnings of commands that open a server for a person to look at; tests/e2e starts one."""


def section(recipe: str) -> list[Block]:
    return [block for block in blocks(DOCUMENT) if block.heading == recipe]


def put(root: Path, text: str, step: Insert | Append) -> None:
    path = root / step.file
    if isinstance(step, Append):
        before = path.read_text("utf-8").rstrip() + "\n\n\n" if path.exists() else ""
        path.write_text(before + text, "utf-8")
        return
    content = path.read_text("utf-8")
    assert content.count(step.before) == 1, (
        f"{step.file} has {step.before!r} {content.count(step.before)} times"
    )
    path.write_text(content.replace(step.before, text + step.before), "utf-8")


def added(block: Block) -> str:
    """The lines of a diff block, all of which are insertions; a function of a Python block with two blank
    lines after it.
    """
    if block.language != "diff":
        return block.text.rstrip() + "\n\n\n"
    lines = block.text.splitlines()
    assert all(line.startswith("+") for line in lines), block.place
    return "".join(f"{line[1:]}\n" for line in lines)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which all recipes have been followed."""
    root = tmp_path_factory.mktemp("scratch")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, root / name)
    for recipe, steps in RECIPES.items():
        for block, step in zip(section(recipe), steps, strict=True):
            if not isinstance(step, Commands):
                text = block.text if isinstance(step, Append) else added(block)
                put(root, text, step)
        for file, old, new in IN_WORDS.get(recipe, []):
            content = (root / file).read_text("utf-8")
            assert content.count(old) == 1, (file, old)
            (root / file).write_text(content.replace(old, new), "utf-8")
    return root


def run(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(
        [sys.executable, *words], cwd=root, env=environment, capture_output=True, text=True, check=False
    )


def call(root: Path, *words: str) -> None:
    done = run(root, *words)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"


def named_tests(recipe: str) -> tuple[list[str], str]:
    """The test files that a recipe names, and which of their tests are run (`pytest -k`)."""
    if recipe in WITHOUT_A_BLOCK:
        file, tests = WITHOUT_A_BLOCK[recipe]
        return [file], tests
    for block, step in zip(section(recipe), RECIPES[recipe], strict=True):
        for line in block.text.splitlines() if isinstance(step, Commands) else ():
            if line.startswith(".venv/bin/pytest"):
                return shlex.split(line, comments=True)[1:], step.tests
    raise AssertionError(f"{recipe} names no test")


@pytest.fixture(scope="module")
def tested(scratch: Path) -> dict[str, list[str]]:
    """File -> how each of its tests ended that a recipe chooses; one run for all recipes."""
    files, chosen = {}, []
    for recipe in RECIPES:
        named, tests = named_tests(recipe)
        files |= dict.fromkeys(named)
        chosen.append(f"({' or '.join(Path(file).stem for file in named)}) and ({tests})")
    report, words = scratch / "report.xml", ["-p", "no:cacheprovider", *files, "-k", " or ".join(chosen)]
    done = run(scratch, "-m", "pytest", f"--junit-xml={report}", "-o", "junit_family=xunit1", *words)
    assert report.exists(), done.stdout + done.stderr
    ended: dict[str, list[str]] = {file: [] for file in files}
    for case in ElementTree.parse(report).iter("testcase"):
        problem = next((f"{case.get('name')}: {child.text}" for child in case), "")
        ended[case.attrib["file"]].append(problem)
    return ended


def test_every_section_is_followed() -> None:
    assert {block.heading for block in blocks(DOCUMENT)} == set(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_tests_that_a_recipe_names_pass(tested: dict[str, list[str]], recipe: str) -> None:
    files, tests = named_tests(recipe)
    assert all(file in (ROOT / DOCUMENT).read_text("utf-8") for file in files)
    ended = [problem for file in files for problem in tested[file]]
    assert [problem for problem in ended if problem] == []
    assert len(ended) >= (3 if recipe in WITHOUT_A_BLOCK else 2), tests


@pytest.mark.parametrize("recipe", sorted(RECIPES.keys() - WITHOUT_A_BLOCK))
def test_what_else_shows_a_recipe_to_work_does(scratch: Path, recipe: str) -> None:
    [block] = [
        block
        for block, step in zip(section(recipe), RECIPES[recipe], strict=True)
        if isinstance(step, Commands)
    ]
    for line in block.text.strip().splitlines():
        words = [word.replace("/tmp/", f"{scratch}/") for word in shlex.split(line, comments=True)]
        if not line.startswith((".venv/bin/pytest", *SERVERS)):
            assert words[0] == ".venv/bin/python", line
            call(scratch, *words[1:], *(SMALL if words[2:4] == ["vdn", "train"] else ()))


def test_what_recipes_add_is_formatted_and_has_no_lint(scratch: Path) -> None:
    """All but order of imports where two recipes meet, which `ruff format .` and `ruff check --fix` of `make
    check` put right.
    """
    new = [
        "probes/figures/kl_histogram.py",
        "pages/depth.py",
        "probes/experiments/widening.py",
        "probes/schema/recorded.py",
        "probes/schema/derived.py",
        "probes/schema/score_registry.py",
        "vdn/config.py",
    ]
    call(scratch, "-m", "ruff", "format", "--check", *new)
    call(scratch, "-m", "ruff", "check", "--no-cache", *new)
