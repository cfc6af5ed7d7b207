"""Do the tests notice a fault? Small faults, one at a time, in a sample of places; what no test notices is
written down.

    python tests/mutation/run.py [--only GROUP ...] [--places 25] [--seed 0 ...] [--minutes 25]
        [--again] [--write]

Faults are those of cosmic-ray's operators: another comparison or arithmetic operator, a number off by one, a
condition turned round, a loop that never runs. Of each group of modules `--places` places are drawn by each
seed, and of each place one fault. A fault is caught if the test files that mirror its module fail, or else
the wider tests of its group. The tests run in a copy of the repository, in a forked process that has the
libraries loaded and a limit on its processor time: an endless loop is caught too.

A fault that nothing catches has an entry in reasons.toml, or is listed as a gap. One that has an entry is
tried by the mirroring tests alone, which say whether the entry still holds. When `--minutes` of
processor time are spent no further one is tried. What was found is kept in build/mutation.jsonl: `--again`
goes on there, and tries anew, after a test was written, what nothing caught.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

for limited in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(limited, "1")  # before numpy is loaded: threads do not outlive a fork

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
COPY = ROOT / "build" / "mutation"
FOUND = ROOT / "build" / "mutation.jsonl"
REASONS = Path(__file__).with_name("reasons.toml")
DOCUMENT = ROOT / "docs" / "mutation.md"
LIBRARIES = (
    "numpy", "pandas", "pyarrow.parquet", "torch", "scipy.stats", "hypothesis", "pytest", "duckdb",
    "streamlit.testing.v1",
)  # fmt: skip
"""Loaded before the processes of the tests part from this one."""

OPTIONS = (
    "-x",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
)
SLACK, LEAST = 4, 20  # a fault's tests may take so often the processor time of the sound ones; seconds
WAIT = 900  # seconds for what waits instead of computing


from benchmarks.sections import table, write  # noqa: E402


class Group(NamedTuple):
    """Modules that are drawn from together; `wider`: tests that catch what the mirroring ones do not."""

    modules: str  # a pattern, or one file
    wider: tuple[str, ...] = ()


OF_FAMILIES = "tests/probes/family_moments"
GROUPS = {
    "moments": Group(
        "probes/moment*.py",
        ("tests/probes/test_moments.py", OF_FAMILIES, "tests/probes/test_sequence_moments.py"),
    ),
    "persistence": Group(
        "probes/persistence/*.py", ("tests/probes/persistence", "tests/probes/watching/test_rank_sums.py")
    ),
    "regimes": Group(
        "probes/regimes/*.py",
        ("tests/probes/regimes", "tests/probes/test_settling.py", "tests/probes/log/test_row_regimes.py"),
    ),
    "families": Group("probes/families/*.py", ("tests/probes/families", OF_FAMILIES)),
    "recorder": Group("probes/recorder/*.py", ("tests/probes/recorder", "tests/probes/run")),
    "log": Group("probes/log/*.py", ("tests/probes/log/test_limits.py", "tests/probes/recorder")),
    "control": Group("vdn/control/*.py", ("tests/vdn/test_controller.py",)),
    "thermostat": Group("probes/control.py"),
    "url": Group("pages/shell/session/url.py", ("tests/pages/shell/session",)),
}


class Fault(NamedTuple):
    """One change of one file: lines `before` became `after`, from `line` (counted from 1) on."""

    file: str
    line: int
    before: str
    after: str
    source: str


def mirrors(file: str) -> list[str]:
    """Test files of a module: tests/PACKAGE/test_NAME.py, else all of its package's."""
    path = Path(file)
    test = Path("tests", path.parent, f"test_{path.stem}.py")
    return [str(test if (ROOT / test).is_file() else test.parent)]


def annotations(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """From where to where, (line, column) each, a source has annotations: nothing runs them."""
    found: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.arg | ast.AnnAssign):
            found.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(node.returns)
    return [
        ((node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0))
        for node in found
        if node is not None
    ]


