"""Hostile runs by the thousand: every answer is right, or one clear error, within bounded memory, and nothing
is executed.

`python tests/hostile/fuzz.py --inputs 500 --seed 1` prints one JSON object: how many inputs of which kind,
what went wrong with its seed and traceback, how many answers were refused, the peak of memory and the slowest
input. Exit status 1 if anything went wrong.
`--only SEED` makes and asks a single input, and keeps its folder.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import answers  # noqa: E402
import bases  # noqa: E402
import damage  # noqa: E402
import peak  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

import probes  # noqa: E402
from probes.log.footer_checksum import KEY  # noqa: E402

ADDRESS_SPACE = 6 * 2**30  # bytes; allocators reserve more than they use
SECONDS = 60  # for one input, on a busy machine
ASKED = 5  # questions of an input beside those that the damaged file answers
REAL_SHARE, THOROUGH_SHARE, BOMB_SHARE = 0.2, 0.05, 0.004
PROCESSES = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork")
FORBIDDEN = (*PROCESSES, "pickle.find_class", "socket.connect", "exec")
_watched: list[str] = []
_watching = [False]


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Audit hook: notes what a reader of data must never do."""
    if not _watching[0]:
        return
    if event in FORBIDDEN and not (event == "exec" and _of_library(arguments)):
        _watched.append(event)
    if (
        event == "open"
        and len(arguments) > 2
        and isinstance(arguments[2], int)
        and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    ):
        _watched.append(f"open {arguments[0]} for writing")


def _of_library(arguments: tuple[Any, ...]) -> bool:
    """Whether code that is executed belongs to a module being imported, or is made by the standard library
    itself.
    """
    name = str(getattr(arguments[0], "co_filename", ""))
    return name.startswith((sys.prefix, sys.base_prefix, str(ROOT / "probes"), "<frozen", "<string>"))


def make(seed: int, pristine: dict[str, Path], target: Path) -> tuple[str, str, str, bool]:
    """One hostile run in `target`: (base, kind of damage, folder of the damaged file, whether wrong data
    could be told).
    """
    r = random.Random(seed)
    base = "real" if r.random() < REAL_SHARE else "small"
    bases.link_copy(pristine[base], target)
    kind = r.choices(("bytes", "table", "json", "name"), (50, 25, 20, 5))[0]
    if r.random() < BOMB_SHARE:
        path = r.choice(damage.parquet_files(target))
        damage.bomb(r, path)
        return base, "bomb", path.parent.name, False
    if kind == "bytes":
        path = r.choice(
            [*damage.parquet_files(target), *damage.parquet_files(target), *damage.json_files(target)]
        )
        name = r.choice([*damage.BYTES, "flip_bits", "flip_bits"])
        damage.replace(path, damage.BYTES[name](r, path.read_bytes()))
        return base, name, path.parent.name, path.suffix == ".parquet"
    if kind == "table":
        path = r.choice(damage.parquet_files(target))
        name = r.choice(list(damage.TABLES))
        with pq.ParquetFile(path) as file:
            groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            table = file.read().replace_schema_metadata(None)
        damage.write_like(r, damage.TABLES[name](r, table), path, groups)
        return base, name, path.parent.name, False
    if kind == "json":
        damage.change_json(r, path := r.choice(damage.json_files(target)))
        return base, f"change {path.name}", path.parent.name, False
    damage.change_name(r, target)
    return base, "name", "", False


