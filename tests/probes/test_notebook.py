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
    if cell["cell_type"] != "code" or "widget" in cell["metadata"].get("tags", []):
        continue  # `make test-notebook` runs the widget
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


def test_it_is_committed_as_it_was_executed():
    """Every cell that shows something has its output, and the replay its picture for where no widget runs."""
    cells = [cell for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    counts = [cell["execution_count"] for cell in cells]
    assert counts == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert all(output["output_type"] in ("execute_result", "display_data") for output in outputs)
    assert sum("image/svg+xml" in output["data"] for output in outputs) == 1
    assert sum("application/vnd.plotly.v1+json" in output["data"] for output in outputs) == 7
    assert NOTEBOOK.stat().st_size < 500_000
    shown = [str(output["data"].get("text/plain", "")) for output in outputs]
    assert any("Run('../sample_runs/collapsed'" in text for text in shown), "no path of one machine"
