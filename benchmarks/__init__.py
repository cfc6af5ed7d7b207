"""What is measured, and how: `python -m benchmarks.NAME` prints one table."""

import sys
from pathlib import Path

# What starts the dashboard and drives a browser is shared with the tests that do so.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "e2e"))
