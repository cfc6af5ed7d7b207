"""These tests need JAX and its libraries: `make test-jax` makes an environment and runs them there."""

from importlib.util import find_spec

PRESENT = [name for name in ("jax", "numpyro", "flax", "optax") if find_spec(name) is not None]

# An ordinary environment does not collect them; a half-made one does, and the import that fails names what is
# missing.
collect_ignore_glob = [] if PRESENT else ["test_*.py"]
