"""These tests need libraries that pin other packages than requirements.txt does: `make test-libraries` makes
an environment for them and runs them there.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

NEEDED = ("scvi", "diffusers", "bayesian_torch", "blitz", "gpytorch", "stable_baselines3", "torch_geometric")

collect_ignore_glob = [] if any(map(find_spec, NEEDED)) else ["test_*.py"]
