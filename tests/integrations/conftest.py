"""These tests need other people's libraries: `make test-integrations` makes an environment for them and runs
them there.
"""

from importlib.util import find_spec

NEEDED = ("lightning", "pyro", "pythae", "torchbnn", "transformers", "wandb", "jupyter_server_proxy")
PRESENT = [name for name in NEEDED if find_spec(name) is not None]

# An ordinary environment does not collect them; a half-made one does, and the import that fails names what is
# missing.
collect_ignore_glob = [] if PRESENT else ["test_*.py"]
