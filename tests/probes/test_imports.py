"""Reading and drawing load neither torch nor streamlit; writing loads no torch; probes never imports the
training core.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import probes


@pytest.mark.parametrize(
    "modules",
    [
        "probes.run, probes.figures",
        "probes.recorder",
        "probes.__main__",
        "probes.experiments.kinds, probes.experiments.store",
    ],
)
def test_what_an_import_loads(modules):
    code = (
        f"import sys, {modules}; print(sorted(m for m in sys.modules if m.split('.')[0] in ('torch',"
        " 'streamlit', 'vdn')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_itself_is_lazy():
    heavy = "('numpy', 'pandas', 'pyarrow')"
    code = (
        f"import sys, probes; print([m for m in {heavy} if m in sys.modules]); probes.Run; probes.catalog;"
        " probes.Recorder"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = probes.nothing


def imports(path: Path) -> Iterator[str]:
    """Modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_only_storage_knows_file_systems():
    package = Path(probes.__file__).parent
    log = [path for name in ("log", "run") for path in (package / name).glob("*.py")]
    file_systems = ("os", "shutil", "glob", "tempfile", "fcntl", "pyarrow.fs")
    assert {
        (path.name, name) for path in log for name in imports(path) if name.startswith(file_systems)
    } == set()
    below = {name for path in (package / "storage").glob("*.py") for name in imports(path)}
    ours = {name.rsplit(".", 1)[0] for name in below if name.startswith("probes")}
    stores = {f"probes.storage{name}" for name in ("", ".arrow", ".local", ".object_store")}
    assert ours == {"probes.errors", "probes.extras", "probes.forks"} | stores


def test_a_local_run_loads_nothing_of_stores(tmp_path):
    """Recording, reading, listing and checking a folder: no client, no mirror, no spool."""
    code = f"""
import sys, probes, numpy as np
from probes.__main__ import main
with probes.Recorder({str(tmp_path / "run")!r}, [dict(name="a", neurons=2)]) as recorder:
    recorder.record(0, 0, mean=np.zeros(2), variance=np.ones(2))
probes.Run({str(tmp_path / "run")!r}).history(0); probes.catalog({str(tmp_path)!r})
assert main(["check", {str(tmp_path / "run")!r}]) == 0
unwanted = ("obstore", "probes.storage.object_store", "probes.storage.arrow", "probes.mirror", "probes.spool",
            "probes.log.stored_catalog")
print(sorted(name for name in unwanted if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
