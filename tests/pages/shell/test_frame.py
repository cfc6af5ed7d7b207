"""What the frame does before any page: whoever has to log in does so first."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest
from streamlit import user_info
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("page", [None, "pages/runs.py", "pages/probes.py"])
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