def drawn(group: Group, places: int, seed: int) -> Iterator[Fault]:
    """Faults of a group: as many places as asked for, in an order that the seed makes; one fault each."""
    from cosmic_ray.ast import ast_nodes, get_ast_from_path
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator, operator_names

    operators = {
        name: get_operator(name)() for name in operator_names() if not get_operator(name).arguments()
    }
    at: defaultdict[tuple[str, tuple[int, int], tuple[int, int]], list[tuple[str, int]]] = defaultdict(list)
    for path in sorted(ROOT.glob(group.modules)):
        file = str(path.relative_to(ROOT))
        left_out = annotations(path.read_text("utf-8"))
        nodes = list(ast_nodes(get_ast_from_path(path)))
        for name, operator in operators.items():
            positions = (where for node in nodes for where in operator.mutation_positions(node))
            for occurrence, (start, end) in enumerate(positions):
                if not any(first <= start < last for first, last in left_out):
                    at[file, start, end].append((name, occurrence))
    chance = random.Random(seed)
    chosen = sorted(at)
    chance.shuffle(chosen)
    for file, start, end in chosen[:places]:
        name, occurrence = chance.choice(at[file, start, end])
        sound = (ROOT / file).read_text("utf-8")
        source = mutate_code(sound, operators[name], occurrence)
        old, new = sound.splitlines(), source.splitlines()
        same = next(i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b)
        last = end[0] + len(new) - len(old)
        yield Fault(
            file, same + 1, *("\n".join(t).strip() for t in (old[same : end[0]], new[same:last])), source
        )


class Outcome(NamedTuple):
    """How the tests ended: pytest's exit status (0: nothing noticed) or minus a signal; processor seconds."""

    status: int
    seconds: float


def tested(files: Sequence[str], limit: float | None, report: Path) -> Outcome:
    """Run test files in a process of their own, in the copy."""
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        if limit:
            resource.setrlimit(resource.RLIMIT_CPU, (int(limit) + 1, int(limit) + 5))
        out = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.chdir(COPY)
        os.environ["PYTHONPATH"] = str(COPY)
        sys.path[:2] = [str(COPY)]  # in place of the repository itself
        sys.dont_write_bytecode = True
        status = 1
        try:
            status = int(importlib.import_module("pytest").main([*OPTIONS, *files]))
        finally:
            os._exit(status)
    begin = time.monotonic()
    while True:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() - begin > WAIT:
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):  # processes that a test began and a fault left behind
        os.killpg(child, signal.SIGKILL)
    return Outcome(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime)


def copy() -> None:
    """The repository as it is here, without what git does not know."""
    shutil.rmtree(COPY, ignore_errors=True)
    known = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, known.split("\0")):
        if (ROOT / name).is_file():
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, COPY / name)


def reasons() -> dict[tuple[str, str, str], str]:
    """(file, before, after) -> why nothing can catch that fault, or need not."""
    entries = tomllib.loads(REASONS.read_text("utf-8")).get("fault", []) if REASONS.exists() else []
    return {(entry["file"], entry["before"], entry["after"]): entry["reason"] for entry in entries}


def known() -> dict[tuple[str, int, str], tuple[str, float]]:
    """Of earlier runs: (file, line, after) -> what caught the fault, processor seconds; the latest counts."""
    lines = FOUND.read_text("utf-8").splitlines() if FOUND.exists() else []
    return {(file, line, after): (by, seconds) for file, line, after, by, seconds in map(json.loads, lines)}


