"""Execute the notebook of the docs anew, in its place: `make notebook`.

What widgets hold is left out: where none runs the pictures beside them stand.
"""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).with_name("notebook.ipynb")

if __name__ == "__main__":
    os.environ["PLOTLY_RENDERER"] = "plotly_mimetype"  # the figures alone, without 4.8 MB of script in each
    notebook = nbformat.read(NOTEBOOK, 4)
    notebook.metadata.pop("widgets", None)
    settings = {
        "store_widget_state": False,
        "record_timing": False,
        "resources": {"metadata": {"path": str(NOTEBOOK.parent)}},
    }
    NotebookClient(notebook, timeout=300, **settings).execute()
    nbformat.write(notebook, NOTEBOOK)
