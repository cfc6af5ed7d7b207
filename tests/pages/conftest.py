"""Pages run by AppTest on runs with planted contraction."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(Path(__file__).parent))

from checked_figures import checked_figures  # noqa: E402
from planted import write_run  # noqa: E402
from started import until  # noqa: E402
from streamlit.testing.v1 import AppTest  # noqa: E402

from pages.shell.server import jobs  # noqa: E402

__all__ = ["checked_figures"]

TIMEOUT = 60  # seconds: the first run imports plotly and pyarrow


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run of three layers of 24 neurons over 120 steps."""
    folder = tmp_path_factory.mktemp("runs")
    write_run(folder / "planted")
    return folder


@pytest.fixture
def open_page(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Runs a page as a new session would: the page's file, a folder of runs, query keys."""

    def start(page: str, folder: Path | None = None, **query: str) -> AppTest:
        monkeypatch.setattr(sys, "argv", ["app.py", "--runs", str(folder or run_folder)])
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=TIMEOUT)
        for key, value in query.items():
            app.query_params[key] = value
        app.switch_page(f"pages/{page}.py")
        app.run()
        assert not app.exception, [error.value for error in app.exception]
        return app

    return start


@pytest.fixture
def manager() -> Iterator[jobs.JobManager]:
    """The server's, without what an earlier test has left; what this one starts is ended."""
    jobs.job_manager.clear()
    yield jobs.job_manager()
    for run, name in jobs.job_manager().running():
        jobs.job_manager().cancel(Path(run), name)
    until(lambda: not jobs.job_manager().running())
