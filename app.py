"""The dashboard's entry: page config, navigation, shared choices.

`streamlit run app.py -- --runs FOLDER ...` names the folders of runs (default: runs and sample_runs beside this file).
The server imports this module once before it listens, which is where a wrong command line is refused; each
session then runs it as a script.
"""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from pages.shell import options, state, warm
from pages.shell.own_names import OwnNames

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Draw the frame that all pages share and run the page that was asked for."""
    st.set_page_config(
        page_title="Distributional neurons", page_icon=str(state.ICON), layout="wide", initial_sidebar_state=state.SIDEBAR
    )
    st.logo(str(state.ICON), size="large")
    pages = [
        st.Page(HERE / "pages" / f"{name}.py", title=title, icon=f":material/{icon}:", default=name == state.DEFAULT_PAGE)
        for name, title, icon in state.PAGES
    ]
    page = st.navigation(pages, position="top")
    state.run_page(page)


if __name__ == "__main__":
    main()
elif Path(sys.argv[0]).resolve() == HERE / "app.py":
    options.check(sys.argv[1:])
    warm.up()
    app = st.App(Path(__file__), middleware=[Middleware(OwnNames)])
