"""Hours in minutes: a run that is written for two hours, at speed, while a browser uses every page 500 times.

`python tests/hostile/soak.py` starts the dashboard on a folder with a sample run and a live one: its recorder
flushes 1,440 segments (two hours of one every 5 s), compacts them meanwhile, and is closed when half of the
time is over. A browser goes from page to page and works whatever can be worked there, as often after that as
before. Prints one JSON object: the server's memory on the way, what server and browser complained of. Exit
status 1 for any complaint, or memory that grows.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS / "e2e")]

import numpy as np  # noqa: E402
from find_browser import chromium  # noqa: E402
from playwright.sync_api import Error, Locator, Page  # noqa: E402
from serving import ROOT, Server  # noqa: E402

from pages.shell.session.state import PAGES  # noqa: E402
from probes import Recorder, Run  # noqa: E402
from probes.log.check import check  # noqa: E402

LAYERS = [{"name": f"layer {depth}", "neurons": 96} for depth in range(3)]
STEPS_A_PART = 3
WORKED = (
    "button, [role=radio], [role=slider], [role=tab], [role=switch], [role=option], summary, canvas,"
    " .js-plotly-plot"
)
LEFT_ALONE = re.compile(
    r"save|^run|cancel|download|menu|deploy|fullscreen|print|record|clear cache|sidebar|delete|remove",
    re.IGNORECASE,
)
ON_A_PAGE = 5  # interactions before the next page
WAIT_MS = 30_000
SAMPLES = 20  # of memory
GROWTH = 1.10  # of memory once nothing is written any more, at most; before that it may follow the run's size
LARGEST_MB = 1024
SERVER_TROUBLE = re.compile(r"Traceback|Error|Exception|error:|Uncaught", re.IGNORECASE)
DRAWN = (
    "document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning' &&"
    " !!document.querySelector('h2')"
)


class Writer(threading.Thread):
    """Records a run part by part, each when it is `allowed`."""

    def __init__(self, folder: Path, parts: int) -> None:
        super().__init__()
        self.folder, self.parts = folder, parts
        self.written = 0
        self.allowed = threading.Semaphore(0)

    def run(self) -> None:
        r = np.random.default_rng(0)
        base = np.abs(r.normal(size=(3, LAYERS[0]["neurons"]))) + 0.1
        with Recorder(self.folder, LAYERS, config={"beta": 0.02, "seed": 0}, flush_seconds=3600) as recorder:
            for part in range(self.parts):
                self.allowed.acquire()
                for step in range(part * STEPS_A_PART, (part + 1) * STEPS_A_PART):
                    shrunk = np.exp(-step / 1000) * base
                    for layer in range(len(LAYERS)):
                        recorder.record(
                            step, layer, mean=shrunk[0], variance=0.1 + shrunk[1], spread=shrunk[2],
                            information=base[0],
                            mismatch=base[1], kl=base[0] + base[1],
                        )  # fmt: skip
                    recorder.scalar(step, "loss", float(np.exp(-step / 1000)))
                if part % 20 == 0:
                    recorder.event(step, "projection", layer=0, value=1.0, text="soak")
                recorder.flush()
                self.written += 1


def troubles(log: Path) -> list[str]:
    """Lines of the server's log that tell of something wrong."""
    return [line for line in log.read_text("utf-8", "replace").splitlines() if SERVER_TROUBLE.search(line)]


