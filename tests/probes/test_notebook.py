"""docs/notebook.ipynb runs from top to bottom, without streamlit or torch, and every figure in it names its
axes.
"""

import json
import subprocess
import sys
from pathlib import Path

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "notebook.ipynb"

RUN = """
import ast, json, pathlib, sys
import warnings; warnings.simplefilter("error")
shown, space = [], {}
for cell in json.loads(pathlib.Path(sys.argv[1]).read_text("utf-8"))["cells"]:
    if cell["cell_type"] != "code":
        continue
    body = ast.parse("".join(cell["source"])).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "notebook", "exec"), space)
    if last:
        shown.append(eval(compile(ast.Expression(last.value), "notebook", "eval"), space))
figures = [item.to_plotly_json()["layout"] for item in shown if type(item).__name__ == "Figure"]
sides = [(figure, side) for figure in figures for side in ("xaxis", "yaxis")]
axes = [[axis for name, axis in figure.items() if name.startswith(side)] for figure, side in sides]
titles = [[axis["title"].get("text") for axis in one if "title" in axis] for one in axes]
heavy = sorted({name.split(".")[0] for name in sys.modules} & {"streamlit", "torch", "vdn"})
print(json.dumps({"shown": len(shown), "titles": titles, "heavy": heavy}))
"""


def test_the_notebook_runs_and_shows_its_figures():
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(NOTEBOOK)],
        cwd=NOTEBOOK.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["heavy"] == []
    assert result["shown"] == 12
    assert len(result["titles"]) == 14
    assert all(any(titles) for titles in result["titles"])


def test_no_output_is_committed():
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert all(
        not cell["outputs"] and cell["execution_count"] is None
        for cell in cells
        if cell["cell_type"] == "code"
    )
