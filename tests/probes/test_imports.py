"""Reading and drawing load neither torch nor streamlit; writing loads no torch; probes never imports the
training core.
"""

import subprocess
import sys

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