class User:
    """Goes from page to page and works what is there, by a seed."""

    def __init__(self, page: Page, address: str, seed: int) -> None:
        self.page, self.address, self.random = page, address, random.Random(seed)
        self.troubles: list[str] = []
        self.kinds: Counter[str] = Counter()
        page.set_default_timeout(WAIT_MS)
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.troubles.append(f"{page.url}: {error}"))

    def _note(self, message: Any) -> None:
        # Streamlit asks for its health under a page's own path first, and is told that there is none.
        if message.type == "error" and "/_stcore/" not in message.location.get("url", ""):
            self.troubles.append(f"{self.page.url}: {message.text}")

    def settle(self) -> None:
        self.page.wait_for_function(DRAWN)
        self.page.wait_for_timeout(100)
        broken = self.page.get_by_test_id("stException")
        if broken.count():
            self.troubles.append(f"{self.page.url}: {broken.first.inner_text()[:300]}")

    def open(self, run: str) -> None:
        self.page.goto(f"{self.address}/?run={run}")
        self.settle()

    def go(self) -> None:
        """To another page by the navigation."""
        title = self.random.choice([title for _, title, _ in PAGES])
        self.page.get_by_test_id("stTopNavLink").filter(has_text=re.compile(rf"{title}$")).first.click()
        self.kinds[f"page {title}"] += 1
        self.settle()

    def work(self) -> None:
        """One of the things that can be worked on this page."""
        found = [
            item for item in self.page.get_by_test_id("stMain").locator(WORKED).all() if item.is_visible()
        ]
        if not found:
            return
        item = self.random.choice(found)
        name = (item.get_attribute("aria-label") or item.inner_text() or "").strip()
        if LEFT_ALONE.search(name) or item.is_disabled():
            return
        kind = item.get_attribute("role") or item.evaluate("item => item.tagName.toLowerCase()")
        self._act(item, kind)
        self.kinds[str(kind)] += 1
        self.settle()

    def _act(self, item: Locator, kind: str) -> None:
        if kind == "slider":
            item.focus()
            self.page.keyboard.press(self.random.choice(("ArrowRight", "ArrowLeft", "PageUp", "PageDown")))
            return
        box = item.bounding_box()
        if box is None:
            return
        item.scroll_into_view_if_needed()
        place = {
            "x": box["width"] * self.random.uniform(0.1, 0.9),
            "y": box["height"] * self.random.uniform(0.1, 0.9),
        }
        item.click(position=place, force=True, timeout=5000)
        self.page.keyboard.press(self.random.choice(("ArrowRight", "Escape", "Escape")))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--interactions", type=int, default=500)
    parser.add_argument("--parts", type=int, default=1440)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    shutil.copytree(ROOT / "sample_runs" / "healthy", folder / "runs" / "healthy")
    writer = Writer(folder / "runs" / "live", options.parts)
    at_once = math.ceil(
        options.parts / max(options.interactions // 2, 1)
    )  # all are written when half of the interactions are done
    writer.start()
    log = folder / "server.log"
    with log.open("wb") as file:
        server = Server(folder / "runs", file)
    memory: dict[int, float] = {}
    begin = time.monotonic()
    missed = after = 0
    try:
        with chromium() as browser:
            user = User(
                browser.new_page(viewport={"width": 1280, "height": 800}), server.address, options.seed
            )
            user.open("live")
            done = 0
            while done < options.interactions:
                writer.allowed.release(at_once)
                if done == options.interactions // 2:
                    writer.join()
                try:
                    user.go() if done % ON_A_PAGE == 0 else user.work()
                except Error as error:  # what was to be clicked has gone with the page that it was on
                    missed += 1
                    sys.stderr.write(f" missed on {user.page.url}: {str(error).splitlines()[0]}\n")
                done += 1
                if done % max(options.interactions // SAMPLES, 1) == 0:
                    memory[done] = round(server.memory(), 1)
                    after += not writer.is_alive()
                    sys.stderr.write(f" {done} interactions, {writer.written} parts, {memory[done]} MB\n")
        findings = check(folder / "runs" / "live")
        run = Run(folder / "runs" / "live")
        settled = list(memory.values())[len(memory) - after :]
        report = {
            "interactions": done, "missed": missed, "parts": writer.written, "steps": int(run.steps.size),
            "files": sum(1 for _ in (folder / "runs" / "live" / "neurons").iterdir()), "memory_mb": memory,
            "growth": round(settled[-1] / settled[0], 3), "kinds": dict(user.kinds.most_common()),
            "browser": sorted(set(user.troubles))[:20], "server": troubles(log)[:20],
            "check": [str(finding) for finding in findings], "seconds": round(time.monotonic() - begin),
        }  # fmt: skip
    finally:
        writer.allowed.release(options.parts)
        server.stop()
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    sound = (
        run.steps.size == options.parts * STEPS_A_PART
        and report["growth"] <= GROWTH
        and max(memory.values()) < LARGEST_MB
        and missed < options.interactions / 10
    )
    if not sound or report["browser"] or report["server"] or report["check"]:
        sys.stderr.write(f"the run and the server's log are kept in {folder}\n")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
