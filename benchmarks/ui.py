"""Measures the dashboard: pictures and drawing in a headless Chromium, the server's time, data, memory and
idle traffic.

python -m benchmarks.ui [--only replay,heatmap,changes,cold,memory,shapes,runs,live,flushes] [--write]

A real server is started for every part. Its runs are planted ones (`ui_runs`), made by the first call and
kept under build/: 4 layers x 1,024 neurons x 10,000 steps (1.6 GB), 3 x 64 x 2,000, 1 x 1,024 x 1,000,
24 x 64 x 1,000 and 1 x 65,536 x 64.
What needs a browser is measured in one; what is the server's own is measured without, by a client that speaks
its protocol. Wall times, medians unless they say otherwise, on a machine that does nothing else. --write puts
the table into docs/benchmarks.md, in place of the old one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from find_browser import chromium

from benchmarks import sections, ui_changes, ui_live, ui_many, ui_pictures, ui_shapes
from benchmarks.ui_table import Row, table

PARTS: dict[str, Callable[[], list[Row]]] = {
    "replay": ui_pictures.replay,
    "heatmap": ui_pictures.heatmap,
    "changes": ui_changes.changes,
    "cold": ui_changes.cold,
    "memory": ui_changes.memory,
    "shapes": ui_shapes.shapes,
    "runs": ui_many.runs,
    "live": ui_pictures.live,
    "flushes": ui_live.flushes,
}


def described() -> str:
    """The command and what it ran on."""
    ran_on = sections.measured_on("streamlit", "plotly", "pandas", "pyarrow", "numpy")
    with chromium() as browser:
        return f"`python -m benchmarks.ui`; Chromium {browser.version}, {ran_on}."


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only",
        type=sections.some_of(PARTS),
        default=list(PARTS),
        metavar="PART,...",
        help=f"of {', '.join(PARTS)}",
    )
    parser.add_argument(
        "--write", action="store_true", help="put the table of all parts into docs/benchmarks.md"
    )
    options = parser.parse_args()
    parts = options.only
    if options.write and set(parts) != set(PARTS):
        parser.error("--write replaces the whole table: leave --only out")
    text = described()
    rows: list[Row] = []
    for part in parts:
        began = time.monotonic()
        found = PARTS[part]()
        rows += found
        print(f"{part}: {time.monotonic() - began:.0f} s\n{table(found)}", file=sys.stderr, flush=True)
    text = f"{text}\n\n{table(rows)}"
    print(text)
    if options.write:
        sections.write("ui", "Dashboard", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
