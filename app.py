"""The dashboard's entry: page config, navigation, shared choices.

`probes ui FOLDER ...` starts it, as `streamlit run app.py -- --runs FOLDER ...` does; without folders it
shows `runs` in the working directory, and sample_runs beside this file. The server imports this module once
before it listens, which is where a wrong command line is refused; each session then runs it as a script.
"""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

from pages.shell import frame
from pages.shell.server import access, preload
from pages.shell.session import options

if __name__ == "__main__":
    frame.main()
elif Path(sys.argv[0]).resolve() == Path(__file__).resolve():
    options.check(sys.argv[1:])
    middleware = access.configure(sys.argv[1:])
    preload.run()
    app = st.App(Path(__file__), middleware=middleware)
