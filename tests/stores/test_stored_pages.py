"""Every page of the dashboard on a run that lies in a store, and what it says of writing there."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from planted import write_run
from streamlit.testing.v1 import AppTest

from benchmarks.store_server import KEY, SECRET, Proxy
from pages.shell.session import options, runs, stored_runs
from probes import ui
from probes.log import stored_catalog
from probes.mirror import follow, target_of

ROOT = Path(__file__).resolve().parents[2]
PAGES = [path.stem for path in sorted((ROOT / "pages").glob("[a-z]*.py"))]
FOLDER = "s3://runs/pages"


@pytest.fixture(scope="module")
def stored(served: object, tmp_path_factory: pytest.TempPathFactory) -> str:
    runs_here = tmp_path_factory.mktemp("pages")
    write_run(runs_here / "planted")
    shutil.copytree(ROOT / "sample_runs" / "healthy", runs_here / "healthy")
    for folder in runs_here.iterdir():
        follow(folder, target_of(f"{FOLDER}/{folder.name}"), 1)
    return FOLDER


@pytest.fixture
def open_page(stored: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    def start(page: str, **query: str) -> AppTest:
        monkeypatch.setattr(sys, "argv", ["app.py", "--runs", stored])
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        for key, value in query.items():
            app.query_params[key] = value
        app.switch_page(f"pages/{page}.py")
        app.run()
        assert not app.exception, [error.value for error in app.exception]
        return app

    return start


def texts(app: AppTest) -> list[str]:
    return [
        str(item.value)
        for kind in ("markdown", "caption", "info", "warning", "error")
        for item in app.get(kind)
    ]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_a_stored_run(open_page: Callable[..., AppTest], page: str) -> None:
    app = open_page(page, run="healthy")
    said = texts(app)
    assert not app.error, said
    assert not [text for text in said if KEY in text or SECRET in text]


def test_an_experiment_of_a_stored_run(open_page: Callable[..., AppTest]) -> None:
    app = open_page("experiments", run="healthy", experiment="traversal")
    assert not app.error
    assert any("split" in text for text in texts(app)), "what the stored result was made with"


def test_the_sweep_of_stored_runs(open_page: Callable[..., AppTest]) -> None:
    app = open_page("runs", view="sweep")
    assert not app.error, texts(app)


def test_nothing_of_a_stored_run_is_changed_from_a_page(open_page: Callable[..., AppTest]) -> None:
    app = open_page("runs", ticked="planted")
    assert any("Runs in a store are only read" in text for text in texts(app)), texts(app)
    app = open_page("experiments", run="planted")
    assert any("Runs in a store are only read: start experiments where" in text for text in texts(app))
    entry = runs.entries()["planted"]
    with pytest.raises(PermissionError, match="only read"):
        options.require_writable(entry.path)


def errors(app: AppTest) -> list[str]:
    """As they are read, without the marks that keep Markdown from them."""
    return [error.value.replace("\\", "").replace("\u2060", "") for error in app.error]


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of the store yet, and it is asked at each look."""
    stored_runs.stored_runs.clear()
    stored_catalog._looks.clear()
    monkeypatch.setattr(stored_runs, "FAILED_SECONDS", 0.0)


@pytest.mark.parametrize("of", ["the folder", "a run"])
def test_a_store_that_is_down_at_the_start_is_said_and_shown_when_it_is_back(
    stored: str, proxy: Proxy, anew: None, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], of: str,
) -> None:  # fmt: skip
    proxy.refusing = True
    folder = ui._folder_of_runs(stored if of == "the folder" else f"{stored}/planted")
    assert "the dashboard starts without it" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["app.py", "--runs", str(folder)])
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=90)
    app.switch_page("pages/health.py")
    app.run()
    assert not app.exception
    first = errors(app)
    assert len(first) == 1
    assert re.search(rf"There is no run to show: {folder}\S* cannot be listed", first[0]), first
    since = re.search(r"no answer since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", first[0])
    assert since, first
    app.run()
    assert since.group() in errors(app)[0], "since the first time, not the last"
    proxy.refusing = False
    until = time.monotonic() + 60
    while app.error and time.monotonic() < until:
        app.run()
    assert not app.error, texts(app)
    names = set(app.sidebar.selectbox(key="choose_run").options)
    assert names == ({"healthy", "planted"} if of == "the folder" else {"planted"})


def test_a_silent_store_beside_a_folder_is_said_in_the_sidebar(
    stored: str, proxy: Proxy, anew: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.refusing = True
    monkeypatch.setattr(sys, "argv", ["app.py", "--runs", stored, str(ROOT / "sample_runs")])
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=90)
    app.switch_page("pages/health.py")
    app.run()
    assert not app.error
    until = time.monotonic() + 60
    while "cannot be listed" not in " ".join(one.value for one in app.sidebar.warning):
        assert time.monotonic() < until, [one.value for one in app.sidebar.warning]
        app.run()
    assert any("no answer since" in one.value for one in app.sidebar.warning)
