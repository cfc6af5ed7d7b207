"""What the frame does before any page: whoever has to log in does so first."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from planted import write_run
from streamlit import user_info
from streamlit.testing.v1 import AppTest

from pages.shell import frame
from pages.shell.session import state
from pages.shell.session.runs import Entry, RunContext

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("page", [None, "pages/runs.py", "pages/experiments.py"])
def test_who_is_not_logged_in_sees_nothing_where_a_provider_is_named(
    monkeypatch: pytest.MonkeyPatch, run_folder: Path, page: str | None
) -> None:
    monkeypatch.setattr(sys, "argv", ["app.py", "--runs", str(run_folder)])
    # Streamlit says False where `[auth]` stands in its secrets, nothing where it does not
    for user, shut in (({"is_logged_in": False}, True), ({"is_logged_in": True}, False), ({}, False)):
        monkeypatch.setattr(user_info, "_get_user_info", partial(dict, user))
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        if page:
            app.switch_page(page)
        app.run()
        assert not app.exception
        assert ("log_in" in {button.key for button in app.button}) == shut
        assert bool(app.sidebar.selectbox) != shut


@pytest.mark.parametrize(
    "page", ["replay", "health", "layers", "neurons", "uncertainty", "sequence", "persistence"]
)
def test_every_page_has_the_second_run_that_the_link_names(
    open_page: Callable[..., AppTest], tmp_path: Path, page: str
) -> None:
    for name in ("one", "two"):
        write_run(tmp_path / name)
    app = open_page(page, tmp_path, run="one", vs="two")
    control = app.sidebar.selectbox(key="choose_vs")
    assert (control.label, control.value) == ("Compare with", "two")
    control.set_value(frame.NO_RUN).run()
    assert not app.exception
    assert "vs" not in app.query_params


def test_a_run_is_not_compared_with_itself(open_page: Callable[..., AppTest], tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_run(tmp_path / name)
    app = open_page("health", tmp_path, run="one", vs="one")
    assert app.sidebar.selectbox(key="choose_vs").value == frame.NO_RUN


def test_pages_that_a_run_cannot_fill_are_named_with_the_reason() -> None:
    def context(statistics: set[str], steps: tuple[int, ...] = (0, 1)) -> RunContext:
        run = SimpleNamespace(
            steps=steps, statistics=statistics, layers=[], extent=lambda table: len(statistics),
            sequence_steps=lambda: [0],
        )  # fmt: skip
        return RunContext(cast("Entry", None), run, "")

    whole = {"mean", "variance", "persistence"}
    assert frame.unfilled(context(whole)) == {}
    assert frame.unfilled(context(whole - {"persistence"})).keys() == {"persistence"}
    assert frame.unfilled(context(set())).keys() == {"replay", "layers", "neurons", "sequence", "persistence"}
    paths = {name for name, _, _ in state.PAGES}
    assert paths >= {"replay", "layers", "neurons", "persistence", *frame.MOVED.values()}
