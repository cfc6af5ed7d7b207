"""The examples run, and what they record is a run that the dashboard opens."""

import importlib.util
from pathlib import Path

import pytest

import probes

# Lightning's own use of torch
pytestmark = pytest.mark.filterwarnings("ignore:.isinstance.treespec:FutureWarning")

EXAMPLES = Path(__file__).parents[2] / "examples"


def run_example(name, folder, steps):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(str(folder), steps)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("digits_vae", {"run": [("VAE", 16)]}),
        ("pyro_guides", {"run-vae": [("z", 8)], "run-regression": [("weight_unconstrained", 10)]}),
        ("text_vae", {"run-collapse": [("TextVAE", 16)], "run-rescued": [("TextVAE", 16)]}),
        ("lightning_bottleneck", {"run": [("encoder", 16)]}),
    ],
)
def test_example(tmp_path, name, layers):
    run_example(name, tmp_path / "run", 60)
    for folder, expected in layers.items():
        run = probes.Run(tmp_path / folder)
        assert run.status == "finished"
        assert [(layer["name"], layer["neurons"]) for layer in run.layers] == expected
        assert run.steps.tolist() == [*range(0, 60, run.config["watch"]["every"]), 59]
        kl = run.layer_summary()["kl_mean"]
        assert kl.iloc[-1] != kl.iloc[0]
        assert {"loss"} <= set(run.scalars()["name"])
    assert set(probes.catalog(tmp_path)["status"]) == {"finished"}
