"""Ray: a cluster that is there, or workers of this machine that end with the program."""

from __future__ import annotations

import os
from typing import Any

from probes.extras import named

OBJECT_STORE_BYTES = 2**29
"""Of the cluster that is started here; what is more goes to disk."""


def start_ray(who: str, cpus: int, extra: str) -> tuple[Any, bool]:
    """Connect to the cluster that RAY_ADDRESS names or that the program has started, or start one.

    Parameters
    ----------
    who
        What needs it, as the user calls it.
    cpus
        Of the one that is started: it listens on 127.0.0.1 alone, reports nothing and has no dashboard.
    extra
        Of pyproject.toml that installs it.

    Returns
    -------
    tuple
        The module `ray`, and whether a cluster was started here, which is then to be shut down.

    Raises
    ------
    MissingPackageError
        When Ray is not installed.
    """
    own = not os.environ.get("RAY_ADDRESS")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if own:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # what makes it listen on 127.0.0.1
    with named(who, extra):
        import ray
    if ray.is_initialized():
        return ray, False
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if own:
        settings |= {
            "address": "local",
            "num_cpus": cpus,
            "include_dashboard": False,
            "_node_ip_address": "127.0.0.1",
        }
        settings["object_store_memory"] = OBJECT_STORE_BYTES
    ray.init(**settings)
    return ray, own
