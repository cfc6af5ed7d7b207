"""These tests need libraries that pin other packages than requirements.txt does: `make test-libraries` and
`make test-libraries-more` make environments for them and run them there.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

NEEDED = (
    "scvi",
    "diffusers",
    "bayesian_torch",
    "blitz",
    "gpytorch",
    "vector_quantize_pytorch",
    "stable_baselines3",
    "torch_geometric",
)
UNSEEN = ("pythae", "monai", "ctgan", "torchrl", "skrl", "recbole", "snac")
"""Of the models that were watched for the first time here; each of their tests skips by itself."""

collect_ignore_glob = [] if any(map(find_spec, NEEDED)) else ["test_[!u]*.py"]
if not any(map(find_spec, UNSEEN)):
    collect_ignore_glob.append("test_unseen*.py")