class Fuzz:
    """Two sound runs and what they answer; `input` makes a hostile one beside them and asks it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pristine = {
            "small": bases.write_small(folder / "small"),
            "real": bases.write_real(folder / "real"),
        }
        for path in (p for run in self.pristine.values() for p in damage.parquet_files(run)):
            assert KEY.encode() in (pq.read_metadata(path).metadata or {}), f"{path} has no checksum"
        self.truth = {name: answers.ask(run, thorough=True) for name, run in self.pristine.items()}
        assert all(truth["check"] == "[]" for truth in self.truth.values()), self.truth
        self.kinds: Counter[str] = Counter()
        self.refused = self.right = 0
        self.failures: list[dict[str, Any]] = []
        self.slowest = (0.0, 0)

    def input(self, seed: int, keep: bool = False) -> None:
        """Make one and ask it; what goes wrong is noted."""
        run = self.folder / "hostile" / f"run{seed}"
        run.parent.mkdir(exist_ok=True)
        base, kind, folder, telling = make(seed, self.pristine, run)
        self.kinds[kind] += 1
        r = random.Random(-seed)
        only = {*answers.OF_FOLDER.get(folder, (folder,)), *r.sample(list(answers.OF_RUN), ASKED)}
        begin = time.perf_counter()
        _watching[0] = True
        signal.alarm(SECONDS)
        try:
            found = answers.ask(run, only, thorough=r.random() < THOROUGH_SHARE)
            self._judge(seed, kind, base, found, telling)
            # a run without a manifest is not there
            listed = probes.catalog(run.parent).set_index("path")["error"].get(str(run))
            if listed is not None and not found["open"].startswith(answers.REFUSED):
                self._fail(seed, kind, f"the catalog refuses what opens: {listed}")
        except Exception:  # noqa: BLE001 - whatever it is, it is what is looked for
            self._fail(seed, kind, traceback.format_exc())
        finally:
            signal.alarm(0)
            _watching[0] = False
        self.slowest = max(self.slowest, (time.perf_counter() - begin, seed))
        if _watched:
            self._fail(seed, kind, f"did what reading must not: {_watched[:3]}")
            _watched.clear()
        if not keep:
            shutil.rmtree(run)

    def _judge(self, seed: int, kind: str, base: str, found: dict[str, str], telling: bool) -> None:
        for name, answer in found.items():
            refused = answer.startswith(answers.REFUSED)
            self.refused += refused
            self.right += not refused
            if refused and not answer[len(answers.REFUSED) :].strip():
                self._fail(seed, kind, f"{name} is refused without a word")
            if telling and not refused and name != "check" and answer != self.truth[base][name]:
                self._fail(
                    seed, kind, f"{name} is wrong: {answer[:300]} instead of {self.truth[base][name][:300]}"
                )

    def sound_still(self) -> None:
        """The runs beside the hostile ones answer as before."""
        for name, run in self.pristine.items():
            now = answers.ask(run, thorough=True)
            if now != self.truth[name]:
                self._fail(-1, "neighbour", f"{name} answers otherwise than at first")
        rows = probes.catalog(self.folder).set_index("name")
        if rows["error"].notna().any() or len(rows) != len(self.pristine):
            self._fail(-1, "neighbour", f"the catalog says {rows['error'].to_dict()}")

    def _fail(self, seed: int, kind: str, what: str) -> None:
        self.failures.append({"seed": seed, "kind": kind, "what": what})
        sys.stderr.write(f" {kind}: {what}\n")

    def report(self, seconds: float) -> dict[str, Any]:
        return {
            "inputs": sum(self.kinds.values()), "kinds": dict(self.kinds.most_common()),
            "failures": self.failures[:20],
            "failed": len(self.failures), "answers_right": self.right, "answers_refused": self.refused,
            "peak_mb": peak.megabytes(), "seconds": round(seconds, 1),
            "cpu_seconds": round(time.process_time(), 1),
            "slowest": {"seconds": round(self.slowest[0], 2), "seed": self.slowest[1]},
        }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0, help="of the first input; the others follow")
    parser.add_argument("--only", type=int, help="this input alone, and keep its folder")
    options = parser.parse_args()
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    folder = Path(tempfile.mkdtemp(prefix="hostile-"))
    begin = time.perf_counter()
    try:
        fuzz = Fuzz(folder)
        sys.addaudithook(watch)
        seeds = range(options.seed, options.seed + options.inputs) if options.only is None else [options.only]
        for seed in seeds:
            sys.stderr.write(f"\r{seed}")  # the last one is to blame when the process dies
            fuzz.input(seed, keep=options.only is not None)
        fuzz.sound_still()
        report = fuzz.report(time.perf_counter() - begin)
    finally:
        if options.only is None:
            shutil.rmtree(folder)
        else:
            sys.stderr.write(f" kept in {folder}\n")
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    return 1 if report["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
