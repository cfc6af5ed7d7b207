"""What computes knows nothing of what watches: plain tensors leave the core, and training alone hands them to
a recorder.
"""

import subprocess
import sys

CORE = (
    "neuron",
    "priors",
    "network",
    "encoders",
    "objective",
    "control",
    "controller",
    "scores",
    "data",
    "config",
)
CODE = """
import sys
from importlib import import_module
for name in sys.argv[1:]:
    import_module(f"vdn.{name}")
print(*[name for name in sys.modules if name.startswith("probes")])
"""


def test_the_core_is_loaded_without_probes():
    done = subprocess.run([sys.executable, "-c", CODE, *CORE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
