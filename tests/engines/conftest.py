"""Daft, Ray and submitit in an environment of their own: `make test-fleet`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "probes" / "fleet"), str(HERE.parent / "probes")]
MISSING = [name for name in ("daft", "ray", "submitit") if not find_spec(name)]
# before Ray is imported: it listens on 127.0.0.1, and workers find the working tree
os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_raylet_start_wait_time_s": "300",  # 30 s are too few for a node on a machine that is busy
    "OMP_NUM_THREADS": "1",
}
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """Two nodes of one worker each, on 127.0.0.1."""
    if MISSING:
        words = f"{', '.join(MISSING)} cannot be had here: `make test-fleet` makes an environment with them"
        pytest.fail(words) if os.environ.get("CI") else pytest.skip(words)
    import ray
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 * 2**20}
    nodes = Cluster(initialize_head=True, head_node_args=node)
    nodes.add_node(**node)
    ray.init(address=nodes.address, log_to_driver=False, logging_level="error")
    yield nodes
    ray.shutdown()
    nodes.shutdown()