class Trial:
    """The tests of one group against its faults.

    Parameters
    ----------
    group
        Whose tests are run.

    Raises
    ------
    RuntimeError
        By `caught`, if the tests fail without a fault.
    """

    def __init__(self, group: Group) -> None:
        self.group = group
        self.report = COPY.parent / "mutation.txt"
        self.sound: dict[tuple[str, ...], float] = {}

    def limit(self, files: tuple[str, ...]) -> float:
        """Processor seconds that these tests may take with a fault."""
        if files not in self.sound:
            outcome = tested(files, None, self.report)
            if outcome.status:
                raise RuntimeError(f"{' '.join(files)} fail without a fault, see {self.report}")
            self.sound[files] = outcome.seconds
        return max(LEAST, SLACK * self.sound[files])

    def caught(self, fault: Fault, wider: bool = True) -> tuple[str, float]:
        """By what a fault was caught ("mirror", "wider", "" where by nothing), and processor seconds."""
        path, seconds = COPY / fault.file, 0.0
        of_fault = [("mirror", tuple(mirrors(fault.file))), ("wider", self.group.wider)]
        for by, files in of_fault if wider and self.group.wider else of_fault[:1]:
            most = self.limit(files)
            path.write_text(fault.source, "utf-8")
            try:
                outcome = tested(files, most, self.report)
            finally:
                shutil.copy2(ROOT / fault.file, path)
            seconds += outcome.seconds
            if outcome.status:
                return by, seconds
        return "", seconds


def main() -> int:
    """Status 1 if a fault was neither caught nor has a reason."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--places", type=int, default=25)
    parser.add_argument("--seed", nargs="+", type=int, default=[0], help="each draws a sample of its own")
    parser.add_argument(
        "--minutes", type=float, default=25.0, help="of processor time, then no further fault"
    )
    parser.add_argument("--again", action="store_true", help="take what was caught before as it was")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/mutation.md")
    asked = parser.parse_args()
    for name in LIBRARIES:
        importlib.import_module(name)
    copy()
    earlier = known() if asked.again else {}
    why = reasons()
    counts: dict[int, list[list[str]]] = {seed: [] for seed in asked.seed}
    left: dict[tuple[str, int, str], list[str]] = {}
    spent = 0.0
    for name in asked.only:
        trial = Trial(GROUPS[name])
        for seed in asked.seed:
            number = Counter[str]()
            for fault in drawn(GROUPS[name], asked.places, seed):
                key = (fault.file, fault.line, fault.after)
                reason = why.get((fault.file, fault.before, fault.after))
                by, seconds = earlier.get(key, ("", 0.0))
                if not by and not (reason and key in earlier):
                    if spent < 60 * asked.minutes:
                        by, seconds = trial.caught(fault, wider=not reason)
                        spent += seconds
                        with FOUND.open("a", encoding="utf-8") as found:
                            found.write(json.dumps([*key, by, round(seconds, 1)]) + "\n")
                    elif key not in earlier:
                        continue
                earlier[key] = by, seconds  # another seed may draw it too
                number.update({"faults": 1, by or ("reason" if reason else "gap"): 1})
                number["seconds"] += round(seconds)
                print(f"{name:12} {by or 'NOTHING':8} {seconds:5.1f} s {fault.file}:{fault.line}", flush=True)
                if not by:
                    print(f"    - {fault.before}\n    + {fault.after}", flush=True)
                    cells = (fault.file, *(" ".join(text.split()) for text in (fault.before, fault.after)))
                    shown = [f"`` {cell} ``".replace("|", "\\|") for cell in cells]
                    left[key] = [*shown, reason or "**a gap**"]
            of_number = ("faults", "mirror", "wider", "reason", "gap", "seconds")
            counts[seed].append([name, str(seed), *(str(number[of]) for of in of_number)])
    for seed, rows in counts.items():
        columns = list(zip(*rows, strict=True))[2:]
        rows.append(["all", str(seed), *(str(sum(map(int, column))) for column in columns)])
    head = [
        "modules",
        "seed",
        "faults",
        "caught by the mirroring tests",
        "by wider ones",
        "by nothing, with a reason",
        "gaps",
        "CPU s",
    ]
    body = f"At most {asked.places} places a group and seed.\n\n"
    body += f"{table(head, [row for rows in counts.values() for row in rows])}\n\n"
    body += table(["where", "was", "became", "why nothing catches it"], list(left.values()))
    print(f"\n{body}")
    if asked.write:
        write("mutation", "What was found", body, DOCUMENT)
    return int(any(rows[-1][-2] != "0" for rows in counts.values()))


if __name__ == "__main__":
    sys.exit(main())
