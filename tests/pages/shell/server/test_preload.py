"""What a server loads before it listens."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]

CHECK = """
import gc, sys
from pages.shell.server import preload
preload.run()
assert gc.get_freeze_count() > 10_000, gc.get_freeze_count()
for name in ("pyarrow.parquet", "plotly.graph_objs._scatter", "pages.shell.widgets.canvases"):
    assert name in sys.modules, name
assert "torch" not in sys.modules
"""


def test_all_libraries_but_torch_are_loaded_and_frozen() -> None:
    found = subprocess.run(
        [sys.executable, "-c", CHECK], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
